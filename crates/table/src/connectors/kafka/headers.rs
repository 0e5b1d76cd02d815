//! The headers of records as a column: `MAP<STRING, BYTES>`.

use std::collections::BTreeMap;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, MapArray, MapBuilder, MapFieldNames, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use thalweg_dataflow::error::BoxError;

use super::Fetched;

/// The name and the value of each header.
pub(super) type Headers = Vec<(Box<str>, Box<[u8]>)>;

/// The headers of records, as a column; of those with the same name the last one counts.
pub(super) fn column(records: &[&Fetched], of: &DataType) -> Result<ArrayRef, BoxError> {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), BinaryBuilder::new());
    for record in records {
        let last: BTreeMap<&str, &[u8]> =
            record.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        for (name, value) in last {
            maps.keys().append_value(name);
            maps.values().append_value(value);
        }
        maps.append(true)?;
    }
    Ok(cast(&maps.finish(), of)?)
}

/// A column of headers that are to be written, as maps of names to bytes.
pub(super) fn as_maps(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Binary, true)];
    let entries = Field::new("entries", DataType::Struct(fields.into()), false);
    cast(column, &DataType::Map(entries.into(), false))
}

/// The headers of a row, out of a column that is a map of names to bytes.
pub(super) fn of_row(maps: &MapArray, row: usize) -> Headers {
    if maps.is_null(row) {
        return Headers::new();
    }
    let range = maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize;
    let (names, values) = (maps.keys().as_string::<i32>(), maps.values().as_binary::<i32>());
    range
        .filter(|at| values.is_valid(*at))
        .map(|at| (names.value(at).into(), values.value(at).into()))
        .collect()
}
