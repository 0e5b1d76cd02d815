//! JSON: an object for each row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use base64::Engine as _;
use serde_json::{Map, Number, Value};

use super::{Field, Format, column_of_valid};
use crate::chunk::Chunk;
use crate::display::display;
use crate::error::SqlError;

pub(super) struct Json {
    fields: Vec<Field>,
    ignore_errors: bool,
    fail_on_missing: bool,
}

impl Json {
    pub(super) fn new(fields: Vec<Field>, ignore_errors: bool, fail_on_missing: bool) -> Self {
        Self { fields, ignore_errors, fail_on_missing }
    }
}

impl Format for Json {
    fn decode(&self, records: &[&[u8]]) -> Result<(Vec<ArrayRef>, Option<Vec<bool>>), SqlError> {
        let mut valid = vec![true; records.len()];
        let mut objects = Vec::with_capacity(records.len());
        for (record, valid) in records.iter().zip(&mut valid) {
            match serde_json::from_slice::<Map<String, Value>>(record) {
                Ok(object) => objects.push(object),
                Err(_) if self.ignore_errors => {
                    *valid = false;
                    objects.push(Map::new());
                }
                Err(error) => {
                    let text = String::from_utf8_lossy(&record[..record.len().min(200)]);
                    return Err(SqlError::new(format!("this is no JSON object ({error}): {text}"))
                        .help("'json.ignore-parse-errors' = 'true' leaves such records out"));
                }
            }
        }
        let mut columns = Vec::with_capacity(self.fields.len());
        for (name, of) in &self.fields {
            let values = objects.iter().map(|object| match object.get(name) {
                Some(value) => Ok(value),
                None if self.fail_on_missing && !self.ignore_errors => {
                    Err(SqlError::new(format!("a record has no field `{name}`")))
                }
                None => Ok(&Value::Null),
            });
            let values = values.collect::<Result<Vec<_>, _>>()?;
            let column = column_of_valid(of, &values, &mut valid, self.ignore_errors);
            columns
                .push(column.map_err(|error| SqlError::new(format!("field `{name}`: {}", error.message)))?);
        }
        let all = valid.iter().all(|valid| *valid);
        Ok((columns, (!all).then_some(valid)))
    }

    fn encode(
        &self,
        chunk: &Chunk,
        columns: &[usize],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        let mut object = Map::with_capacity(columns.len());
        for ((name, _), column) in self.fields.iter().zip(columns) {
            object.insert(name.clone(), value(chunk.rows().column(*column), row)?);
        }
        serde_json::to_writer(out, &object).map_err(|error| SqlError::new(error.to_string()))
    }
}

/// A value as JSON. Times are text, as Flink writes them by the SQL standard.
fn value(values: &ArrayRef, row: usize) -> Result<Value, SqlError> {
    if values.is_null(row) {
        return Ok(Value::Null);
    }
    let float = |number: f64, text: String| match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None => Value::String(text),
    };
    Ok(match values.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(values.as_boolean().value(row)),
        DataType::Int8 => values.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => values.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => values.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float32 => {
            let number = values.as_primitive::<Float32Type>().value(row);
            // By its own digits, not by those that it has as a wider one.
            float(number.to_string().parse().unwrap_or(f64::from(number)), display(values, row))
        }
        DataType::Float64 => float(values.as_primitive::<Float64Type>().value(row), display(values, row)),
        DataType::Decimal128(..) => {
            let text = values.as_primitive::<Decimal128Type>().value_as_string(row);
            serde_json::from_str(&text).map_err(|error| SqlError::new(error.to_string()))?
        }
        DataType::Binary => Value::String(
            base64::engine::general_purpose::STANDARD.encode(values.as_binary::<i32>().value(row)),
        ),
        DataType::Timestamp(_, zone) => {
            let text = crate::display::sql_timestamp(values, row);
            Value::String(if zone.is_some() { format!("{text}Z") } else { text })
        }
        DataType::List(_) => {
            let items = values.as_list::<i32>().value(row);
            let all = (0..items.len()).map(|item| value(&items, item));
            Value::Array(all.collect::<Result<_, _>>()?)
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
            let pairs = range.map(|at| Ok((display(map.keys(), at), value(map.values(), at)?)));
            Value::Object(pairs.collect::<Result<_, SqlError>>()?)
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(values.as_struct().columns());
            let pairs = columns.map(|(field, column)| Ok((field.name().clone(), value(column, row)?)));
            Value::Object(pairs.collect::<Result<_, SqlError>>()?)
        }
        _ => Value::String(display(values, row)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::{ColumnKind, parse_schema};

    fn fields(schema: &str) -> Vec<Field> {
        let columns = parse_schema(schema).unwrap().columns.into_iter();
        let field = |column: crate::parser::ColumnDef| match column.kind {
            ColumnKind::Physical(of) => (column.name.value, of),
            _ => panic!("no physical column"),
        };
        columns.map(field).collect()
    }

    #[test]
    fn rows_are_read_and_written_as_they_were() {
        let fields = fields(
            "a INT, b STRING, c DECIMAL(10, 2), d TIMESTAMP(3), e ARRAY<INT>, f ROW<x BIGINT, y STRING>, g MAP<STRING, DOUBLE>, h DOUBLE",
        );
        let json = Json::new(fields.clone(), false, false);
        let record = r#"{"a":1,"b":"x","c":5.00,"d":"2020-04-15 08:00:05.123","e":[1,null],"f":{"x":2,"y":null},"g":{"k":1.5},"h":44.44}"#;
        let (columns, valid) = json.decode(&[record.as_bytes(), b"{}"]).unwrap();
        assert!(valid.is_none());
        let named = fields.iter().map(|(name, _)| name.as_str()).zip(columns);
        let rows = arrow::array::RecordBatch::try_from_iter_with_nullable(
            named.map(|(name, column)| (name, column, true)),
        );
        let chunk = Chunk::additions(rows.unwrap());
        let mut out = Vec::new();
        json.encode(&chunk, &[0, 1, 2, 3, 4, 5, 6, 7], 0, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), record);
    }

    #[test]
    fn what_is_no_row_is_refused_or_left_out() {
        let records: [&[u8]; 3] = [b"{\"a\":1}", b"nonsense", b"{\"a\":\"x\"}"];
        assert!(Json::new(fields("a INT"), false, false).decode(&records).is_err());
        let (_, valid) = Json::new(fields("a INT"), true, false).decode(&records).unwrap();
        assert_eq!(valid, Some(vec![true, false, false]));
    }
}
