//! From a script to statements: Flink's grammar of statements, around `sqlparser`'s of queries.
//!
//! Queries and expressions are `sqlparser`'s syntax trees as they are. What its grammar has no room for comes in a form the planner
//! knows:
//!
//! - `TABLE t [PARTITION BY a, b]` as an argument (of window functions) is a call `"$table"(query, a, b)`, the query being a
//!   [`Subquery`](sqlparser::ast::Expr::Subquery) `SELECT * FROM t`;
//! - `MODEL m` as an argument (of `ML_PREDICT` and its kin) is a call `"$model"(m)`;
//! - `DESCRIPTOR(ts)` is a call of the function `DESCRIPTOR`;
//! - `/*+ OPTIONS('k'='v') */` after a table is in its name (`hints.rs`);
//! - `CAST(x AS t)` and `TRY_CAST` are calls `"$cast"(x, 't')` and `"$try_cast"`, and so are `DATE '…'`, `TIME '…'`, `TIMESTAMP '…'`;
//! - `MAP[k, v]` is a call `"$map"(k, v)`; `x IS JSON OBJECT` and the functions of JSON with their clauses are calls as well, see
//!   `json_forms.rs`.

mod alter;
mod ast;
mod dialect;
mod forms;
pub(crate) mod hints;
mod json_forms;
mod model;
mod schema;
mod statements;
mod tokens;
pub(crate) mod within;

pub use ast::*;
pub(crate) use dialect::call;
use sqlparser::parser::Parser;

use self::dialect::FlinkDialect;
use self::tokens::Tokens;
use crate::error::SqlError;

/// The statements of a script, in order. Statements end with `;`, the last one need not. Spans count from the beginning of the script.
///
/// ```
/// use thalweg_table::parser::{StatementKind, parse_script};
///
/// let script = "CREATE TABLE t (a INT, b AS a + 1) WITH ('connector' = 'print'); INSERT INTO t SELECT 1;";
/// let statements = parse_script(script)?;
/// assert!(matches!(statements[0].kind, StatementKind::CreateTable(_)));
/// assert_eq!(&script[statements[1].span.clone()], "INSERT INTO t SELECT 1");
/// # Ok::<(), thalweg_table::error::SqlError>(())
/// ```
///
/// # Errors
/// If one does not parse; with the place.
pub fn parse_script(script: &str) -> Result<Vec<Statement>, SqlError> {
    let tokens = Tokens::of(script)?;
    tokens.statements().map(|statement| statements::parse(&tokens, statement)).collect()
}

/// One query, made by a pass over another.
pub(crate) fn parse_query(text: &str) -> Result<sqlparser::ast::Query, SqlError> {
    let tokens = Tokens::of(text)?;
    let mut parser = Parser::new(&FlinkDialect).with_tokens_with_locations(tokens.all().to_vec());
    let query = parser.parse_query().map_err(|error| tokens.error(&parser, error))?;
    tokens.end(&mut parser)?;
    Ok(*query)
}

/// One expression, as in a computed column or in a filter of the Table API.
///
/// # Errors
/// If it does not parse; with the place.
pub fn parse_expression(text: &str) -> Result<sqlparser::ast::Expr, SqlError> {
    let tokens = Tokens::of(text)?;
    let mut parser = Parser::new(&FlinkDialect).with_tokens_with_locations(tokens.all().to_vec());
    let expression = parser.parse_expr().map_err(|error| tokens.error(&parser, error))?;
    tokens.end(&mut parser)?;
    Ok(expression)
}

/// Columns, watermark and primary key as they stand between the parentheses of `CREATE TABLE t (…)`.
///
/// # Errors
/// If they do not parse; with the place.
pub fn parse_schema(text: &str) -> Result<TableSchema, SqlError> {
    let tokens = Tokens::of(text)?;
    let mut parser = Parser::new(&FlinkDialect).with_tokens_with_locations(tokens.all().to_vec());
    let schema = schema::columns(&tokens, &mut parser, true)?;
    tokens.end(&mut parser)?;
    Ok(schema)
}

/// A data type, as it stands in a table or in a cast.
///
/// # Errors
/// If there is no such type; with the place.
pub fn parse_type(text: &str) -> Result<crate::types::LogicalType, SqlError> {
    let tokens = Tokens::of(text)?;
    let mut parser = Parser::new(&FlinkDialect).with_tokens_with_locations(tokens.all().to_vec());
    let of = schema::data_type(&tokens, &mut parser)?;
    tokens.end(&mut parser)?;
    Ok(of)
}
