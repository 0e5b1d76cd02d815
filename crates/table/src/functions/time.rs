//! Times: parsed, formatted, and told.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray, StringArray, Time32MillisecondArray,
    TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, Time32MillisecondType,
    TimeUnit,
};
use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::Volatility;
use thalweg_dataflow::time::MIN_WATERMARK;

use super::builtin::{
    Arguments, Builtin, Call, Takes, as_they_are, int, ints, long, longs, pure, text, texts,
};
use super::calendar::{by_months, ceil, floor, length, months_between, part};
use super::time_pattern::{finest, parse_as, pattern};
use crate::now;
use crate::operators::{from_millis, millis, to_local, to_utc};

const LOCAL: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

pub(super) fn point_in_time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

pub(super) fn zone(call: &Call<'_>) -> Tz {
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

/// The time of the day, by the clock of the session's time zone, in whole seconds.
const fn time_called(name: &'static str) -> Builtin {
    Builtin {
        name,
        takes: Takes::By((0, 0), as_they_are),
        result: |_: &Arguments<'_>| Ok(DataType::Time32(TimeUnit::Millisecond)),
        run: |call| {
            let local = to_local(Some(zone(call)), now::processing_time());
            let of_day = local.rem_euclid(86_400_000) / 1000 * 1000;
            Ok(Arc::new(Time32MillisecondArray::from_value(of_day as i32, call.rows)))
        },
        volatility: Volatility::Volatile,
    }
}

/// A date, a time of the day, an interval, or what becomes a point in time.
fn as_time(of: &DataType) -> DataType {
    match of {
        DataType::Date32 | DataType::Time32(_) | DataType::Timestamp(..) | DataType::Interval(_) => {
            of.clone()
        }
        _ => LOCAL,
    }
}

/// Milliseconds since the epoch, or of the day.
fn millis_at(values: &ArrayRef, row: usize) -> Option<i64> {
    if values.is_null(row) {
        return None;
    }
    Some(match values.data_type() {
        DataType::Date32 => i64::from(values.as_primitive::<Date32Type>().value(row)) * 86_400_000,
        DataType::Time32(_) => i64::from(values.as_primitive::<Time32MillisecondType>().value(row)),
        _ => millis(&values.slice(row, 1)).ok()?.value(0),
    })
}

/// A time with an interval added.
fn added(intervals: &ArrayRef, row: usize, time: i64) -> Option<i64> {
    let by =
        intervals.is_valid(row).then(|| intervals.as_primitive::<IntervalMonthDayNanoType>().value(row))?;
    let moved = by_months(time, i64::from(by.months))?;
    moved.checked_add(i64::from(by.days) * 86_400_000 + by.nanoseconds / 1_000_000)
}

fn timestamp_add(call: &Call<'_>) -> Result<ArrayRef> {
    let values = &call.arguments[2];
    let (units, by) = (call.arguments[0].as_string::<i32>(), call.arguments[1].as_primitive::<Int64Type>());
    let moved = |row: usize| {
        let time = millis_at(values, row)?;
        let by = by.is_valid(row).then(|| by.value(row))?;
        let unit = units.value(row).to_uppercase();
        let unit = unit.strip_prefix("SQL_TSI_").unwrap_or(&unit).trim_end_matches('S');
        match unit {
            "MONTH" => by_months(time, by),
            "QUARTER" => by_months(time, by.checked_mul(3)?),
            "YEAR" => by_months(time, by.checked_mul(12)?),
            unit => time.checked_add(by.checked_mul(length(unit)?)?),
        }
    };
    let moved: Int64Array = (0..call.rows).map(moved).collect();
    if !matches!(values.data_type(), DataType::Timestamp(..)) {
        return back(moved, call.result);
    }
    // What is finer than a millisecond stays as it was.
    let (before, exact) =
        (from_millis(millis(values)?, values.data_type())?, cast(values, &DataType::Int64)?);
    let rest = arrow::compute::kernels::numeric::sub(&exact, &cast(&before, &DataType::Int64)?)?;
    let moved = cast(&from_millis(moved, values.data_type())?, &DataType::Int64)?;
    Ok(cast(&arrow::compute::kernels::numeric::add(&moved, &rest)?, call.result)?)
}

/// Milliseconds as times of a type.
fn back(times: Int64Array, to: &DataType) -> Result<ArrayRef> {
    Ok(match to {
        DataType::Date32 => Arc::new(times.unary::<_, Date32Type>(|time| time.div_euclid(86_400_000) as i32)),
        DataType::Time32(_) => {
            Arc::new(times.unary::<_, Time32MillisecondType>(|time| time.rem_euclid(86_400_000) as i32))
        }
        to => from_millis(times, to)?,
    })
}

/// Each time rounded to a unit, by the clock that it is shown on.
fn rounded(call: &Call<'_>, round: fn(&str, i64) -> Option<i64>) -> Result<ArrayRef> {
    let (units, values, shown) =
        (call.arguments[0].as_string::<i32>(), &call.arguments[1], shown_in(call, 1));
    let time = |row: usize| {
        let local = to_local(shown, millis_at(values, row)?);
        Some(to_utc(shown, round(&units.value(row).to_uppercase(), local)?))
    };
    let times: Int64Array = (0..call.rows).map(time).collect();
    back(times, call.result)
}

fn extract(call: &Call<'_>) -> Result<ArrayRef> {
    let (units, values, shown) =
        (call.arguments[0].as_string::<i32>(), &call.arguments[1], shown_in(call, 1));
    if matches!(values.data_type(), DataType::Interval(_)) {
        let intervals = values.as_primitive::<IntervalMonthDayNanoType>();
        let part = |row: usize| {
            let of = intervals.is_valid(row).then(|| intervals.value(row))?;
            let (months, millis) =
                (i64::from(of.months), i64::from(of.days) * 86_400_000 + of.nanoseconds / 1_000_000);
            Some(match units.value(row).to_uppercase().as_str() {
                "YEAR" => months / 12,
                "QUARTER" => months % 12 / 3 + 1,
                "MONTH" => months % 12,
                "DAY" => millis / 86_400_000,
                "HOUR" => millis / 3_600_000 % 24,
                "MINUTE" => millis / 60_000 % 60,
                "SECOND" => millis / 1000 % 60,
                "EPOCH" => millis / 1000,
                _ => return None,
            })
        };
        return Ok(Arc::new((0..call.rows).map(part).collect::<Int64Array>()));
    }
    // Digits that a millisecond has no room for.
    let fine = match values.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, zone) => {
            let fine = cast(values, &DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()))?;
            Some(cast(&fine, &DataType::Int64)?)
        }
        _ => None,
    };
    let nanos = |row: usize, millis: i64| match &fine {
        Some(fine) => fine.as_primitive::<Int64Type>().value(row).rem_euclid(1_000_000_000),
        None => millis.rem_euclid(1000) * 1_000_000,
    };
    let part = |row: usize| {
        let time = millis_at(values, row)?;
        match units.value(row).to_uppercase().as_str() {
            "MICROSECOND" => Some(nanos(row, time) / 1000),
            "NANOSECOND" => Some(nanos(row, time)),
            unit => part(unit, to_local(shown, time)),
        }
    };
    Ok(Arc::new((0..call.rows).map(part).collect::<Int64Array>()))
}

/// `EXTRACT` by another name, of what has an hour.
const fn of_day(name: &'static str, run: fn(&Call<'_>) -> Result<ArrayRef>) -> Builtin {
    let takes = Takes::By((1, 1), |types| Ok(vec![as_time(&types[0])]));
    Builtin { name, takes, result: long, run, volatility: Volatility::Immutable }
}

fn unit_of(call: &Call<'_>, unit: &str) -> Result<ArrayRef> {
    let units: ArrayRef = Arc::new(StringArray::from(vec![unit; call.rows]));
    extract(&Call { arguments: &[units, call.arguments[0].clone()], ..*call })
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    now_called("PROCTIME"),
    now_called("CURRENT_TIMESTAMP"),
    now_called("NOW"),
    now_called("CURRENT_ROW_TIMESTAMP"),
    time_called("LOCALTIME"),
    time_called("CURRENT_TIME"),
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
            let times: Int64Array = std::iter::repeat_n(watermark, call.rows).collect();
            Ok(from_millis(times, call.result)?)
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
                    Some(formats) => Some(local.format(&pattern(formats.value(row))?).to_string()),
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
                    1 => parse(row.text(0)?),
                    _ => parse_as(row.text(0)?, row.text(1)?),
                };
                // What cannot be read is the least number, in Flink.
                Some(local.map_or(i64::MIN, |local| to_utc(Some(zone), local).div_euclid(1000)))
            })
        },
        volatility: Volatility::Volatile,
    },
    pure("DATE_FORMAT", "ts", text, |call| {
        let shown = shown_in(call, 0);
        let formats = call.arguments[1].as_string::<i32>();
        if let Some(odd) = formats.iter().flatten().find(|format| pattern(format).is_none()) {
            return exec_err!("DATE_FORMAT: '{odd}' has a letter that is no part of a time");
        }
        // The format is the same in most rows, and often what it makes of the time.
        let last = RefCell::new((String::new(), String::new(), None::<i64>, Rc::<str>::from("")));
        texts(call, |row| {
            let (local, java) = (to_local(shown, row.time(0)?), row.text(1)?);
            let mut last = last.borrow_mut();
            let (known, chrono, time, made) = &mut *last;
            if known != java {
                (*known, *chrono, *time) = (java.to_owned(), pattern(java)?, None);
            }
            let unit = local.div_euclid(finest(java));
            if *time != Some(unit) {
                let at = DateTime::from_timestamp_millis(local)?;
                (*time, *made) = (Some(unit), at.naive_utc().format(chrono).to_string().into());
            }
            Some(made.clone())
        })
    }),
    pure(
        "TO_TIMESTAMP_LTZ",
        "*?**",
        |_| Ok(point_in_time()),
        |call| {
            let times: Int64Array = match call.arguments[0].data_type() {
                DataType::Utf8 => {
                    // Of UTC, unless a zone is given.
                    let time = |row: usize| {
                        let row = super::builtin::Row { arguments: call.arguments, row };
                        let zone = if row.len() > 2 { row.text(2)?.parse().ok()? } else { Tz::UTC };
                        let local = match row.len() {
                            1 => parse(row.text(0)?)?,
                            _ => parse_as(row.text(0)?, row.text(1)?)?,
                        };
                        Some(to_utc(Some(zone), local))
                    };
                    (0..call.rows).map(time).collect()
                }
                _ => {
                    let numbers = cast(&call.arguments[0], &DataType::Int64)?;
                    let numbers = numbers.as_primitive::<Int64Type>();
                    let seconds = match call.arguments.get(1) {
                        Some(digits) => {
                            let digits = cast(digits, &DataType::Int64)?;
                            !digits.is_empty() && digits.as_primitive::<Int64Type>().value(0) == 0
                        }
                        None => false,
                    };
                    match seconds {
                        true => numbers.unary_opt(|time| time.checked_mul(1000)),
                        false => numbers.clone(),
                    }
                }
            };
            // Not by a cast of times without a zone, which would ask the calendar of the zone for each of them.
            Ok(from_millis(times, call.result)?)
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
                let Some(formats) = call.arguments.get(1).map(|formats| formats.as_string::<i32>()) else {
                    return crate::cast::parse_date(text).map(crate::cast::days);
                };
                let time = parse_as(text, formats.is_valid(row).then(|| formats.value(row))?)?;
                Some(time.div_euclid(86_400_000) as i32)
            });
            Ok(Arc::new(dates.collect::<arrow::array::Date32Array>()))
        },
    ),
    Builtin {
        name: "$extract",
        takes: Takes::By((2, 2), |types| Ok(vec![DataType::Utf8, as_time(&types[1])])),
        result: long,
        run: extract,
        volatility: Volatility::Immutable,
    },
    pure("YEAR", "t", long, |call| longs(call, |row| part("YEAR", row.time(0)?))),
    pure("QUARTER", "t", long, |call| longs(call, |row| part("QUARTER", row.time(0)?))),
    pure("MONTH", "t", long, |call| longs(call, |row| part("MONTH", row.time(0)?))),
    pure("WEEK", "t", long, |call| longs(call, |row| part("WEEK", row.time(0)?))),
    pure("DAYOFYEAR", "t", long, |call| longs(call, |row| part("DOY", row.time(0)?))),
    pure("DAYOFMONTH", "t", long, |call| longs(call, |row| part("DAY", row.time(0)?))),
    pure("DAYOFWEEK", "t", long, |call| longs(call, |row| part("DOW", row.time(0)?))),
    of_day("HOUR", |call| unit_of(call, "HOUR")),
    of_day("MINUTE", |call| unit_of(call, "MINUTE")),
    of_day("SECOND", |call| unit_of(call, "SECOND")),
    Builtin {
        name: "$floor",
        takes: Takes::By((2, 2), |types| Ok(vec![DataType::Utf8, as_time(&types[1])])),
        result: |arguments| Ok(arguments.types[1].clone()),
        run: |call| rounded(call, floor),
        volatility: Volatility::Immutable,
    },
    Builtin {
        name: "$ceil",
        takes: Takes::By((2, 2), |types| Ok(vec![DataType::Utf8, as_time(&types[1])])),
        result: |arguments| Ok(arguments.types[1].clone()),
        run: |call| rounded(call, ceil),
        volatility: Volatility::Immutable,
    },
    Builtin {
        name: "$interval_times",
        takes: Takes::By((2, 2), |types| Ok(vec![types[0].clone(), DataType::Int64])),
        result: |arguments| Ok(arguments.types[0].clone()),
        run: |call| {
            let intervals = call.arguments[0].as_primitive::<IntervalMonthDayNanoType>().iter();
            let by = call.arguments[1].as_primitive::<Int64Type>().iter();
            let times = intervals.zip(by).map(|(interval, by)| {
                let (interval, by) = (interval?, by?);
                Some(IntervalMonthDayNano::new(
                    i32::try_from(i64::from(interval.months).checked_mul(by)?).ok()?,
                    i32::try_from(i64::from(interval.days).checked_mul(by)?).ok()?,
                    interval.nanoseconds.checked_mul(by)?,
                ))
            });
            Ok(Arc::new(times.collect::<IntervalMonthDayNanoArray>()))
        },
        volatility: Volatility::Immutable,
    },
    Builtin {
        name: "$overlaps",
        takes: Takes::By((4, 4), as_they_are),
        result: super::builtin::flag,
        run: |call| {
            let point = |place: usize, row: usize| millis_at(&call.arguments[place], row);
            let end = |place: usize, row: usize| match call.arguments[place].data_type() {
                DataType::Interval(_) => added(&call.arguments[place], row, point(place - 1, row)?),
                _ => point(place, row),
            };
            let both = |row: usize| {
                let (a, b, c, d) = (point(0, row)?, end(1, row)?, point(2, row)?, end(3, row)?);
                let ((a, b), (c, d)) = ((a.min(b), a.max(b)), (c.min(d), c.max(d)));
                Some(a <= d && c <= b)
            };
            Ok(Arc::new((0..call.rows).map(both).collect::<arrow::array::BooleanArray>()))
        },
        volatility: Volatility::Immutable,
    },
    pure("CONVERT_TZ", "sss", text, |call| {
        texts(call, |row| {
            let (from, to): (Tz, Tz) = (row.text(1)?.parse().ok()?, row.text(2)?.parse().ok()?);
            let time = DateTime::from_timestamp_millis(to_utc(Some(from), parse(row.text(0)?)?))?;
            Some(time.with_timezone(&to).format("%Y-%m-%d %H:%M:%S").to_string())
        })
    }),
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
    Builtin {
        name: "TIMESTAMPADD",
        takes: Takes::By((3, 3), |types| Ok(vec![DataType::Utf8, DataType::Int64, as_time(&types[2])])),
        result: |arguments| {
            // A date with hours added is no date any more.
            let unit = match arguments.constants[0] {
                Some(ScalarValue::Utf8(Some(unit))) => unit.to_uppercase(),
                _ => String::new(),
            };
            let is_clock = ["HOUR", "MINUTE", "SECOND"].iter().any(|clock| unit.contains(clock));
            Ok(match &arguments.types[2] {
                DataType::Date32 if is_clock => DataType::Timestamp(TimeUnit::Microsecond, None),
                of => of.clone(),
            })
        },
        run: timestamp_add,
        volatility: Volatility::Immutable,
    },
];

/// The zone in whose clock an argument is shown: of a point in time that of the session.
fn shown_in(call: &Call<'_>, argument: usize) -> Option<Tz> {
    match call.arguments[argument].data_type() {
        DataType::Timestamp(_, Some(_)) => Some(zone(call)),
        _ => None,
    }
}

/// `2020-04-15 08:00:05[.123]`, or `2020-04-15`.
fn parse(text: &str) -> Option<i64> {
    crate::cast::parse_timestamp(text.trim()).map(|time| time.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_flink_reads_them() {
        assert_eq!(parse("1970-01-01 00:00:01.5"), Some(1500));
        assert_eq!(parse("1970-01-02"), Some(86_400_000));
        assert_eq!(parse("yesterday"), None);
    }
}
