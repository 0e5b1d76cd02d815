//! Columns of JSON values.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, ListArray, MapArray, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use base64::Engine as _;
use serde_json::Value;

use crate::error::SqlError;
use crate::types::{LogicalType, TypeKind};

/// A value of a column as JSON.
///
/// # Errors
/// If it has no form in JSON.
pub fn json(values: &ArrayRef, row: usize) -> Result<Value, SqlError> {
    let mut text = Vec::new();
    super::json::write(values, row, &mut text)?;
    serde_json::from_slice(&text).map_err(|error| SqlError::new(error.to_string()))
}

static NULL: Value = Value::Null;

/// A column of these values. Rows may be objects, by name, or arrays, by place.
///
/// ```
/// use arrow::array::{AsArray, Array};
/// use arrow::datatypes::Int32Type;
/// use serde_json::json;
/// use thalweg_table::formats::json_value::column;
/// use thalweg_table::types::{LogicalType, TypeKind};
///
/// let numbers = column(&LogicalType { kind: TypeKind::Int, nullable: true }, &[&json!(1), &json!(null)])?;
/// assert_eq!(numbers.as_primitive::<Int32Type>().value(0), 1);
/// assert!(numbers.is_null(1));
/// # Ok::<(), thalweg_table::error::SqlError>(())
/// ```
///
/// # Errors
/// If a value is not of the type.
pub fn column(of: &LogicalType, values: &[&Value]) -> Result<ArrayRef, SqlError> {
    let data_type = of.to_arrow();
    let wrong = |value: &Value| SqlError::new(format!("{value} is no {of}"));
    match &of.kind {
        TypeKind::Boolean => {
            let flags = values.iter().map(|value| match value {
                Value::Null => Ok(None),
                Value::Bool(flag) => Ok(Some(*flag)),
                Value::String(text) => text.parse().map(Some).map_err(|_| wrong(value)),
                _ => Err(wrong(value)),
            });
            Ok(Arc::new(flags.collect::<Result<BooleanArray, _>>()?))
        }
        TypeKind::Binary(_) | TypeKind::VarBinary(_) => {
            let bytes = values.iter().map(|value| match value {
                Value::Null => Ok(None),
                Value::String(text) => {
                    base64::engine::general_purpose::STANDARD.decode(text).map(Some).map_err(|_| wrong(value))
                }
                _ => Err(wrong(value)),
            });
            let bytes: Vec<Option<Vec<u8>>> = bytes.collect::<Result<_, _>>()?;
            Ok(Arc::new(bytes.iter().map(|bytes| bytes.as_deref()).collect::<BinaryArray>()))
        }
        TypeKind::Array(item) => {
            let DataType::List(field) = &data_type else { return Err(SqlError::new("no list")) };
            let (mut items, mut lengths) = (Vec::new(), Vec::new());
            for value in values {
                match value {
                    Value::Null => lengths.push(0),
                    Value::Array(of_value) => {
                        items.extend(of_value);
                        lengths.push(of_value.len());
                    }
                    _ => return Err(wrong(value)),
                }
            }
            let offsets = OffsetBuffer::from_lengths(lengths);
            let items = column(item, &items)?;
            Ok(Arc::new(ListArray::try_new(field.clone(), offsets, items, valid(values)).map_err(arrow)?))
        }
        TypeKind::Map(key, of_value) => {
            let DataType::Map(field, _) = &data_type else { return Err(SqlError::new("no map")) };
            let (mut keys, mut items, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
            for value in values {
                match value {
                    Value::Null => lengths.push(0),
                    Value::Object(entries) => {
                        lengths.push(entries.len());
                        for (key, item) in entries {
                            keys.push(Value::String(key.clone()));
                            items.push(item);
                        }
                    }
                    _ => return Err(wrong(value)),
                }
            }
            let keys = column(key, &keys.iter().collect::<Vec<_>>())?;
            map(field, keys, column(of_value, &items)?, lengths, values)
        }
        TypeKind::Multiset(item) => {
            let DataType::Map(field, _) = &data_type else { return Err(SqlError::new("no map")) };
            let (mut keys, mut counts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
            for value in values {
                match value {
                    Value::Null => lengths.push(0),
                    Value::Object(entries) => {
                        lengths.push(entries.len());
                        for (key, count) in entries {
                            keys.push(Value::String(key.clone()));
                            counts.push(count.as_i64().ok_or_else(|| wrong(value))? as i32);
                        }
                    }
                    _ => return Err(wrong(value)),
                }
            }
            let keys = column(item, &keys.iter().collect::<Vec<_>>())?;
            map(field, keys, Arc::new(Int32Array::from(counts)), lengths, values)
        }
        TypeKind::Row(fields) => {
            let DataType::Struct(arrow_fields) = &data_type else { return Err(SqlError::new("no row")) };
            let mut columns = Vec::with_capacity(fields.len());
            for (place, (name, of)) in fields.iter().enumerate() {
                let field = values.iter().map(|value| match value {
                    Value::Null => Ok(&NULL),
                    Value::Object(entries) => Ok(entries.get(name).unwrap_or(&NULL)),
                    Value::Array(items) => items.get(place).ok_or_else(|| wrong(value)),
                    _ => Err(wrong(value)),
                });
                columns.push(column(of, &field.collect::<Result<Vec<_>, _>>()?)?);
            }
            let rows = StructArray::try_new(arrow_fields.clone(), columns, valid(values)).map_err(arrow)?;
            Ok(Arc::new(rows))
        }
        // Numbers, texts and times by their text.
        _ => {
            let texts = values.iter().map(|value| match value {
                Value::Null => Ok(None),
                Value::String(text) => Ok(Some(text.clone())),
                Value::Number(number) => Ok(Some(plain(number))),
                Value::Bool(flag) => Ok(Some(flag.to_string())),
                other if data_type == DataType::Utf8 => Ok(Some(other.to_string())),
                other => Err(wrong(other)),
            });
            let texts: StringArray = texts.collect::<Result<_, _>>()?;
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(&texts, &data_type, &strict).map_err(arrow)
        }
    }
}

/// A number without an exponent, if it is none that needs one.
pub(super) fn plain(number: &serde_json::Number) -> String {
    let text = number.to_string();
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

fn valid(values: &[&Value]) -> Option<NullBuffer> {
    let valid: NullBuffer = values.iter().map(|value| !value.is_null()).collect();
    (valid.null_count() > 0).then_some(valid)
}

fn map(
    entries: &arrow::datatypes::FieldRef,
    keys: ArrayRef,
    items: ArrayRef,
    lengths: Vec<usize>,
    values: &[&Value],
) -> Result<ArrayRef, SqlError> {
    let DataType::Struct(fields) = entries.data_type() else { return Err(SqlError::new("no entries")) };
    let pairs = StructArray::try_new(fields.clone(), vec![keys, items], None).map_err(arrow)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, valid(values), false).map_err(arrow)?))
}

fn arrow(error: arrow::error::ArrowError) -> SqlError {
    SqlError::new(error.to_string())
}
