//! Connectors: what `WITH ('connector' = '…')` names. Each is a page; somebody else's are registered by name.

mod blackhole;
mod datagen;
mod filesystem;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "kinesis")]
mod kinesis;
mod nexmark;
mod print;
mod shape;
mod socket;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use shape::Shape;
use thalweg_dataflow::graph::{Stream, StreamGraph};

use crate::catalog::{Table, nearest};
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::settings::Settings;

/// A connector: makes sources and sinks of tables.
pub trait Connector: Send + Sync {
    /// Reads a table.
    ///
    /// # Errors
    /// If it cannot, with these options.
    fn source(&self, table: &Arc<Table>, settings: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let _ = settings;
        Err(not_for(table, "be read from"))
    }

    /// Writes a table.
    ///
    /// # Errors
    /// If it cannot, with these options.
    fn sink(&self, table: &Arc<Table>, settings: &Settings) -> Result<Box<dyn TableSink>, SqlError> {
        let _ = settings;
        Err(not_for(table, "be written to"))
    }
}

/// Refuses options that nobody reads: they are misspelt, or not there yet.
///
/// # Errors
/// If there is one that is neither among `known` nor begins with one of `prefixes`.
fn only(table: &Table, known: &[&str], prefixes: &[&str]) -> Result<(), SqlError> {
    let is_known = |key: &str| {
        key == "connector" || known.contains(&key) || prefixes.iter().any(|of| key.starts_with(of))
    };
    let Some(key) = table.options.keys().find(|key| !is_known(key)) else { return Ok(()) };
    let connector = table.option("connector").unwrap_or_default();
    let mut error = SqlError::new(format!("`{connector}` has no option `{key}`"));
    if let Some(span) = &table.options_at {
        error = error.or_at(span);
    }
    Err(match nearest(key, known.iter().copied()) {
        Some(name) => error.help(format!("did you mean `{name}`?")),
        None => error,
    })
}

/// The value of an option that a table cannot do without.
fn required<'a>(table: &'a Table, option: &str) -> Result<&'a str, SqlError> {
    table.option(option).ok_or_else(|| missing(table, option))
}

fn missing(table: &Table, option: &str) -> SqlError {
    let error = SqlError::new(format!("the table `{}` wants the option `{option}`", table.path.table));
    match &table.options_at {
        Some(span) => error.or_at(span),
        None => error,
    }
}

fn not_for(table: &Table, what: &str) -> SqlError {
    let connector = table.option("connector").unwrap_or_default();
    SqlError::new(format!("the table `{}` cannot {what}: its connector is `{connector}`", table.path.table))
}

/// What a stream of rows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changelog {
    /// Rows are added and never taken back.
    Append,
    /// Rows are added, and taken back as they were.
    Retract,
    /// A row takes the place of the one with the same key; one that is deleted may have its key alone.
    Upsert,
}

/// A table that is read.
pub trait TableScan: Send + Sync {
    /// What it gives. Of [`Changelog::Upsert`], a row is added when it is new or other, and retracted when its key is deleted.
    fn changelog(&self) -> Changelog {
        Changelog::Append
    }

    /// The table as it is, if rows can be looked up in it by a lookup join.
    fn lookup(&self) -> Option<Arc<dyn Lookup>> {
        None
    }

    /// Adds the source to the graph. What it reads, all columns but the computed ones, is to go through `shape`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError>;
}

/// A table in which rows are looked up.
pub trait Lookup: Send + Sync {
    /// All rows that are there now: all columns but the computed ones.
    ///
    /// # Errors
    /// If it cannot be read.
    fn rows(&self) -> Result<Vec<Chunk>, SqlError>;
}

/// A table that is written.
pub trait TableSink: Send + Sync {
    /// What it takes.
    fn changelog(&self) -> Changelog;

    /// Adds the sink to the graph, behind `rows`.
    ///
    /// # Errors
    /// If it cannot be written.
    fn write(&self, rows: Stream<Chunk>, name: &str) -> Result<(), SqlError>;

    /// Whether it shows rows on the terminal.
    fn shows_rows(&self) -> bool {
        false
    }
}

/// Shows rows on the standard output; those with the same key, one after the other, are updates.
pub(crate) fn console(key: Vec<usize>) -> Box<dyn TableSink> {
    print::console(key)
}

/// The connectors that there are, by name.
#[derive(Clone)]
pub struct Connectors(BTreeMap<String, Arc<dyn Connector>>);

impl Default for Connectors {
    fn default() -> Self {
        let mut connectors = Self(BTreeMap::new());
        connectors.register("blackhole", Arc::new(blackhole::Blackhole));
        connectors.register("datagen", Arc::new(datagen::Datagen));
        connectors.register("filesystem", Arc::new(filesystem::Filesystem));
        connectors.register("nexmark", Arc::new(nexmark::Nexmark));
        connectors.register("print", Arc::new(print::Print));
        connectors.register("socket", Arc::new(socket::Socket));
        #[cfg(feature = "kinesis")]
        connectors.register("kinesis", Arc::new(kinesis::Kinesis));
        #[cfg(feature = "kafka")]
        {
            connectors.register("kafka", Arc::new(kafka::Kafka::new(false, None)));
            connectors.register("upsert-kafka", Arc::new(kafka::Kafka::new(true, None)));
        }
        connectors
    }
}

impl Connectors {
    /// Adds a connector, in place of one of the same name.
    pub fn register(&mut self, name: &str, connector: Arc<dyn Connector>) {
        self.0.insert(name.to_owned(), connector);
    }

    /// The connector of a table.
    ///
    /// # Errors
    /// If there is no such connector.
    pub fn of(&self, table: &Table) -> Result<&Arc<dyn Connector>, SqlError> {
        let with_span = |error: SqlError| match &table.options_at {
            Some(span) => error.or_at(span),
            None => error,
        };
        let name = table.option("connector").ok_or_else(|| {
            with_span(SqlError::new(format!("the table `{}` has no `connector`", table.path.table)))
        })?;
        self.0.get(name).ok_or_else(|| {
            let known = || self.0.keys().map(String::as_str);
            let help = match nearest(name, known()) {
                _ if name == "kinesis" => {
                    "it wants the feature `kinesis`, which this build does not have; build it with it"
                        .to_owned()
                }
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
            };
            with_span(SqlError::new(format!("there is no connector `{name}`")).help(help))
        })
    }
}
