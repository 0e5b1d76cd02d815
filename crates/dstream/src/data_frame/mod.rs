//! `DataFrame`: a batch as a table, with named and typed columns, to be shown or written to files.
//!
//! Columns are found by serde: the fields of a struct by their names, those of a tuple as `_1`, `_2` …,
//! anything else as `value`.
//!
//! `NaN` and infinite numbers become NULL, since it is JSON that lies between serde and the columns (in Spark they stay what they are): turn
//! them into something else before, if they are to be told from NULL.

mod error;
#[cfg(feature = "parquet")]
mod parquet;
mod schema;
mod writer;

use serde::Serialize;
use serde_json::Value;

pub use error::DataFrameError;
pub use schema::{ColumnType, Field};
pub use writer::{DataFrameWriter, IntoSaveMode, SaveMode};

use crate::rdd::{BatchContext, Rdd};

/// A table. Its rows are partitioned as the batch was.
#[derive(Clone, Debug)]
pub struct DataFrame {
    fields: Vec<Field>,
    partitions: Vec<Vec<Vec<Value>>>,
    batch: Option<BatchContext>,
    /// Why the records could not be made a table: told when the table is used, so that calls can be chained
    /// as in Spark.
    broken: Option<String>,
}

impl<T: Serialize> Rdd<T> {
    /// The batch as a table. What cannot be one is told by whatever uses the table.
    ///
    /// ```
    /// use thalweg_dstream::Rdd;
    ///
    /// let df = Rdd::parallelize(vec![("deep", 2), ("fast", 5)], 1).to_df();
    /// assert_eq!(df.columns(), ["_1", "_2"]);
    /// ```
    pub fn to_df(&self) -> DataFrame {
        DataFrame::new(self, None)
    }

    /// The batch as a table, with these names for its columns (Spark's `toDF("word", "count")`).
    pub fn to_df_named(&self, names: &[&str]) -> DataFrame {
        DataFrame::new(self, Some(names))
    }
}

impl DataFrame {
    fn new<T: Serialize>(rdd: &Rdd<T>, names: Option<&[&str]>) -> Self {
        let batch = rdd.batch.clone();
        match schema::table(rdd.partitions(), names) {
            Ok((fields, partitions)) => Self { fields, partitions, batch, broken: None },
            Err(error) => {
                // It is told when the table is used, in the same words.
                let reason = match error {
                    DataFrameError::Schema { reason } => reason,
                    other => other.to_string(),
                };
                Self { fields: Vec::new(), partitions: Vec::new(), batch, broken: Some(reason) }
            }
        }
    }

    /// A table of these rows, whose columns are known: for who has made them of a batch by other means. Each row has a value for each column, of
    /// its type, or null; in a column of text any other value is its JSON.
    ///
    /// # Errors
    /// If a row has more or fewer values, or one of another type.
    pub fn of_rows(fields: Vec<Field>, rows: Rdd<Vec<Value>>) -> Result<Self, DataFrameError> {
        let fits = |(field, cell): (&Field, &Value)| match field.column_type {
            _ if cell.is_null() => true,
            ColumnType::Boolean => cell.is_boolean(),
            ColumnType::Long => cell.is_i64(),
            ColumnType::Double => cell.is_number(),
            ColumnType::String => true,
        };
        for row in rows.partitions().iter().flatten() {
            let wrong = fields.iter().zip(row).find(|cell| !fits(*cell));
            let reason = match wrong {
                Some((field, cell)) => {
                    format!("column `{}` of type {:?} has the value {cell}", field.name, field.column_type)
                }
                None if row.len() != fields.len() => {
                    format!("a row has {} values for {} columns", row.len(), fields.len())
                }
                None => continue,
            };
            return Err(DataFrameError::Schema { reason });
        }
        let batch = rows.batch.clone();
        Ok(Self { fields, partitions: rows.glom(), batch, broken: None })
    }

    fn check(&self) -> Result<(), DataFrameError> {
        self.broken.as_ref().map_or(Ok(()), |reason| Err(DataFrameError::Schema { reason: reason.clone() }))
    }

    /// The names of the columns. A table without rows may have none, as nothing is known of it.
    pub fn columns(&self) -> Vec<&str> {
        self.fields.iter().map(|field| field.name.as_str()).collect()
    }

    /// The columns.
    pub fn schema(&self) -> &[Field] {
        &self.fields
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.partitions.iter().map(Vec::len).sum()
    }

    /// Writes the table to files.
    pub fn write(&self) -> DataFrameWriter<'_> {
        DataFrameWriter::new(self)
    }

    /// Prints the first `n` rows on stdout, as Spark does.
    ///
    /// # Errors
    /// When the records are no table.
    pub fn show(&self, n: usize) -> Result<(), DataFrameError> {
        print!("{}", self.to_text(n)?);
        Ok(())
    }

    fn to_text(&self, n: usize) -> Result<String, DataFrameError> {
        self.check()?;
        let header: Vec<String> = self.fields.iter().map(|field| field.name.clone()).collect();
        let rows = self.partitions.iter().flatten().take(n);
        let table: Vec<Vec<String>> =
            std::iter::once(header).chain(rows.map(|row| row.iter().map(schema::text).collect())).collect();
        let widths: Vec<usize> = (0..self.fields.len())
            .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let rule: String =
            widths.iter().map(|width| format!("+{}", "-".repeat(*width))).collect::<String>() + "+\n";
        let line = |row: &Vec<String>| -> String {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("|{cell:>width$}"));
            cells.collect::<String>() + "|\n"
        };
        let rows: String = table[1..].iter().map(line).collect();
        let more = if self.count() > n { format!("only showing top {n} rows\n") } else { String::new() };
        Ok(format!("{rule}{}{rule}{rows}{rule}{more}", line(&table[0])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Count {
        word: &'static str,
        n: Option<u32>,
    }

    #[test]
    fn structs_tuples_and_scalars_become_columns() {
        let rows =
            Rdd::parallelize(vec![Count { word: "deep", n: Some(2) }, Count { word: "fast", n: None }], 2);
        let df = rows.to_df();
        assert_eq!(df.columns(), ["word", "n"]);
        let expected = "+----+-+\n|word|n|\n+----+-+\n|deep|2|\n+----+-+\nonly showing top 1 rows\n";
        assert_eq!(df.to_text(1).unwrap(), expected);
        assert_eq!(Rdd::parallelize(vec![1.5], 1).to_df().schema()[0].column_type, ColumnType::Double);
        let named = Rdd::parallelize(vec![("deep", true)], 1).to_df_named(&["word", "seen"]);
        assert_eq!(named.columns(), ["word", "seen"]);
        let wrong = Rdd::parallelize(vec![("deep", true)], 1).to_df_named(&["word"]);
        let error = wrong.show(1).unwrap_err().to_string();
        assert!(
            error.contains("2 columns") && error.matches("cannot be made a table").count() == 1,
            "{error}"
        );
    }
}
