//! The Table API: queries in Rust, over the same planner as SQL.
//!
//! A [`Table`] is a query. Each of its methods makes another query of it, which is planned when it is used; so what SQL can do, and how it is
//! refused, is the same here. Expressions are built of [`col`] and [`lit`], or given as text.
//!
//! ```
//! use thalweg_dataflow::runtime::{Job, JobConfig};
//! use thalweg_table::api::{TableSession, col, lit};
//!
//! let tables = TableSession::new(Job::new(JobConfig::new("words")));
//! let words = tables.from_values(&["word", "n"], "('to', 1), ('be', 2), ('to', 3)")?;
//! let counts = words.filter(col("n").gt(lit(0)))?.group_by("word")?.select("word, SUM(n) AS total")?;
//! let rows = counts.filter(col("total").gt(lit(3)))?.execute()?.collect()?;
//! assert_eq!(rows.last().map(ToString::to_string).as_deref(), Some("+I[to, 4]"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bounded;
mod expression;
mod rows;
mod schema;
mod session;
mod stream;
mod table;
mod window;

pub use bounded::{BoundedTables, Columns, Names, Rows};
pub use expression::{Expression, Expressions, Literal, call, col, lit, quoted};
pub use schema::{Schema, SchemaBuilder, TableDescriptor, TableDescriptorBuilder};
pub use session::{StatementSet, TableSession};
pub use table::{GroupedTable, OverWindowedTable, Table, WindowGroupedTable, WindowedTable};
pub use window::{
    CURRENT_RANGE, CURRENT_ROW, GroupWindow, Over, OverWindow, Session, Slide, Tumble, UNBOUNDED_RANGE,
    UNBOUNDED_ROW,
};
