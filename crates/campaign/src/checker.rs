//! What is wrong with an output.
//!
//! The jobs count the records of each key, and put out every count with the name of the process that has counted. So what must come
//! out is known: of each key, in each place, 1, 2, 3 … in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One record of an output: the count of a key, and the process that put it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The key.
    pub key: u32,
    /// Its count.
    pub count: u64,
    /// The process.
    pub by: String,
}

impl Seen {
    /// Reads `<key> <count> <process>`.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let (key, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let by = fields.next()?.to_owned();
        fields.next().is_none().then_some(Self { key, count, by })
    }

    /// The line that [`parse`](Self::parse) reads.
    pub fn line(key: u32, count: u64) -> String {
        format!("{key} {count} {}", std::process::id())
    }
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A count that is not there.
    Lost {
        /// Where.
        place: String,
        /// Of which key.
        key: u32,
        /// Which.
        count: u64,
    },
    /// A count that one process has put out, and that is there twice.
    Doubled {
        /// Where.
        place: String,
        /// Of which key.
        key: u32,
        /// Which.
        count: u64,
    },
    /// A count that two processes have put out, and both are there: one of them was to be aborted.
    AbortedYetSeen {
        /// Where.
        place: String,
        /// Of which key.
        key: u32,
        /// Which.
        count: u64,
        /// The processes.
        by: [String; 2],
    },
    /// A count that comes after a higher one.
    OutOfOrder {
        /// Where.
        place: String,
        /// Of which key.
        key: u32,
        /// Which.
        count: u64,
    },
    /// A count that is in one place and not in another, where they commit as one.
    PartiallyVisible {
        /// Where it is not.
        place: String,
        /// Of which key.
        key: u32,
        /// Which.
        count: u64,
    },
    /// Something that no job has put out whole.
    Torn {
        /// Where.
        place: String,
        /// What.
        text: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Lost { place, key, count } => write!(f, "lost: {count} of key {key} in {place}"),
            Fault::Doubled { place, key, count } => write!(f, "doubled: {count} of key {key} in {place}"),
            Fault::AbortedYetSeen { place, key, count, by: [one, other] } => {
                write!(f, "aborted yet seen: {count} of key {key} in {place}, by both {one} and {other}")
            }
            Fault::OutOfOrder { place, key, count } => {
                write!(f, "out of order: {count} of key {key} in {place}")
            }
            Fault::PartiallyVisible { place, key, count } => {
                write!(f, "partially visible: {count} of key {key} is not in {place}")
            }
            Fault::Torn { place, text } => write!(f, "torn: {text:?} in {place}"),
        }
    }
}

/// What a place shows, in order: each line, read if it can be.
pub type Output = Vec<Result<Seen, String>>;

/// Looks at one place, of which it is known how often each key must have been counted; `None`: not yet, the counts end somewhere.
pub fn check(place: &str, output: &Output, expected: Option<&BTreeMap<u32, u64>>) -> Vec<Fault> {
    let place = || place.to_owned();
    let mut faults = Vec::new();
    let mut of_key: BTreeMap<u32, BTreeMap<u64, &str>> = BTreeMap::new();
    for seen in output {
        let Seen { key, count, by } = match seen {
            Ok(seen) => seen,
            Err(text) => {
                faults.push(Fault::Torn { place: place(), text: text.clone() });
                continue;
            }
        };
        let (key, count) = (*key, *count);
        let counts = of_key.entry(key).or_default();
        let last = counts.keys().next_back().copied();
        match counts.insert(count, by) {
            Some(other) if other == by => faults.push(Fault::Doubled { place: place(), key, count }),
            Some(other) => {
                let by = [other.to_owned(), by.clone()];
                faults.push(Fault::AbortedYetSeen { place: place(), key, count, by });
            }
            None if last.is_some_and(|last| last > count) => {
                faults.push(Fault::OutOfOrder { place: place(), key, count });
            }
            None => {}
        }
    }
    let keys: BTreeSet<u32> =
        of_key.keys().chain(expected.into_iter().flat_map(BTreeMap::keys)).copied().collect();
    for key in keys {
        let counts = of_key.remove(&key).unwrap_or_default();
        let highest = counts.keys().next_back().copied().unwrap_or(0);
        let upto = expected.map_or(highest, |expected| expected.get(&key).copied().unwrap_or(0));
        let missing = (1..=upto).filter(|count| !counts.contains_key(count));
        faults.extend(missing.map(|count| Fault::Lost { place: place(), key, count }));
        let beyond = counts.keys().filter(|count| **count > upto);
        faults.extend(beyond.map(|count| Fault::Doubled { place: place(), key, count: *count }));
    }
    faults
}

/// Looks whether places that commit as one show the same.
pub fn check_together(places: &[(String, Output)]) -> Vec<Fault> {
    let of = |output: &Output| -> BTreeSet<(u32, u64)> {
        output.iter().filter_map(|seen| seen.as_ref().ok()).map(|seen| (seen.key, seen.count)).collect()
    };
    let all: BTreeSet<(u32, u64)> = places.iter().flat_map(|(_, output)| of(output)).collect();
    let missing = places.iter().flat_map(|(place, output)| {
        let here = of(output);
        let missing: Vec<_> = all.difference(&here).copied().collect();
        missing.into_iter().map(|(key, count)| Fault::PartiallyVisible { place: place.clone(), key, count })
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(lines: &[&str]) -> Output {
        lines.iter().map(|line| Seen::parse(line).ok_or_else(|| (*line).to_owned())).collect()
    }

    fn faults(lines: &[&str]) -> Vec<String> {
        let expected = BTreeMap::from([(1, 3), (2, 1)]);
        check("p", &output(lines), Some(&expected)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        let none: [&str; 0] = [];
        assert_eq!(faults(&["1 1 a", "2 1 a", "1 2 a", "1 3 b"]), none);
        assert_eq!(faults(&["1 1 a", "2 1 a", "1 3 b"]), ["lost: 2 of key 1 in p"]);
        assert_eq!(faults(&["1 1 a", "1 2 a", "1 3 b"]), ["lost: 1 of key 2 in p"]);
        assert_eq!(faults(&["1 1 a", "2 1 a", "1 2 a", "1 2 a", "1 3 b"]), ["doubled: 2 of key 1 in p"]);
        let aborted = faults(&["1 1 a", "2 1 a", "1 2 a", "1 2 b", "1 3 b"]);
        assert_eq!(aborted, ["aborted yet seen: 2 of key 1 in p, by both a and b"]);
        assert_eq!(faults(&["1 1 a", "2 1 a", "1 3 a", "1 2 b"]), ["out of order: 2 of key 1 in p"]);
        assert_eq!(faults(&["1 1 a", "2 1 a", "1 2 a", "1 3 a", "1 4 a"]), ["doubled: 4 of key 1 in p"]);
        assert_eq!(faults(&["1 1 a", "2 1 a", "1 2 a", "1 3 a", "\0\0"]), ["torn: \"\\0\\0\" in p"]);
    }

    #[test]
    fn a_cut_that_shows_in_one_place_only_is_noticed() {
        let places = [("a".to_owned(), output(&["1 1 a", "1 2 a"])), ("b".to_owned(), output(&["1 1 a"]))];
        assert_eq!(check_together(&places)[0].to_string(), "partially visible: 2 of key 1 is not in b");
        assert_eq!(check_together(&[places[0].clone(), places[0].clone()]), []);
        assert_eq!(check("a", &places[0].1, None), []);
    }
}
