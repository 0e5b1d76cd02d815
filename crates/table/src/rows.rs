//! Rows as bytes: what state keeps, what keys are compared and hashed by, and what is sorted.
//!
//! The bytes are Arrow's row format, whose order is that of the rows. State holds them, so they must not change from version to version:
//! `bytes_never_change` has golden values.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// A row, or some columns of one, as bytes. Short ones need no memory of their own.
#[derive(Clone, Eq, Default)]
pub struct RowBytes(SmallVec<[u8; 22]>);

// Compared as slices, which the compiler sees through as it does not through those of the container.
impl PartialEq for RowBytes {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice() == other.0.as_slice()
    }
}

impl PartialOrd for RowBytes {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RowBytes {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_slice().cmp(other.0.as_slice())
    }
}

impl Hash for RowBytes {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_slice().hash(state);
    }
}

impl RowBytes {
    /// A copy of these bytes.
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }
}

impl std::ops::Deref for RowBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RowBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", &self.0[..])
    }
}

impl Serialize for RowBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RowBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RowBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<RowBytes, E> {
                Ok(RowBytes::new(bytes))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// Makes bytes of columns, and columns of bytes.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Int32Array};
/// use arrow::datatypes::DataType;
/// use thalweg_table::rows::RowCodec;
///
/// let codec = RowCodec::new([&DataType::Int32])?;
/// let numbers: ArrayRef = Arc::new(Int32Array::from(vec![3, -1]));
/// let rows = codec.encode(&[numbers.clone()])?;
/// assert!(rows.row(1) < rows.row(0));
/// assert_eq!(codec.decode([0, 1].map(|row| rows.row(row).data()))?, [numbers]);
/// # Ok::<(), arrow::error::ArrowError>(())
/// ```
pub struct RowCodec {
    converter: RowConverter,
}

impl RowCodec {
    /// For columns of these types, in ascending order, NULLs first.
    ///
    /// # Errors
    /// If one of the types has no row format.
    pub fn new<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Result<Self, ArrowError> {
        Self::sorting(types.into_iter().map(|of| SortField::new(of.clone())).collect())
    }

    /// For all columns of a schema.
    ///
    /// # Errors
    /// If one of the types has no row format.
    pub fn of_schema(schema: &SchemaRef) -> Result<Self, ArrowError> {
        Self::new(schema.fields().iter().map(|field| field.data_type()))
    }

    /// For these columns of a schema.
    ///
    /// # Errors
    /// If one of the types has no row format.
    pub fn of_columns(schema: &SchemaRef, columns: &[usize]) -> Result<Self, ArrowError> {
        Self::new(columns.iter().map(|column| schema.field(*column).data_type()))
    }

    /// For columns in another order.
    ///
    /// # Errors
    /// If one of the types has no row format.
    pub fn sorting(fields: Vec<SortField>) -> Result<Self, ArrowError> {
        Ok(Self { converter: RowConverter::new(fields)? })
    }

    /// The bytes of each row.
    ///
    /// # Errors
    /// If the columns have other types.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Rows, ArrowError> {
        self.converter.convert_columns(columns)
    }

    /// The columns of these rows.
    ///
    /// # Errors
    /// If a row has no such columns.
    pub fn decode<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        let parser = self.converter.parser();
        self.converter.convert_rows(rows.into_iter().map(|row| parser.parse(row)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;

    /// If this fails after an update of Arrow, old state can no longer be read: the format has to be kept by an encoding of our own.
    #[test]
    fn bytes_never_change() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None])),
            Arc::new(StringArray::from(vec![Some("thalweg"), Some("")])),
            Arc::new(Float64Array::from(vec![Some(-1.5), None])),
            Arc::new(TimestampMillisecondArray::from(vec![Some(1_586_937_605_000), None])),
            Arc::new(Decimal128Array::from(vec![Some(500), None]).with_precision_and_scale(10, 2).unwrap()),
        ];
        let codec = RowCodec::new(columns.iter().map(|column| column.data_type())).unwrap();
        let rows = codec.encode(&columns).unwrap();
        let hex =
            |row: usize| rows.row(row).data().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            [hex(0), hex(1)],
            [
                "018000000000000001027468616c7765670007014007ffffffffffff01800001717cda2b8801800000000000000000000000000001f4",
                "000000000000000000010000000000000000000000000000000000000000000000000000000000000000000000"
            ]
        );
    }
}
