//! Times: parsed, formatted, and told.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use datafusion_common::Result;
use datafusion_expr::Volatility;
use thalweg_dataflow::time::MIN_WATERMARK;

use super::builtin::{Arguments, Builtin, Call, as_they_are, strings};
use crate::now;

const LOCAL: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

pub(super) fn point_in_time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn zone(call: &Call<'_>) -> Tz {
    call.config.execution.time_zone.as_deref().and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC)
}

fn now_of(call: &Call<'_>) -> Result<ArrayRef> {
    let times = TimestampMillisecondArray::from_value(now::processing_time(), call.rows);
    Ok(Arc::new(times.with_timezone("UTC")))
}

pub(super) static FUNCTIONS: [Builtin; 7] = [
    Builtin {
        name: "PROCTIME",
        arity: (0, 0),
        coerce: as_they_are,
        result: |_: &Arguments<'_>| Ok(point_in_time()),
        run: now_of,
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "CURRENT_TIMESTAMP",
        arity: (0, 0),
        coerce: as_they_are,
        result: |_: &Arguments<'_>| Ok(point_in_time()),
        run: now_of,
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "NOW",
        arity: (0, 0),
        coerce: as_they_are,
        result: |_: &Arguments<'_>| Ok(point_in_time()),
        run: now_of,
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "CURRENT_WATERMARK",
        arity: (1, 1),
        coerce: as_they_are,
        result: |arguments: &Arguments<'_>| {
            Ok(match &arguments.types[0] {
                DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
                _ => LOCAL,
            })
        },
        run: |call| {
            let watermark = Some(now::watermark()).filter(|watermark| *watermark != MIN_WATERMARK);
            let times: TimestampMillisecondArray = std::iter::repeat_n(watermark, call.rows).collect();
            Ok(arrow::compute::cast(&times, call.result)?)
        },
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "SOURCE_WATERMARK",
        arity: (0, 0),
        coerce: as_they_are,
        result: |_: &Arguments<'_>| Ok(LOCAL),
        run: |_| datafusion_common::exec_err!("SOURCE_WATERMARK() stands in a WATERMARK clause alone"),
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "TO_TIMESTAMP",
        arity: (1, 2),
        coerce: strings,
        result: |_: &Arguments<'_>| Ok(LOCAL),
        run: |call| {
            let texts = call.arguments[0].as_string::<i32>();
            let formats = call.arguments.get(1).map(|formats| formats.as_string::<i32>());
            let value = |row: usize| {
                if texts.is_null(row) {
                    return None;
                }
                match formats {
                    None => parse(texts.value(row)),
                    Some(formats) if formats.is_null(row) => None,
                    Some(formats) => parse_as(texts.value(row), formats.value(row)),
                }
            };
            Ok(Arc::new((0..call.rows).map(value).collect::<TimestampMillisecondArray>()))
        },
        volatility: Volatility::Immutable,
    },
    Builtin {
        name: "FROM_UNIXTIME",
        arity: (1, 2),
        coerce: |types| {
            let mut types = types.to_vec();
            types[0] = DataType::Int64;
            Ok(types)
        },
        result: |_: &Arguments<'_>| Ok(DataType::Utf8),
        run: |call| {
            let (seconds, zone) = (call.arguments[0].as_primitive::<Int64Type>(), zone(call));
            let formats = call.arguments.get(1).map(|formats| formats.as_string::<i32>());
            let value = |row: usize| {
                if seconds.is_null(row) {
                    return None;
                }
                let time = DateTime::from_timestamp(seconds.value(row), 0)?;
                let local = zone.from_utc_datetime(&time.naive_utc()).naive_local();
                match formats {
                    None => Some(local.format("%Y-%m-%d %H:%M:%S").to_string()),
                    Some(formats) if formats.is_null(row) => None,
                    Some(formats) => Some(local.format(&pattern(formats.value(row))).to_string()),
                }
            };
            Ok(Arc::new((0..call.rows).map(value).collect::<StringArray>()))
        },
        volatility: Volatility::Immutable,
    },
];

/// `2020-04-15 08:00:05[.123]`, or `2020-04-15`.
fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"));
    match time {
        Ok(time) => Some(time.and_utc().timestamp_millis()),
        Err(_) => {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
        }
    }
}

fn parse_as(text: &str, format: &str) -> Option<i64> {
    let pattern = pattern(format);
    if let Ok(time) = NaiveDateTime::parse_from_str(text, &pattern) {
        return Some(time.and_utc().timestamp_millis());
    }
    let date = NaiveDate::parse_from_str(text, &pattern).ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

/// A pattern of Java's as one of `chrono`'s.
fn pattern(java: &str) -> String {
    let (mut pattern, mut letters) = (String::new(), java.chars().peekable());
    while let Some(letter) = letters.next() {
        if letter == '\'' {
            for quoted in letters.by_ref().take_while(|letter| *letter != '\'') {
                pattern.push(quoted);
            }
            continue;
        }
        let mut length = 1;
        while letters.peek() == Some(&letter) {
            letters.next();
            length += 1;
        }
        match (letter, length) {
            ('y' | 'u', 2) => pattern.push_str("%y"),
            ('y' | 'u', _) => pattern.push_str("%Y"),
            ('M', 1) => pattern.push_str("%-m"),
            ('M', 2) => pattern.push_str("%m"),
            ('M', 3) => pattern.push_str("%b"),
            ('M', _) => pattern.push_str("%B"),
            ('d', 1) => pattern.push_str("%-d"),
            ('d', _) => pattern.push_str("%d"),
            ('D', _) => pattern.push_str("%j"),
            ('H', 1) => pattern.push_str("%-H"),
            ('H', _) => pattern.push_str("%H"),
            ('h', _) => pattern.push_str("%I"),
            ('m', 1) => pattern.push_str("%-M"),
            ('m', _) => pattern.push_str("%M"),
            ('s', 1) => pattern.push_str("%-S"),
            ('s', _) => pattern.push_str("%S"),
            ('S', 1..=3) => pattern.push_str("%3f"),
            ('S', 4..=6) => pattern.push_str("%6f"),
            ('S', _) => pattern.push_str("%9f"),
            ('a', _) => pattern.push_str("%p"),
            ('E', 1..=3) => pattern.push_str("%a"),
            ('E', _) => pattern.push_str("%A"),
            (other, length) => (0..length).for_each(|_| pattern.push(other)),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_flink_reads_them() {
        assert_eq!(parse("1970-01-01 00:00:01.5"), Some(1500));
        assert_eq!(parse("1970-01-02"), Some(86_400_000));
        assert_eq!(parse("yesterday"), None);
        assert_eq!(parse_as("02.01.1970 10:00", "dd.MM.yyyy HH:mm"), Some(122_400_000));
    }
}
