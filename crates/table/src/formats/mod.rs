//! Formats: between the bytes of records and columns.
//!
//! | format | options |
//! |---|---|
//! | `json` | `ignore-parse-errors`, `fail-on-missing-field` |
//! | `csv` | `field-delimiter`, `ignore-parse-errors`, `null-literal`, `quote-character`, `disable-quote-character` |
//! | `raw` | none: one column, which is the bytes |

mod csv;
mod json;
mod json_columns;
pub mod json_value;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
mod raw;

use std::sync::Arc;

use arrow::array::ArrayRef;

use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::types::LogicalType;

/// A column, by its name and type.
pub type Field = (String, LogicalType);

/// Reads and writes the columns that it was made for.
pub trait Format: Send + Sync {
    /// The columns of these records, and which of the records are rows: those that are none are left out, if that is wanted.
    ///
    /// # Errors
    /// If a record is not in the format.
    fn decode(&self, records: &[&[u8]]) -> Result<(Vec<ArrayRef>, Option<Vec<bool>>), SqlError>;

    /// What reads only those of the columns that are needed, and leaves the others out. None if all are read anyway.
    fn only(&self, needed: &[bool]) -> Option<Arc<dyn Format>> {
        let _ = needed;
        None
    }

    /// Writes a row; `columns` are those of the chunk that the format's fields are in.
    ///
    /// # Errors
    /// If a value cannot be written.
    fn encode(&self, chunk: &Chunk, columns: &[usize], row: usize, out: &mut Vec<u8>)
    -> Result<(), SqlError>;
}

/// The format of this name, for these columns. Its options begin with `prefix` and its name.
///
/// # Errors
/// If there is no such format, or it has no such columns.
pub fn format(
    table: &Table,
    name: &str,
    prefix: &str,
    fields: Vec<Field>,
) -> Result<Arc<dyn Format>, SqlError> {
    let option = |key: &str| {
        let plain = table.option(&format!("{name}.{key}"));
        table.option(&format!("{prefix}{name}.{key}")).or(plain)
    };
    let flag = |key: &str| option(key).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match name {
        "json" => {
            Ok(Arc::new(json::Json::new(fields, flag("ignore-parse-errors"), flag("fail-on-missing-field"))))
        }
        "csv" => {
            let letter = |key: &str, otherwise: char| match option(key) {
                Some("\\t") => Ok('\t'),
                Some(text) if text.chars().count() == 1 => Ok(text.chars().next().unwrap_or(otherwise)),
                Some(text) => Err(SqlError::new(format!("`csv.{key}` is one letter, not `{text}`"))),
                None => Ok(otherwise),
            };
            let quote =
                if flag("disable-quote-character") { None } else { Some(letter("quote-character", '"')?) };
            let null = option("null-literal").map(str::to_owned);
            Ok(Arc::new(csv::Csv::new(
                fields,
                letter("field-delimiter", ',')?,
                quote,
                null,
                flag("ignore-parse-errors"),
            )))
        }
        "raw" => raw::Raw::new(fields).map(|raw| Arc::new(raw) as Arc<dyn Format>),
        other => {
            Err(SqlError::new(format!("there is no format `{other}`")).help("there are json, csv and raw"))
        }
    }
}

/// The column of a field with these values, one value at a time where all together do not fit: which of them do.
fn column_of_valid(
    (name, of): &Field,
    values: &[&serde_json::Value],
    valid: &mut [bool],
    skip: bool,
) -> Result<ArrayRef, SqlError> {
    let column = match json_value::column(of, values) {
        Err(_) if skip => {
            let null = serde_json::Value::Null;
            let fitting: Vec<&serde_json::Value> = values
                .iter()
                .zip(valid)
                .map(|(value, valid)| match json_value::column(of, &[value]) {
                    Ok(_) => *value,
                    Err(_) => {
                        *valid = false;
                        &null
                    }
                })
                .collect();
            json_value::column(of, &fitting)
        }
        result => result,
    };
    column.map_err(|error| SqlError::new(format!("field `{name}`: {}", error.message)))
}

/// What has been decoded: which of the records are rows is said only if some are none.
fn decoded(columns: Vec<ArrayRef>, valid: Vec<bool>) -> (Vec<ArrayRef>, Option<Vec<bool>>) {
    let all = valid.iter().all(|valid| *valid);
    (columns, (!all).then_some(valid))
}
