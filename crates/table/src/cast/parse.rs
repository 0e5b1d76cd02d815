//! A string as anything. What cannot be read is an error, or NULL if the cast is lenient.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, PrimitiveArray, StringArray,
    Time32MillisecondArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use datafusion_common::{Result, exec_err};

use super::Casting;
use super::times::{from_local, timestamps};
use crate::types::{LogicalType, MAX_LENGTH, TypeKind};

/// The strings as values of the type `to`.
pub(super) fn parse(texts: &StringArray, to: &LogicalType, casting: Casting) -> Result<ArrayRef> {
    use TypeKind as T;
    let primitive = |what: &dyn std::fmt::Display, text: &str| match casting.lenient {
        true => Ok(None),
        false => exec_err!("'{text}' is no {what}, and CAST cannot make one of it; TRY_CAST would give NULL"),
    };
    Ok(match &to.kind {
        T::TinyInt => {
            Arc::new(numbers::<Int8Type>(texts, |text| i8::try_from(whole(text)?).ok(), to, casting)?)
        }
        T::SmallInt => {
            Arc::new(numbers::<Int16Type>(texts, |text| i16::try_from(whole(text)?).ok(), to, casting)?)
        }
        T::Int => {
            Arc::new(numbers::<Int32Type>(texts, |text| i32::try_from(whole(text)?).ok(), to, casting)?)
        }
        T::BigInt => {
            Arc::new(numbers::<Int64Type>(texts, |text| i64::try_from(whole(text)?).ok(), to, casting)?)
        }
        T::Float => {
            Arc::new(numbers::<Float32Type>(texts, |text| floating(text)?.parse().ok(), to, casting)?)
        }
        T::Double => {
            Arc::new(numbers::<Float64Type>(texts, |text| floating(text)?.parse().ok(), to, casting)?)
        }
        T::Decimal(precision, scale) => {
            let digits = all(texts, |text| parse_decimal(text.trim(), *precision, *scale), to, casting)?;
            let made: Decimal128Array = digits.into_iter().collect();
            Arc::new(made.with_precision_and_scale(*precision, *scale)?)
        }
        T::Boolean => Arc::new(all(texts, boolean, to, casting)?.into_iter().collect::<BooleanArray>()),
        T::Date => {
            let days = all(texts, |text| parse_date(text).map(days), to, casting)?;
            Arc::new(days.into_iter().collect::<Date32Array>())
        }
        T::Time(digits) => {
            let unit = 10_i32.pow(3 - u32::from(*digits).min(3));
            let millis = all(texts, |text| parse_time(text).map(|time| time / unit * unit), to, casting)?;
            Arc::new(millis.into_iter().collect::<Time32MillisecondArray>())
        }
        T::Timestamp(digits) | T::TimestampLtz(digits) => {
            let zone = matches!(to.kind, T::TimestampLtz(_)).then_some(casting.zone);
            let times = texts.iter().map(|text| {
                let Some(text) = text else { return Ok(None) };
                match parse_timestamp(text.trim()) {
                    Some(local) => Ok(Some(match zone {
                        Some(zone) => from_local(zone, local),
                        None => local.and_utc(),
                    })),
                    None => primitive(to, text),
                }
            });
            let times = times.collect::<Result<Vec<_>>>()?;
            timestamps(times.into_iter(), *digits, zone.is_some())?
        }
        T::Binary(length) | T::VarBinary(length) => {
            let pads = matches!(to.kind, T::Binary(_));
            let bytes: BinaryArray = texts.iter().map(|text| text.map(str::as_bytes)).collect();
            match *length {
                MAX_LENGTH => Arc::new(bytes),
                length => Arc::new(super::sized_bytes(&bytes, length, pads)),
            }
        }
        _ => return exec_err!("a string cannot be cast to {to}"),
    })
}

fn all<T>(
    texts: &StringArray,
    read: impl Fn(&str) -> Option<T>,
    to: &LogicalType,
    casting: Casting,
) -> Result<Vec<Option<T>>> {
    let read = |text: Option<&str>| match text {
        None => Ok(None),
        Some(text) => match read(text) {
            None if !casting.lenient => {
                let to = LogicalType { nullable: true, ..to.clone() };
                exec_err!("'{text}' is no {to}, and CAST cannot make one of it; TRY_CAST would give NULL")
            }
            value => Ok(value),
        },
    };
    texts.iter().map(read).collect()
}

fn numbers<T: ArrowPrimitiveType>(
    texts: &StringArray,
    read: impl Fn(&str) -> Option<T::Native>,
    to: &LogicalType,
    casting: Casting,
) -> Result<PrimitiveArray<T>> {
    Ok(all(texts, |text| read(text.trim()), to, casting)?.into_iter().collect())
}

/// A whole number; digits behind a point are of no account.
fn whole(text: &str) -> Option<i128> {
    let (number, fraction) = text.split_once('.').unwrap_or((text, ""));
    let signless = number.strip_prefix(['+', '-']).unwrap_or(number);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // A point alone is 0, as in Flink.
    match digits(signless) && digits(fraction) && (!signless.is_empty() || text.contains('.')) {
        true if signless.is_empty() => Some(0),
        true => number.parse().ok(),
        false => None,
    }
}

/// A floating point number as Java writes it, which may end with `f` or `d`.
fn floating(text: &str) -> Option<&str> {
    match text {
        "NaN" | "Infinity" | "-Infinity" | "+Infinity" => return Some(text),
        _ => {}
    }
    let text = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    // Words that are numbers in Rust are none in Java.
    text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)).then_some(text)
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// The digits of a decimal; none, if it is no number or has more of them than there is room for.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let signless = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    if signless.is_empty() && fraction.is_empty() {
        return None;
    }
    // More than can count is cut off, but a digit of it, which says whether it rounds up.
    let kept = fraction.len().min(60);
    let mut digits = format!("{signless}{}", &fraction[..kept]);
    let mut of = kept as i32 - exponent;
    if !digits.bytes().all(|byte| byte.is_ascii_digit())
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    while digits.len() > 38 && of > i32::from(scale) + 1 {
        digits.pop();
        of -= 1;
    }
    let digits: i128 = digits
        .trim_start_matches('0')
        .parse()
        .or_else(|_| match digits.bytes().all(|b| b == b'0') {
            true => Ok(0),
            false => Err(()),
        })
        .ok()?;
    let digits = if whole.starts_with('-') { -digits } else { digits };
    decimal_of(digits, of, precision, scale)
}

/// `digits` with `from` of them behind the point as a decimal of this type: rounded half up; none if it does not fit.
pub(super) fn decimal_of(digits: i128, from: i32, precision: u8, scale: i8) -> Option<i128> {
    let by = i32::from(scale) - from;
    let made = match by {
        0 => digits,
        wider if wider > 0 => {
            if digits == 0 {
                0
            } else {
                digits.checked_mul(10_i128.checked_pow(wider as u32)?)?
            }
        }
        narrower => match 10_i128.checked_pow(narrower.unsigned_abs()) {
            Some(unit) => {
                let (quotient, rest) = (digits / unit, digits % unit);
                let up = rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs();
                if up { quotient + digits.signum() } else { quotient }
            }
            None => 0,
        },
    };
    (made.unsigned_abs() < 10_u128.pow(precision.into())).then_some(made)
}

pub(crate) fn days(date: NaiveDate) -> i32 {
    date.signed_duration_since(NaiveDate::default()).num_days() as i32
}

/// `2020`, `2020-1`, `2020-01-02`; a time behind it is of no account.
pub(crate) fn parse_date(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    let text = text.split_once(' ').map_or(text, |(date, _)| date);
    let mut parts = text.split('-').map(|part| match part.bytes().all(|byte| byte.is_ascii_digit()) {
        true => part.parse::<u32>().ok(),
        false => None,
    });
    let year = i32::try_from(parts.next()??).ok()?;
    let mut next = || parts.next().unwrap_or(Some(1));
    let (month, day) = (next()?, next()?);
    match parts.next() {
        None if year <= 9999 => NaiveDate::from_ymd_opt(year, month, day),
        _ => None,
    }
}

/// Milliseconds of the day: `12`, `12:34`, `12:34:56.789`.
pub(crate) fn parse_time(text: &str) -> Option<i32> {
    let (clock, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut parts =
        clock.split(':').map(|part| match !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            true => part.parse::<i32>().ok(),
            false => None,
        });
    // A fraction is one of seconds.
    if clock.len() < text.trim().len() && parts.clone().count() < 3 {
        return None;
    }
    let hour = parts.next()??;
    let mut next = || parts.next().unwrap_or(Some(0));
    let (minute, second) = (next()?, next()?);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let millis: i32 = match fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("{fraction:0<3}")[..3].parse().ok()?,
        false => return None,
    };
    Some(((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

/// `2020-01-02`, `2020-01-02 03:04:05.123456789`.
pub(crate) fn parse_timestamp(text: &str) -> Option<NaiveDateTime> {
    let (date, clock) = match text.split_once(' ') {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |text: &str, most: usize| match (1..=most).contains(&text.len()) {
        true if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<u32>().ok(),
        _ => None,
    };
    if parts.next().is_some() || year.len() < 4 {
        return None;
    }
    let year = i32::try_from(number(year, 9)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(month, 2)?, number(day, 2)?)?;
    let Some(clock) = clock else { return Some(date.and_time(NaiveTime::MIN)) };
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, rest)| (clock, Some(rest)));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let nanos = match fraction {
        None => 0,
        Some(digits) if digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{digits:0<9}").parse().ok()?
        }
        Some(_) => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    date.and_hms_nano_opt(number(hour, 2)?, number(minute, 2)?, number(second, 2)?, nanos)
}
