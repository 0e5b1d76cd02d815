//! JSON: an object for each row.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use base64::Engine as _;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Field, Format, column_of_valid, decoded, json_columns};
use crate::chunk::Chunk;
use crate::display::display;
use crate::error::SqlError;
use crate::types::{LogicalType, TypeKind};

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
        match json_columns::columns(&self.fields, records, self.fail_on_missing) {
            Some(columns) => Ok((columns, None)),
            None => self.one_by_one(records),
        }
    }

    fn only(&self, needed: &[bool]) -> Option<Arc<dyn Format>> {
        let fields = self.fields.iter().zip(needed).filter(|(_, needed)| **needed);
        let fields = fields.map(|(field, _)| field.clone()).collect();
        Some(Arc::new(Self { fields, ..*self }))
    }

    fn encode(
        &self,
        chunk: &Chunk,
        columns: &[usize],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        let fields = self
            .fields
            .iter()
            .zip(columns)
            .map(|((name, _), column)| (name.as_str(), chunk.rows().column(*column)));
        object(fields, row, out)
    }
}

impl Json {
    /// The columns of records of which some are not as they should be.
    fn one_by_one(&self, records: &[&[u8]]) -> Result<(Vec<ArrayRef>, Option<Vec<bool>>), SqlError> {
        let mut valid = vec![true; records.len()];
        let mut objects: Vec<Vec<Option<Value>>> = Vec::with_capacity(records.len());
        for (record, valid) in records.iter().zip(&mut valid) {
            let fields = serde_json::from_slice::<HashMap<String, &RawValue>>(record).and_then(|known| {
                let field =
                    |(name, of): &Field| known.get(name.as_str()).map(|raw| read(raw, of)).transpose();
                self.fields.iter().map(field).collect()
            });
            match fields {
                Ok(fields) => objects.push(fields),
                Err(_) if self.ignore_errors => {
                    *valid = false;
                    objects.push(vec![None; self.fields.len()]);
                }
                Err(error) => {
                    let text = String::from_utf8_lossy(&record[..record.len().min(200)]);
                    return Err(SqlError::new(format!("this is no JSON object ({error}): {text}"))
                        .help("'json.ignore-parse-errors' = 'true' leaves such records out"));
                }
            }
        }
        let mut columns = Vec::with_capacity(self.fields.len());
        for (place, field) in self.fields.iter().enumerate() {
            let values = objects.iter().map(|object| match &object[place] {
                Some(value) => Ok(value),
                None if self.fail_on_missing && !self.ignore_errors => {
                    Err(SqlError::new(format!("a record has no field `{}`", field.0)))
                }
                None => Ok(&Value::Null),
            });
            let values = values.collect::<Result<Vec<_>, _>>()?;
            columns.push(column_of_valid(field, &values, &mut valid, self.ignore_errors)?);
        }
        Ok(decoded(columns, valid))
    }
}

/// Fields of a row as an object.
fn object<'a>(
    fields: impl Iterator<Item = (&'a str, &'a ArrayRef)>,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), SqlError> {
    out.push(b'{');
    for (place, (name, column)) in fields.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        text(name, out)?;
        out.push(b':');
        write(column, row, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn text(text: &str, out: &mut Vec<u8>) -> Result<(), SqlError> {
    serde_json::to_writer(out, text).map_err(|error| SqlError::new(error.to_string()))
}

/// A value as JSON. Times are text, as Flink writes them by the SQL standard; decimals have all of their digits.
pub(super) fn write(values: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), SqlError> {
    if values.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let finite = match values.data_type() {
        DataType::Float32 => values.as_primitive::<Float32Type>().value(row).is_finite(),
        DataType::Float64 => values.as_primitive::<Float64Type>().value(row).is_finite(),
        _ => true,
    };
    match values.data_type() {
        DataType::Null => out.extend_from_slice(b"null"),
        // As Java prints them, which is JSON, but for what is no number.
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
            if finite =>
        {
            out.extend_from_slice(display(values, row).as_bytes());
        }
        DataType::Binary => {
            let bytes = values.as_binary::<i32>().value(row);
            text(&base64::engine::general_purpose::STANDARD.encode(bytes), out)?;
        }
        DataType::Timestamp(_, zone) => {
            let time = crate::display::sql_timestamp(values, row);
            text(&if zone.is_some() { format!("{time}Z") } else { time }, out)?;
        }
        DataType::List(_) => {
            let items = values.as_list::<i32>().value(row);
            out.push(b'[');
            for item in 0..items.len() {
                if item > 0 {
                    out.push(b',');
                }
                write(&items, item, out)?;
            }
            out.push(b']');
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
            out.push(b'{');
            for (place, at) in range.enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                text(&display(map.keys(), at), out)?;
                out.push(b':');
                write(map.values(), at, out)?;
            }
            out.push(b'}');
        }
        DataType::Struct(fields) => {
            let columns = values.as_struct().columns();
            object(fields.iter().map(|field| field.name().as_str()).zip(columns), row, out)?;
        }
        _ => text(&display(values, row), out)?,
    }
    Ok(())
}

/// A value of this type as it stands: the digits of a decimal as text, so that none is lost.
pub(super) fn read(raw: &RawValue, of: &LogicalType) -> serde_json::Result<Value> {
    let is_null = raw.get() == "null";
    Ok(match &of.kind {
        TypeKind::Decimal(..)
            if raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) =>
        {
            Value::String(raw.get().to_owned())
        }
        TypeKind::Array(item) if !is_null => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get())?;
            Value::Array(items.into_iter().map(|one| read(one, item)).collect::<Result<_, _>>()?)
        }
        TypeKind::Map(_, item) if !is_null => {
            let entries: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get())?;
            let pairs = entries.into_iter().map(|(key, one)| Ok((key, read(one, item)?)));
            Value::Object(pairs.collect::<serde_json::Result<_>>()?)
        }
        TypeKind::Row(fields) if !is_null => {
            let known: HashMap<String, &RawValue> = serde_json::from_str(raw.get())?;
            let pairs = fields.iter().filter_map(|(name, of)| Some((name, known.get(name.as_str())?, of)));
            let pairs = pairs.map(|(name, one, of)| Ok((name.clone(), read(one, of)?)));
            Value::Object(pairs.collect::<serde_json::Result<_>>()?)
        }
        _ => serde_json::from_str(raw.get())?,
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
        let record = r#"{"a":1,"b":"x","c":12345678.90,"d":"2020-04-15 08:00:05.123","e":[1,null],"f":{"x":2,"y":null},"g":{"k":1.5},"h":44.44}"#;
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
    fn a_batch_gives_the_same_however_it_is_read() {
        let fields = fields(
            "a INT, b STRING, c DECIMAL(10, 2), d TIMESTAMP(3), e ARRAY<ROW<x INT>>, f ROW<x BIGINT, y ARRAY<STRING>>, g MAP<STRING, DECIMAL(4, 1)>, \
             h DOUBLE, i BOOLEAN, j FLOAT, k DATE, l BYTES, m TINYINT",
        );
        let json = Json::new(fields.clone(), false, false);
        let records = [
            r#"{"a":1,"b":"x\n","c":1.10,"d":"2020-04-15 08:00:05.123","e":[{"x":1},null,{}],"f":{"x":2,"y":["p",null]},"g":{"k":1.5},"h":1e3}"#,
            r#"{"m":-3,"l":"AQI=","k":"2020-01-02","j":0.1,"i":true,"h":7,"b":12,"z":{"a":[1]}}"#,
            r#"{"a":null,"f":null,"e":[],"b":1.50,"j":3,"h":18446744073709551615}"#,
            "{}",
        ];
        let records: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
        let (slowly, _) = json.one_by_one(&records).unwrap();
        let quickly = json_columns::columns(&fields, &records, false).expect("as they should be");
        assert_eq!(quickly, slowly);
        // What is otherwise is left to the other way.
        for odd in [
            r#"{"a":"1"}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1.0}"#,
            r#"{"c":"1"}"#,
            r#"{"f":[1,[]]}"#,
            r#"{"m":300}"#,
            "[]",
            "{} 1",
            "{",
        ] {
            assert!(json_columns::columns(&fields, &[odd.as_bytes()], false).is_none(), "{odd}");
        }
        assert!(json_columns::columns(&fields, &[b"{}"], true).is_none());
    }

    #[test]
    fn what_is_no_row_is_refused_or_left_out() {
        let records: [&[u8]; 3] = [b"{\"a\":1}", b"nonsense", b"{\"a\":\"x\"}"];
        assert!(Json::new(fields("a INT"), false, false).decode(&records).is_err());
        let (_, valid) = Json::new(fields("a INT"), true, false).decode(&records).unwrap();
        assert_eq!(valid, Some(vec![true, false, false]));
    }
}
