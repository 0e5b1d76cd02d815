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
        // Inside of a value anything may be NULL: types that differ in that alone are the same. Sinks look at what was declared.
        let field = |name: &str, of: &Self| Field::new(name, of.to_arrow(), true);
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

impl LogicalType {
    /// The type of a column of this Arrow type.
    ///
    /// # Errors
    /// If Flink has no such type.
    pub fn from_arrow(of: &DataType, nullable: bool) -> Result<Self, crate::error::SqlError> {
        use arrow::datatypes::TimeUnit;
        let digits = |unit: &TimeUnit| match unit {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        };
        let of_field =
            |field: &arrow::datatypes::Field| Self::from_arrow(field.data_type(), field.is_nullable());
        let kind = match of {
            DataType::Utf8 | DataType::Null => TypeKind::VarChar(MAX_LENGTH),
            DataType::Boolean => TypeKind::Boolean,
            DataType::Binary => TypeKind::VarBinary(MAX_LENGTH),
            DataType::Decimal128(precision, scale) => TypeKind::Decimal(*precision, *scale),
            DataType::Int8 => TypeKind::TinyInt,
            DataType::Int16 => TypeKind::SmallInt,
            DataType::Int32 => TypeKind::Int,
            DataType::Int64 => TypeKind::BigInt,
            DataType::Float32 => TypeKind::Float,
            DataType::Float64 => TypeKind::Double,
            DataType::Date32 => TypeKind::Date,
            DataType::Time32(_) => TypeKind::Time(3),
            DataType::Timestamp(unit, None) => TypeKind::Timestamp(digits(unit)),
            DataType::Timestamp(unit, Some(_)) => TypeKind::TimestampLtz(digits(unit)),
            DataType::Interval(_) => TypeKind::IntervalDaySecond,
            DataType::List(item) => TypeKind::Array(Box::new(of_field(item)?)),
            DataType::Struct(fields) => {
                let field = |field: &arrow::datatypes::FieldRef| Ok((field.name().clone(), of_field(field)?));
                TypeKind::Row(fields.iter().map(field).collect::<Result<_, crate::error::SqlError>>()?)
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    TypeKind::Map(Box::new(of_field(&fields[0])?), Box::new(of_field(&fields[1])?))
                }
                other => return Err(crate::error::SqlError::new(format!("{other} are no entries of a map"))),
            },
            other => return Err(crate::error::SqlError::new(format!("there is no type for {other}"))),
        };
        Ok(Self { kind, nullable })
    }
}

impl std::fmt::Display for LogicalType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            TypeKind::Char(length) => write!(f, "CHAR({length})"),
            TypeKind::VarChar(MAX_LENGTH) => f.write_str("STRING"),
            TypeKind::VarChar(length) => write!(f, "VARCHAR({length})"),
            TypeKind::Boolean => f.write_str("BOOLEAN"),
            TypeKind::Binary(length) => write!(f, "BINARY({length})"),
            TypeKind::VarBinary(MAX_LENGTH) => f.write_str("BYTES"),
            TypeKind::VarBinary(length) => write!(f, "VARBINARY({length})"),
            TypeKind::Decimal(precision, scale) => write!(f, "DECIMAL({precision}, {scale})"),
            TypeKind::TinyInt => f.write_str("TINYINT"),
            TypeKind::SmallInt => f.write_str("SMALLINT"),
            TypeKind::Int => f.write_str("INT"),
            TypeKind::BigInt => f.write_str("BIGINT"),
            TypeKind::Float => f.write_str("FLOAT"),
            TypeKind::Double => f.write_str("DOUBLE"),
            TypeKind::Date => f.write_str("DATE"),
            TypeKind::Time(digits) => write!(f, "TIME({digits})"),
            TypeKind::Timestamp(digits) => write!(f, "TIMESTAMP({digits})"),
            TypeKind::TimestampLtz(digits) => write!(f, "TIMESTAMP_LTZ({digits})"),
            TypeKind::IntervalYearMonth => f.write_str("INTERVAL YEAR TO MONTH"),
            TypeKind::IntervalDaySecond => f.write_str("INTERVAL DAY TO SECOND(3)"),
            TypeKind::Array(item) => write!(f, "ARRAY<{item}>"),
            TypeKind::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            TypeKind::Multiset(item) => write!(f, "MULTISET<{item}>"),
            TypeKind::Row(fields) => {
                f.write_str("ROW<")?;
                for (index, (name, of)) in fields.iter().enumerate() {
                    write!(f, "{}`{name}` {of}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(">")
            }
        }?;
        if self.nullable { Ok(()) } else { f.write_str(" NOT NULL") }
    }
}
