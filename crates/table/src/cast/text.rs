//! Anything as a string: as `CAST(… AS STRING)` gives it, and as tables of results show it.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, IntervalUnit, Time32MillisecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, Datelike, NaiveDate, TimeZone, Timelike};
use chrono_tz::Tz;
use datafusion_common::Result;

use crate::display::{java_double, java_float};

/// One value, as Flink's results show it; none, if it is NULL.
pub fn text(values: &ArrayRef, row: usize, zone: Tz) -> Option<String> {
    values.is_valid(row).then(|| shown(values, row, zone, true))
}

/// The values as strings.
pub(super) fn texts(values: &ArrayRef, zone: Tz) -> Result<StringArray> {
    let text = |row: usize| values.is_valid(row).then(|| shown(values, row, zone, false));
    Ok((0..values.len()).map(text).collect())
}

/// A value; `print` for people: bytes as hexadecimal digits.
fn shown(values: &ArrayRef, row: usize, zone: Tz, print: bool) -> String {
    if values.is_null(row) || *values.data_type() == DataType::Null {
        return "NULL".to_owned();
    }
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value(row).to_owned(),
        DataType::Boolean => if values.as_boolean().value(row) { "TRUE" } else { "FALSE" }.to_owned(),
        DataType::Int8 => values.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => values.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => values.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => java_float(values.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => java_double(values.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => values.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Binary => {
            let bytes = values.as_binary::<i32>().value(row);
            match print {
                true => format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
                false => String::from_utf8_lossy(bytes).into_owned(),
            }
        }
        DataType::Date32 => values.as_primitive::<Date32Type>().value_as_date(row).map_or_else(null, date),
        DataType::Time32(TimeUnit::Millisecond) => {
            let time = values.as_primitive::<Time32MillisecondType>().value(row);
            let (seconds, millis) = (time / 1000, time % 1000);
            let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            match millis {
                0 => clock,
                millis => format!("{clock}.{millis:03}").trim_end_matches('0').to_owned(),
            }
        }
        DataType::Timestamp(..) => timestamp(values, row, zone),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = values.as_primitive::<IntervalMonthDayNanoType>().value(row);
            match value.months {
                0 => days_to_seconds(i64::from(value.days) * 86_400_000 + value.nanoseconds / 1_000_000),
                months => years_and_months(months),
            }
        }
        DataType::List(_) => {
            let items = values.as_list::<i32>().value(row);
            let items = (0..items.len()).map(|item| shown(&items, item, zone, print));
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let (start, end) = (map.value_offsets()[row] as usize, map.value_offsets()[row + 1] as usize);
            let pair = |at| {
                format!("{}={}", shown(map.keys(), at, zone, print), shown(map.values(), at, zone, print))
            };
            format!("{{{}}}", (start..end).map(pair).collect::<Vec<_>>().join(", "))
        }
        DataType::Struct(_) => {
            let fields = values.as_struct().columns().iter().map(|column| shown(column, row, zone, print));
            format!("({})", fields.collect::<Vec<_>>().join(", "))
        }
        other => format!("<{other}>"),
    }
}

fn null() -> String {
    "NULL".to_owned()
}

fn date(of: NaiveDate) -> String {
    format!("{:04}-{:02}-{:02}", of.year(), of.month(), of.day())
}

/// A point in time, with as many digits behind the second as its type has; by the clock of `zone`, if it is one on the time line.
fn timestamp(values: &ArrayRef, row: usize, zone: Tz) -> String {
    let DataType::Timestamp(unit, in_zone) = values.data_type() else { return null() };
    let time = match unit {
        TimeUnit::Second => {
            DateTime::from_timestamp(values.as_primitive::<TimestampSecondType>().value(row), 0)
        }
        TimeUnit::Millisecond => {
            DateTime::from_timestamp_millis(values.as_primitive::<TimestampMillisecondType>().value(row))
        }
        TimeUnit::Microsecond => {
            DateTime::from_timestamp_micros(values.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        TimeUnit::Nanosecond => {
            Some(DateTime::from_timestamp_nanos(values.as_primitive::<TimestampNanosecondType>().value(row)))
        }
    };
    let Some(time) = time else { return null() };
    let time = match in_zone {
        Some(_) => zone.from_utc_datetime(&time.naive_utc()).naive_local(),
        None => time.naive_utc(),
    };
    let text = format!("{} {:02}:{:02}:{:02}", date(time.date()), time.hour(), time.minute(), time.second());
    match unit {
        TimeUnit::Second => text,
        TimeUnit::Millisecond => format!("{text}.{:03}", time.nanosecond() / 1_000_000),
        TimeUnit::Microsecond => format!("{text}.{:06}", time.nanosecond() / 1000),
        TimeUnit::Nanosecond => format!("{text}.{:09}", time.nanosecond()),
    }
}

/// `+1-02`.
fn years_and_months(months: i32) -> String {
    let sign = if months < 0 { '-' } else { '+' };
    let months = months.unsigned_abs();
    format!("{sign}{}-{:02}", months / 12, months % 12)
}

/// `+1 02:03:04.500`.
fn days_to_seconds(millis: i64) -> String {
    let sign = if millis < 0 { '-' } else { '+' };
    let millis = millis.unsigned_abs();
    let seconds = millis / 1000;
    format!(
        "{sign}{} {:02}:{:02}:{:02}.{:03}",
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        millis % 1000
    )
}
