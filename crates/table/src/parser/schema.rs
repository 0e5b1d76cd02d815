//! Columns, types, watermarks and keys.

use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::tokens::{Tokens, is, word};
use super::{ColumnDef, ColumnKind, TableSchema, WatermarkDef, Word};
use crate::error::SqlError;
use crate::types::{LogicalType, MAX_LENGTH, TypeKind};

/// Takes a word, if it is the next token.
pub(super) fn take(parser: &mut Parser<'_>, text: &str) -> bool {
    let found = word(&parser.peek_token_ref().token).is_some_and(|word| is(word, text));
    if found {
        parser.next_token();
    }
    found
}

/// Takes these words, if all of them come next.
pub(super) fn take_all(parser: &mut Parser<'_>, texts: &[&str]) -> bool {
    let found = texts
        .iter()
        .enumerate()
        .all(|(place, text)| word(&parser.peek_nth_token(place).token).is_some_and(|word| is(word, text)));
    if found {
        texts.iter().for_each(|_| drop(parser.next_token()));
    }
    found
}

pub(super) fn expect(tokens: &Tokens, parser: &mut Parser<'_>, text: &str) -> Result<(), SqlError> {
    match take(parser, text) {
        true => Ok(()),
        false => Err(tokens.expected(parser, &format!("`{text}`"))),
    }
}

pub(super) fn symbol(tokens: &Tokens, parser: &mut Parser<'_>, symbol: &Token) -> Result<(), SqlError> {
    match parser.consume_token(symbol) {
        true => Ok(()),
        false => Err(tokens.expected(parser, &format!("`{symbol}`"))),
    }
}

/// A name.
pub(super) fn name(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Word, SqlError> {
    let token = parser.peek_token();
    let Token::Word(found) = &token.token else { return Err(tokens.expected(parser, "a name")) };
    let value = found.value.clone();
    parser.next_token();
    Ok(Word { value, span: tokens.span(&token) })
}

/// A text between quotes.
pub(super) fn text(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Word, SqlError> {
    let token = parser.peek_token();
    let Token::SingleQuotedString(value) = token.token.clone() else {
        return Err(tokens.expected(parser, "a text between quotes"));
    };
    parser.next_token();
    Ok(Word { value, span: tokens.span(&token) })
}

/// Names between parentheses.
pub(super) fn names(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Vec<Word>, SqlError> {
    symbol(tokens, parser, &Token::LParen)?;
    let mut names = vec![name(tokens, parser)?];
    while parser.consume_token(&Token::Comma) {
        names.push(name(tokens, parser)?);
    }
    symbol(tokens, parser, &Token::RParen)?;
    Ok(names)
}

/// Columns, watermark and key, with commas between them; or one of these, unless `several`.
pub(super) fn columns(
    tokens: &Tokens,
    parser: &mut Parser<'_>,
    several: bool,
) -> Result<TableSchema, SqlError> {
    let mut schema = TableSchema::default();
    loop {
        let next_is_call = matches!(parser.peek_nth_token(1).token, Token::LParen);
        if take_all(parser, &["WATERMARK", "FOR"]) {
            schema.watermark = Some(watermark(tokens, parser)?);
        } else if take_all(parser, &["PRIMARY", "KEY"]) {
            schema.primary_key = Some(names(tokens, parser)?);
            not_enforced(tokens, parser)?;
        } else if !next_is_call && take(parser, "CONSTRAINT") {
            name(tokens, parser)?;
            expect(tokens, parser, "PRIMARY")?;
            expect(tokens, parser, "KEY")?;
            schema.primary_key = Some(names(tokens, parser)?);
            not_enforced(tokens, parser)?;
        } else {
            column(tokens, parser, &mut schema)?;
        }
        if !(several && parser.consume_token(&Token::Comma)) {
            return Ok(schema);
        }
    }
}

fn not_enforced(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<(), SqlError> {
    match take_all(parser, &["NOT", "ENFORCED"]) {
        true => Ok(()),
        false => Err(tokens.expected(parser, "`NOT ENFORCED`: nobody looks whether keys are unique")),
    }
}

fn watermark(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<WatermarkDef, SqlError> {
    let mut column = vec![name(tokens, parser)?];
    while parser.consume_token(&Token::Period) {
        column.push(name(tokens, parser)?);
    }
    expect(tokens, parser, "AS")?;
    let expression = parser.parse_expr().map_err(|error| tokens.error(parser, error))?;
    Ok(WatermarkDef { column, expression })
}

fn column(tokens: &Tokens, parser: &mut Parser<'_>, schema: &mut TableSchema) -> Result<(), SqlError> {
    let name = name(tokens, parser)?;
    let kind = if take(parser, "AS") {
        ColumnKind::Computed(Box::new(parser.parse_expr().map_err(|error| tokens.error(parser, error))?))
    } else {
        let data_type = data_type(tokens, parser)?;
        if take(parser, "METADATA") {
            let from = if take(parser, "FROM") { Some(text(tokens, parser)?.value) } else { None };
            ColumnKind::Metadata { data_type, from, is_virtual: take(parser, "VIRTUAL") }
        } else {
            ColumnKind::Physical(data_type)
        }
    };
    if take_all(parser, &["PRIMARY", "KEY"]) {
        not_enforced(tokens, parser)?;
        schema.primary_key = Some(vec![name.clone()]);
    }
    let comment = if take(parser, "COMMENT") { Some(text(tokens, parser)?.value) } else { None };
    schema.columns.push(ColumnDef { name, kind, comment });
    Ok(())
}

/// A data type, with `NULL` or `NOT NULL` behind it.
pub(super) fn data_type(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<LogicalType, SqlError> {
    let token = parser.peek_token();
    let name = name(tokens, parser)?;
    let mut kind = match name.value.to_uppercase().as_str() {
        "CHAR" | "CHARACTER" if !take(parser, "VARYING") => TypeKind::Char(number(tokens, parser, 1)?),
        "VARCHAR" | "CHAR" | "CHARACTER" => TypeKind::VarChar(number(tokens, parser, MAX_LENGTH)?),
        "STRING" => TypeKind::VarChar(MAX_LENGTH),
        "BOOLEAN" => TypeKind::Boolean,
        "BINARY" if !take(parser, "VARYING") => TypeKind::Binary(number(tokens, parser, 1)?),
        "VARBINARY" | "BINARY" => TypeKind::VarBinary(number(tokens, parser, MAX_LENGTH)?),
        "BYTES" => TypeKind::VarBinary(MAX_LENGTH),
        "DECIMAL" | "DEC" | "NUMERIC" => decimal(tokens, parser)?,
        "TINYINT" => TypeKind::TinyInt,
        "SMALLINT" => TypeKind::SmallInt,
        "INT" | "INTEGER" => TypeKind::Int,
        "BIGINT" => TypeKind::BigInt,
        "FLOAT" => TypeKind::Float,
        "DOUBLE" => {
            take(parser, "PRECISION");
            TypeKind::Double
        }
        "DATE" => TypeKind::Date,
        "TIME" => {
            let precision = precision(tokens, parser, 0)?;
            take_all(parser, &["WITHOUT", "TIME", "ZONE"]);
            TypeKind::Time(precision)
        }
        "TIMESTAMP_LTZ" => TypeKind::TimestampLtz(precision(tokens, parser, 6)?),
        "TIMESTAMP" => {
            let precision = precision(tokens, parser, 6)?;
            if take_all(parser, &["WITH", "LOCAL", "TIME", "ZONE"]) {
                TypeKind::TimestampLtz(precision)
            } else if take_all(parser, &["WITH", "TIME", "ZONE"]) {
                return Err(SqlError::at(
                    tokens.span(&token),
                    "TIMESTAMP WITH TIME ZONE is not there, in Flink neither",
                )
                .help("TIMESTAMP_LTZ is a point in time, shown in the session's zone"));
            } else {
                take_all(parser, &["WITHOUT", "TIME", "ZONE"]);
                TypeKind::Timestamp(precision)
            }
        }
        "INTERVAL" => interval(tokens, parser)?,
        "ARRAY" => TypeKind::Array(Box::new(angle(tokens, parser)?)),
        "MULTISET" => TypeKind::Multiset(Box::new(angle(tokens, parser)?)),
        "MAP" => {
            symbol(tokens, parser, &Token::Lt)?;
            let key = data_type(tokens, parser)?;
            symbol(tokens, parser, &Token::Comma)?;
            let value = data_type(tokens, parser)?;
            close(tokens, parser)?;
            TypeKind::Map(Box::new(key), Box::new(value))
        }
        "ROW" => row(tokens, parser)?,
        other => {
            let known = [
                "CHAR",
                "VARCHAR",
                "STRING",
                "BOOLEAN",
                "BINARY",
                "VARBINARY",
                "BYTES",
                "DECIMAL",
                "TINYINT",
                "SMALLINT",
                "INT",
                "BIGINT",
                "FLOAT",
                "DOUBLE",
                "DATE",
                "TIME",
                "TIMESTAMP",
                "TIMESTAMP_LTZ",
                "ARRAY",
                "MAP",
                "MULTISET",
                "ROW",
            ];
            let error = SqlError::at(tokens.span(&token), format!("the type `{}` is not there", name.value));
            return Err(match crate::catalog::nearest(other, known.into_iter()) {
                Some(known) => error.help(format!("did you mean `{known}`?")),
                None => error,
            });
        }
    };
    let mut nullable = true;
    loop {
        if parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]) {
            nullable = false;
        } else if take(parser, "NULL") {
            nullable = true;
        } else if take(parser, "ARRAY") {
            kind = TypeKind::Array(Box::new(LogicalType { kind, nullable }));
            nullable = true;
        } else if take(parser, "MULTISET") {
            kind = TypeKind::Multiset(Box::new(LogicalType { kind, nullable }));
            nullable = true;
        } else {
            return Ok(LogicalType { kind, nullable });
        }
    }
}

fn one_number(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<u32, SqlError> {
    let token = parser.peek_token();
    let Token::Number(digits, _) = &token.token else { return Err(tokens.expected(parser, "a number")) };
    let number = digits.parse().map_err(|_| SqlError::at(tokens.span(&token), "this is no length"))?;
    parser.next_token();
    Ok(number)
}

fn number(tokens: &Tokens, parser: &mut Parser<'_>, otherwise: u32) -> Result<u32, SqlError> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(otherwise);
    }
    let number = one_number(tokens, parser)?;
    symbol(tokens, parser, &Token::RParen)?;
    Ok(number)
}

fn precision(tokens: &Tokens, parser: &mut Parser<'_>, otherwise: u8) -> Result<u8, SqlError> {
    let token = parser.peek_nth_token(1);
    let precision = number(tokens, parser, u32::from(otherwise))?;
    match u8::try_from(precision) {
        Ok(precision @ 0..=9) => Ok(precision),
        _ => Err(SqlError::at(tokens.span(&token), "times have 0 to 9 digits behind the second")),
    }
}

fn decimal(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<TypeKind, SqlError> {
    let token = parser.peek_nth_token(1);
    let (mut precision, mut scale) = (10, 0);
    if parser.consume_token(&Token::LParen) {
        precision = one_number(tokens, parser)?;
        if parser.consume_token(&Token::Comma) {
            scale = one_number(tokens, parser)?;
        }
        symbol(tokens, parser, &Token::RParen)?;
    }
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale as u8 <= precision => {
            Ok(TypeKind::Decimal(precision, scale))
        }
        _ => Err(SqlError::at(
            tokens.span(&token),
            "decimals have 1 to 38 digits, and no more than that behind the point",
        )),
    }
}

fn interval(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<TypeKind, SqlError> {
    let unit = name(tokens, parser)?;
    number(tokens, parser, 0)?;
    if take(parser, "TO") {
        name(tokens, parser)?;
        number(tokens, parser, 0)?;
    }
    match unit.value.to_uppercase().as_str() {
        "YEAR" | "MONTH" => Ok(TypeKind::IntervalYearMonth),
        "DAY" | "HOUR" | "MINUTE" | "SECOND" => Ok(TypeKind::IntervalDaySecond),
        _ => Err(SqlError::at(unit.span, "intervals are of YEAR, MONTH, DAY, HOUR, MINUTE, SECOND")),
    }
}

fn angle(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<LogicalType, SqlError> {
    symbol(tokens, parser, &Token::Lt)?;
    let item = data_type(tokens, parser)?;
    close(tokens, parser)?;
    Ok(item)
}

fn close(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<(), SqlError> {
    symbol(tokens, parser, &Token::Gt)
}

fn row(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<TypeKind, SqlError> {
    let round = parser.consume_token(&Token::LParen);
    if !round {
        symbol(tokens, parser, &Token::Lt)?;
    }
    let mut fields = Vec::new();
    loop {
        let field = name(tokens, parser)?;
        let of = data_type(tokens, parser)?;
        if take(parser, "COMMENT") {
            text(tokens, parser)?;
        }
        fields.push((field.value, of));
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    if round {
        symbol(tokens, parser, &Token::RParen)?
    } else {
        close(tokens, parser)?
    }
    Ok(TypeKind::Row(fields))
}
