//! Models: `CREATE MODEL`, and `MODEL m` as an argument.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word as SqlWord};

use super::schema::{columns, expect, symbol, take, take_all, text};
use super::statements::{options, path};
use super::tokens::{Tokens, is, word};
use super::{ColumnDef, ColumnKind, CreateModel, Name, StatementKind};
use crate::error::SqlError;

/// Functions of which an argument is a model.
const FUNCTIONS: [&str; 2] = ["ML_PREDICT", "ML_LEARN"];

/// What follows `CREATE [TEMPORARY] MODEL`.
pub(super) fn create(
    tokens: &Tokens,
    parser: &mut Parser<'_>,
    temporary: bool,
) -> Result<StatementKind, SqlError> {
    let if_not_exists = take_all(parser, &["IF", "NOT", "EXISTS"]);
    let name = path(tokens, parser)?;
    expect(tokens, parser, "INPUT")?;
    let inputs = physical(tokens, parser)?;
    expect(tokens, parser, "OUTPUT")?;
    let outputs = physical(tokens, parser)?;
    let comment = if take(parser, "COMMENT") { Some(text(tokens, parser)?.value) } else { None };
    expect(tokens, parser, "WITH")?;
    let options = options(tokens, parser)?;
    let create = CreateModel { name, temporary, if_not_exists, inputs, outputs, comment, options };
    Ok(StatementKind::CreateModel(Box::new(create)))
}

/// `(name type, …)`.
fn physical(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Vec<ColumnDef>, SqlError> {
    symbol(tokens, parser, &Token::LParen)?;
    let schema = columns(tokens, parser, true)?;
    symbol(tokens, parser, &Token::RParen)?;
    if schema.watermark.is_some() || schema.primary_key.is_some() {
        return Err(SqlError::new("a model has columns, and neither a watermark nor a key"));
    }
    match schema.columns.iter().find(|column| !matches!(column.kind, ColumnKind::Physical(_))) {
        None => Ok(schema.columns),
        Some(column) => {
            Err(SqlError::at(column.name.span.clone(), "a column of a model is a name and a type"))
        }
    }
}

/// What follows `ALTER MODEL`.
pub(super) fn alter(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<StatementKind, SqlError> {
    let if_exists = take_all(parser, &["IF", "EXISTS"]);
    let name = path(tokens, parser)?;
    let action = if take_all(parser, &["RENAME", "TO"]) {
        super::AlterModelAction::Rename(path(tokens, parser)?)
    } else if take(parser, "SET") {
        super::AlterModelAction::Set(options(tokens, parser)?)
    } else if take(parser, "RESET") {
        symbol(tokens, parser, &Token::LParen)?;
        let mut keys = vec![text(tokens, parser)?];
        while parser.consume_token(&Token::Comma) {
            keys.push(text(tokens, parser)?);
        }
        symbol(tokens, parser, &Token::RParen)?;
        super::AlterModelAction::Reset(keys)
    } else {
        return Err(tokens.expected(parser, "RENAME TO, SET or RESET"));
    };
    Ok(StatementKind::AlterModel(super::AlterModel { name, if_exists, action }))
}

/// The tokens of a statement in which each `MODEL m` that is an argument of a function of models is a call, `"$model"(m)`.
///
/// Only there: elsewhere `model m` is a column with another name.
pub(super) fn arguments(statement: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let is_function = |found: &SqlWord| FUNCTIONS.iter().any(|name| is(found, name));
    if !statement.iter().filter_map(|token| word(&token.token)).any(is_function) {
        return statement.to_vec();
    }
    let mut out = Vec::with_capacity(statement.len() + 2);
    // The token that comes next, and where, spaces aside.
    let after = |at: usize| {
        let rest = statement.iter().enumerate().skip(at + 1);
        rest.clone().find(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
    };
    // How deep in parentheses each call of such a function began.
    let (mut depth, mut calls): (usize, Vec<usize>) = (0, Vec::new());
    let mut at = 0;
    while let Some(token) = statement.get(at) {
        let next = after(at);
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.saturating_sub(1);
                calls.retain(|call| *call <= depth);
            }
            Token::Word(found)
                if is_function(found) && next.is_some_and(|(_, next)| next.token == Token::LParen) =>
            {
                calls.push(depth + 1);
            }
            Token::Word(found) if calls.last() == Some(&depth) && is(found, "MODEL") => {
                if let Some((mut last, _)) = next.filter(|(_, next)| word(&next.token).is_some()) {
                    let mut name = vec![statement[last].clone()];
                    while let Some((period, dot)) = after(last).filter(|(_, dot)| dot.token == Token::Period)
                        && let Some((part, named)) =
                            after(period).filter(|(_, part)| word(&part.token).is_some())
                    {
                        name.extend([dot.clone(), named.clone()]);
                        last = part;
                    }
                    let like = |token: Token, span| TokenWithSpan { token, span };
                    let keyword = sqlparser::keywords::Keyword::NoKeyword;
                    let call = SqlWord { value: "$model".to_owned(), quote_style: Some('`'), keyword };
                    out.push(like(Token::Word(call), token.span));
                    out.push(like(Token::LParen, token.span));
                    out.append(&mut name);
                    out.push(like(Token::RParen, statement[last].span));
                    at = last + 1;
                    continue;
                }
            }
            _ => {}
        }
        out.push(token.clone());
        at += 1;
    }
    out
}

/// The name of the model that `DESCRIBE MODEL m` is about; none, where `MODEL` is the name of a table.
pub(super) fn describe(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Option<Name>, SqlError> {
    let is_name = word(&parser.peek_nth_token(1).token).is_some();
    if is_name && take(parser, "MODEL") { path(tokens, parser).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use crate::parser::{Show, StatementKind, parse_script};

    fn parsed(script: &str) -> String {
        match &parse_script(script).unwrap()[0].kind {
            StatementKind::Query(query) => query.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_model_is_an_argument_and_a_word_like_others() {
        let call =
            parsed("SELECT model m, ML_PREDICT FROM ML_PREDICT(TABLE t, MODEL c . `d`.m, DESCRIPTOR(x))");
        assert!(call.contains("`$model`(c.`d`.m)") && call.contains("model AS m"), "{call}");
        let named =
            parsed("SELECT * FROM ML_PREDICT(INPUT => TABLE t, MODEL => MODEL m, ARGS => DESCRIPTOR(x))");
        assert!(named.contains("MODEL => `$model`(m)"), "{named}");
        assert!(matches!(parse_script("DESCRIBE model").unwrap()[0].kind, StatementKind::Describe(_)));
        assert!(matches!(parse_script("DESC MODEL m").unwrap()[0].kind, StatementKind::DescribeModel(_)));
        let show = &parse_script("SHOW CREATE MODEL a.m").unwrap()[0].kind;
        assert!(matches!(show, StatementKind::Show(Show::CreateModel(_))));
    }
}
