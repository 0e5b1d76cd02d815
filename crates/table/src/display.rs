//! Values as Flink shows them in `print` and in results: as Java prints what it hands to users.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, IntervalUnit, Time32MillisecondType, TimeUnit,
};
use chrono::{DateTime, Timelike, Utc};

/// One value, as text; `null` if there is none.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Float64Array, TimestampMillisecondArray};
/// use thalweg_table::display::display;
///
/// let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_586_937_600_000, 1_586_937_600_500]));
/// assert_eq!([display(&times, 0), display(&times, 1)], ["2020-04-15T08:00", "2020-04-15T08:00:00.500"]);
/// let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1e10, 1.0]));
/// assert_eq!([display(&numbers, 0), display(&numbers, 1)], ["1.0E10", "1.0"]);
/// ```
pub fn display(values: &ArrayRef, row: usize) -> String {
    if values.is_null(row) || *values.data_type() == DataType::Null {
        return "null".to_owned();
    }
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value(row).to_owned(),
        DataType::Boolean => values.as_boolean().value(row).to_string(),
        DataType::Int8 => values.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => values.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => values.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => java_float(values.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => java_double(values.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => values.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Binary => {
            joined(values.as_binary::<i32>().value(row).iter().map(|byte| (*byte as i8).to_string()))
        }
        DataType::Date32 => values
            .as_primitive::<Date32Type>()
            .value_as_date(row)
            .map_or_else(|| "null".to_owned(), |date| date.to_string()),
        DataType::Time32(TimeUnit::Millisecond) => values
            .as_primitive::<Time32MillisecondType>()
            .value_as_time(row)
            .map_or_else(|| "null".to_owned(), |time| clock(&time, true)),
        DataType::Timestamp(_, zone) => match point_in_time(values, row) {
            Some(time) if zone.is_some() => format!("{}T{}Z", time.date_naive(), clock(&time, false)),
            Some(time) => format!("{}T{}", time.date_naive(), clock(&time, true)),
            None => "null".to_owned(),
        },
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = values.as_primitive::<IntervalMonthDayNanoType>().value(row);
            match value.months {
                0 => duration(i64::from(value.days) * 86_400_000 + value.nanoseconds / 1_000_000),
                months => format!("P{}Y{}M", months / 12, months % 12),
            }
        }
        DataType::List(_) => {
            let items = values.as_list::<i32>().value(row);
            joined((0..items.len()).map(|item| display(&items, item)))
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let (start, end) = (map.value_offsets()[row] as usize, map.value_offsets()[row + 1] as usize);
            let pairs =
                (start..end).map(|at| format!("{}={}", display(map.keys(), at), display(map.values(), at)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        DataType::Struct(_) => {
            let fields = values.as_struct().columns().iter().map(|column| display(column, row));
            format!("+I{}", joined(fields))
        }
        other => format!("<{other}>"),
    }
}

/// A point in time as the SQL standard writes it: `2020-04-15 08:00:05.123`, its fraction without zeros at the end.
pub(crate) fn sql_timestamp(values: &ArrayRef, row: usize) -> String {
    let Some(time) = point_in_time(values, row) else { return "null".to_owned() };
    let text = format!("{} {:02}:{:02}:{:02}", time.date_naive(), time.hour(), time.minute(), time.second());
    match time.nanosecond() {
        0 => text,
        nanos => format!("{text}.{}", format!("{nanos:09}").trim_end_matches('0')),
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn point_in_time(values: &ArrayRef, row: usize) -> Option<DateTime<Utc>> {
    let DataType::Timestamp(unit, _) = values.data_type() else { return None };
    let value = arrow::compute::cast(&values.slice(row, 1), &DataType::Int64).ok()?;
    let value = value.as_primitive::<Int64Type>().value(0);
    match unit {
        TimeUnit::Second => DateTime::from_timestamp(value, 0),
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(value),
        TimeUnit::Microsecond => DateTime::from_timestamp_micros(value),
        TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(value)),
    }
}

/// Hours, minutes, and what is not zero of seconds and their fraction, in threes of digits.
fn clock(time: &impl Timelike, without_zeros: bool) -> String {
    let text = format!("{:02}:{:02}", time.hour(), time.minute());
    match (time.second(), time.nanosecond()) {
        (0, 0) if without_zeros => text,
        (second, 0) => format!("{text}:{second:02}"),
        (second, nanos) if nanos % 1_000_000 == 0 => format!("{text}:{second:02}.{:03}", nanos / 1_000_000),
        (second, nanos) if nanos % 1000 == 0 => format!("{text}:{second:02}.{:06}", nanos / 1000),
        (second, nanos) => format!("{text}:{second:02}.{nanos:09}"),
    }
}

/// As `java.time.Duration` prints it.
fn duration(millis: i64) -> String {
    let (seconds, rest) = (millis / 1000, millis % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = "PT".to_owned();
    if hours != 0 {
        text.push_str(&format!("{hours}H"));
    }
    if minutes != 0 {
        text.push_str(&format!("{minutes}M"));
    }
    match (seconds, rest) {
        (0, 0) if text.len() > 2 => {}
        (seconds, 0) => text.push_str(&format!("{seconds}S")),
        (seconds, rest) => {
            let sign = if seconds == 0 && rest < 0 { "-" } else { "" };
            let fraction = format!("{:03}", rest.abs());
            text.push_str(&format!("{sign}{seconds}.{}S", fraction.trim_end_matches('0')));
        }
    }
    text
}

/// As `Double.toString` prints it.
pub fn java_double(value: f64) -> String {
    scientific(value, format!("{value:e}"), value.abs())
}

/// As `Float.toString` prints it.
pub fn java_float(value: f32) -> String {
    scientific(f64::from(value), format!("{value:e}"), f64::from(value.abs()))
}

/// `shortest` has the shortest digits that tell the number from its neighbours, with an exponent.
fn scientific(value: f64, shortest: String, size: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    if size != 0.0 && !(1e-3..1e7).contains(&size) {
        let point = if digits.contains('.') { "" } else { ".0" };
        return format!("{digits}{point}E{exponent}");
    }
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let plain: String = digits.chars().filter(|digit| *digit != '.').collect();
    if exponent < 0 {
        return format!("{sign}0.{}{plain}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    match plain.len() > whole {
        true => format!("{sign}{}.{}", &plain[..whole], &plain[whole..]),
        false => format!("{sign}{plain}{}.0", "0".repeat(whole - plain.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_java_prints_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (44.44, "44.44"),
            (100.02, "100.02"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (1_234_567.0, "1234567.0"),
            (12_345_678.0, "1.2345678E7"),
            (-1.5e-10, "-1.5E-10"),
        ];
        for (value, text) in cases {
            assert_eq!(java_double(value), text);
        }
        assert_eq!(java_float(3.33), "3.33");
    }
}
