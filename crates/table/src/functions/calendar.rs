//! The calendar: parts of a time on the clock, units that begin and end, months.

use chrono::{DateTime, NaiveDate};

/// A time so many months later, on the same day or the last of the month.
pub(super) fn by_months(time: i64, months: i64) -> Option<i64> {
    let date = DateTime::from_timestamp_millis(time)?;
    let size = chrono::Months::new(u32::try_from(months.abs()).ok()?);
    let moved = if months < 0 { date.checked_sub_months(size) } else { date.checked_add_months(size) };
    moved.map(|moved| moved.timestamp_millis())
}

/// Milliseconds of a unit that is always as long.
pub(super) fn length(unit: &str) -> Option<i64> {
    Some(match unit {
        "MILLISECOND" | "FRAC_SECOND" => 1,
        "SECOND" => 1000,
        "MINUTE" => 60_000,
        "HOUR" => 3_600_000,
        "DAY" => 86_400_000,
        "WEEK" => 7 * 86_400_000,
        _ => return None,
    })
}

/// A part of a time on the clock.
pub(super) fn part(unit: &str, local: i64) -> Option<i64> {
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
        "MILLISECOND" => i64::from(time.nanosecond() / 1_000_000),
        "ISOYEAR" => i64::from(time.iso_week().year()),
        "DECADE" => i64::from(time.year()).div_euclid(10),
        "CENTURY" => begun(time.year(), 100),
        "MILLENNIUM" => begun(time.year(), 1000),
        "EPOCH" => local.div_euclid(1000),
        _ => return None,
    })
}

/// The number of the century (of 100 years) or millennium that a year is in; the year 2000 is still in the 20th.
fn begun(year: i32, years: i64) -> i64 {
    match i64::from(year) {
        year if year > 0 => (year - 1) / years + 1,
        year => year / years - 1,
    }
}

/// The end of the unit that a time is in, or the time itself, if that is where one ends.
pub(super) fn ceil(unit: &str, local: i64) -> Option<i64> {
    let begin = floor(unit, local)?;
    if begin == local {
        return Some(local);
    }
    match unit {
        "MONTH" => by_months(begin, 1),
        "QUARTER" => by_months(begin, 3),
        "YEAR" => by_months(begin, 12),
        "DECADE" => by_months(begin, 120),
        "CENTURY" => by_months(begin, 1200),
        "MILLENNIUM" => by_months(begin, 12_000),
        unit => begin.checked_add(length(unit)?),
    }
}

/// The beginning of the unit that a time is in.
pub(super) fn floor(unit: &str, local: i64) -> Option<i64> {
    use chrono::{Datelike, Days};
    let date = DateTime::from_timestamp_millis(local)?.date_naive();
    let year = |year: i32| NaiveDate::from_ymd_opt(year, 1, 1);
    let begin = match unit {
        "MILLISECOND" => return Some(local),
        "DECADE" => year(date.year().div_euclid(10) * 10)?,
        "CENTURY" => year((date.year() - 1).div_euclid(100) * 100 + 1)?,
        "MILLENNIUM" => year((date.year() - 1).div_euclid(1000) * 1000 + 1)?,
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

/// Whole months from one time to another: the last day of a month ends the month that began on a later day.
pub(super) fn months_between(from: i64, to: i64) -> i32 {
    const DAY: i64 = 86_400_000;
    fn of_days(from: i64, to: i64) -> i64 {
        if to < from {
            return -of_days(to, from);
        }
        let mut months = (to - from) / DAY / 31;
        loop {
            match (by_months(from, months), by_months(from, months + 1)) {
                (Some(end), Some(next)) if end < to && next <= to => months += 1,
                _ => return months,
            }
        }
    }
    let (from_day, to_day) = (from.div_euclid(DAY) * DAY, to.div_euclid(DAY) * DAY);
    let months = of_days(from_day, to_day);
    let is_short = by_months(from_day, months) == Some(to_day) && to - to_day < from - from_day;
    (months - i64::from(is_short)) as i32
}
