//! Flink's data types, and the Arrow types that hold them.
//!
//! | Flink | Arrow |
//! |---|---|
//! | `CHAR(n)`, `VARCHAR(n)`, `STRING` | `Utf8` |
//! | `BOOLEAN` | `Boolean` |
//! | `BINARY(n)`, `VARBINARY(n)`, `BYTES` | `Binary` |
//! | `DECIMAL(p, s)` | `Decimal128(p, s)` |
//! | `TINYINT` … `BIGINT` | `Int8` … `Int64` |
//! | `FLOAT`, `DOUBLE` | `Float32`, `Float64` |
//! | `DATE` | `Date32` |
//! | `TIME(p)` | `Time32(Millisecond)`: Flink keeps no more |
//! | `TIMESTAMP(p)` | `Timestamp(unit, None)`; the unit is the coarsest of second, milli-, micro-, nanosecond that holds `p` digits |
//! | `TIMESTAMP_LTZ(p)` | `Timestamp(unit, "UTC")`; the session's time zone is applied where it is cast or shown |
//! | `INTERVAL …` | `Interval(MonthDayNano)` |
//! | `ARRAY<t>` | `List` with the field `item` |
//! | `MAP<k, v>` | `Map` with the fields `key`, `value` in `entries` |
//! | `MULTISET<t>` | `Map` of `t` to `Int32` |
//! | `ROW<…>` | `Struct` |

use arrow::datatypes::DataType;

/// A data type and whether it has `NULL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalType {
    /// The type.
    pub kind: TypeKind,
    /// Without `NOT NULL`.
    pub nullable: bool,
}

/// Flink's data types but `RAW`, structured types and `VARIANT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// `CHAR(n)`.
    Char(u32),
    /// `VARCHAR(n)`; [`MAX_LENGTH`] is `STRING`.
    VarChar(u32),
    /// `BOOLEAN`.
    Boolean,
    /// `BINARY(n)`.
    Binary(u32),
    /// `VARBINARY(n)`; [`MAX_LENGTH`] is `BYTES`.
    VarBinary(u32),
    /// `DECIMAL(p, s)`.
    Decimal(u8, i8),
    /// `TINYINT`.
    TinyInt,
    /// `SMALLINT`.
    SmallInt,
    /// `INT`.
    Int,
    /// `BIGINT`.
    BigInt,
    /// `FLOAT`.
    Float,
    /// `DOUBLE`.
    Double,
    /// `DATE`.
    Date,
    /// `TIME(p)`.
    Time(u8),
    /// `TIMESTAMP(p)`.
    Timestamp(u8),
    /// `TIMESTAMP_LTZ(p)`.
    TimestampLtz(u8),
    /// `INTERVAL` of years and months.
    IntervalYearMonth,
    /// `INTERVAL` of days to seconds.
    IntervalDaySecond,
    /// `ARRAY<t>`.
    Array(Box<LogicalType>),
    /// `MAP<k, v>`.
    Map(Box<LogicalType>, Box<LogicalType>),
    /// `MULTISET<t>`.
    Multiset(Box<LogicalType>),
    /// `ROW<name type, …>`.
    Row(Vec<(String, LogicalType)>),
}

/// The length of `STRING` and `BYTES`.
pub const MAX_LENGTH: u32 = i32::MAX as u32;

impl LogicalType {
    /// The Arrow type that holds it.
    pub fn to_arrow(&self) -> DataType {
        use arrow::datatypes::{Field, Fields, IntervalUnit, TimeUnit};
        let field = |name: &str, of: &Self| Field::new(name, of.to_arrow(), of.nullable);
        let map = |key: &Self, value: Field| {
            let entries = Fields::from(vec![Field::new("key", key.to_arrow(), false), value]);
            DataType::Map(Field::new("entries", DataType::Struct(entries), false).into(), false)
        };
        let unit = |precision: u8| match precision {
            0 => TimeUnit::Second,
            1..=3 => TimeUnit::Millisecond,
            4..=6 => TimeUnit::Microsecond,
            _ => TimeUnit::Nanosecond,
        };
        match &self.kind {
            TypeKind::Char(_) | TypeKind::VarChar(_) => DataType::Utf8,
            TypeKind::Boolean => DataType::Boolean,
            TypeKind::Binary(_) | TypeKind::VarBinary(_) => DataType::Binary,
            TypeKind::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            TypeKind::TinyInt => DataType::Int8,
            TypeKind::SmallInt => DataType::Int16,
            TypeKind::Int => DataType::Int32,
            TypeKind::BigInt => DataType::Int64,
            TypeKind::Float => DataType::Float32,
            TypeKind::Double => DataType::Float64,
            TypeKind::Date => DataType::Date32,
            TypeKind::Time(_) => DataType::Time32(TimeUnit::Millisecond),
            TypeKind::Timestamp(precision) => DataType::Timestamp(unit(*precision), None),
            TypeKind::TimestampLtz(precision) => DataType::Timestamp(unit(*precision), Some("UTC".into())),
            TypeKind::IntervalYearMonth | TypeKind::IntervalDaySecond => {
                DataType::Interval(IntervalUnit::MonthDayNano)
            }
            TypeKind::Array(item) => DataType::List(field("item", item).into()),
            TypeKind::Map(key, value) => map(key, field("value", value)),
            TypeKind::Multiset(item) => map(item, Field::new("value", DataType::Int32, false)),
            TypeKind::Row(fields) => {
                DataType::Struct(fields.iter().map(|(name, of)| field(name, of)).collect())
            }
        }
    }
}
