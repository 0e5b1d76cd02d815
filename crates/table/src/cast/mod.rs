//! `CAST` and `TRY_CAST` as Flink has them: what overflows wraps around or is NULL, what cannot be read fails, strings have their length.
//!
//! | from \ to | page |
//! |---|---|
//! | anything to a string | `text.rs` |
//! | a string to anything | `parse.rs` |
//! | numbers and booleans among each other | `numbers.rs` |
//! | times among each other | `times.rs` |
//! | arrays, maps, rows | here: item by item |

mod numbers;
mod parse;
mod text;
mod times;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, ListArray, MapArray, StringArray, StructArray, new_null_array,
};
use arrow::datatypes::DataType;
use chrono_tz::Tz;
use datafusion_common::{Result, exec_err, plan_err};

pub(crate) use parse::{days, parse_date, parse_time, parse_timestamp};
pub use text::text;

use crate::types::{LogicalType, MAX_LENGTH, TypeKind};

/// How a cast is made.
#[derive(Clone, Copy)]
pub(crate) struct Casting {
    /// The session's time zone.
    pub(crate) zone: Tz,
    /// Whether what cannot be cast is NULL (`TRY_CAST`), and not an error.
    pub(crate) lenient: bool,
}

/// Whether there is a cast between these types at all.
pub(crate) fn check(from: &DataType, to: &LogicalType) -> Result<()> {
    use DataType as D;
    use TypeKind as T;
    let possible = match (from, &to.kind) {
        (D::Null, _) | (_, T::Char(_) | T::VarChar(_)) => true,
        (
            D::Utf8,
            T::Array(_)
            | T::Map(..)
            | T::Multiset(_)
            | T::Row(_)
            | T::IntervalDaySecond
            | T::IntervalYearMonth,
        ) => false,
        (D::Utf8, _) => true,
        (D::Binary, T::Binary(_) | T::VarBinary(_)) => true,
        (from, T::Boolean) => from.is_numeric() || *from == D::Boolean,
        (D::Boolean, to) => is_number(to),
        (D::Interval(_), T::TinyInt | T::SmallInt | T::Int | T::BigInt) => true,
        (from, to) if is_number(to) => from.is_numeric(),
        (D::Date32, T::Date | T::Timestamp(_) | T::TimestampLtz(_)) => true,
        (D::Time32(_), T::Time(_) | T::Timestamp(_) | T::TimestampLtz(_)) => true,
        (D::Timestamp(..), T::Date | T::Time(_) | T::Timestamp(_) | T::TimestampLtz(_)) => true,
        (D::Interval(_), T::IntervalDaySecond | T::IntervalYearMonth) => true,
        (D::List(item), T::Array(to)) => return check(item.data_type(), to),
        (D::Map(entries, _), T::Map(key, value)) => {
            let D::Struct(fields) = entries.data_type() else { return plan_err!("{from} is no map") };
            check(fields[0].data_type(), key)?;
            return check(fields[1].data_type(), value);
        }
        (D::Map(..), T::Multiset(_)) => to.to_arrow() == *from,
        (D::Struct(fields), T::Row(to)) if fields.len() == to.len() => {
            return fields.iter().zip(to).try_for_each(|(from, (_, to))| check(from.data_type(), to));
        }
        _ => false,
    };
    match possible {
        true => Ok(()),
        false => match LogicalType::from_arrow(from, true) {
            Ok(from) => plan_err!("{from} cannot be cast to {to}"),
            Err(_) => plan_err!("{from} cannot be cast to {to}"),
        },
    }
}

fn is_number(of: &TypeKind) -> bool {
    use TypeKind as T;
    matches!(of, T::TinyInt | T::SmallInt | T::Int | T::BigInt | T::Float | T::Double | T::Decimal(..))
}

/// The values as a column of the type `to`.
///
/// # Errors
/// If there is no such cast, or a value cannot be cast and the cast is not lenient.
pub(crate) fn cast(values: &ArrayRef, to: &LogicalType, casting: Casting) -> Result<ArrayRef> {
    use DataType as D;
    use TypeKind as T;
    let result = to.to_arrow();
    match (values.data_type(), &to.kind) {
        (D::Null, _) => Ok(new_null_array(&result, values.len())),
        (D::Utf8, T::Char(length)) => Ok(Arc::new(sized(values.as_string(), *length, true))),
        (D::Utf8, T::VarChar(MAX_LENGTH)) => Ok(values.clone()),
        (D::Utf8, T::VarChar(length)) => Ok(Arc::new(sized(values.as_string(), *length, false))),
        (_, T::Char(length)) => Ok(Arc::new(sized(&text::texts(values, casting.zone)?, *length, true))),
        (_, T::VarChar(MAX_LENGTH)) => Ok(Arc::new(text::texts(values, casting.zone)?)),
        (_, T::VarChar(length)) => Ok(Arc::new(sized(&text::texts(values, casting.zone)?, *length, false))),
        (D::Utf8, _) => parse::parse(values.as_string(), to, casting),
        (D::Binary, T::Binary(length) | T::VarBinary(length)) => {
            let pads = matches!(to.kind, T::Binary(_));
            Ok(Arc::new(sized_bytes(values.as_binary(), *length, pads)))
        }
        (from, _)
            if *from == result && !matches!(to.kind, T::Time(_) | T::Timestamp(_) | T::TimestampLtz(_)) =>
        {
            Ok(values.clone())
        }
        (D::Interval(_), T::TinyInt | T::SmallInt | T::Int | T::BigInt) => times::interval_to_int(values, to),
        (from, of) if (from.is_numeric() || *from == D::Boolean) && (is_number(of) || *of == T::Boolean) => {
            numbers::cast(values, to, casting)
        }
        (D::Date32 | D::Time32(_) | D::Timestamp(..), _) => times::cast(values, to, casting),
        (D::List(_), T::Array(item)) => {
            let list = values.as_list::<i32>();
            let D::List(field) = &result else { return exec_err!("{result} is no array") };
            let items = cast(list.values(), item, casting)?;
            Ok(Arc::new(ListArray::try_new(
                field.clone(),
                list.offsets().clone(),
                items,
                list.nulls().cloned(),
            )?))
        }
        (D::Map(..), T::Map(key, value)) => {
            let map = values.as_map();
            let D::Map(entries, _) = &result else { return exec_err!("{result} is no map") };
            let D::Struct(fields) = entries.data_type() else { return exec_err!("{result} is no map") };
            let columns = vec![cast(map.keys(), key, casting)?, cast(map.values(), value, casting)?];
            let pairs = StructArray::try_new(fields.clone(), columns, None)?;
            let made = MapArray::try_new(
                entries.clone(),
                map.offsets().clone(),
                pairs,
                map.nulls().cloned(),
                false,
            )?;
            Ok(Arc::new(made))
        }
        (D::Struct(_), T::Row(to)) => {
            let rows = values.as_struct();
            let D::Struct(fields) = &result else { return exec_err!("{result} is no row") };
            let columns = rows.columns().iter().zip(to).map(|(column, (_, of))| cast(column, of, casting));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, rows.nulls().cloned())?))
        }
        (from, _) => exec_err!("{from} cannot be cast to {to}"),
    }
}

/// Strings of at most `length` letters, or of just as many.
fn sized(texts: &StringArray, length: u32, pads: bool) -> StringArray {
    let length = length as usize;
    let fit = |text: &str| {
        let count = text.chars().count();
        if count > length {
            text.chars().take(length).collect()
        } else if pads {
            format!("{text}{}", " ".repeat(length - count))
        } else {
            text.to_owned()
        }
    };
    texts.iter().map(|text| text.map(fit)).collect()
}

fn sized_bytes(all: &BinaryArray, length: u32, pads: bool) -> BinaryArray {
    let length = length as usize;
    let fit = |bytes: &[u8]| {
        let mut bytes = bytes[..bytes.len().min(length)].to_vec();
        if pads {
            bytes.resize(length, 0);
        }
        bytes
    };
    all.iter().map(|bytes| bytes.map(fit)).collect()
}

#[cfg(test)]
mod tests;
