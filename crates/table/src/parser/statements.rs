//! Statements.

use sqlparser::ast::Query;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::alter::alter;
use super::dialect::FlinkDialect;
use super::hints;
use super::schema::{columns, expect, name, names, symbol, take, take_all, text};
use super::tokens::Tokens;
use super::{
    CreateFunction, CreateNamespace, CreateTable, CreateView, Drop, Explain, Insert, Like, LikeOption, Name,
    ObjectKind, Options, Show, Statement, StatementKind, StopJob, Word,
};
use crate::error::SqlError;

/// Parses one statement.
pub(super) fn parse(tokens: &Tokens, statement: &[TokenWithSpan]) -> Result<Statement, SqlError> {
    let named = hints::into_names(tokens, statement)?;
    let named = super::within::defined(super::model::arguments(&named));
    let mut parser = Parser::new(&FlinkDialect).with_tokens_with_locations(named);
    let span = tokens.span_of(statement);
    let kind = kind(tokens, &mut parser, statement)?;
    tokens.end(&mut parser)?;
    Ok(Statement { kind, span })
}

fn kind(
    tokens: &Tokens,
    parser: &mut Parser<'_>,
    statement: &[TokenWithSpan],
) -> Result<StatementKind, SqlError> {
    if take(parser, "CREATE") {
        return create(tokens, parser);
    }
    if take_all(parser, &["INSERT"]) {
        return insert(tokens, parser, statement).map(Box::new).map(StatementKind::Insert);
    }
    if take_all(parser, &["EXECUTE", "STATEMENT", "SET"]) {
        expect(tokens, parser, "BEGIN")?;
        return inserts(tokens, parser, statement);
    }
    if take_all(parser, &["BEGIN", "STATEMENT", "SET"]) {
        let _ = parser.consume_token(&Token::SemiColon);
        return inserts(tokens, parser, statement);
    }
    if take(parser, "EXECUTE") {
        return kind(tokens, parser, statement);
    }
    if take(parser, "EXPLAIN") {
        let mut details = Vec::new();
        if !take_all(parser, &["PLAN", "FOR"]) {
            for detail in ["ESTIMATED_COST", "CHANGELOG_MODE", "JSON_EXECUTION_PLAN", "PLAN_ADVICE"] {
                if take(parser, detail) {
                    details.push(detail.to_owned());
                    let _ = parser.consume_token(&Token::Comma);
                }
            }
        }
        let kind = kind(tokens, parser, statement)?;
        let statement = Statement { kind, span: tokens.span_of(statement) };
        return Ok(StatementKind::Explain(Box::new(Explain { details, statement })));
    }
    if take(parser, "DROP") {
        let temporary = take(parser, "TEMPORARY");
        take(parser, "SYSTEM");
        let kind = object_kind(tokens, parser)?;
        let if_exists = take_all(parser, &["IF", "EXISTS"]);
        let name = path(tokens, parser)?;
        let cascade = take(parser, "CASCADE");
        if !cascade {
            take(parser, "RESTRICT");
        }
        return Ok(StatementKind::Drop(Drop { kind, name, temporary, if_exists, cascade }));
    }
    if take_all(parser, &["ALTER", "MODEL"]) {
        return super::model::alter(tokens, parser);
    }
    if take(parser, "ALTER") {
        return alter(tokens, parser);
    }
    if take_all(parser, &["STOP", "JOB"]) {
        let id = text(tokens, parser)?;
        let savepoint = take_all(parser, &["WITH", "SAVEPOINT"]);
        let drain = take_all(parser, &["WITH", "DRAIN"]);
        return Ok(StatementKind::StopJob(StopJob { id, savepoint, drain }));
    }
    if take(parser, "SET") {
        if parser.peek_token_ref().token == Token::EOF {
            return Ok(StatementKind::Set(None));
        }
        let key = setting(tokens, parser)?;
        symbol(tokens, parser, &Token::Eq)?;
        return Ok(StatementKind::Set(Some((key, setting(tokens, parser)?))));
    }
    if take(parser, "RESET") {
        let all = parser.peek_token_ref().token == Token::EOF;
        return Ok(StatementKind::Reset(if all { None } else { Some(setting(tokens, parser)?) }));
    }
    if take_all(parser, &["USE", "CATALOG"]) {
        return Ok(StatementKind::UseCatalog(name(tokens, parser)?));
    }
    if take(parser, "USE") {
        return Ok(StatementKind::UseDatabase(path(tokens, parser)?));
    }
    if take(parser, "DESCRIBE") || take(parser, "DESC") {
        if let Some(model) = super::model::describe(tokens, parser)? {
            return Ok(StatementKind::DescribeModel(model));
        }
        return Ok(StatementKind::Describe(path(tokens, parser)?));
    }
    if take(parser, "SHOW") {
        return show(tokens, parser).map(StatementKind::Show);
    }
    match &parser.peek_token_ref().token {
        Token::LParen => query(tokens, parser).map(StatementKind::Query),
        Token::Word(word)
            if ["SELECT", "WITH", "VALUES", "TABLE"]
                .iter()
                .any(|text| word.value.eq_ignore_ascii_case(text)) =>
        {
            query(tokens, parser).map(StatementKind::Query)
        }
        _ => Err(tokens.expected(parser, "a statement: CREATE, INSERT, SELECT, SET, EXPLAIN, SHOW, …")),
    }
}

pub(super) fn path(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Name, SqlError> {
    let mut parts = vec![name(tokens, parser)?];
    while parser.consume_token(&Token::Period) {
        parts.push(name(tokens, parser)?);
    }
    Ok(Name(parts))
}

pub(super) fn query(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Box<Query>, SqlError> {
    parser.parse_query().map_err(|error| tokens.error(parser, error))
}

/// A key or value of a setting: between quotes, or as it stands.
fn setting(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<String, SqlError> {
    if let Token::SingleQuotedString(_) = parser.peek_token_ref().token {
        return Ok(text(tokens, parser)?.value);
    }
    let mut value = String::new();
    while !matches!(parser.peek_token_ref().token, Token::Eq | Token::EOF) {
        value.push_str(&parser.next_token().token.to_string());
    }
    Ok(value)
}

/// `('key' = 'value', …)`.
pub(super) fn options(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Options, SqlError> {
    symbol(tokens, parser, &Token::LParen)?;
    let mut options = Options::default();
    loop {
        if options.0.is_empty() && parser.consume_token(&Token::RParen) {
            return Ok(options);
        }
        let key = text(tokens, parser)?;
        symbol(tokens, parser, &Token::Eq)?;
        let value = text(tokens, parser)?;
        if options.0.iter().any(|(known, _)| known.value == key.value) {
            return Err(SqlError::at(key.span, format!("`{}` is set twice", key.value)));
        }
        options.0.push((key, value));
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    symbol(tokens, parser, &Token::RParen)?;
    Ok(options)
}

fn create(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<StatementKind, SqlError> {
    let temporary = take(parser, "TEMPORARY");
    if take(parser, "TABLE") {
        return create_table(tokens, parser, temporary);
    }
    if take(parser, "MODEL") {
        return super::model::create(tokens, parser, temporary);
    }
    if take(parser, "VIEW") {
        let if_not_exists = take_all(parser, &["IF", "NOT", "EXISTS"]);
        let name = path(tokens, parser)?;
        let columns = match parser.peek_token_ref().token {
            Token::LParen => names(tokens, parser)?,
            _ => Vec::new(),
        };
        let comment = if take(parser, "COMMENT") { Some(text(tokens, parser)?.value) } else { None };
        expect(tokens, parser, "AS")?;
        let query = query(tokens, parser)?;
        let view = CreateView { name, temporary, if_not_exists, columns, comment, query };
        return Ok(StatementKind::CreateView(view));
    }
    let is_catalog = take(parser, "CATALOG");
    if is_catalog || take(parser, "DATABASE") {
        let if_not_exists = take_all(parser, &["IF", "NOT", "EXISTS"]);
        let name = path(tokens, parser)?;
        if take(parser, "COMMENT") {
            text(tokens, parser)?;
        }
        let options = if take(parser, "WITH") { options(tokens, parser)? } else { Options::default() };
        let create = CreateNamespace { is_catalog, name, if_not_exists, options };
        return Ok(StatementKind::CreateNamespace(create));
    }
    let system = temporary && take(parser, "SYSTEM");
    if take(parser, "FUNCTION") {
        let if_not_exists = take_all(parser, &["IF", "NOT", "EXISTS"]);
        let name = path(tokens, parser)?;
        expect(tokens, parser, "AS")?;
        let implementation = text(tokens, parser)?;
        let language =
            if take(parser, "LANGUAGE") { Some(super::schema::name(tokens, parser)?.value) } else { None };
        return Ok(StatementKind::CreateFunction(CreateFunction {
            name,
            temporary,
            system,
            if_not_exists,
            implementation,
            language,
        }));
    }
    Err(tokens.expected(parser, "TABLE, VIEW, FUNCTION, MODEL, DATABASE or CATALOG"))
}

fn create_table(
    tokens: &Tokens,
    parser: &mut Parser<'_>,
    temporary: bool,
) -> Result<StatementKind, SqlError> {
    let if_not_exists = take_all(parser, &["IF", "NOT", "EXISTS"]);
    let name = path(tokens, parser)?;
    let mut schema = super::TableSchema::default();
    if parser.consume_token(&Token::LParen) {
        schema = columns(tokens, parser, true)?;
        symbol(tokens, parser, &Token::RParen)?;
    }
    let comment = if take(parser, "COMMENT") { Some(text(tokens, parser)?.value) } else { None };
    let partitioned_by =
        if take_all(parser, &["PARTITIONED", "BY"]) { names(tokens, parser)? } else { Vec::new() };
    let options = if take(parser, "WITH") { options(tokens, parser)? } else { Options::default() };
    let like = if take(parser, "LIKE") { Some(like(tokens, parser)?) } else { None };
    let query = if take(parser, "AS") { Some(query(tokens, parser)?) } else { None };
    Ok(StatementKind::CreateTable(Box::new(CreateTable {
        name,
        temporary,
        if_not_exists,
        schema,
        comment,
        partitioned_by,
        options,
        like,
        query,
    })))
}

/// `t (INCLUDING ALL, EXCLUDING OPTIONS)`; the commas may be left out.
fn like(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Like, SqlError> {
    let table = path(tokens, parser)?;
    let mut options = Vec::new();
    if parser.consume_token(&Token::LParen) {
        while !parser.consume_token(&Token::RParen) {
            let mut one_of = |known: &[&str]| {
                let found = known.iter().copied().find(|word| take(parser, word));
                found.map(str::to_owned).ok_or_else(|| tokens.expected(parser, &known.join(", ")))
            };
            let strategy = one_of(&["INCLUDING", "EXCLUDING", "OVERWRITING"])?;
            let what = one_of(&[
                "ALL",
                "CONSTRAINTS",
                "DISTRIBUTION",
                "GENERATED",
                "METADATA",
                "OPTIONS",
                "PARTITIONS",
                "WATERMARKS",
            ])?;
            options.push(LikeOption { strategy, what });
            let _ = parser.consume_token(&Token::Comma);
        }
    }
    Ok(Like { table, options })
}

fn insert(tokens: &Tokens, parser: &mut Parser<'_>, statement: &[TokenWithSpan]) -> Result<Insert, SqlError> {
    let overwrite = take(parser, "OVERWRITE");
    if !overwrite {
        expect(tokens, parser, "INTO")?;
    }
    let mut table = path(tokens, parser)?;
    let mut hints = Options::default();
    if let Some(last) = table.0.last_mut()
        && let (name, Some(options)) = hints::split(&last.value)
    {
        let word = |value| Word { value, span: last.span.clone() };
        hints.0 = options.into_iter().map(|(key, value)| (word(key), word(value))).collect();
        last.value = name.to_owned();
    }
    let mut partition = Vec::new();
    if take(parser, "PARTITION") {
        symbol(tokens, parser, &Token::LParen)?;
        loop {
            let column = name(tokens, parser)?;
            symbol(tokens, parser, &Token::Eq)?;
            partition.push((column, parser.parse_expr().map_err(|error| tokens.error(parser, error))?));
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        symbol(tokens, parser, &Token::RParen)?;
    }
    // Names of columns, or a query between parentheses.
    let is_query = || {
        matches!(&parser.peek_nth_token(1).token, Token::LParen)
            || matches!(&parser.peek_nth_token(1).token, Token::Word(word)
                if ["SELECT", "WITH", "VALUES"].iter().any(|text| word.value.eq_ignore_ascii_case(text)))
    };
    let columns = match parser.peek_token_ref().token {
        Token::LParen if !is_query() => names(tokens, parser)?,
        _ => Vec::new(),
    };
    let query = query(tokens, parser)?;
    let span = tokens.span_of(statement);
    Ok(Insert { table, hints, partition, columns, overwrite, query, span })
}

fn inserts(
    tokens: &Tokens,
    parser: &mut Parser<'_>,
    statement: &[TokenWithSpan],
) -> Result<StatementKind, SqlError> {
    let mut inserts = Vec::new();
    while !take(parser, "END") {
        expect(tokens, parser, "INSERT")?;
        inserts.push(insert(tokens, parser, statement)?);
        symbol(tokens, parser, &Token::SemiColon)?;
    }
    Ok(StatementKind::StatementSet(inserts))
}

fn object_kind(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<ObjectKind, SqlError> {
    let kinds = [
        ("TABLE", ObjectKind::Table),
        ("VIEW", ObjectKind::View),
        ("FUNCTION", ObjectKind::Function),
        ("DATABASE", ObjectKind::Database),
        ("CATALOG", ObjectKind::Catalog),
        ("MODEL", ObjectKind::Model),
    ];
    for (text, kind) in kinds {
        if take(parser, text) || take(parser, &format!("{text}S")) {
            return Ok(kind);
        }
    }
    Err(tokens.expected(parser, "TABLE, VIEW, FUNCTION, MODEL, DATABASE or CATALOG"))
}

fn show(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Show, SqlError> {
    for (text, kind) in [("TABLE", ObjectKind::Table), ("VIEW", ObjectKind::View)] {
        if take_all(parser, &["CREATE", text]) {
            return Ok(Show::Create(kind, path(tokens, parser)?));
        }
    }
    if take_all(parser, &["CREATE", "MODEL"]) {
        return path(tokens, parser).map(Show::CreateModel);
    }
    if take_all(parser, &["COLUMNS", "FROM"]) || take_all(parser, &["COLUMNS", "IN"]) {
        return Ok(Show::Columns(path(tokens, parser)?, like_pattern(tokens, parser)?));
    }
    if take(parser, "JOBS") {
        return Ok(Show::Jobs);
    }
    if take_all(parser, &["CURRENT", "CATALOG"]) {
        return Ok(Show::CurrentCatalog);
    }
    if take_all(parser, &["CURRENT", "DATABASE"]) {
        return Ok(Show::CurrentDatabase);
    }
    take(parser, "USER");
    let kind = object_kind(tokens, parser)?;
    let from = if take(parser, "FROM") || take(parser, "IN") { Some(path(tokens, parser)?) } else { None };
    Ok(Show::Objects { kind, from, like: like_pattern(tokens, parser)? })
}

fn like_pattern(tokens: &Tokens, parser: &mut Parser<'_>) -> Result<Option<(bool, String)>, SqlError> {
    let negated = take_all(parser, &["NOT", "LIKE"]);
    if !negated && !take(parser, "LIKE") {
        return Ok(None);
    }
    Ok(Some((negated, text(tokens, parser)?.value)))
}
