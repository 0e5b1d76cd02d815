//! Values of options and settings: lengths of time and sizes, as Flink writes them.

use std::time::Duration;

/// A length of time in milliseconds: `500 ms`, `10 s`, `5min`, `PT10S`, or a plain number of milliseconds.
///
/// ```
/// use thalweg_table::options::millis;
///
/// assert_eq!([millis("10 s"), millis("1h"), millis("PT1M30S"), millis("250"), millis("soon")], [Some(10_000), Some(3_600_000), Some(90_000), Some(250), None]);
/// ```
pub fn millis(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(iso) = text.strip_prefix("PT").or_else(|| text.strip_prefix("pt")) {
        let (mut total, mut number) = (0.0, String::new());
        for letter in iso.chars() {
            let unit = match letter.to_ascii_uppercase() {
                'H' => 3_600_000.0,
                'M' => 60_000.0,
                'S' => 1000.0,
                _ => {
                    number.push(letter);
                    continue;
                }
            };
            total += number.parse::<f64>().ok()? * unit;
            number.clear();
        }
        return number.is_empty().then_some(total as i64);
    }
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// The same as a duration.
pub fn duration(text: &str) -> Option<Duration> {
    millis(text).and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis)
}

/// A number of bytes: `128MB`, `1 kb`, `64 mebibytes`, or a plain number; in units of 1024, as Flink counts.
///
/// ```
/// use thalweg_table::options::bytes;
///
/// assert_eq!([bytes("128MB"), bytes("1 kb"), bytes("7"), bytes("much")], [Some(134_217_728), Some(1024), Some(7), None]);
/// ```
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let power = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => 0,
        "k" | "kb" | "kib" | "kibibyte" | "kibibytes" => 1,
        "m" | "mb" | "mib" | "mebibyte" | "mebibytes" => 2,
        "g" | "gb" | "gib" | "gibibyte" | "gibibytes" => 3,
        "t" | "tb" | "tib" | "tebibyte" | "tebibytes" => 4,
        _ => return None,
    };
    number.checked_mul(1 << (10 * power))
}
