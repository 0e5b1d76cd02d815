//! `t /*+ OPTIONS('k'='v') */`: options of a table for one statement; `SELECT /*+ STATE_TTL('t'='1h') */`: how long the operator of this
//! `SELECT` keeps what it has read of a table.
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

/// The key under which a name has the value of a `STATE_TTL` hint.
pub(crate) const STATE_TTL: &str = "$state-ttl";

/// Stands between a name and its options.
const MARK: char = '\u{1}';

/// The tokens of a statement, with the options of hints in the names of their tables.
pub(super) fn into_names(
    tokens: &Tokens,
    statement: &[TokenWithSpan],
) -> Result<Vec<TokenWithSpan>, SqlError> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(statement.len());
    let ttls = ttls(tokens, statement)?;
    for (index, token) in statement.iter().enumerate() {
        if let (Some(ttl), Token::Word(word)) = (ttls.get(&index), &token.token) {
            let value = format!("{}{MARK}{}", word.value, serde_json::json!({ STATE_TTL: ttl }));
            let token_of =
                Word { value, quote_style: Some('`'), keyword: sqlparser::keywords::Keyword::NoKeyword };
            out.push(TokenWithSpan { token: Token::Word(token_of), span: token.span });
            continue;
        }
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
        let mut given: BTreeMap<String, String> =
            given.0.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect();
        let name = out.iter_mut().rev().find(|token| !matches!(token.token, Token::Whitespace(_)));
        let Some(Token::Word(name)) = name.map(|token| &mut token.token) else {
            return Err(SqlError::at(tokens.span(token), "OPTIONS stand behind the name of a table"));
        };
        if let (own, Some(before)) = split(&name.value) {
            given.extend(before);
            name.value = own.to_owned();
        }
        // A back-tick would end the name.
        let given = serde_json::to_string(&given).map_err(|error| SqlError::new(error.to_string()))?;
        let value = format!("{}{MARK}{}", name.value, given.replace('`', "\\u0060"));
        *name = Word { value, quote_style: Some('`'), keyword: sqlparser::keywords::Keyword::NoKeyword };
    }
    Ok(out)
}

/// For each table that a `STATE_TTL` names, by its name or by the one it has in the query, the number of its token, and the time.
fn ttls(tokens: &Tokens, statement: &[TokenWithSpan]) -> Result<BTreeMap<usize, String>, SqlError> {
    let mut ttls = BTreeMap::new();
    for (index, token) in statement.iter().enumerate() {
        let text = hint(&token.token).map(str::trim_start);
        let name = text.and_then(|text| text.get(.."STATE_TTL".len()));
        let (Some(text), true) = (text, name.is_some_and(|name| name.eq_ignore_ascii_case("STATE_TTL")))
        else {
            continue;
        };
        let own = Tokens::of(&text["STATE_TTL".len()..])?;
        let mut parser = Parser::new(&FlinkDialect).with_tokens_with_locations(own.all().to_vec());
        let here = |error: SqlError| SqlError { span: Some(tokens.span(token)), ..error };
        for (key, value) in options(&own, &mut parser).map_err(here)?.0 {
            if crate::options::millis(&value.value).is_none() {
                return Err(SqlError::at(
                    tokens.span(token),
                    format!("`{}` is no length of time", value.value),
                )
                .help("such as '1 h' or '30 s'"));
            }
            let Some(place) = named(&statement[index + 1..], &key.value) else {
                return Err(SqlError::at(
                    tokens.span(token),
                    format!("STATE_TTL names `{}`, and no table behind FROM has that name", key.value),
                ));
            };
            ttls.insert(index + 1 + place, value.value);
        }
    }
    Ok(ttls)
}

/// The token of the table that goes by `name` in the `SELECT` that these tokens are the rest of.
fn named(rest: &[TokenWithSpan], name: &str) -> Option<usize> {
    let (mut depth, mut after_from, mut table) = (0_i32, false, None);
    for (place, token) in rest.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(word) if depth == 0 => {
                use sqlparser::keywords::Keyword as K;
                match (word.keyword, word.quote_style) {
                    (K::FROM | K::JOIN, None) => (after_from, table) = (true, None),
                    (K::WHERE | K::GROUP | K::HAVING | K::UNION | K::ORDER, None) => return None,
                    (K::AS | K::ON | K::LEFT | K::RIGHT | K::INNER | K::FULL | K::CROSS | K::OUTER, None) => {
                    }
                    _ if after_from => {
                        let of = *table.get_or_insert(place);
                        if word.value == name {
                            return Some(of);
                        }
                    }
                    _ => {}
                }
            }
            Token::Comma if depth == 0 => table = None,
            // The last part of a name is that which has options.
            Token::Period if depth == 0 => table = None,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    None
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
