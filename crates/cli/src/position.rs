//! Places in a partition, as they are named on the command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The oldest record that is kept.
    Beginning,
    /// Behind the newest record.
    End,
    /// This offset.
    Offset(i64),
    /// So many records before the end.
    Tail(i64),
    /// The first record that is not older than this, in milliseconds since 1970.
    Time(i64),
}

/// What [`Position::parse`] understands, for help texts.
pub(crate) const POSITIONS: &str = "beginning (earliest), end (latest), an offset, -N (the last N records), or a time: \
     @2026-11-01T00:00:00Z, @2026-11-01, @-90m (ago), @now, @1793491200000 (milliseconds)";

impl Position {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "beginning" | "earliest" | "start" => return Ok(Self::Beginning),
            "end" | "latest" => return Ok(Self::End),
            _ => {}
        }
        // kcat has `s@` for the time to begin at.
        if let Some(time) = text.strip_prefix("s@").or_else(|| text.strip_prefix('@')) {
            return parse_time(time, SystemTime::now()).map(Self::Time);
        }
        match text.parse::<i64>() {
            Ok(offset) if text.starts_with('-') => Ok(Self::Tail(offset.saturating_neg())),
            Ok(offset) => Ok(Self::Offset(offset)),
            Err(_) => Err(format!("expected {POSITIONS}")),
        }
    }
}

/// Milliseconds since 1970 of `text`, which may be a date, a date and time, a span before now, or a number.
pub(crate) fn parse_time(text: &str, now: SystemTime) -> Result<i64, String> {
    let unclear = || {
        format!(
            "'{text}' is not a time; one is written 2026-11-01T00:00:00Z, 2026-11-01, -90m (ago), now, or in \
             milliseconds since 1970"
        )
    };
    if text == "now" {
        return Ok(millis(now));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_err(|_| unclear());
    }
    if let Some(ago) = text.strip_prefix('-') {
        let ago = humantime::parse_duration(ago).map_err(|_| unclear())?;
        return now.checked_sub(ago).map(millis).ok_or_else(unclear);
    }
    let (local, offset) = zone(text).ok_or_else(unclear)?;
    let local =
        if local.len() == "2026-11-01".len() { format!("{local}T00:00:00") } else { local.to_owned() };
    let utc = humantime::parse_rfc3339_weak(&local).map_err(|_| unclear())?;
    Ok(millis(utc) - offset)
}

/// Splits a time from its zone, which is `Z`, `+hh:mm`, `-hh:mm` or nothing (UTC), in milliseconds east of UTC.
fn zone(text: &str) -> Option<(&str, i64)> {
    let Some(t) = text.find(['T', ' ']) else { return Some((text.trim_end_matches('Z'), 0)) };
    let Some(sign) = text[t..].rfind(['+', '-']).map(|at| at + t) else {
        return Some((text.trim_end_matches('Z'), 0));
    };
    let (hours, minutes) = text[sign + 1..].split_once(':')?;
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    let east = if text[sign..].starts_with('-') { -minutes } else { minutes };
    Some((&text[..sign], east * 60_000))
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    millis(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_words_offsets_tails_and_times() {
        assert_eq!(Position::parse("earliest"), Ok(Position::Beginning));
        assert_eq!(Position::parse("end"), Ok(Position::End));
        assert_eq!(Position::parse("12"), Ok(Position::Offset(12)));
        assert_eq!(Position::parse("-12"), Ok(Position::Tail(12)));
        assert_eq!(Position::parse("@1500"), Ok(Position::Time(1500)));
        assert_eq!(Position::parse("s@1500"), Ok(Position::Time(1500)));
        assert!(Position::parse("1h").is_err());
        assert!(Position::parse("").is_err());
    }

    #[test]
    fn times_are_understood_in_any_zone_and_before_now() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let time = |text| parse_time(text, now);
        assert_eq!(time("1970-01-02T00:00:00Z"), Ok(86_400_000));
        assert_eq!(time("1970-01-02"), Ok(86_400_000));
        assert_eq!(time("1970-01-02 00:00:00.250"), Ok(86_400_250));
        assert_eq!(time("1970-01-02T02:00:00+02:00"), Ok(86_400_000));
        assert_eq!(time("1970-01-01T22:30:00-01:30"), Ok(86_400_000));
        assert_eq!(time("-10s"), Ok(999_990_000));
        assert_eq!(time("now"), Ok(1_000_000_000));
        for wrong in ["", "-", "yesterday", "1970-13-01", "1970-01-02T00:00:00+x"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
