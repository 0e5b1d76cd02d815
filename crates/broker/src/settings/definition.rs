//! What a setting is: its name, how its value is written, and what it may be.

use std::collections::HashSet;
use std::fmt::Display;

/// How a value is written, and the limits to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Boolean,
    /// At least the first and at most the second.
    Int(i32, i32),
    Long(i64, i64),
    Double(f64, f64),
    OneOf(&'static [&'static str]),
    /// Comma-separated; no words to choose from means that any will do.
    List(&'static [&'static str]),
    /// Comma-separated, each of them `partition:broker`, or `*`.
    Replicas,
    Text,
    /// Never told to anyone.
    Password,
}

/// A setting that the broker knows and obeys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// None if there is no value unless one is given.
    pub(crate) default: Option<&'static str>,
    /// What it means, in a sentence or two.
    pub(crate) doc: &'static str,
}

impl Definition {
    /// Checks a value and returns it as it is written best. The error is worded as Kafka does it.
    pub(crate) fn check(&self, value: &str) -> Result<String, String> {
        let value = value.trim();
        let invalid = |reason: &dyn Display| self.invalid(value, reason);
        match self.kind {
            Kind::Boolean => match value.to_ascii_lowercase() {
                lower if lower == "true" || lower == "false" => Ok(lower),
                _ => Err(invalid(&"Expected value to be either true or false")),
            },
            Kind::Int(min, max) => {
                let number: i32 = value.parse().map_err(|_| invalid(&"Not a number of type INT"))?;
                self.within(number, min, max)
            }
            Kind::Long(min, max) => {
                let number: i64 = value.parse().map_err(|_| invalid(&"Not a number of type LONG"))?;
                self.within(number, min, max)
            }
            Kind::Double(min, max) => {
                let number: f64 = value.parse().map_err(|_| invalid(&"Not a number of type DOUBLE"))?;
                if number.is_nan() {
                    return Err(invalid(&"Not a number of type DOUBLE"));
                }
                let written = self.within(number, min, max)?;
                Ok(if number.abs() < 1e16 { written } else { format!("{number:E}") })
            }
            Kind::OneOf(words) if words.contains(&value) => Ok(value.to_owned()),
            Kind::OneOf(words) => Err(invalid(&format_args!("String must be one of: {}", words.join(", ")))),
            Kind::List(words) => {
                let (mut seen, mut known) = (Vec::new(), HashSet::new());
                for word in list(value) {
                    if !words.is_empty() && !words.contains(&word) {
                        let reason = format!("String must be one of: {}", words.join(", "));
                        return Err(self.invalid(word, &reason));
                    }
                    if known.insert(word) {
                        seen.push(word);
                    }
                }
                Ok(seen.join(","))
            }
            Kind::Replicas => {
                let pair = |pair: &str| match pair.split_once(':') {
                    Some((partition, broker)) => {
                        partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok()
                    }
                    None => false,
                };
                if value == "*" || list(value).all(pair) {
                    return Ok(value.to_owned());
                }
                let reason = format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                );
                Err(self.invalid(&format!("[{value}]"), &reason))
            }
            Kind::Text | Kind::Password => Ok(value.to_owned()),
        }
    }

    /// Whether the value is not told to anyone.
    pub(crate) fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    fn within<N: PartialOrd + Display>(&self, number: N, min: N, max: N) -> Result<String, String> {
        if number < min {
            return Err(self.invalid(&number.to_string(), &format_args!("Value must be at least {min}")));
        }
        if number > max {
            return Err(self.invalid(&number.to_string(), &format_args!("Value must be no more than {max}")));
        }
        Ok(number.to_string())
    }

    fn invalid(&self, value: &str, reason: &dyn Display) -> String {
        format!("Invalid value {value} for configuration {}: {reason}", self.name)
    }
}

/// The words of a comma-separated value.
pub(crate) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// A row of a table: an int of at least `min`.
pub(super) const fn int(
    name: &'static str,
    default: &'static str,
    min: i32,
    doc: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Int(min, i32::MAX), default: Some(default), doc }
}

/// A row of a table: a long of at least `min`.
pub(super) const fn long(
    name: &'static str,
    default: &'static str,
    min: i64,
    doc: &'static str,
) -> Definition {
    Definition { name, kind: Kind::Long(min, i64::MAX), default: Some(default), doc }
}

/// A row of a table: yes or no.
pub(super) const fn boolean(name: &'static str, default: &'static str, doc: &'static str) -> Definition {
    Definition { name, kind: Kind::Boolean, default: Some(default), doc }
}

/// A row of a table: anything else.
pub(super) const fn other(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Definition {
    Definition { name, kind, default: Some(default), doc }
}

/// A row of a table: a setting that has no value unless one is given.
pub(super) const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition { name, kind, default: None, doc }
}

/// The name that is most like `name`, if one is like it at all.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| *distance <= 2 + known.len() / 8)
        .min()
        .map(|(_, known)| known)
}

/// Letters to add, remove or change to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, value: &str) -> Result<String, String> {
        Definition { name: "x", kind, default: None, doc: "" }.check(value)
    }

    #[test]
    fn values_are_refused_in_the_words_of_kafka() {
        let cases = [
            (Kind::Int(1, 9), "0", "Invalid value 0 for configuration x: Value must be at least 1"),
            (Kind::Int(1, 9), "10", "Invalid value 10 for configuration x: Value must be no more than 9"),
            (Kind::Int(1, 9), "ten", "Invalid value ten for configuration x: Not a number of type INT"),
            (Kind::Long(0, 9), "", "Invalid value  for configuration x: Not a number of type LONG"),
            (
                Kind::Double(0.0, 1.0),
                "NaN",
                "Invalid value NaN for configuration x: Not a number of type DOUBLE",
            ),
            (
                Kind::Double(0.0, 1.0),
                "2",
                "Invalid value 2 for configuration x: Value must be no more than 1",
            ),
            (
                Kind::Boolean,
                "1",
                "Invalid value 1 for configuration x: Expected value to be either true or false",
            ),
            (
                Kind::OneOf(&["a", "b"]),
                "c",
                "Invalid value c for configuration x: String must be one of: a, b",
            ),
            (
                Kind::List(&["a", "b"]),
                "a,c",
                "Invalid value c for configuration x: String must be one of: a, b",
            ),
        ];
        for (kind, value, message) in cases {
            assert_eq!(check(kind, value).unwrap_err(), message);
        }
        assert!(check(Kind::Replicas, "0:1,x").unwrap_err().contains("[partitionId]:[brokerId]"));
    }

    #[test]
    fn values_are_written_in_one_way() {
        let cases = [
            (Kind::Int(0, 9), " +7 ", "7"),
            (Kind::Boolean, "TRUE", "true"),
            (Kind::Double(0.0, 1.0), ".50", "0.5"),
            (Kind::Double(0.0, f64::MAX), "1.7976931348623157e+308", "1.7976931348623157E308"),
            (Kind::List(&["a", "b"]), " b, a,,b", "b,a"),
            (Kind::Replicas, "0:1,1:1", "0:1,1:1"),
            (Kind::Replicas, "*", "*"),
        ];
        for (kind, value, written) in cases {
            assert_eq!(check(kind, value).unwrap(), written);
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_told_from_another_word() {
        let known = || ["log.retention.ms", "num.partitions"].into_iter();
        assert_eq!(nearest("log.retension.ms", known()), Some("log.retention.ms"));
        assert_eq!(nearest("num.partition", known()), Some("num.partitions"));
        assert_eq!(nearest("zookeeper.connect", known()), None);
    }
}
