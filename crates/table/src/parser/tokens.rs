//! The tokens of a script, each with its place.

use std::ops::Range;

use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace, Word};

use super::dialect::FlinkDialect;
use crate::error::{Span, SqlError};

/// A script, in tokens.
pub(super) struct Tokens {
    tokens: Vec<TokenWithSpan>,
    places: Places,
}

/// Where lines begin.
struct Places {
    script: String,
    lines: Vec<usize>,
}

impl Places {
    fn of(script: &str) -> Self {
        let ends = script.match_indices('\n').map(|(at, _)| at + 1);
        Self { script: script.to_owned(), lines: std::iter::once(0).chain(ends).collect() }
    }

    /// The byte at a line and column, which count from one.
    fn byte(&self, at: Location) -> usize {
        let line = (at.line.max(1) as usize - 1).min(self.lines.len() - 1);
        let start = self.lines[line];
        let mut letters = self.script[start..].char_indices();
        letters.nth(at.column.max(1) as usize - 1).map_or(self.script.len(), |(offset, _)| start + offset)
    }
}

impl Tokens {
    /// Cuts a script into tokens.
    pub(super) fn of(script: &str) -> Result<Self, SqlError> {
        let places = Places::of(script);
        match Tokenizer::new(&FlinkDialect, script).tokenize_with_location() {
            Ok(tokens) => Ok(Self { tokens: tokens.into_iter().flat_map(halves).collect(), places }),
            Err(TokenizerError { message, location }) => {
                let start = places.byte(location);
                Err(SqlError::at(start..start + 1, message))
            }
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> &[TokenWithSpan] {
        &self.tokens
    }

    /// The tokens of each statement, without the `;`.
    pub(super) fn statements(&self) -> impl Iterator<Item = &[TokenWithSpan]> {
        let (mut statements, mut start, mut in_set) = (Vec::new(), 0, false);
        for (index, token) in self.tokens.iter().enumerate() {
            let words = || significant(&self.tokens[start..=index]).filter_map(|token| word(&token.token));
            match &token.token {
                Token::SemiColon if in_set => {
                    in_set = !words().last().is_some_and(|word| is(word, "END"));
                    if !in_set {
                        statements.push(start..index);
                        start = index + 1;
                    }
                }
                Token::SemiColon => {
                    statements.push(start..index);
                    start = index + 1;
                }
                Token::Word(last) if is(last, "SET") && !in_set => {
                    let before: Vec<&Word> = words().collect();
                    let [.., first, second, _] = before[..] else { continue };
                    in_set = is(second, "STATEMENT") && (is(first, "EXECUTE") || is(first, "BEGIN"));
                }
                _ => {}
            }
        }
        statements.push(start..self.tokens.len());
        let tokens = statements.into_iter().map(|range: Range<usize>| trim(&self.tokens[range]));
        tokens.filter(|tokens| !tokens.is_empty())
    }

    /// The place of a token.
    pub(super) fn span(&self, token: &TokenWithSpan) -> Span {
        self.places.byte(token.span.start)..self.places.byte(token.span.end)
    }

    /// The place of the first to the last of these tokens.
    pub(super) fn span_of(&self, tokens: &[TokenWithSpan]) -> Span {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => self.span(first).start..self.span(last).end,
            _ => self.places.script.len()..self.places.script.len(),
        }
    }

    /// An error at the token that comes next.
    pub(super) fn expected(&self, parser: &Parser<'_>, what: &str) -> SqlError {
        let token = parser.peek_token();
        match token.token {
            Token::EOF => {
                let end = self.places.script.trim_end().len();
                SqlError::at(end..end, format!("the statement ends where {what} is expected"))
            }
            _ => SqlError::at(self.span(&token), format!("expected {what}, found `{}`", token.token)),
        }
    }

    /// That there is nothing more.
    pub(super) fn end(&self, parser: &mut Parser<'_>) -> Result<(), SqlError> {
        match parser.peek_token().token {
            Token::EOF => Ok(()),
            _ => Err(self.expected(parser, "the end of the statement")),
        }
    }

    /// What `sqlparser` says, with the place.
    pub(super) fn error(&self, parser: &Parser<'_>, error: ParserError) -> SqlError {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
        };
        // It tells the place at the end.
        let (message, place) = match text.rsplit_once(" at Line: ") {
            Some((message, place)) => (message.to_owned(), place.split_once(", Column: ")),
            None => (text, None),
        };
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let place =
            place.and_then(|(line, column)| Some(Location { line: number(line)?, column: number(column)? }));
        let message = message.replacen("Expected: ", "expected ", 1).replacen("found: ", "found ", 1);
        match place {
            Some(place) => {
                let token = self.tokens.iter().find(|token| token.span.start == place);
                let start = self.places.byte(place);
                SqlError::at(token.map_or(start..start + 1, |token| self.span(token)), message)
            }
            None => SqlError { message, ..self.expected(parser, "something else") },
        }
    }
}

/// `>>` closes two types; nothing else in the dialect is written so.
fn halves(token: TokenWithSpan) -> Vec<TokenWithSpan> {
    if token.token != Token::ShiftRight {
        return vec![token];
    }
    let (start, end) = (token.span.start, token.span.end);
    let middle = Location { line: start.line, column: start.column + 1 };
    let half =
        |start, end| TokenWithSpan { token: Token::Gt, span: sqlparser::tokenizer::Span { start, end } };
    vec![half(start, middle), half(middle, end)]
}

pub(super) fn word(token: &Token) -> Option<&Word> {
    match token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

/// Whether a word is this one, and is not between back-ticks.
pub(super) fn is(word: &Word, text: &str) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text)
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// The tokens that are no space and no comment.
pub(super) fn significant(tokens: &[TokenWithSpan]) -> impl Iterator<Item = &TokenWithSpan> {
    tokens.iter().filter(|token| !is_space(token))
}

/// The hint that a comment is, if it is one: `/*+ … */`.
pub(super) fn hint(token: &Token) -> Option<&str> {
    match token {
        Token::Whitespace(Whitespace::MultiLineComment(text)) => text.strip_prefix('+'),
        _ => None,
    }
}

fn trim(mut tokens: &[TokenWithSpan]) -> &[TokenWithSpan] {
    // A hint behind the last name belongs to the statement.
    let blank = |token: &TokenWithSpan| {
        (is_space(token) && hint(&token.token).is_none()) || token.token == Token::EOF
    };
    while let Some((first, rest)) = tokens.split_first()
        && blank(first)
    {
        tokens = rest;
    }
    while let Some((last, rest)) = tokens.split_last()
        && blank(last)
    {
        tokens = rest;
    }
    tokens
}
