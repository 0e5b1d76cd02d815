//! `t /*+ OPTIONS('k'='v') */`: options of a table for one statement.
//!
//! Before: a comment behind the name of a table, which the grammar of queries has no room for. After: the options are part of the
//! name, behind a letter that no name has, until the table is looked up ([`split`]).

use std::collections::BTreeMap;

use sqlparser::ast::Ident;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::dialect::FlinkDialect;
use super::statements::options;
use super::tokens::{Tokens, hint};
use crate::error::SqlError;

/// Stands between a name and its options.
const MARK: char = '\u{1}';

/// The tokens of a statement, with the options of hints in the names of their tables.
pub(super) fn into_names(
    tokens: &Tokens,
    statement: &[TokenWithSpan],
) -> Result<Vec<TokenWithSpan>, SqlError> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(statement.len());
    for token in statement {
        let text = hint(&token.token).map(str::trim_start);
        let Some(text) = text.filter(|text| is_options(text)) else {
            out.push(token.clone());
            continue;
        };
        let own = Tokens::of(&text["OPTIONS".len()..])?;
        let mut parser = Parser::new(&FlinkDialect).with_tokens_with_locations(own.all().to_vec());
        let here = |error: SqlError| SqlError { span: Some(tokens.span(token)), ..error };
        let given = options(&own, &mut parser).map_err(here)?;
        own.end(&mut parser).map_err(here)?;
        let given: BTreeMap<&str, &str> =
            given.0.iter().map(|(key, value)| (key.value.as_str(), value.value.as_str())).collect();
        let name = out.iter_mut().rev().find(|token| !matches!(token.token, Token::Whitespace(_)));
        let Some(Token::Word(name)) = name.map(|token| &mut token.token) else {
            return Err(SqlError::at(tokens.span(token), "OPTIONS stand behind the name of a table"));
        };
        // A back-tick would end the name.
        let given = serde_json::to_string(&given).map_err(|error| SqlError::new(error.to_string()))?;
        let value = format!("{}{MARK}{}", name.value, given.replace('`', "\\u0060"));
        *name = Word { value, quote_style: Some('`'), keyword: sqlparser::keywords::Keyword::NoKeyword };
    }
    Ok(out)
}

fn is_options(text: &str) -> bool {
    text.get(.."OPTIONS".len()).is_some_and(|word| word.eq_ignore_ascii_case("OPTIONS"))
}

/// The name itself, and the options behind it, if there are any.
pub(crate) fn split(name: &str) -> (&str, Option<BTreeMap<String, String>>) {
    match name.split_once(MARK) {
        Some((name, options)) => (name, serde_json::from_str(options).ok()),
        None => (name, None),
    }
}

/// Takes the options out of a name in a query.
pub(crate) fn take(name: &mut Ident) -> Option<BTreeMap<String, String>> {
    let (own, options) = split(&name.value);
    let own = own.to_owned();
    options.inspect(|_| name.value = own)
}
