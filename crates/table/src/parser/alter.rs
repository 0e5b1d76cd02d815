//! `ALTER TABLE` and `ALTER VIEW`.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::schema::{columns, expect, name, names, symbol, take, take_all, text};
use super::statements::{options, path, query};
use super::tokens::Tokens;
use super::{AlterAction, AlterTable, AlterView, StatementKind, TableSchema, Word};
use crate::error::SqlError;

/// What stands behind `ALTER`.
pub(super) fn alter(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<StatementKind, SqlError> {
    if take(parser, "VIEW") {
        let name = path(tokens, parser)?;
        if take_all(parser, &["RENAME", "TO"]) {
            return Ok(StatementKind::AlterView(AlterView::Rename(name, path(tokens, parser)?)));
        }
        expect(tokens, parser, "AS")?;
        return Ok(StatementKind::AlterView(AlterView::As(name, query(tokens, parser)?)));
    }
    if !take(parser, "TABLE") {
        return Err(tokens.expected(parser, "TABLE or VIEW"));
    }
    let if_exists = take_all(parser, &["IF", "EXISTS"]);
    let name = path(tokens, parser)?;
    let action = action(tokens, parser)?;
    Ok(StatementKind::AlterTable(Box::new(AlterTable { name, if_exists, action })))
}

fn action(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<AlterAction, SqlError> {
    if take(parser, "RENAME") {
        if take(parser, "TO") {
            return path(tokens, parser).map(AlterAction::Rename);
        }
        let from = name(tokens, parser)?;
        expect(tokens, parser, "TO")?;
        return Ok(AlterAction::RenameColumn(from, name(tokens, parser)?));
    }
    if take(parser, "SET") {
        return options(tokens, parser).map(AlterAction::Set);
    }
    if take(parser, "RESET") {
        symbol(tokens, parser, &Token::LParen)?;
        let mut keys = vec![text(tokens, parser)?];
        while parser.consume_token(&Token::Comma) {
            keys.push(text(tokens, parser)?);
        }
        symbol(tokens, parser, &Token::RParen)?;
        return Ok(AlterAction::Reset(keys));
    }
    if take(parser, "ADD") {
        return definitions(tokens, parser).map(|(schema, places)| AlterAction::Add(schema, places));
    }
    if take(parser, "MODIFY") {
        return definitions(tokens, parser).map(|(schema, places)| AlterAction::Modify(schema, places));
    }
    if take(parser, "DROP") {
        if take(parser, "WATERMARK") {
            return Ok(AlterAction::DropWatermark);
        }
        if take_all(parser, &["PRIMARY", "KEY"]) {
            return Ok(AlterAction::DropPrimaryKey);
        }
        if take(parser, "CONSTRAINT") {
            name(tokens, parser)?;
            return Ok(AlterAction::DropPrimaryKey);
        }
        let columns = match parser.peek_token_ref().token {
            Token::LParen => names(tokens, parser)?,
            _ => vec![name(tokens, parser)?],
        };
        return Ok(AlterAction::DropColumns(columns));
    }
    Err(tokens.expected(parser, "RENAME, SET, RESET, ADD, MODIFY or DROP"))
}

/// One definition, or several between parentheses; and where its columns go: `FIRST` (no name), or `AFTER` another.
type Placed = (Box<TableSchema>, Vec<(Word, Option<Word>)>);

fn definitions(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Placed, SqlError> {
    let several = parser.consume_token(&Token::LParen);
    let (mut all, mut places) = (TableSchema::default(), Vec::new());
    loop {
        // One at a time: what stands behind a column belongs to it.
        let one = columns(tokens, parser, false)?;
        if let Some(column) = one.columns.last() {
            if take(parser, "FIRST") {
                places.push((column.name.clone(), None));
            } else if take(parser, "AFTER") {
                places.push((column.name.clone(), Some(name(tokens, parser)?)));
            }
        }
        all.columns.extend(one.columns);
        all.watermark = one.watermark.or(all.watermark);
        all.primary_key = one.primary_key.or(all.primary_key);
        if !(several && parser.consume_token(&Token::Comma)) {
            break;
        }
    }
    if several {
        symbol(tokens, parser, &Token::RParen)?;
    }
    Ok((Box::new(all), places))
}
