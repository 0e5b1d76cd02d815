//! Dates, times of day and points in time among each other.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, Time32MillisecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNanoType, Time32MillisecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion_common::{Result, exec_err};

use super::Casting;
use crate::types::{LogicalType, TypeKind};

/// The point in time at which the clock of a zone shows this: the first, if it shows it twice; where it skips it, as if it had not.
pub(super) fn from_local(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    if let Some(time) = zone.from_local_datetime(&local).earliest() {
        return time.with_timezone(&Utc);
    }
    let before = local - TimeDelta::hours(3);
    match zone.from_local_datetime(&before).earliest() {
        Some(time) => time.with_timezone(&Utc) + TimeDelta::hours(3),
        None => local.and_utc(),
    }
}

/// What the clock shows at a row: the date and time of the day, and whether it is of a point in time.
fn local(values: &ArrayRef, zone: Tz) -> Result<Vec<Option<NaiveDateTime>>> {
    let shown = |time: Option<DateTime<Utc>>, is_point: bool| {
        time.map(|time| if is_point { time.with_timezone(&zone).naive_local() } else { time.naive_utc() })
    };
    let day = |days: i64| DateTime::from_timestamp(days * 86_400, 0);
    Ok(match values.data_type() {
        DataType::Date32 => {
            let dates = values.as_primitive::<Date32Type>().iter();
            dates.map(|date| shown(date.and_then(|date| day(date.into())), false)).collect()
        }
        DataType::Time32(_) => {
            let times = values.as_primitive::<Time32MillisecondType>().iter();
            times
                .map(|time| shown(time.and_then(|time| DateTime::from_timestamp_millis(time.into())), false))
                .collect()
        }
        DataType::Timestamp(unit, in_zone) => {
            let is_point = in_zone.is_some();
            let times: Vec<Option<DateTime<Utc>>> = match unit {
                TimeUnit::Second => {
                    let times = values.as_primitive::<TimestampSecondType>().iter();
                    times.map(|time| DateTime::from_timestamp(time?, 0)).collect()
                }
                TimeUnit::Millisecond => {
                    let times = values.as_primitive::<TimestampMillisecondType>().iter();
                    times.map(|time| DateTime::from_timestamp_millis(time?)).collect()
                }
                TimeUnit::Microsecond => {
                    let times = values.as_primitive::<TimestampMicrosecondType>().iter();
                    times.map(|time| DateTime::from_timestamp_micros(time?)).collect()
                }
                TimeUnit::Nanosecond => {
                    let times = values.as_primitive::<TimestampNanosecondType>().iter();
                    times.map(|time| Some(DateTime::from_timestamp_nanos(time?))).collect()
                }
            };
            times.into_iter().map(|time| shown(time, is_point)).collect()
        }
        other => return exec_err!("{other} is no time"),
    })
}

/// The values as times of another type.
pub(super) fn cast(values: &ArrayRef, to: &LogicalType, casting: Casting) -> Result<ArrayRef> {
    // Between points in time no clock is looked at: it may show the same twice.
    let is_point = matches!(values.data_type(), DataType::Timestamp(_, Some(_)));
    let zone = match (is_point, &to.kind) {
        (true, TypeKind::TimestampLtz(_)) => Tz::UTC,
        _ => casting.zone,
    };
    let times = local(values, zone)?;
    match &to.kind {
        TypeKind::Date => {
            let days = times.iter().map(|time| time.map(|time| super::parse::days(time.date())));
            Ok(Arc::new(days.collect::<Date32Array>()))
        }
        TypeKind::Time(digits) => {
            let unit = 10_i64.pow(3 - u32::from(*digits).min(3));
            let millis = times.iter().map(|time| {
                let of_day = time.as_ref()?.and_utc().timestamp_millis().rem_euclid(86_400_000);
                Some((of_day / unit * unit) as i32)
            });
            Ok(Arc::new(millis.collect::<Time32MillisecondArray>()))
        }
        TypeKind::Timestamp(digits) => {
            timestamps(times.into_iter().map(|time| Some(time?.and_utc())), *digits, false)
        }
        TypeKind::TimestampLtz(digits) => {
            timestamps(times.into_iter().map(|time| Some(from_local(zone, time?))), *digits, true)
        }
        _ => exec_err!("a time cannot be cast to {to}"),
    }
}

/// Points in time with so many digits behind the second.
pub(super) fn timestamps(
    times: impl Iterator<Item = Option<DateTime<Utc>>>,
    digits: u8,
    is_point: bool,
) -> Result<ArrayRef> {
    let zone: Option<Arc<str>> = is_point.then(|| "UTC".into());
    // Cut off to the digits of the type, which may be fewer than those of its unit.
    let cut = |value: i64, unit_digits: u8| {
        let unit = 10_i64.pow(u32::from(unit_digits.saturating_sub(digits)));
        value.div_euclid(unit) * unit
    };
    Ok(match digits {
        0 => {
            let made = times.map(|time| Some(time?.timestamp()));
            Arc::new(made.collect::<TimestampSecondArray>().with_timezone_opt(zone))
        }
        1..=3 => {
            let made = times.map(|time| Some(cut(time?.timestamp_millis(), 3)));
            Arc::new(made.collect::<TimestampMillisecondArray>().with_timezone_opt(zone))
        }
        4..=6 => {
            let made = times.map(|time| Some(cut(time?.timestamp_micros(), 6)));
            Arc::new(made.collect::<TimestampMicrosecondArray>().with_timezone_opt(zone))
        }
        _ => {
            let made = times.map(|time| Some(cut(time?.timestamp_nanos_opt()?, 9)));
            Arc::new(made.collect::<TimestampNanosecondArray>().with_timezone_opt(zone))
        }
    })
}

/// An interval as a number: of months, or of milliseconds.
pub(super) fn interval_to_int(values: &ArrayRef, to: &LogicalType) -> Result<ArrayRef> {
    let numbers = values.as_primitive::<IntervalMonthDayNanoType>().iter().map(|value| {
        let value = value?;
        Some(match value.months {
            0 => i64::from(value.days) * 86_400_000 + value.nanoseconds / 1_000_000,
            months => i64::from(months),
        })
    });
    let numbers: ArrayRef = Arc::new(numbers.collect::<Int64Array>());
    super::numbers::cast(&numbers, to, Casting { zone: Tz::UTC, lenient: true })
}
