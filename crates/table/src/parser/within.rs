//! `PATTERN (…) WITHIN INTERVAL '1' HOUR`: how long a match may last; `AFTER MATCH SKIP TO A`: to the last of its rows.
//!
//! Before: words that the grammar of patterns has no room for. After: the length is the first of the definitions, by a name that no row has;
//! `LAST` stands before the name that is skipped to.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace, Word};

/// The name of the definition that is the length of a match.
pub(crate) const WITHIN: &str = "$within";

fn is(token: &TokenWithSpan, name: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
}

const BLANK: Token = Token::Whitespace(Whitespace::Space);

fn word(value: &str, quote_style: Option<char>, keyword: Keyword) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style, keyword })
}

/// The tokens, with `LAST` behind `SKIP TO` where there is a name alone.
fn skipping_to_last(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let (mut out, mut before) = (Vec::with_capacity(tokens.len()), [false; 2]);
    for token in tokens {
        if !matches!(token.token, Token::Whitespace(_)) {
            let [skip, skip_to] = before;
            let known = ["NEXT", "FIRST", "LAST"].iter().any(|name| is(&token, name));
            if skip_to && !known {
                let span = token.span;
                let last = [word("LAST", None, Keyword::LAST), BLANK];
                out.extend(last.map(|token| TokenWithSpan { token, span }));
            }
            before = [is(&token, "SKIP"), skip && is(&token, "TO")];
        }
        out.push(token);
    }
    out
}

/// The tokens, with what is behind `WITHIN` among what is behind `DEFINE`.
pub(super) fn defined(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is(token, "MATCH_RECOGNIZE")) {
        return tokens;
    }
    let tokens = skipping_to_last(tokens);
    let (mut out, mut tokens) = (Vec::with_capacity(tokens.len() + 4), tokens.into_iter().peekable());
    while let Some(token) = tokens.next() {
        let begins = is(&token, "PATTERN");
        out.push(token);
        if !begins {
            continue;
        }
        // The pattern stands between parentheses, which may be in it as well.
        let mut depth = 0_i32;
        for token in tokens.by_ref() {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            let blank = matches!(token.token, Token::Whitespace(_));
            out.push(token);
            if depth == 0 && !blank {
                break;
            }
        }
        while let Some(blank) = tokens.next_if(|token| matches!(token.token, Token::Whitespace(_))) {
            out.push(blank);
        }
        let Some(within) = tokens.next_if(|token| is(token, "WITHIN")) else { continue };
        let mut length = Vec::new();
        while let Some(token) = tokens.next_if(|token| !is(token, "DEFINE") && !is(token, "SUBSET")) {
            length.push(token);
        }
        // Up to the definitions, in front of which it is put.
        for token in tokens.by_ref() {
            let begins = is(&token, "DEFINE");
            out.push(token);
            if begins {
                break;
            }
        }
        let span = within.span;
        let head =
            [BLANK, word(WITHIN, Some('`'), Keyword::NoKeyword), BLANK, word("AS", None, Keyword::AS), BLANK];
        out.extend(head.map(|token| TokenWithSpan { token, span }));
        out.extend(length);
        out.push(TokenWithSpan { token: Token::Comma, span });
    }
    out
}
