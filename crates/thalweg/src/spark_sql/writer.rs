//! Writes the rows of a frame to files, as `Rdd::to_df` does: what is written belongs to the batch, and becomes visible with it.

use std::path::Path;

use thalweg_dstream::{self as dstream, ColumnType, Field, Rdd};
use thalweg_table::types::{LogicalType, TypeKind};

use super::{DataFrame, SqlError};

/// Writes a frame. Mistakes in its settings are told by [`save`](Self::save), so that calls can be chained.
///
/// ```
/// use thalweg::spark_sql::SparkSession;
///
/// let folder = tempfile::tempdir().unwrap();
/// let numbers = SparkSession::new().range(0, 3)?;
/// numbers.write().mode("append").option("header", "true").csv(folder.path().join("numbers"))?;
/// let found = std::fs::read_dir(folder.path().join("numbers")).unwrap().next().unwrap().unwrap();
/// assert_eq!(std::fs::read_to_string(found.path()).unwrap(), "id\n0\n1\n2\n");
/// # Ok::<(), thalweg::spark_sql::SqlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DataFrameWriter {
    frame: DataFrame,
    format: Option<String>,
    mode: Option<String>,
    options: Vec<(String, String)>,
}

impl DataFrameWriter {
    pub(super) fn new(frame: DataFrame) -> Self {
        Self { frame, format: None, mode: None, options: Vec::new() }
    }

    /// `parquet`, `json`, `csv` or `text`: see [`dstream::DataFrameWriter::format`].
    #[must_use]
    pub fn format(mut self, format: &str) -> Self {
        self.format = Some(format.to_ascii_lowercase());
        self
    }

    /// `append`, `overwrite`, `errorifexists` (as long as nothing is said), `ignore`; in a `foreach_rdd`, you want `append`.
    #[must_use]
    pub fn mode(mut self, mode: &str) -> Self {
        self.mode = Some(mode.to_owned());
        self
    }

    /// `header` = `true`: CSV files begin with the names of the columns.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes Parquet files: columns of their own types with the feature `parquet`; without it, as `Rdd::to_df` writes them, with all whole
    /// numbers in 64 bits, and what is no number and no truth as text.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn parquet(self, path: impl AsRef<Path>) -> Result<(), SqlError> {
        self.format("parquet").save(path)
    }

    /// Writes files of JSON, an object a line.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn json(self, path: impl AsRef<Path>) -> Result<(), SqlError> {
        self.format("json").save(path)
    }

    /// Writes CSV files.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn csv(self, path: impl AsRef<Path>) -> Result<(), SqlError> {
        self.format("csv").save(path)
    }

    /// Writes lines of text: of one column of text.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn text(self, path: impl AsRef<Path>) -> Result<(), SqlError> {
        self.format("text").save(path)
    }

    /// Computes the rows, and writes them into the folder `path`. Of a batch of a stream the files become visible when it is committed, exactly once.
    /// Without rows no file is written.
    ///
    /// # Errors
    /// If a setting is wrong, the rows cannot be computed, or the files cannot be written; whatever was visible before is untouched.
    pub fn save(self, path: impl AsRef<Path>) -> Result<(), SqlError> {
        let wrong = |error: dstream::DataFrameError| SqlError::new(error.to_string());
        let rows = self.frame.rows()?;
        #[cfg(feature = "parquet")]
        if self.format.as_deref().is_none_or(|format| format == "parquet") {
            rows.fits_parquet()?;
            // A partition stands for its rows.
            let part = |(place, count): (usize, usize)| if count > 0 { vec![place] } else { Vec::new() };
            let parts = rows.partition_counts().enumerate().map(part).collect();
            let mode = self.mode.as_deref().unwrap_or("errorifexists");
            let write = |part: &[usize], mut file: &mut (dyn std::io::Write + Send)| {
                part.iter().try_for_each(|part| rows.write_parquet(*part, &mut file))
            };
            return self.in_batch(parts).save_by(path, mode, ".snappy.parquet", write).map_err(wrong);
        }
        let fields = rows
            .columns()
            .iter()
            .map(|(name, of)| Field { name: name.clone(), column_type: column_type(of) });
        let fields: Vec<Field> = fields.collect();
        let table = dstream::DataFrame::of_rows(fields, self.in_batch(rows.values()?)).map_err(wrong)?;
        let mut writer = table.write();
        if let Some(format) = &self.format {
            writer = writer.format(format);
        }
        if let Some(mode) = &self.mode {
            writer = writer.mode(mode.as_str());
        }
        for (name, value) in &self.options {
            writer = writer.option(name, value);
        }
        writer.save(path).map_err(wrong)
    }

    /// Partitions of the batch that the frame is of, if it is of one.
    fn in_batch<T>(&self, partitions: Vec<Vec<T>>) -> Rdd<T> {
        match &self.frame.plan.batch {
            Some(batch) => batch.in_same_batch(partitions),
            None => Rdd::from_partitions(partitions),
        }
    }
}

/// What a column is written as.
fn column_type(of: &LogicalType) -> ColumnType {
    match of.kind {
        TypeKind::Boolean => ColumnType::Boolean,
        TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int | TypeKind::BigInt => ColumnType::Long,
        TypeKind::Float | TypeKind::Double => ColumnType::Double,
        _ => ColumnType::String,
    }
}
