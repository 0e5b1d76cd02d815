//! The functions of JSON, whose arguments have clauses, as calls with plain arguments.
//!
//! | written | call |
//! |---|---|
//! | `JSON_VALUE(j, p [RETURNING t] [NULL, ERROR, DEFAULT x ON EMPTY] [… ON ERROR])` | `"$json_value"(j, p, 't', 'empty', x, 'error', x)` |
//! | `JSON_QUERY(j, p [RETURNING t] [… WRAPPER] [… ON EMPTY] [… ON ERROR])` | `"$json_query"(j, p, 't', 'wrapper', 'empty', 'error')` |
//! | `JSON_EXISTS(j, p [… ON ERROR])` | `"$json_exists"(j, p, 'error')` |
//! | `JSON_OBJECT([KEY] k VALUE v, … [NULL, ABSENT ON NULL])` | `"$json_object"('null', 'kinds', k, v, …)` |
//! | `JSON_ARRAY(v, … [NULL, ABSENT ON NULL])` | `"$json_array"('absent', 'kinds', v, …)` |
//! | `JSON_OBJECTAGG([KEY] k VALUE v [… ON NULL])`, `JSON_ARRAYAGG(v [… ON NULL])` | `"JSON_OBJECTAGG"(k, v)`, `"$json_objectagg_absent"`, … |
//!
//! In `kinds` there is a letter for each value: `r` if it is JSON already (a call of one of these), `v` if it is to become so.

use sqlparser::ast::{Expr, Value};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::forms::{function, text};

/// The call that begins here, if it is one of these.
pub(super) fn prefix(parser: &mut Parser<'_>, name: &str) -> Option<Result<Expr, ParserError>> {
    let parse: fn(&mut Parser<'_>) -> Result<Expr, ParserError> = match name.to_uppercase().as_str() {
        "JSON_VALUE" => json_value,
        "JSON_QUERY" => json_query,
        "JSON_EXISTS" => json_exists,
        "JSON_OBJECT" => |parser| constructor(parser, true),
        "JSON_ARRAY" => |parser| constructor(parser, false),
        "JSON_OBJECTAGG" => |parser| aggregate(parser, true),
        "JSON_ARRAYAGG" => |parser| aggregate(parser, false),
        _ => return None,
    };
    parser.next_token();
    parser.next_token();
    Some(parse(parser).and_then(|call| parser.expect_token(&Token::RParen).map(|_| call)))
}

fn word(parser: &mut Parser<'_>, wanted: &str) -> bool {
    match &parser.peek_token_ref().token {
        Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(wanted) => {
            parser.next_token();
            true
        }
        _ => false,
    }
}

fn words(parser: &mut Parser<'_>, wanted: &[&str]) -> bool {
    let at = |number: usize, wanted: &str| match parser.peek_nth_token(number).token {
        Token::Word(found) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(wanted),
        _ => false,
    };
    let all = wanted.iter().enumerate().all(|(number, wanted)| at(number, wanted));
    if all {
        wanted.iter().for_each(|_| drop(parser.next_token()));
    }
    all
}

fn json_and_path(parser: &mut Parser<'_>) -> Result<Vec<Expr>, ParserError> {
    let json = parser.parse_expr()?;
    parser.expect_token(&Token::Comma)?;
    Ok(vec![json, parser.parse_expr()?])
}

fn returning(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    if !word(parser, "RETURNING") {
        return Ok("STRING".to_owned());
    }
    // Up to the first word of a clause.
    let (mut parts, mut depth) = (Vec::new(), 0);
    loop {
        let token = parser.peek_token_ref().token.clone();
        match &token {
            Token::RParen if depth == 0 => break,
            Token::RParen | Token::Gt => depth -= 1,
            Token::LParen | Token::Lt => depth += 1,
            Token::EOF => break,
            Token::Word(word)
                if depth == 0
                    && ["NULL", "ERROR", "DEFAULT", "EMPTY", "WITH", "WITHOUT"]
                        .contains(&word.value.to_uppercase().as_str()) =>
            {
                break;
            }
            _ => {}
        }
        parts.push(parser.next_token().token.to_string());
    }
    let of = parts.join(" ");
    super::parse_type(&of).map(|_| of).map_err(|error| ParserError::ParserError(error.message))
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

fn json_value(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let mut arguments = json_and_path(parser)?;
    arguments.push(text(returning(parser)?));
    let mut cases = [("NULL", null()), ("NULL", null())];
    while parser.peek_token_ref().token != Token::RParen {
        let behaviour = if word(parser, "NULL") {
            ("NULL", null())
        } else if word(parser, "ERROR") {
            ("ERROR", null())
        } else {
            parser.expect_keyword(Keyword::DEFAULT)?;
            ("DEFAULT", parser.parse_expr()?)
        };
        cases[on(parser)?] = behaviour;
    }
    for (what, value) in cases {
        arguments.push(text(what));
        arguments.push(value);
    }
    Ok(function("$json_value", arguments))
}

/// `ON EMPTY` (0) or `ON ERROR` (1).
fn on(parser: &mut Parser<'_>) -> Result<usize, ParserError> {
    parser.expect_keyword(Keyword::ON)?;
    if word(parser, "EMPTY") {
        return Ok(0);
    }
    match word(parser, "ERROR") {
        true => Ok(1),
        false => parser.expected("EMPTY or ERROR", parser.peek_token()),
    }
}

fn json_query(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let mut arguments = json_and_path(parser)?;
    arguments.push(text(returning(parser)?));
    let mut wrapper = "WITHOUT";
    if word(parser, "WITHOUT") {
        word(parser, "ARRAY");
        if !word(parser, "WRAPPER") {
            return parser.expected("WRAPPER", parser.peek_token());
        }
    } else if word(parser, "WITH") {
        let conditional = word(parser, "CONDITIONAL");
        wrapper = if conditional { "CONDITIONAL" } else { "UNCONDITIONAL" };
        if !conditional {
            word(parser, "UNCONDITIONAL");
        }
        word(parser, "ARRAY");
        if !word(parser, "WRAPPER") {
            return parser.expected("WRAPPER", parser.peek_token());
        }
    }
    arguments.push(text(wrapper));
    let mut cases = ["NULL", "NULL"];
    while parser.peek_token_ref().token != Token::RParen {
        let behaviour = if words(parser, &["EMPTY", "ARRAY"]) {
            "ARRAY"
        } else if words(parser, &["EMPTY", "OBJECT"]) {
            "OBJECT"
        } else if word(parser, "NULL") {
            "NULL"
        } else if word(parser, "ERROR") {
            "ERROR"
        } else {
            return parser.expected("NULL, ERROR, EMPTY ARRAY or EMPTY OBJECT", parser.peek_token());
        };
        cases[on(parser)?] = behaviour;
    }
    arguments.extend(cases.map(text));
    Ok(function("$json_query", arguments))
}

fn json_exists(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let mut arguments = json_and_path(parser)?;
    let cases = ["TRUE", "FALSE", "UNKNOWN", "ERROR"];
    let given = cases.into_iter().find(|case| word(parser, case));
    if given.is_some() && !words(parser, &["ON", "ERROR"]) {
        return parser.expected("ON ERROR", parser.peek_token());
    }
    arguments.push(text(given.unwrap_or("FALSE")));
    Ok(function("$json_exists", arguments))
}

/// Whether a value is JSON already.
fn is_json(value: &Expr) -> bool {
    let Expr::Function(call) = value else { return false };
    let name = call.name.to_string().replace('`', "").to_uppercase();
    matches!(name.as_str(), "$JSON_OBJECT" | "$JSON_ARRAY" | "JSON")
}

fn kind(value: &Expr) -> char {
    if is_json(value) { 'r' } else { 'v' }
}

/// `[KEY] k VALUE v`, or `k : v`.
fn pair(parser: &mut Parser<'_>) -> Result<(Expr, Expr), ParserError> {
    if matches!(parser.peek_nth_token(1).token, Token::SingleQuotedString(_) | Token::Word(_)) {
        word(parser, "KEY");
    }
    let key = parser.parse_expr()?;
    if !word(parser, "VALUE") && !parser.consume_token(&Token::Colon) {
        return parser.expected("VALUE", parser.peek_token());
    }
    Ok((key, parser.parse_expr()?))
}

/// `NULL ON NULL` or `ABSENT ON NULL`.
fn on_null(parser: &mut Parser<'_>, otherwise: &'static str) -> &'static str {
    if words(parser, &["NULL", "ON", "NULL"]) {
        return "NULL";
    }
    if words(parser, &["ABSENT", "ON", "NULL"]) {
        return "ABSENT";
    }
    otherwise
}

fn constructor(parser: &mut Parser<'_>, of_object: bool) -> Result<Expr, ParserError> {
    let (mut values, mut kinds) = (Vec::new(), String::new());
    let otherwise = if of_object { "NULL" } else { "ABSENT" };
    let ends = |parser: &Parser<'_>| {
        let clause = |number, wanted| matches!(parser.peek_nth_token(number).token, Token::Word(word) if word.value.eq_ignore_ascii_case(wanted));
        parser.peek_token_ref().token == Token::RParen || clause(1, "ON") && clause(2, "NULL")
    };
    while !ends(parser) {
        let value = if of_object {
            let (key, value) = pair(parser)?;
            values.push(key);
            value
        } else {
            parser.parse_expr()?
        };
        kinds.push(kind(&value));
        values.push(value);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    let mut arguments = vec![text(on_null(parser, otherwise)), text(kinds)];
    arguments.extend(values);
    Ok(function(if of_object { "$json_object" } else { "$json_array" }, arguments))
}

fn aggregate(parser: &mut Parser<'_>, of_object: bool) -> Result<Expr, ParserError> {
    let (arguments, otherwise, names) = match of_object {
        true => {
            let (key, value) = pair(parser)?;
            (vec![key, value], "NULL", ["JSON_OBJECTAGG", "$json_objectagg_absent"])
        }
        false => (vec![parser.parse_expr()?], "ABSENT", ["$json_arrayagg_null", "JSON_ARRAYAGG"]),
    };
    let name = if on_null(parser, otherwise) == "NULL" { names[0] } else { names[1] };
    Ok(function(name, arguments))
}
