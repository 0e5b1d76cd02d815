//! SQL and the Table API beside `DataStream`: streams are tables, and tables are streams, in one job.
//!
//! ```
//! use thalweg::prelude::*;
//! use thalweg::table::{StreamTableEnvironment, col};
//!
//! let env = StreamExecutionEnvironment::new();
//! let tables = StreamTableEnvironment::create(&env);
//! let words = env.from_collection(vec!["to".to_owned(), "be".to_owned(), "to".to_owned()]);
//! let counts = tables.from_data_stream(&words)?.as_(&["value"])?.group_by("value")?.select("value, count() AS n")?;
//! let changes = tables.to_changelog_stream::<(String, i64)>(&counts)?.execute_and_collect("counts")?;
//! assert!(changes.iter().any(|(_, (word, n))| word == "to" && *n == 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thalweg_dataflow::record::Data;
use thalweg_datastream::{DataStream, StreamExecutionEnvironment};
pub use thalweg_table::api::*;
pub use thalweg_table::error::SqlError;
pub use thalweg_table::functions::user::scalar_function;
pub use thalweg_table::row_kind::RowKind;
pub use thalweg_table::table_functions::table_function;

/// Tables beside the streams of an environment. What else it can do is that of its [`TableSession`].
#[derive(Clone)]
pub struct StreamTableEnvironment {
    session: TableSession,
    env: StreamExecutionEnvironment,
}

impl Deref for StreamTableEnvironment {
    type Target = TableSession;

    fn deref(&self) -> &TableSession {
        &self.session
    }
}

impl StreamTableEnvironment {
    /// Tables in the job of `env`.
    pub fn create(env: &StreamExecutionEnvironment) -> Self {
        Self { session: TableSession::new(env.job().clone()), env: env.clone() }
    }

    /// The table of a stream: each record is a row. Its columns are those of the type: the fields of a struct, `f0`, `f1`, … of a tuple, `f0`
    /// of anything else.
    ///
    /// # Errors
    /// If the columns of the type are not known: then they are given by
    /// [`from_data_stream_with_schema`](Self::from_data_stream_with_schema).
    pub fn from_data_stream<T>(&self, stream: &DataStream<T>) -> Result<Table, SqlError>
    where
        T: Data + Serialize + DeserializeOwned,
    {
        self.session.from_stream(stream.stream(), None)
    }

    /// The table of a stream with these columns. `rowtime` among the metadata is the time of the record; with the watermark
    /// `SOURCE_WATERMARK()` it is the event time of the table.
    ///
    /// # Errors
    /// If the schema does not parse.
    pub fn from_data_stream_with_schema<T>(
        &self,
        stream: &DataStream<T>,
        schema: &Schema,
    ) -> Result<Table, SqlError>
    where
        T: Data + Serialize + DeserializeOwned,
    {
        self.session.from_stream(stream.stream(), Some(schema))
    }

    /// The table of a stream of changes: rows that are added, and taken back as they were.
    ///
    /// # Errors
    /// If the columns of the type are not known.
    pub fn from_changelog_stream<T>(&self, stream: &DataStream<(RowKind, T)>) -> Result<Table, SqlError>
    where
        T: Data + Serialize + DeserializeOwned,
    {
        self.session.from_changelog(stream.stream(), None)
    }

    /// The rows of a table whose rows are never taken back.
    ///
    /// # Errors
    /// If they are taken back; or the type has other columns.
    pub fn to_data_stream<T: Data + DeserializeOwned>(
        &self,
        table: &Table,
    ) -> Result<DataStream<T>, SqlError> {
        Ok(DataStream::over(self.env.clone(), self.session.to_stream(table)?))
    }

    /// The changes of a table, each a row with its kind.
    ///
    /// # Errors
    /// If the type has other columns.
    pub fn to_changelog_stream<T: Data + DeserializeOwned>(
        &self,
        table: &Table,
    ) -> Result<DataStream<(RowKind, T)>, SqlError> {
        Ok(DataStream::over(self.env.clone(), self.session.to_changelog(table)?))
    }

    /// Gives a stream a name that SQL knows.
    ///
    /// # Errors
    /// If the name is taken, or the columns of the type are not known.
    pub fn create_temporary_view_of<T>(&self, path: &str, stream: &DataStream<T>) -> Result<(), SqlError>
    where
        T: Data + Serialize + DeserializeOwned,
    {
        self.session.create_temporary_view(path, &self.from_data_stream(stream)?)
    }
}
