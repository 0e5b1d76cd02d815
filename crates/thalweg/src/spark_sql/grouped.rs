//! Rows in groups.

use super::column::{Column, IntoColumn, IntoColumns, list, unnamed};
use super::functions::{avg, count, max, min, sum};
use super::{DataFrame, SqlError};

/// Rows in groups (Spark's `RelationalGroupedDataset`): one row comes out for each, with what they are grouped by in front.
#[derive(Clone, Debug)]
pub struct GroupedData {
    frame: DataFrame,
    keys: Vec<Column>,
}

macro_rules! of_each {
    ($($(#[$doc:meta])+ $name:ident;)+) => {$(
        $(#[$doc])+
        ///
        /// # Errors
        /// If there is no such column, or it has another type.
        pub fn $name(&self, columns: impl IntoColumns) -> Result<DataFrame, SqlError> {
            self.agg(columns.into_columns().into_iter().map($name).collect::<Vec<Column>>())
        }
    )+};
}

impl GroupedData {
    pub(super) fn new(frame: DataFrame, keys: Vec<Column>) -> Self {
        Self { frame, keys }
    }

    /// These aggregates of each group.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn agg(&self, aggregates: impl IntoColumns) -> Result<DataFrame, SqlError> {
        let aggregates = aggregates.into_columns();
        let columns: Vec<Column> = self.keys.iter().cloned().chain(aggregates).collect();
        let query = format!("SELECT {} FROM ({})", list(&columns), self.frame.query());
        match self.keys.is_empty() {
            true => self.frame.made(query),
            false => self.frame.made(format!("{query} GROUP BY {}", unnamed(&self.keys))),
        }
    }

    /// The number of rows of each group, in a column `count`.
    ///
    /// # Errors
    /// If what is grouped by is wrong.
    pub fn count(&self) -> Result<DataFrame, SqlError> {
        self.agg(count("*".into_column()).alias("count"))
    }

    of_each! {
        /// The sum of each of these columns, named `sum(column)`.
        sum;
        /// The mean of each of these columns, named `avg(column)`.
        avg;
        /// The least of each of these columns, named `min(column)`.
        min;
        /// The greatest of each of these columns, named `max(column)`.
        max;
    }
}
