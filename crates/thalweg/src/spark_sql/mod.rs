//! Data frames and SQL on a batch, in the words of Spark: what a `foreach_rdd` is handed becomes a table, is asked in SQL or by methods, shown,
//! collected, written.
//!
//! ```
//! use thalweg::dstream::Rdd;
//! use thalweg::spark_sql::SparkSession;
//! use thalweg::spark_sql::functions::{col, sum};
//!
//! let spark = SparkSession::new();
//! let sales = Rdd::parallelize(vec![("tea", 3), ("milk", 1), ("tea", 2)].into_iter().map(|(item, n)| (item.to_owned(), n)).collect(), 2);
//! let sales = spark.create_data_frame(&sales)?.to_df(&["item", "n"])?;
//! sales.create_or_replace_temp_view("sales")?;
//!
//! let by_sql = spark.sql("SELECT item, SUM(n) AS total FROM sales GROUP BY item ORDER BY total DESC")?;
//! let by_methods = sales.group_by("item")?.agg([sum("n").alias("total")])?.order_by(col("total").desc())?;
//! assert_eq!(by_sql.collect::<(String, i32)>()?, [("tea".to_owned(), 5), ("milk".to_owned(), 1)]);
//! assert_eq!(by_methods.collect::<(String, i32)>()?, by_sql.collect()?);
//! # Ok::<(), thalweg::spark_sql::SqlError>(())
//! ```
//!
//! In a stream the session is cloned into the function. What fails there fails the batch, as anything does; files become visible with the batch.
//!
//! ```no_run
//! use thalweg::prelude::*;
//! use thalweg::spark_sql::SparkSession;
//!
//! let ssc = StreamingContext::new("words", Duration::from_secs(2));
//! let words = ssc.socket_text_stream("localhost", 9999);
//! let spark = SparkSession::new();
//! words.try_foreach_rdd(move |rdd, time| {
//!     spark.create_data_frame(&rdd)?.create_or_replace_temp_view("words")?;
//!     let counts = spark.sql("select `value` as word, count(*) as total from words group by `value`")?;
//!     println!("========= {time} =========");
//!     counts.show()?;
//!     Ok(())
//! });
//! ```
//!
//! # How it runs
//!
//! A data frame is a query and what it reads. Each method plans the new query, so that what is wrong with it is told there; nothing is computed until
//! something is asked: `show`, `collect`, `count`, `write`, `cache`, `to_rdd`. Then the query runs as a job of its own, in the calling batch, to its end:
//! on one thread, or, of 20,000 rows and more, on as many as the batch has partitions and the machine cores. A frame that is asked twice is computed twice, unless it
//! was [cached](DataFrame::cache). Plans are kept by the text of the query and the types of its input, so the next batch does not plan.
//!
//! # What differs from Spark
//!
//! Expressions mean what they mean in Flink's SQL, as in all SQL here:
//!
//! | | here | Spark |
//! |---|---|---|
//! | `7 / 2` of whole numbers | `3` | `3.5`; cast one of them: `CAST(n AS DOUBLE) / 2` |
//! | `AVG` of whole numbers | whole | `DOUBLE` |
//! | overflow of whole numbers | wraps | fails |
//! | `1.5` | `DECIMAL(2, 1)` | the same |
//! | NULLs in `ORDER BY` | first ascending, last descending | the same |
//! | names | with their case; reserved words between back-ticks: `` `value` ``, `` `count` `` | without |
//! | a name that `select` was not told | `EXPR$0` | the text of the expression |
//! | `"double quotes"` in SQL | names | text |
//! | windows over rows | `ROW_NUMBER` for the first of each group; windows of event time are those of [streams](crate::table) | all |
//! | columns of the same name in a join | refused: rename them | ambiguous when asked for |
//!
//! Columns of a tuple are `_1`, `_2`, …, of anything else without fields `value`; rows within rows have the fields `f0`, `f1`, … for tuples. A type whose
//! columns are not known (`serde_json::Value`) needs a [schema](SparkSession::create_data_frame_with_schema). Written to Parquet and CSV, decimals, dates, times
//! and what is nested are text.

mod column;
mod frame;
pub mod functions;
mod grouped;
mod reader;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thalweg_dstream::Rdd;
use thalweg_table::api::{BoundedTables, Names, Rows};
use thalweg_table::environment::TableEnvironment;
pub use thalweg_table::error::SqlError;

pub use column::{Column, IntoColumn, IntoColumns};
pub use frame::DataFrame;
use frame::{Input, Plan};
pub use grouped::GroupedData;
pub use reader::DataFrameReader;
pub use writer::DataFrameWriter;

/// What data frames are made by, and what knows views by name. Clones are the same session.
#[derive(Clone, Default)]
pub struct SparkSession {
    inner: Arc<Session>,
}

#[derive(Default)]
struct Session {
    tables: BoundedTables,
    views: Mutex<BTreeMap<String, Plan>>,
    /// How many tables have been made.
    made: AtomicU64,
}

/// Makes a session, as in Spark.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builder(());

impl Builder {
    /// A name, which nothing goes by here.
    #[must_use]
    pub fn app_name(self, _name: &str) -> Self {
        self
    }

    /// A new session: there is none that is everybody's, so clone it into the functions that share its views.
    pub fn get_or_create(self) -> SparkSession {
        SparkSession::new()
    }
}

impl std::fmt::Debug for SparkSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let views = self.inner.views.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("SparkSession").field("views", &views.keys().collect::<Vec<_>>()).finish()
    }
}

impl SparkSession {
    /// A session without views.
    pub fn new() -> Self {
        Self::default()
    }

    /// A session in the words of Spark: `SparkSession::builder().app_name("words").get_or_create()`.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The table of a batch: a row for each record. Also an empty batch has the columns of its type.
    ///
    /// # Errors
    /// If the columns of the type are not known, or a value does not fit its column: a whole number beyond 64 bits.
    pub fn create_data_frame<T>(&self, rdd: &Rdd<T>) -> Result<DataFrame, SqlError>
    where
        T: Serialize + DeserializeOwned,
    {
        Ok(self.frame_of(Rows::of(rdd.partitions(), Names::Spark)?, Some(rdd.in_same_batch(Vec::new()))))
    }

    /// The table of a batch with these columns: `"word STRING, at TIMESTAMP(3), price DECIMAL(10, 2)"`. Fields of a struct go by name, and are NULL
    /// where they are absent; those of a tuple by place. Times and decimals are read from text, as serde writes them.
    ///
    /// # Errors
    /// If the columns do not parse, or a value does not fit its column.
    pub fn create_data_frame_with_schema<T: Serialize>(
        &self,
        rdd: &Rdd<T>,
        schema: &str,
    ) -> Result<DataFrame, SqlError> {
        let rows = Rows::with_schema(rdd.partitions(), schema)?;
        Ok(self.frame_of(rows, Some(rdd.in_same_batch(Vec::new()))))
    }

    /// The rows of a query over the views of the session, as they are now.
    ///
    /// # Errors
    /// If the query is wrong; with the place.
    pub fn sql(&self, query: &str) -> Result<DataFrame, SqlError> {
        let (mut inputs, mut batch): (Vec<Input>, Option<Rdd<()>>) = Default::default();
        let read = Mutex::new((&mut inputs, &mut batch));
        let view = |name: &str| {
            let views = self.inner.views.lock().unwrap_or_else(PoisonError::into_inner);
            let plan = views.get(name)?;
            let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
            frame::add(read.0, &plan.inputs);
            if read.1.is_none() {
                read.1.clone_from(&plan.batch);
            }
            Some(plan.query.clone())
        };
        let query = BoundedTables::with_views(query, view)?;
        self.planned(query, inputs, batch, true)
    }

    /// The view of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn table(&self, name: &str) -> Result<DataFrame, SqlError> {
        let views = self.inner.views.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plan) = views.get(name) else {
            let known = views.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let error = SqlError::new(format!("there is no view `{name}`"));
            return Err(match known.is_empty() {
                true => error.help("create_or_replace_temp_view makes one of a data frame"),
                false => error.help(format!("there are {known}")),
            });
        };
        Ok(DataFrame { session: self.clone(), plan: plan.clone() })
    }

    /// Numbers from `start` to the one before `end`, in a column `id`.
    ///
    /// # Errors
    /// None that is known of.
    pub fn range(&self, start: i64, end: i64) -> Result<DataFrame, SqlError> {
        let numbers: Vec<i64> = (start..end).collect();
        Ok(self.frame_of(Rows::with_schema(&[numbers], "id BIGINT NOT NULL")?, None))
    }

    /// Forgets a view; frames that were made of it stay as they are. Whether there was one.
    pub fn drop_temp_view(&self, name: &str) -> bool {
        self.inner.views.lock().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }

    /// Reads files.
    pub fn read(&self) -> DataFrameReader {
        DataFrameReader::new(self.clone())
    }

    /// What is under the session: to register functions of one's own, and to set the time zone (`table.local-time-zone`).
    pub fn with<R>(&self, then: impl FnOnce(&mut TableEnvironment) -> R) -> R {
        self.inner.tables.with(then)
    }

    /// A table of rows that are there.
    fn frame_of(&self, rows: Rows, batch: Option<Rdd<()>>) -> DataFrame {
        let input = Input { number: self.inner.made.fetch_add(1, Ordering::Relaxed), rows };
        let query = format!("SELECT * FROM {}", input.name());
        let columns = input.rows.columns().clone();
        let plan = Plan { query, columns, inputs: vec![input], ordered: false, batch };
        DataFrame { session: self.clone(), plan }
    }

    /// The frame of a query, if it can be planned.
    fn planned(
        &self,
        query: String,
        inputs: Vec<Input>,
        batch: Option<Rdd<()>>,
        ordered: bool,
    ) -> Result<DataFrame, SqlError> {
        let of_inputs: Vec<_> = inputs.iter().map(|input| input.rows.columns().clone()).collect();
        let columns = self.inner.tables.columns(&frame::numbered(&query, &inputs), &of_inputs)?;
        Ok(DataFrame { session: self.clone(), plan: Plan { query, columns, inputs, ordered, batch } })
    }
}
