//! Statements, as they are parsed.

use sqlparser::ast::{Expr, Query};

use crate::error::Span;
use crate::types::LogicalType;

/// A statement and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it says.
    pub kind: StatementKind,
    /// From its first to its last token, in the script.
    pub span: Span,
}

/// What a statement says.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// `CREATE [TEMPORARY] TABLE`.
    CreateTable(Box<CreateTable>),
    /// `CREATE [TEMPORARY] VIEW`.
    CreateView(CreateView),
    /// `CREATE [TEMPORARY [SYSTEM]] FUNCTION`.
    CreateFunction(CreateFunction),
    /// `CREATE CATALOG` and `CREATE DATABASE`.
    CreateNamespace(CreateNamespace),
    /// `CREATE [TEMPORARY] MODEL`.
    CreateModel(Box<CreateModel>),
    /// `ALTER MODEL`.
    AlterModel(AlterModel),
    /// `DESCRIBE MODEL m`.
    DescribeModel(Name),
    /// `DROP …`.
    Drop(Drop),
    /// `ALTER TABLE`.
    AlterTable(Box<AlterTable>),
    /// `ALTER VIEW`.
    AlterView(AlterView),
    /// `STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN]`.
    StopJob(StopJob),
    /// `INSERT INTO`.
    Insert(Box<Insert>),
    /// `EXECUTE STATEMENT SET BEGIN … END`, and `BEGIN STATEMENT SET; … END`.
    StatementSet(Vec<Insert>),
    /// A query: its result is shown.
    Query(Box<Query>),
    /// `EXPLAIN [PLAN FOR | details] …`.
    Explain(Box<Explain>),
    /// `DESCRIBE t`.
    Describe(Name),
    /// `SHOW …`.
    Show(Show),
    /// `SET 'key' = 'value'`; without both: all settings are shown.
    Set(Option<(String, String)>),
    /// `RESET ['key']`.
    Reset(Option<String>),
    /// `USE CATALOG c`.
    UseCatalog(Word),
    /// `USE [c.]d`.
    UseDatabase(Name),
}

/// A name, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without back-ticks.
    pub value: String,
    /// In the script.
    pub span: Span,
}

/// A name of up to three parts: catalog, database, object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub Vec<Word>);

/// `WITH ('key' = 'value', …)`: the options of a connector, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(pub Vec<(Word, Word)>);

/// What stands between the parentheses of `CREATE TABLE t (…)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableSchema {
    /// The columns.
    pub columns: Vec<ColumnDef>,
    /// `WATERMARK FOR … AS …`.
    pub watermark: Option<WatermarkDef>,
    /// `PRIMARY KEY (…) NOT ENFORCED`, or that of a column.
    pub primary_key: Option<Vec<Word>>,
}

/// `CREATE [TEMPORARY] TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// The name.
    pub name: Name,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The columns, watermark and primary key.
    pub schema: TableSchema,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `PARTITIONED BY (…)`.
    pub partitioned_by: Vec<Word>,
    /// `WITH (…)`.
    pub options: Options,
    /// `LIKE t (…)`.
    pub like: Option<Like>,
    /// `AS SELECT …`.
    pub query: Option<Box<Query>>,
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    /// The name.
    pub name: Word,
    /// What it holds.
    pub kind: ColumnKind,
    /// `COMMENT`.
    pub comment: Option<String>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnKind {
    /// A field of the record.
    Physical(LogicalType),
    /// What the connector knows of the record: `METADATA [FROM 'key'] [VIRTUAL]`.
    Metadata {
        /// Its type.
        data_type: LogicalType,
        /// The key, if it is not the name of the column.
        from: Option<String>,
        /// Not written.
        is_virtual: bool,
    },
    /// `AS expression`.
    Computed(Box<Expr>),
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, Debug, PartialEq)]
pub struct WatermarkDef {
    /// The column of event time; more than one part if it is a field of a row.
    pub column: Vec<Word>,
    /// The watermark, for a row.
    pub expression: Expr,
}

/// `LIKE t (INCLUDING ALL, …)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Like {
    /// The table.
    pub table: Name,
    /// What is taken from it, in the order given.
    pub options: Vec<LikeOption>,
}

/// One of `INCLUDING ALL`, `EXCLUDING OPTIONS`, `OVERWRITING WATERMARKS`, …, in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikeOption {
    /// `INCLUDING`, `EXCLUDING`, `OVERWRITING`.
    pub strategy: String,
    /// `ALL`, `CONSTRAINTS`, `PARTITIONS`, `OPTIONS`, `GENERATED`, `METADATA`, `WATERMARKS`, `DISTRIBUTION`.
    pub what: String,
}

/// `CREATE [TEMPORARY] VIEW`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    /// The name.
    pub name: Name,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The names of the columns, if they are given.
    pub columns: Vec<Word>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// The query.
    pub query: Box<Query>,
}

/// `CREATE [TEMPORARY [SYSTEM]] FUNCTION`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFunction {
    /// The name.
    pub name: Name,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `SYSTEM`.
    pub system: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The name that a function of ours is registered by.
    pub implementation: Word,
    /// `LANGUAGE`.
    pub language: Option<String>,
}

/// `CREATE CATALOG` and `CREATE DATABASE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateNamespace {
    /// A catalog, else a database.
    pub is_catalog: bool,
    /// The name.
    pub name: Name,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// `WITH (…)`.
    pub options: Options,
}

/// `CREATE [TEMPORARY] MODEL`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateModel {
    /// The name.
    pub name: Name,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// `INPUT (…)`: what it predicts from.
    pub inputs: Vec<ColumnDef>,
    /// `OUTPUT (…)`: what it predicts.
    pub outputs: Vec<ColumnDef>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `WITH (…)`.
    pub options: Options,
}

/// `ALTER MODEL`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterModel {
    /// The name.
    pub name: Name,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// What to change.
    pub action: AlterModelAction,
}

/// What `ALTER MODEL` changes.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterModelAction {
    /// `RENAME TO`.
    Rename(Name),
    /// `SET (…)`.
    Set(Options),
    /// `RESET (…)`.
    Reset(Vec<Word>),
}

/// What can be dropped and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// A view.
    View,
    /// A function.
    Function,
    /// A database.
    Database,
    /// A catalog.
    Catalog,
    /// A model.
    Model,
}

/// `DROP …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Drop {
    /// What.
    pub kind: ObjectKind,
    /// The name.
    pub name: Name,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// `CASCADE`: what is in a database goes with it.
    pub cascade: bool,
}

/// `ALTER TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    /// The table.
    pub name: Name,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// What to change.
    pub action: AlterAction,
}

/// What `ALTER TABLE` changes.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterAction {
    /// `RENAME TO`.
    Rename(Name),
    /// `SET (…)`.
    Set(Options),
    /// `RESET (…)`.
    Reset(Vec<Word>),
    /// `ADD (…)`: columns, watermark, primary key; and where columns go, if not to the end: behind another, or to the beginning.
    Add(Box<TableSchema>, Vec<(Word, Option<Word>)>),
    /// `MODIFY (…)`: as `ADD`, in place of what is there.
    Modify(Box<TableSchema>, Vec<(Word, Option<Word>)>),
    /// `DROP (a, b)`.
    DropColumns(Vec<Word>),
    /// `DROP WATERMARK`.
    DropWatermark,
    /// `DROP PRIMARY KEY`.
    DropPrimaryKey,
    /// `RENAME a TO b`.
    RenameColumn(Word, Word),
}

/// `ALTER VIEW`.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterView {
    /// `RENAME TO`.
    Rename(Name, Name),
    /// `AS query`.
    As(Name, Box<Query>),
}

/// `STOP JOB`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopJob {
    /// The id of the job.
    pub id: Word,
    /// `WITH SAVEPOINT`.
    pub savepoint: bool,
    /// `WITH DRAIN`.
    pub drain: bool,
}

/// `INSERT INTO`.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// The table.
    pub table: Name,
    /// `/*+ OPTIONS(…) */` of the table.
    pub hints: Options,
    /// `PARTITION (a = 1)`: constants for columns that the query does not give.
    pub partition: Vec<(Word, Expr)>,
    /// The columns that the query gives, if they are named.
    pub columns: Vec<Word>,
    /// `INSERT OVERWRITE`.
    pub overwrite: bool,
    /// The rows.
    pub query: Box<Query>,
    /// From `INSERT` to the end.
    pub span: Span,
}

/// `EXPLAIN`.
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// `CHANGELOG_MODE`, `ESTIMATED_COST`, `JSON_EXECUTION_PLAN`, `PLAN_ADVICE`, in upper case.
    pub details: Vec<String>,
    /// The statement.
    pub statement: Statement,
}

/// `SHOW …`.
#[derive(Clone, Debug, PartialEq)]
pub enum Show {
    /// `SHOW TABLES`, `VIEWS`, `FUNCTIONS`, `DATABASES`, `CATALOGS`.
    Objects {
        /// What.
        kind: ObjectKind,
        /// `FROM` a database or catalog.
        from: Option<Name>,
        /// `[NOT] LIKE 'pattern'`; the flag is true if it is not to be like that.
        like: Option<(bool, String)>,
    },
    /// `SHOW CREATE TABLE`, `SHOW CREATE VIEW`.
    Create(ObjectKind, Name),
    /// `SHOW CREATE MODEL`.
    CreateModel(Name),
    /// `SHOW COLUMNS FROM … [[NOT] LIKE 'pattern']`.
    Columns(Name, Option<(bool, String)>),
    /// `SHOW JOBS`.
    Jobs,
    /// `SHOW CURRENT CATALOG`.
    CurrentCatalog,
    /// `SHOW CURRENT DATABASE`.
    CurrentDatabase,
}
