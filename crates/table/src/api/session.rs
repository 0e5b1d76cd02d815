//! The session of the Table API: tables by name, and one job for the streams among them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_dataflow::runtime::{Job, JobHandle};

use super::expression::{Expressions, quoted};
use super::schema::TableDescriptor;
use super::table::Table;
use crate::environment::{Outcome, PlannedJob, TableEnvironment};
use crate::error::SqlError;
use crate::parser::{Statement, StatementKind, parse_script};
use crate::result::{self, TableResult};
use crate::types::LogicalType;

/// A session. Clones are the same one.
///
/// Tables may be made of streams of its job, and streams of tables; a query over such a table is part of that job, and starts it. Others
/// run in a job of their own.
#[derive(Clone)]
pub struct TableSession {
    tables: Arc<Mutex<TableEnvironment>>,
    job: Job,
    /// How many streams are tables.
    pub(super) streams: Arc<AtomicUsize>,
    /// How many jobs of their own have been started.
    started: Arc<AtomicUsize>,
}

/// What became of a statement.
pub enum SqlResult {
    /// It is done.
    Done,
    /// It is text to be shown.
    Text(String),
    /// A job has been started.
    Job(JobHandle),
    /// A query has been started; these are its rows.
    Rows(TableResult),
}

/// The expressions of a list, each as SQL.
pub(super) fn items(list: &str) -> Result<Vec<String>, SqlError> {
    let statements = parse_script(&format!("SELECT {list} FROM t"))?;
    let Some(StatementKind::Query(query)) = statements.first().map(|statement| &statement.kind) else {
        return Err(SqlError::new("this is no list of expressions"));
    };
    match &*query.body {
        sqlparser::ast::SetExpr::Select(select) => {
            Ok(select.projection.iter().map(ToString::to_string).collect())
        }
        _ => Err(SqlError::new("this is no list of expressions")),
    }
}

impl TableSession {
    /// A session whose streams are those of `job`.
    pub fn new(job: Job) -> Self {
        Self::over(TableEnvironment::new(), job)
    }

    /// A session with what there is in `tables`: settings, connectors, functions.
    pub fn over(tables: TableEnvironment, job: Job) -> Self {
        let count = || Arc::new(AtomicUsize::new(0));
        Self { tables: Arc::new(Mutex::new(tables)), job, streams: count(), started: count() }
    }

    /// The job of the streams.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// What is under the session: to register functions and connectors, and to change settings.
    pub fn with<R>(&self, then: impl FnOnce(&mut TableEnvironment) -> R) -> R {
        then(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The table of this name; a name of a database or catalog may stand before it.
    ///
    /// # Errors
    /// If there is none.
    pub fn from_path(&self, path: &str) -> Result<Table, SqlError> {
        self.sql_query(&format!("SELECT * FROM {path}"))
    }

    /// The table of a query.
    ///
    /// # Errors
    /// If it is wrong; with the place.
    pub fn sql_query(&self, query: &str) -> Result<Table, SqlError> {
        let query = query.trim().trim_end_matches(';');
        self.schema_of_query(query)?;
        Ok(Table::of(self.clone(), query.to_owned()))
    }

    /// Rows that stand in the program, as SQL: `"(1, 'a'), (2, 'b')"`.
    ///
    /// # Errors
    /// If they do not have as many columns as there are names, or no types in common.
    pub fn from_values(&self, names: &[&str], rows: &str) -> Result<Table, SqlError> {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        self.sql_query(&format!("SELECT * FROM (VALUES {rows}) AS `t` ({})", names.join(", ")))
    }

    /// The table of a descriptor, without a name.
    ///
    /// # Errors
    /// If its schema is wrong.
    pub fn from_descriptor(&self, descriptor: &TableDescriptor) -> Result<Table, SqlError> {
        let name = quoted(&format!("$table{}", self.streams.fetch_add(0, Ordering::Relaxed) + self.unique()));
        self.create_temporary_table(&name, descriptor)?;
        self.from_path(&name)
    }

    pub(super) fn unique(&self) -> usize {
        self.started.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives the table of a descriptor a name.
    ///
    /// # Errors
    /// If its schema is wrong, or the name is taken.
    pub fn create_temporary_table(&self, path: &str, descriptor: &TableDescriptor) -> Result<(), SqlError> {
        self.statement(&descriptor.create(path)).map(drop)
    }

    /// Gives a table a name that SQL knows.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn create_temporary_view(&self, path: &str, table: &Table) -> Result<(), SqlError> {
        self.statement(&format!("CREATE TEMPORARY VIEW {path} AS {}", table.query)).map(drop)
    }

    /// Runs a statement; INSERTs and queries are started.
    ///
    /// # Errors
    /// If it is wrong, with the place; or its job cannot be started.
    pub fn execute_sql(&self, statement: &str) -> Result<SqlResult, SqlError> {
        Ok(match self.statement(statement)? {
            Outcome::Done => SqlResult::Done,
            Outcome::Text(text) => SqlResult::Text(text),
            Outcome::Job(planned) => SqlResult::Job(self.start(&planned)?),
            Outcome::Query(query) => SqlResult::Rows(self.execute(&query.to_string())?),
        })
    }

    fn statement(&self, text: &str) -> Result<Outcome, SqlError> {
        let statements = parse_script(text)?;
        let [statement]: &[Statement] = &statements else {
            return Err(SqlError::new("one statement is executed at a time"));
        };
        self.with(|tables| tables.execute(statement))
    }

    /// Several INSERTs in one job.
    pub fn create_statement_set(&self) -> StatementSet {
        StatementSet { session: self.clone(), inserts: Vec::new() }
    }

    /// The job that a query is part of: that of the streams if there are any among the tables.
    fn job_of(&self) -> Job {
        if self.streams.load(Ordering::Relaxed) > 0 {
            return self.job.clone();
        }
        let mut config = self.job.config();
        match self.unique() {
            0 => {}
            number => config.id = format!("{}-{}", config.id, number + 1),
        }
        Job::new(config)
    }

    pub(super) fn start(&self, planned: &PlannedJob) -> Result<JobHandle, SqlError> {
        let job = self.job_of();
        planned.add_to(&job)?;
        job.start().map_err(|error| SqlError::new(error.to_string()))
    }

    pub(super) fn execute(&self, query: &str) -> Result<TableResult, SqlError> {
        let planned = self.with(|tables| tables.planned(query))?;
        result::start(&planned, self.job_of())
    }

    pub(super) fn schema_of_query(&self, query: &str) -> Result<Vec<(String, LogicalType)>, SqlError> {
        let schema = self.with(|tables| tables.schema_of_query(query))?;
        let column = |field: &arrow::datatypes::FieldRef| {
            Ok((field.name().clone(), LogicalType::from_arrow(field.data_type(), field.is_nullable())?))
        };
        schema.fields().iter().map(column).collect()
    }

    /// The expressions of a list, each as SQL.
    ///
    /// # Errors
    /// If they do not parse.
    pub fn expressions(&self, list: impl Expressions) -> Result<Vec<String>, SqlError> {
        items(&list.list())
    }
}

/// Several INSERTs that run as one job: what they read in common is read once.
pub struct StatementSet {
    session: TableSession,
    inserts: Vec<String>,
}

impl StatementSet {
    /// Writes the rows of `table` into the table of that name.
    ///
    /// # Errors
    /// If there is no such table.
    pub fn add_insert(&mut self, path: &str, table: &Table) -> Result<&mut Self, SqlError> {
        self.add_insert_sql(&format!("INSERT INTO {path} {}", table.query))
    }

    /// An INSERT.
    ///
    /// # Errors
    /// If it is wrong; with the place.
    pub fn add_insert_sql(&mut self, statement: &str) -> Result<&mut Self, SqlError> {
        self.session.with(|tables| tables.explain_sql(statement))?;
        self.inserts.push(statement.trim().trim_end_matches(';').to_owned());
        Ok(self)
    }

    /// The plans.
    ///
    /// # Errors
    /// If an INSERT cannot be planned any more.
    pub fn explain(&self) -> Result<String, SqlError> {
        self.planned().map(|planned| planned.explain())
    }

    fn planned(&self) -> Result<PlannedJob, SqlError> {
        let script = format!("EXECUTE STATEMENT SET BEGIN {}; END", self.inserts.join("; "));
        match self.session.statement(&script)? {
            Outcome::Job(planned) => Ok(planned),
            _ => Err(SqlError::new("there is nothing to execute")),
        }
    }

    /// Starts the job.
    ///
    /// # Errors
    /// If it cannot be built or started.
    pub fn execute(&self) -> Result<JobHandle, SqlError> {
        let planned = self.planned()?;
        self.session.start(&planned)
    }

    /// Makes the INSERTs part of the job of the streams, to be started with that (Flink's `attachAsDataStream`).
    ///
    /// # Errors
    /// If they cannot be built.
    pub fn attach(&self) -> Result<(), SqlError> {
        self.planned()?.add_to(self.session.job())
    }
}
