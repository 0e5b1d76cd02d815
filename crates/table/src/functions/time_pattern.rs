//! Patterns of times as Java has them (`yyyy-MM-dd HH:mm:ss`).

use chrono::{NaiveDate, NaiveDateTime};

/// The milliseconds since 1970 that a text says by a pattern of Java's; none if it does not follow it.
pub(super) fn parse_as(text: &str, format: &str) -> Option<i64> {
    // As many digits behind a point as there are.
    let pattern = pattern(format)?.replace(".%3f", "%.f").replace(".%6f", "%.f").replace(".%9f", "%.f");
    if let Ok(time) = NaiveDateTime::parse_from_str(text, &pattern) {
        return Some(time.and_utc().timestamp_millis());
    }
    let date = NaiveDate::parse_from_str(text, &pattern).ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

/// The milliseconds of which a pattern of Java's makes the same text.
pub(super) fn finest(java: &str) -> i64 {
    match java {
        _ if java.contains('S') => 1,
        _ if java.contains('s') => 1000,
        _ => 60_000,
    }
}

/// A pattern of Java's as one of `chrono`'s; none, if it has a letter that is not known.
pub(super) fn pattern(java: &str) -> Option<String> {
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
            ('h', 1) => pattern.push_str("%-I"),
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
            (letter, _) if letter.is_ascii_alphabetic() => return None,
            ('%', length) => (0..length).for_each(|_| pattern.push_str("%%")),
            (other, length) => (0..length).for_each(|_| pattern.push(other)),
        }
    }
    Some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_patterns_of_java() {
        assert_eq!(parse_as("02.01.1970 10:00", "dd.MM.yyyy HH:mm"), Some(122_400_000));
    }
}
