//! Reads files into frames: all at once, into memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use thalweg_table::api::{Rows, quoted};

use super::{DataFrame, SparkSession, SqlError};

/// Reads files of one format: one file, or those of a folder whose names do not begin with `.` or `_`.
///
/// ```
/// use thalweg::spark_sql::SparkSession;
///
/// let folder = tempfile::tempdir().unwrap();
/// std::fs::write(folder.path().join("a.csv"), "item,n\ntea,3\nmilk,\n").unwrap();
/// let spark = SparkSession::new();
/// let read = spark.read().option("header", "true").schema("item STRING, n INT").csv(folder.path())?;
/// assert_eq!(read.collect::<(String, Option<i32>)>()?, [("tea".to_owned(), Some(3)), ("milk".to_owned(), None)]);
/// # Ok::<(), thalweg::spark_sql::SqlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DataFrameReader {
    session: SparkSession,
    schema: Option<String>,
    header: bool,
    delimiter: u8,
    problem: Option<String>,
}

impl DataFrameReader {
    pub(super) fn new(session: SparkSession) -> Self {
        Self { session, schema: None, header: false, delimiter: b',', problem: None }
    }

    /// The columns, as in `CREATE TABLE`: `"word STRING, n BIGINT"`.
    #[must_use]
    pub fn schema(mut self, columns: &str) -> Self {
        self.schema = Some(columns.to_owned());
        self
    }

    /// Of CSV: `header` = `true`, if files begin with the names of the columns; `sep` or `delimiter`, one letter.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        match (name.to_ascii_lowercase().as_str(), value.as_bytes()) {
            ("header", _) => self.header = value.eq_ignore_ascii_case("true"),
            ("sep" | "delimiter", [one]) => self.delimiter = *one,
            _ => {
                self.problem = Some(format!(
                    "there is no option `{name}` with the value `{value}` of files that are read"
                ))
            }
        }
        self
    }

    fn paths(&self, path: &Path) -> Result<Vec<PathBuf>, SqlError> {
        if let Some(problem) = &self.problem {
            return Err(SqlError::new(problem.clone()).help("there are header, and sep"));
        }
        let mut paths = Vec::new();
        if path.is_dir() {
            for entry in fs::read_dir(path).map_err(|error| failed(path, error))? {
                let entry = entry.map_err(|error| failed(path, error))?;
                if !entry.file_name().to_string_lossy().starts_with(['.', '_']) && entry.path().is_file() {
                    paths.push(entry.path());
                }
            }
            paths.sort();
        } else {
            paths.push(path.to_owned());
        }
        Ok(paths)
    }

    fn files(&self, path: &Path) -> Result<Vec<(PathBuf, String)>, SqlError> {
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            Ok((path, text))
        };
        self.paths(path)?.into_iter().map(read).collect()
    }

    /// Parquet's files, by their columns. Without a schema these are the columns of the first file, with their types; columns go by their names, and one that a file does not
    /// have is NULL there.
    ///
    /// # Errors
    /// If the files cannot be read, are no Parquet, or a value does not fit its column; or there are no files and no schema.
    #[cfg(feature = "parquet")]
    pub fn parquet(&self, path: impl AsRef<Path>) -> Result<DataFrame, SqlError> {
        let rows = Rows::of_parquet(&self.paths(path.as_ref())?, self.schema.as_deref())?;
        Ok(self.session.frame_of(rows.ok_or_else(|| no_columns("files", path.as_ref()))?, None))
    }

    /// The lines of text, in a column `value`.
    ///
    /// # Errors
    /// If the files cannot be read, or are no text.
    pub fn text(&self, path: impl AsRef<Path>) -> Result<DataFrame, SqlError> {
        let files = self.files(path.as_ref())?;
        let lines: Vec<Vec<&str>> = files.iter().map(|(_, text)| text.lines().collect()).collect();
        Ok(self.session.frame_of(Rows::with_schema(&lines, "`value` STRING NOT NULL")?, None))
    }

    /// Objects of JSON, one a line. Without a schema the columns are the fields that there are, in the order of their names: `BOOLEAN`, `BIGINT`, `DOUBLE`, or, of
    /// anything else and of mixtures, `STRING`.
    ///
    /// # Errors
    /// If the files cannot be read, a line is no object, or there is no schema and no line.
    pub fn json(&self, path: impl AsRef<Path>) -> Result<DataFrame, SqlError> {
        let mut records = Vec::new();
        for (path, text) in self.files(path.as_ref())? {
            let mut rows: Vec<Map<String, Value>> = Vec::new();
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let object = serde_json::from_str(line).map_err(|error| {
                    SqlError::new(format!("{}, line {}: {error}", path.display(), number + 1))
                });
                rows.push(object?);
            }
            records.push(rows);
        }
        let schema = match &self.schema {
            Some(schema) => schema.clone(),
            None => inferred(&records).ok_or_else(|| no_columns("rows", path.as_ref()))?,
        };
        Ok(self.session.frame_of(Rows::with_schema(&records, &schema)?, None))
    }

    /// Lines of values with commas between. Without a schema every column is a `STRING`, named by the header, or `_c0`, `_c1`, …. A value that is empty
    /// is NULL.
    ///
    /// # Errors
    /// If the files cannot be read, or a value does not fit its column.
    pub fn csv(&self, path: impl AsRef<Path>) -> Result<DataFrame, SqlError> {
        let mut names: Option<Vec<String>> = None;
        let mut partitions: Vec<Vec<Vec<Option<String>>>> = Vec::new();
        for (path, text) in self.files(path.as_ref())? {
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(self.header)
                .delimiter(self.delimiter)
                .from_reader(text.as_bytes());
            let failed = |error: csv::Error| SqlError::new(format!("{}: {error}", path.display()));
            if self.header && names.is_none() {
                names = Some(reader.headers().map_err(failed)?.iter().map(str::to_owned).collect());
            }
            let mut rows = Vec::new();
            for record in reader.records() {
                let record = record.map_err(failed)?;
                let cell = |cell: &str| (!cell.is_empty()).then(|| cell.to_owned());
                rows.push(record.iter().map(cell).collect::<Vec<_>>());
            }
            partitions.push(rows);
        }
        let schema = match (&self.schema, names, partitions.iter().flatten().next()) {
            (Some(schema), ..) => schema.clone(),
            (None, Some(names), _) => strings(names.into_iter()),
            (None, None, Some(row)) => strings((0..row.len()).map(|place| format!("_c{place}"))),
            (None, None, None) => return Err(no_columns("rows", path.as_ref())),
        };
        Ok(self.session.frame_of(Rows::with_schema(&partitions, &schema)?, None))
    }
}

fn failed(path: &Path, error: std::io::Error) -> SqlError {
    SqlError::new(format!("cannot read {}: {error}", path.display()))
}

fn no_columns(what: &str, path: &Path) -> SqlError {
    SqlError::new(format!("{} has no {what}, so its columns are not known", path.display()))
        .help("say them: schema(\"word STRING\")")
}

fn strings(names: impl Iterator<Item = String>) -> String {
    names.map(|name| format!("{} STRING", quoted(&name))).collect::<Vec<_>>().join(", ")
}

/// The columns of some objects.
fn inferred(records: &[Vec<Map<String, Value>>]) -> Option<String> {
    let mut types: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (name, value) in records.iter().flatten().flatten() {
        let found = match value {
            Value::Null => None,
            Value::Bool(_) => Some("BOOLEAN"),
            Value::Number(number) if number.is_i64() => Some("BIGINT"),
            Value::Number(_) => Some("DOUBLE"),
            _ => Some("STRING"),
        };
        let known = types.entry(name).or_default();
        *known = match (*known, found) {
            (known, None) => known,
            (None, found) => found,
            (Some(known), Some(found)) if known == found => Some(known),
            (Some("BIGINT" | "DOUBLE"), Some("BIGINT" | "DOUBLE")) => Some("DOUBLE"),
            _ => Some("STRING"),
        };
    }
    let column = |(name, of): (&str, Option<&str>)| format!("{} {}", quoted(name), of.unwrap_or("STRING"));
    (!types.is_empty()).then(|| types.into_iter().map(column).collect::<Vec<_>>().join(", "))
}
