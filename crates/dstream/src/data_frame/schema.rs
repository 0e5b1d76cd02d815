//! Names and types of columns, found by looking at the records through serde.

use serde::Serialize;
use serde_json::Value;
pub use thalweg_connectors::files::format::{ColumnType, Field};

use super::DataFrameError;

type Table = (Vec<Field>, Vec<Vec<Vec<Value>>>);

/// The columns and the rows of some records.
pub(super) fn table<T: Serialize>(
    partitions: &[Vec<T>],
    names: Option<&[&str]>,
) -> Result<Table, DataFrameError> {
    let mut columns: Option<Vec<(String, Option<ColumnType>)>> = None;
    let mut rows = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let mut part = Vec::with_capacity(partition.len());
        for record in partition {
            let value = serde_json::to_value(record).map_err(|error| broken(error.to_string()))?;
            let (found, mut row) = split(value);
            let columns =
                columns.get_or_insert_with(|| found.iter().map(|name| (name.clone(), None)).collect());
            if columns.len() != found.len()
                || columns.iter().zip(&found).any(|((known, _), name)| known != name)
            {
                return Err(broken("records have different fields; give them all the same".to_owned()));
            }
            for ((name, column_type), cell) in columns.iter_mut().zip(&mut row) {
                *column_type = widen(name, *column_type, cell)?;
            }
            part.push(row);
        }
        rows.push(part);
    }
    let mut fields: Vec<Field> = columns
        .unwrap_or_default()
        .into_iter()
        // A column of nothing but absent values has to be something.
        .map(|(name, column_type)| Field { name, column_type: column_type.unwrap_or(ColumnType::String) })
        .collect();
    if let Some(names) = names
        && !fields.is_empty()
    {
        if names.len() != fields.len() {
            let reason = format!("{} names were given for {} columns", names.len(), fields.len());
            return Err(broken(reason));
        }
        fields.iter_mut().zip(names).for_each(|(field, name)| (*name).clone_into(&mut field.name));
    }
    Ok((fields, rows))
}

fn broken(reason: String) -> DataFrameError {
    DataFrameError::Schema { reason }
}

/// A record as names and cells.
fn split(value: Value) -> (Vec<String>, Vec<Value>) {
    match value {
        Value::Object(fields) => fields.into_iter().unzip(),
        Value::Array(cells) => ((1..=cells.len()).map(|n| format!("_{n}")).collect(), cells),
        scalar => (vec!["value".to_owned()], vec![scalar]),
    }
}

/// The type of a column, with one more cell in it. A structure becomes text.
fn widen(
    name: &str,
    known: Option<ColumnType>,
    cell: &mut Value,
) -> Result<Option<ColumnType>, DataFrameError> {
    let found = match cell {
        Value::Null => return Ok(known),
        Value::Bool(_) => ColumnType::Boolean,
        Value::Number(number) if number.is_i64() => ColumnType::Long,
        Value::Number(number) if number.is_f64() => ColumnType::Double,
        Value::Number(number) => {
            return Err(broken(format!(
                "column `{name}`: {number} does not fit 64 signed bits; use text or a float"
            )));
        }
        Value::String(_) => ColumnType::String,
        Value::Array(_) | Value::Object(_) => {
            *cell = Value::String(cell.to_string());
            ColumnType::String
        }
    };
    match known {
        None => Ok(Some(found)),
        Some(known) if known == found => Ok(Some(known)),
        Some(ColumnType::Long | ColumnType::Double)
            if matches!(found, ColumnType::Long | ColumnType::Double) =>
        {
            Ok(Some(ColumnType::Double))
        }
        Some(known) => {
            Err(broken(format!("column `{name}` has values of type {known:?} and of type {found:?}")))
        }
    }
}

/// A cell as text.
pub(super) fn text(cell: &Value) -> String {
    match cell {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_widen_and_other_mixtures_are_refused_by_name() {
        let rows = vec![vec![(serde_json::json!(1), "a")], vec![(serde_json::json!(1.5), "b")]];
        assert_eq!(table(&rows, None).unwrap().0[0].column_type, ColumnType::Double);
        let rows = vec![vec![(serde_json::json!(1), "a"), (serde_json::json!("one"), "b")]];
        let error = table(&rows, None).unwrap_err().to_string();
        assert!(error.contains("column `_1`"), "{error}");
        assert!(table(&[vec![u64::MAX]], None).unwrap_err().to_string().contains("column `value`"));
    }
}
