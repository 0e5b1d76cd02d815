//! Expressions that have a grammar of their own, as calls of functions.

use sqlparser::ast::{BinaryOperator, Expr, Ident, Value};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::dialect::call;

pub(super) fn text(value: impl Into<String>) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.into()).into())
}

pub(super) fn function(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(call(Ident::with_quote('`', name), arguments))
}

/// `CAST(x AS type)` as `"$cast"(x, 'type')`.
pub(super) fn cast(parser: &mut Parser<'_>, name: &str) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.expect_token(&Token::LParen)?;
    let value = parser.parse_expr()?;
    parser.expect_keyword(Keyword::AS)?;
    let of = type_text(parser)?;
    parser.expect_token(&Token::RParen)?;
    Ok(function(name, vec![value, text(of)]))
}

/// The text of a type, up to the parenthesis that closes what it stands in.
fn type_text(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let (mut words, mut depth) = (Vec::new(), 0);
    loop {
        match parser.peek_token_ref().token {
            Token::RParen if depth == 0 => break,
            Token::RParen => depth -= 1,
            Token::LParen => depth += 1,
            Token::EOF => break,
            _ => {}
        }
        words.push(parser.next_token().token.to_string());
    }
    let of = words.join(" ");
    match super::parse_type(&of) {
        Ok(_) => Ok(of),
        Err(error) => {
            parser.prev_token();
            Err(ParserError::ParserError(error.message))
        }
    }
}

/// `TIMESTAMP '2020-01-02 03:04:05.678'`, which has as many digits behind the second as are written.
pub(super) fn time_literal(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let kind = parser.next_token().token.to_string().to_uppercase();
    let value = parser.parse_literal_string()?;
    let digits = value.trim().rsplit_once('.').map_or(0, |(_, digits)| digits.len().min(9));
    let valid = match kind.as_str() {
        "DATE" => crate::cast::parse_date(&value).is_some(),
        "TIME" => crate::cast::parse_time(&value).is_some(),
        _ => crate::cast::parse_timestamp(value.trim()).is_some(),
    };
    if !valid {
        parser.prev_token();
        return Err(ParserError::ParserError(format!("'{value}' is no {kind}")));
    }
    let of = if kind == "DATE" { kind } else { format!("{kind}({digits})") };
    Ok(function("$cast", vec![text(value), text(of)]))
}

/// `1e3`, a `DOUBLE`.
pub(super) fn floating(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    let number = parser.next_token().token.to_string();
    Ok(function("$cast", vec![text(number), text("DOUBLE NOT NULL")]))
}

/// `MAP[k, v, k, v]` as `"$map"(k, v, k, v)`.
pub(super) fn map(parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.expect_token(&Token::LBracket)?;
    let items = parser.parse_comma_separated(Parser::parse_expr)?;
    if items.len() % 2 == 1 {
        return Err(ParserError::ParserError(
            "a map has a value for each key: MAP[key, value, …]".to_owned(),
        ));
    }
    parser.expect_token(&Token::RBracket)?;
    accesses(parser, function("$map", items))
}

/// `[key]` behind a value.
fn accesses(parser: &mut Parser<'_>, mut of: Expr) -> Result<Expr, ParserError> {
    while parser.consume_token(&Token::LBracket) {
        let key = parser.parse_expr()?;
        parser.expect_token(&Token::RBracket)?;
        of = function("$item", vec![of, key]);
    }
    Ok(of)
}

fn is_word(parser: &Parser<'_>, number: usize, text: &str) -> bool {
    match parser.peek_nth_token(number).token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text),
        _ => false,
    }
}

/// `x [NOT] BETWEEN SYMMETRIC a AND b`, `x IS [NOT] DISTINCT FROM y`, `x IS [NOT] JSON [VALUE | ARRAY | OBJECT | SCALAR]`.
pub(super) fn infix(
    parser: &mut Parser<'_>,
    left: &Expr,
    precedence: u8,
) -> Option<Result<Expr, ParserError>> {
    let not = usize::from(is_word(parser, 0, "NOT"));
    if is_word(parser, not, "BETWEEN")
        && (is_word(parser, not + 1, "SYMMETRIC") || is_word(parser, not + 1, "ASYMMETRIC"))
    {
        return Some(between(parser, left, not == 1, precedence));
    }
    if let Expr::Tuple(first) = left
        && is_word(parser, 0, "OVERLAPS")
    {
        parser.next_token();
        return Some(overlaps(parser, first, precedence));
    }
    if !is_word(parser, 0, "IS") {
        return None;
    }
    let not = usize::from(is_word(parser, 1, "NOT"));
    if is_word(parser, 1 + not, "DISTINCT") && is_word(parser, 2 + not, "FROM") {
        return Some(distinct(parser, left, not == 1, precedence));
    }
    is_word(parser, 1 + not, "JSON").then(|| {
        (0..2 + not).for_each(|_| drop(parser.next_token()));
        let kinds = ["VALUE", "ARRAY", "OBJECT", "SCALAR"];
        let kind = kinds.iter().find(|kind| is_word(parser, 0, kind)).copied();
        if kind.is_some() {
            parser.next_token();
        }
        let test = function("$is_json", vec![left.clone(), text(kind.unwrap_or("VALUE"))]);
        Ok(if not == 1 { negated(test) } else { test })
    })
}

fn negated(test: Expr) -> Expr {
    Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Not, expr: Box::new(test) }
}

/// What is compared with ends before an `AND`.
fn distinct(parser: &mut Parser<'_>, of: &Expr, is_not: bool, precedence: u8) -> Result<Expr, ParserError> {
    (0..3 + usize::from(is_not)).for_each(|_| drop(parser.next_token()));
    let (left, right) = (Box::new(of.clone()), Box::new(parser.parse_subexpr(precedence)?));
    Ok(match is_not {
        true => Expr::IsNotDistinctFrom(left, right),
        false => Expr::IsDistinctFrom(left, right),
    })
}

fn between(parser: &mut Parser<'_>, of: &Expr, is_not: bool, precedence: u8) -> Result<Expr, ParserError> {
    (0..1 + usize::from(is_not)).for_each(|_| drop(parser.next_token()));
    let symmetric = is_word(parser, 0, "SYMMETRIC");
    parser.next_token();
    let low = parser.parse_subexpr(precedence)?;
    parser.expect_keyword(Keyword::AND)?;
    let high = parser.parse_subexpr(precedence)?;
    let within = |low: &Expr, high: &Expr| {
        Expr::Nested(Box::new(Expr::Between {
            expr: Box::new(of.clone()),
            negated: false,
            low: Box::new(low.clone()),
            high: Box::new(high.clone()),
        }))
    };
    let there = within(&low, &high);
    let test = match symmetric {
        true => Expr::Nested(Box::new(Expr::BinaryOp {
            left: Box::new(there),
            op: BinaryOperator::Or,
            right: Box::new(within(&high, &low)),
        })),
        false => there,
    };
    Ok(if is_not { negated(test) } else { test })
}

/// `(a, b) OVERLAPS (c, d)`, each with an end or a length.
fn overlaps(parser: &mut Parser<'_>, first: &[Expr], precedence: u8) -> Result<Expr, ParserError> {
    match (first, parser.parse_subexpr(precedence)?) {
        ([a, b], Expr::Tuple(second)) if second.len() == 2 => {
            let second = second.iter().cloned();
            Ok(function("$overlaps", [a.clone(), b.clone()].into_iter().chain(second).collect()))
        }
        _ => Err(ParserError::ParserError(
            "OVERLAPS stands between two pairs: (begin, end) OVERLAPS (begin, end)".into(),
        )),
    }
}

/// `TRIM(BOTH FROM x)`, which leaves out what is trimmed; none, if it does not.
pub(super) fn trim(parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
    let name = match parser.peek_nth_token(2).token {
        Token::Word(word) => match word.keyword {
            Keyword::BOTH => "BTRIM",
            Keyword::LEADING => "LTRIM",
            Keyword::TRAILING => "RTRIM",
            _ => return None,
        },
        _ => return None,
    };
    is_word(parser, 3, "FROM").then(|| {
        (0..4).for_each(|_| drop(parser.next_token()));
        let of = parser.parse_expr()?;
        parser.expect_token(&Token::RParen)?;
        Ok(function(name, vec![of]))
    })
}

/// An interval of several units, or with a sign in front, as one of one unit; none, if it is of one already.
pub(super) fn interval(parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
    let minus = usize::from(parser.peek_nth_token(1).token == Token::Minus);
    let Token::SingleQuotedString(value) = parser.peek_nth_token(1 + minus).token else { return None };
    let mut at = 2 + minus;
    let word = |at: usize| match parser.peek_nth_token(at).token {
        Token::Word(word) => Some(word.value.to_uppercase()),
        _ => None,
    };
    // Digits in parentheses are of no account.
    let skip = |at: &mut usize| {
        if parser.peek_nth_token(*at).token == Token::LParen {
            while !matches!(parser.peek_nth_token(*at).token, Token::RParen | Token::EOF) {
                *at += 1;
            }
            *at += 1;
        }
    };
    let first = word(at)?;
    at += 1;
    skip(&mut at);
    let last = match word(at).as_deref() {
        Some("TO") => {
            let last = word(at + 1);
            at += 2;
            skip(&mut at);
            last
        }
        _ => None,
    };
    if last.is_none() && minus == 0 {
        return None;
    }
    let made = of_units(&value, &first, last.as_deref().unwrap_or(&first));
    (0..at).for_each(|_| drop(parser.next_token()));
    Some(match made {
        Some((number, unit)) => {
            let sign = if minus == 1 && number != "0" { "-" } else { "" };
            let number = format!("{sign}{number}").replace("--", "");
            Ok(Expr::Interval(sqlparser::ast::Interval {
                value: Box::new(text(number)),
                leading_field: Some(unit),
                leading_precision: None,
                last_field: None,
                fractional_seconds_precision: None,
            }))
        }
        None => Err(ParserError::ParserError(format!(
            "'{value}' is no INTERVAL {first} TO {}",
            last.as_deref().unwrap_or(&first)
        ))),
    })
}

/// `1-2` YEAR TO MONTH in months, `1 02:03:04.5` DAY TO SECOND in seconds.
fn of_units(value: &str, first: &str, last: &str) -> Option<(String, sqlparser::ast::DateTimeField)> {
    use sqlparser::ast::DateTimeField as Unit;
    let (sign, digits) = match value.trim().strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", value.trim().trim_start_matches('+')),
    };
    if first == last {
        let unit = match first {
            "YEAR" => Unit::Year,
            "MONTH" => Unit::Month,
            "DAY" => Unit::Day,
            "HOUR" => Unit::Hour,
            "MINUTE" => Unit::Minute,
            "SECOND" => Unit::Second,
            _ => return None,
        };
        return Some((format!("{sign}{digits}"), unit));
    }
    if (first, last) == ("YEAR", "MONTH") {
        let (years, months) = digits.split_once('-')?;
        return Some((
            format!("{sign}{}", years.parse::<u32>().ok()? * 12 + months.parse::<u32>().ok()?),
            Unit::Month,
        ));
    }
    const UNITS: [(&str, i64); 4] = [("DAY", 86_400), ("HOUR", 3600), ("MINUTE", 60), ("SECOND", 1)];
    let place = |unit: &str| UNITS.iter().position(|(known, _)| *known == unit);
    let (from, to) = (place(first)?, place(last)?);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let parts: Vec<&str> = whole.split([' ', ':']).filter(|part| !part.is_empty()).collect();
    if to < from || parts.len() != to - from + 1 || (!fraction.is_empty() && last != "SECOND") {
        return None;
    }
    let mut seconds = 0;
    for (part, (_, length)) in parts.iter().zip(&UNITS[from..=to]) {
        seconds += part.parse::<u32>().map(i64::from).ok()? * length;
    }
    let point = if fraction.is_empty() { "" } else { "." };
    Some((format!("{sign}{seconds}{point}{fraction}"), Unit::Second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_several_units_are_of_one() {
        let of = |value, first, last| of_units(value, first, last).map(|(number, _)| number);
        assert_eq!(of("1-2", "YEAR", "MONTH").as_deref(), Some("14"));
        assert_eq!(of("-1 02:03:04.5", "DAY", "SECOND").as_deref(), Some("-93784.5"));
        assert_eq!(of("1:30", "MINUTE", "SECOND").as_deref(), Some("90"));
        assert_eq!(of("1:30", "DAY", "SECOND"), None);
    }
}
