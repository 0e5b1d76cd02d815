//! Writes a table to a folder of files: Parquet, JSON lines, CSV (Spark's `DataFrameWriter`).

use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{ColumnType, DataFrame, DataFrameError, Field, schema};
use crate::rdd::{BatchContext, FileSet, Rdd, refuse_link, saved};

/// The formats of this build.
pub(super) const FORMATS: &[&str] =
    if cfg!(feature = "parquet") { &["parquet", "json", "csv", "text"] } else { &["json", "csv", "text"] };

/// What to do when there is something already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveMode {
    /// Add to it.
    Append,
    /// Replace it, when the batch is committed. Only what a save has written is removed: if there is anything else, or the folder is
    /// a link, it is refused.
    Overwrite,
    /// Fail.
    #[default]
    ErrorIfExists,
    /// Write nothing.
    Ignore,
}

impl FromStr for SaveMode {
    type Err = DataFrameError;

    fn from_str(name: &str) -> Result<Self, DataFrameError> {
        match name.to_ascii_lowercase().as_str() {
            "append" => Ok(Self::Append),
            "overwrite" => Ok(Self::Overwrite),
            "error" | "errorifexists" | "default" => Ok(Self::ErrorIfExists),
            "ignore" => Ok(Self::Ignore),
            _ => Err(DataFrameError::Mode(name.to_owned())),
        }
    }
}

/// A save mode, or its name.
pub trait IntoSaveMode {
    /// The mode.
    ///
    /// # Errors
    /// When there is none of that name.
    fn into_save_mode(self) -> Result<SaveMode, DataFrameError>;
}

impl IntoSaveMode for SaveMode {
    fn into_save_mode(self) -> Result<SaveMode, DataFrameError> {
        Ok(self)
    }
}

impl IntoSaveMode for &str {
    fn into_save_mode(self) -> Result<SaveMode, DataFrameError> {
        self.parse()
    }
}

/// Writes a table. Mistakes in its settings are told by [`save`](Self::save), so that calls can be chained.
///
/// ```
/// use thalweg_dstream::{Rdd, SaveMode};
///
/// let folder = tempfile::tempdir().unwrap();
/// let df = Rdd::parallelize(vec![("deep", 2)], 1).to_df_named(&["word", "count"]);
/// df.write().format("csv").mode(SaveMode::Append).option("header", "true").save(folder.path().join("counts"))?;
/// # Ok::<(), thalweg_dstream::DataFrameError>(())
/// ```
#[derive(Debug)]
pub struct DataFrameWriter<'a> {
    table: &'a DataFrame,
    format: String,
    mode: Result<SaveMode, DataFrameError>,
    header: bool,
}

impl<'a> DataFrameWriter<'a> {
    pub(super) fn new(table: &'a DataFrame) -> Self {
        Self { table, format: FORMATS[0].to_owned(), mode: Ok(SaveMode::default()), header: false }
    }

    /// `parquet` (compressed with Snappy), `json` (an object a line), `csv`, or `text` (one column of text, a line for each row). Default: the first of these that
    /// this build has.
    #[must_use]
    pub fn format(mut self, format: &str) -> Self {
        format.clone_into(&mut self.format);
        self
    }

    /// A [`SaveMode`], or its name. Default: `ErrorIfExists`, as in Spark; in a `foreach_rdd`, you want
    /// `append`.
    #[must_use]
    pub fn mode(mut self, mode: impl IntoSaveMode) -> Self {
        self.mode = mode.into_save_mode();
        self
    }

    /// `header` = `true`: CSV files begin with the names of the columns.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        if name.eq_ignore_ascii_case("header") {
            self.header = value.eq_ignore_ascii_case("true");
        }
        self
    }

    /// Writes Parquet files.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn parquet(self, path: impl AsRef<Path>) -> Result<(), DataFrameError> {
        self.format("parquet").save(path)
    }

    /// Writes files of JSON lines.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn json(self, path: impl AsRef<Path>) -> Result<(), DataFrameError> {
        self.format("json").save(path)
    }

    /// Writes CSV files.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn csv(self, path: impl AsRef<Path>) -> Result<(), DataFrameError> {
        self.format("csv").save(path)
    }

    /// Writes files of text, a line for each row: of a table with one column of text.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn text(self, path: impl AsRef<Path>) -> Result<(), DataFrameError> {
        self.format("text").save(path)
    }

    /// Writes one file for each partition with rows into the folder `path`. For a batch of a stream, the
    /// files become visible, all of them, when the batch is committed. A batch without rows writes no file.
    ///
    /// # Errors
    /// When a setting is wrong, the records are no table, or the files cannot be written; whatever was
    /// visible before is untouched.
    pub fn save(self, path: impl AsRef<Path>) -> Result<(), DataFrameError> {
        let path = path.as_ref();
        let failed = |error: io::Error| DataFrameError::Io { path: path.to_owned(), error };
        if !FORMATS.contains(&self.format.as_str()) {
            return Err(DataFrameError::Format(self.format));
        }
        let mode = self.mode?;
        self.table.check()?;
        let columns = self.table.columns();
        if self.format == "json"
            && let Some(twice) = (1..columns.len()).find(|index| columns[..*index].contains(&columns[*index]))
        {
            return Err(DataFrameError::Columns(columns[twice].to_owned()));
        }
        if self.format == "text" && !columns.is_empty() && !is_text(&self.table.fields) {
            let reason = format!("text is of one column of text, and the table has {}", columns.join(", "));
            return Err(DataFrameError::Schema { reason });
        }
        let Some(mut files) = begin(path, mode, self.table.batch.clone())? else { return Ok(()) };
        for (index, rows) in self.table.partitions.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            match self.format.as_str() {
                #[cfg(feature = "parquet")]
                "parquet" => files.write(index, ".snappy.parquet", |file| {
                    super::parquet::write(&self.table.fields, rows, file)
                }),
                "text" => files.write(index, ".txt", |file| {
                    rows.iter().flatten().try_for_each(|cell| {
                        let line = if cell.is_null() { String::new() } else { schema::text(cell) };
                        file.write_all(line.as_bytes())?;
                        file.write_all(b"\n")
                    })
                }),
                "json" => files.write(index, ".json", |file| json(&self.table.columns(), rows, file)),
                _ => files.write(index, ".csv", |file| csv(&self.table.columns(), self.header, rows, file)),
            }
            .map_err(failed)?;
        }
        files.finish().map_err(failed)
    }
}

impl<T> Rdd<T> {
    /// Writes one file for each partition with records into the folder `path`, by `write`, and with this at the end of its name: for who
    /// has a format of their own. All else is as it is with a [`DataFrameWriter`].
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// use thalweg_dstream::{Rdd, SaveMode};
    ///
    /// let folder = tempfile::tempdir().unwrap();
    /// let numbers = Rdd::parallelize(vec![1_u8, 2, 3], 1);
    /// numbers.save_by(folder.path().join("numbers"), SaveMode::Append, ".bin", |numbers, mut file| file.write_all(numbers))?;
    /// # Ok::<(), thalweg_dstream::DataFrameError>(())
    /// ```
    ///
    /// # Errors
    /// When the mode refuses it, or the files cannot be written; whatever was visible before is untouched.
    pub fn save_by(
        &self,
        path: impl AsRef<Path>,
        mode: impl IntoSaveMode,
        extension: &str,
        mut write: impl FnMut(&[T], &mut (dyn Write + Send)) -> io::Result<()>,
    ) -> Result<(), DataFrameError> {
        let path = path.as_ref();
        let failed = |error: io::Error| DataFrameError::Io { path: path.to_owned(), error };
        let Some(mut files) = begin(path, mode.into_save_mode()?, self.batch.clone())? else { return Ok(()) };
        for (index, records) in self.partitions.iter().enumerate().filter(|(_, records)| !records.is_empty())
        {
            files.write(index, extension, |file| write(records, file)).map_err(failed)?;
        }
        files.finish().map_err(failed)
    }
}

/// Begins to write to a folder, as the mode says; `None` if nothing is to be written.
fn begin(
    path: &Path,
    mode: SaveMode,
    batch: Option<BatchContext>,
) -> Result<Option<FileSet>, DataFrameError> {
    let failed = |error: io::Error| DataFrameError::Io { path: path.to_owned(), error };
    match mode {
        SaveMode::Overwrite => {
            refuse_link(path).map_err(failed)?;
            let mut others = saved(path).map_err(failed)?.others;
            if !others.is_empty() {
                others.truncate(10);
                return Err(DataFrameError::Foreign { path: path.to_owned(), others });
            }
        }
        SaveMode::ErrorIfExists if has_files(path).map_err(failed)? => {
            return Err(DataFrameError::Exists(path.to_owned()));
        }
        SaveMode::Ignore if has_files(path).map_err(failed)? => return Ok(None),
        _ => {}
    }
    FileSet::begin(path, mode == SaveMode::Overwrite, batch).map(Some).map_err(failed)
}

/// Whether there are files that a reader would see.
fn has_files(path: &Path) -> io::Result<bool> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.any(|entry| {
            entry.is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with(['.', '_']))
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether there is one column, of text.
fn is_text(fields: &[Field]) -> bool {
    matches!(fields, [Field { column_type: ColumnType::String, .. }])
}

fn json(columns: &[&str], rows: &[Vec<Value>], file: &mut impl Write) -> io::Result<()> {
    for row in rows {
        // As Spark does, absent values are left out.
        let cells = columns.iter().zip(row).filter(|(_, cell)| !cell.is_null());
        let object: Map<String, Value> =
            cells.map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
        serde_json::to_writer(&mut *file, &object)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

fn csv(columns: &[&str], header: bool, rows: &[Vec<Value>], file: &mut impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    if header {
        writer.write_record(columns)?;
    }
    for row in rows {
        writer.write_record(
            row.iter().map(|cell| if cell.is_null() { String::new() } else { schema::text(cell) }),
        )?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn only_file(folder: &Path) -> String {
        let entry = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
        fs::read_to_string(entry.path()).unwrap()
    }

    #[test]
    fn text_formats_and_modes() {
        let folder = tempfile::tempdir().unwrap();
        let df = Rdd::parallelize(vec![("a \"quote\"", Some(1)), ("comma, too", None)], 1)
            .to_df_named(&["text", "n"]);
        let (csv, json) = (folder.path().join("csv"), folder.path().join("json"));
        df.write().option("header", "true").csv(&csv).unwrap();
        assert_eq!(only_file(&csv), "text,n\n\"a \"\"quote\"\"\",1\n\"comma, too\",\n");
        df.write().json(&json).unwrap();
        assert_eq!(only_file(&json), "{\"text\":\"a \\\"quote\\\"\",\"n\":1}\n{\"text\":\"comma, too\"}\n");
        assert!(matches!(df.write().csv(&csv), Err(DataFrameError::Exists(_))));
        df.write().mode(SaveMode::Ignore).csv(&csv).unwrap();
        df.write().mode("overwrite").csv(&csv).unwrap();
        assert_eq!(fs::read_dir(&csv).unwrap().count(), 1);
        df.write().mode("append").csv(&csv).unwrap();
        assert_eq!(fs::read_dir(&csv).unwrap().count(), 2);
    }

    #[test]
    fn nothing_is_overwritten_that_no_save_has_written() {
        let folder = tempfile::tempdir().unwrap();
        let df = Rdd::parallelize(vec![("a", 1)], 1).to_df_named(&["text", "n"]);
        let (path, link) = (folder.path().join("counts"), folder.path().join("link"));
        df.write().json(&path).unwrap();
        df.write().mode("overwrite").json(&path).unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        let error = df.write().mode("overwrite").json(&path).unwrap_err().to_string();
        assert!(error.contains("notes.txt") && error.contains("counts"), "{error}");
        fs::remove_file(path.join("notes.txt")).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let error = df.write().mode("overwrite").json(&link).unwrap_err().to_string();
        assert!(error.contains("is a link"), "{error}");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        df.write().mode("append").json(&link).unwrap();
    }

    #[test]
    fn two_columns_of_one_name_are_refused_as_json() {
        let folder = tempfile::tempdir().unwrap();
        let df = Rdd::parallelize(vec![(1, 2)], 1).to_df_named(&["x", "x"]);
        let error = df.write().json(folder.path().join("json")).unwrap_err().to_string();
        assert!(error.contains("`x`"), "{error}");
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
        df.write().csv(folder.path().join("csv")).unwrap();
    }

    #[test]
    fn mistakes_are_told_when_saving() {
        let df = Rdd::parallelize(vec![1], 1).to_df();
        let error = df.write().format("orc").save("/nowhere").unwrap_err().to_string();
        assert!(error.contains("`orc`") && error.contains("json, csv"), "{error}");
        let error = df.write().mode("upsert").json("/nowhere").unwrap_err().to_string();
        assert!(error.contains("`upsert`"), "{error}");
        let error = df.write().json("/proc/nowhere").unwrap_err().to_string();
        assert!(error.contains("/proc/nowhere"), "{error}");
    }
}
