//! Times: parsed, formatted, and told.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use datafusion_common::Result;
use datafusion_expr::Volatility;
use thalweg_dataflow::time::MIN_WATERMARK;

use super::builtin::{
    Arguments, Builtin, Call, Takes, as_they_are, int, ints, long, longs, pure, text, texts,
};
use crate::now;
use crate::operators::{to_local, to_utc};

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

/// The time now, under one of its names.
const fn now_called(name: &'static str) -> Builtin {
    Builtin {
        name,
        takes: Takes::By((0, 0), as_they_are),
        result: |_: &Arguments<'_>| Ok(point_in_time()),
        run: now_of,
        volatility: Volatility::Volatile,
    }
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    now_called("PROCTIME"),
    now_called("CURRENT_TIMESTAMP"),
    now_called("NOW"),
    Builtin {
        name: "CURRENT_WATERMARK",
        takes: Takes::By((1, 1), as_they_are),
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
        takes: Takes::By((0, 0), as_they_are),
        result: |_: &Arguments<'_>| Ok(LOCAL),
        run: |_| datafusion_common::exec_err!("SOURCE_WATERMARK() stands in a WATERMARK clause alone"),
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "TO_TIMESTAMP",
        takes: Takes::Letters("s?s"),
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
        takes: Takes::Letters("i?s"),
        result: text,
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
    Builtin {
        name: "LOCALTIMESTAMP",
        takes: Takes::By((0, 0), as_they_are),
        result: |_: &Arguments<'_>| Ok(LOCAL),
        run: |call| {
            let local = to_local(Some(zone(call)), now::processing_time());
            Ok(Arc::new(TimestampMillisecondArray::from_value(local, call.rows)))
        },
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "CURRENT_DATE",
        takes: Takes::By((0, 0), as_they_are),
        result: |_: &Arguments<'_>| Ok(DataType::Date32),
        run: |call| {
            let local = to_local(Some(zone(call)), now::processing_time());
            Ok(Arc::new(arrow::array::Date32Array::from_value(
                local.div_euclid(86_400_000) as i32,
                call.rows,
            )))
        },
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "UNIX_TIMESTAMP",
        takes: Takes::Letters("?ss"),
        result: long,
        run: |call| {
            let zone = zone(call);
            longs(call, |row| {
                let local = match row.len() {
                    0 => return Some(now::processing_time() / 1000),
                    1 => parse(row.text(0)?)?,
                    _ => parse_as(row.text(0)?, row.text(1)?)?,
                };
                Some(to_utc(Some(zone), local).div_euclid(1000))
            })
        },
        volatility: Volatility::Volatile,
    },
    pure("DATE_FORMAT", "ts", text, |call| {
        let shown = shown_in(call, 0);
        texts(call, |row| {
            let local = DateTime::from_timestamp_millis(to_local(shown, row.time(0)?))?;
            Some(local.naive_utc().format(&pattern(row.text(1)?)).to_string())
        })
    }),
    pure(
        "TO_TIMESTAMP_LTZ",
        "*?*",
        |_| Ok(point_in_time()),
        |call| {
            let zone = zone(call);
            let times: ArrayRef = match call.arguments[0].data_type() {
                DataType::Utf8 => {
                    let texts = call.arguments[0].as_string::<i32>().iter();
                    let times = texts.map(|text| Some(to_utc(Some(zone), parse(text?)?)));
                    Arc::new(times.collect::<TimestampMillisecondArray>())
                }
                _ => {
                    let numbers = cast(&call.arguments[0], &DataType::Int64)?;
                    let seconds = match call.arguments.get(1) {
                        Some(digits) => {
                            let digits = cast(digits, &DataType::Int64)?;
                            !digits.is_empty() && digits.as_primitive::<Int64Type>().value(0) == 0
                        }
                        None => false,
                    };
                    let by = if seconds { 1000 } else { 1 };
                    let times = numbers.as_primitive::<Int64Type>().iter().map(|time| time?.checked_mul(by));
                    Arc::new(times.collect::<TimestampMillisecondArray>())
                }
            };
            Ok(cast(&times, call.result)?)
        },
    ),
    pure(
        "TO_DATE",
        "s?s",
        |_| Ok(DataType::Date32),
        |call| {
            let dates = (0..call.rows).map(|row| {
                let texts = call.arguments[0].as_string::<i32>();
                let text = texts.is_valid(row).then(|| texts.value(row))?;
                let time = match call.arguments.get(1).map(|formats| formats.as_string::<i32>()) {
                    Some(formats) => parse_as(text, formats.is_valid(row).then(|| formats.value(row))?)?,
                    None => parse(text)?,
                };
                Some(time.div_euclid(86_400_000) as i32)
            });
            Ok(Arc::new(dates.collect::<arrow::array::Date32Array>()))
        },
    ),
    pure("$extract", "st", long, |call| {
        let shown = shown_in(call, 1);
        longs(call, |row| part(row.text(0)?, to_local(shown, row.time(1)?)))
    }),
    pure("YEAR", "t", long, |call| longs(call, |row| part("YEAR", row.time(0)?))),
    pure("QUARTER", "t", long, |call| longs(call, |row| part("QUARTER", row.time(0)?))),
    pure("MONTH", "t", long, |call| longs(call, |row| part("MONTH", row.time(0)?))),
    pure("WEEK", "t", long, |call| longs(call, |row| part("WEEK", row.time(0)?))),
    pure("DAYOFYEAR", "t", long, |call| longs(call, |row| part("DOY", row.time(0)?))),
    pure("DAYOFMONTH", "t", long, |call| longs(call, |row| part("DAY", row.time(0)?))),
    pure("DAYOFWEEK", "t", long, |call| longs(call, |row| part("DOW", row.time(0)?))),
    pure("HOUR", "t", long, |call| longs(call, |row| part("HOUR", row.time(0)?))),
    pure("MINUTE", "t", long, |call| longs(call, |row| part("MINUTE", row.time(0)?))),
    pure("SECOND", "t", long, |call| longs(call, |row| part("SECOND", row.time(0)?))),
    pure(
        "$floor",
        "ts",
        |arguments| Ok(arguments.types[0].clone()),
        |call| {
            let shown = shown_in(call, 0);
            let times = (0..call.rows).map(|row| {
                let row = super::builtin::Row { arguments: call.arguments, row };
                Some(to_utc(shown, floor(row.text(1)?, to_local(shown, row.time(0)?))?))
            });
            Ok(cast(&times.collect::<TimestampMillisecondArray>(), call.result)?)
        },
    ),
    pure("TIMESTAMPDIFF", "stt", int, |call| {
        ints(call, |row| {
            let (from, to) = (row.time(1)?, row.time(2)?);
            let unit = row.text(0)?.trim_end_matches('S').to_uppercase();
            let length = match unit.as_str() {
                "SECOND" => 1000,
                "MINUTE" => 60_000,
                "HOUR" => 3_600_000,
                "DAY" => 86_400_000,
                "WEEK" => 7 * 86_400_000,
                "MONTH" => return Some(months_between(from, to)),
                "QUARTER" => return Some(months_between(from, to) / 3),
                "YEAR" => return Some(months_between(from, to) / 12),
                _ => return None,
            };
            Some(((to - from) / length) as i32)
        })
    }),
    pure(
        "TIMESTAMPADD",
        "sit",
        |arguments| Ok(arguments.types[2].clone()),
        |call| {
            let times = (0..call.rows).map(|row| {
                let row = super::builtin::Row { arguments: call.arguments, row };
                let (by, time) = (row.int(1)?, row.time(2)?);
                let unit = row.text(0)?.trim_end_matches('S').to_uppercase();
                let length = match unit.as_str() {
                    "SECOND" => 1000,
                    "MINUTE" => 60_000,
                    "HOUR" => 3_600_000,
                    "DAY" => 86_400_000,
                    "WEEK" => 7 * 86_400_000,
                    "MONTH" | "QUARTER" | "YEAR" => {
                        let months = by
                            * match unit.as_str() {
                                "MONTH" => 1,
                                "QUARTER" => 3,
                                _ => 12,
                            };
                        let date = DateTime::from_timestamp_millis(time)?;
                        let size = chrono::Months::new(u32::try_from(months.abs()).ok()?);
                        let moved = if months < 0 {
                            date.checked_sub_months(size)
                        } else {
                            date.checked_add_months(size)
                        };
                        return moved.map(|moved| moved.timestamp_millis());
                    }
                    _ => return None,
                };
                time.checked_add(by.checked_mul(length)?)
            });
            Ok(cast(&times.collect::<TimestampMillisecondArray>(), call.result)?)
        },
    ),
];

/// The zone in whose clock an argument is shown: of a point in time that of the session.
fn shown_in(call: &Call<'_>, argument: usize) -> Option<Tz> {
    match call.arguments[argument].data_type() {
        DataType::Timestamp(_, Some(_)) => Some(zone(call)),
        _ => None,
    }
}

/// A part of a time on the clock.
fn part(unit: &str, local: i64) -> Option<i64> {
    use chrono::{Datelike, Timelike};
    let time = DateTime::from_timestamp_millis(local)?;
    Some(match unit.to_uppercase().as_str() {
        "YEAR" => i64::from(time.year()),
        "QUARTER" => i64::from(time.month0() / 3 + 1),
        "MONTH" => i64::from(time.month()),
        "WEEK" => i64::from(time.iso_week().week()),
        "DAY" => i64::from(time.day()),
        "DOY" => i64::from(time.ordinal()),
        // Sunday is the first.
        "DOW" => i64::from(time.weekday().num_days_from_sunday() + 1),
        "ISODOW" => i64::from(time.weekday().number_from_monday()),
        "HOUR" => i64::from(time.hour()),
        "MINUTE" => i64::from(time.minute()),
        "SECOND" => i64::from(time.second()),
        "MILLISECOND" => i64::from(time.second()) * 1000 + i64::from(time.nanosecond() / 1_000_000),
        "EPOCH" => local.div_euclid(1000),
        _ => return None,
    })
}

/// The beginning of the unit that a time is in.
fn floor(unit: &str, local: i64) -> Option<i64> {
    use chrono::{Datelike, Days};
    let date = DateTime::from_timestamp_millis(local)?.date_naive();
    let begin = match unit.to_uppercase().as_str() {
        "SECOND" => return Some(local - local.rem_euclid(1000)),
        "MINUTE" => return Some(local - local.rem_euclid(60_000)),
        "HOUR" => return Some(local - local.rem_euclid(3_600_000)),
        "DAY" => date,
        "WEEK" => date.checked_sub_days(Days::new(u64::from(date.weekday().num_days_from_sunday())))?,
        "MONTH" => date.with_day(1)?,
        "QUARTER" => date.with_day(1)?.with_month0(date.month0() / 3 * 3)?,
        "YEAR" => date.with_day(1)?.with_month(1)?,
        _ => return None,
    };
    Some(begin.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

/// Whole months from one time to another.
fn months_between(from: i64, to: i64) -> i32 {
    use chrono::Datelike;
    let (Some(a), Some(b)) = (DateTime::from_timestamp_millis(from), DateTime::from_timestamp_millis(to))
    else {
        return 0;
    };
    let months = (b.year() - a.year()) * 12 + b.month() as i32 - a.month() as i32;
    let rest = |time: DateTime<chrono::Utc>| (time.day(), time.time());
    match months {
        months if months > 0 && rest(b) < rest(a) => months - 1,
        months if months < 0 && rest(b) > rest(a) => months + 1,
        months => months,
    }
}

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
