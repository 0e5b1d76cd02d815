//! Values that count once each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};
use thalweg_dataflow::hash::key_hash;

use crate::rows::RowBytes;

/// Hashes one piece of bytes.
#[derive(Clone, Copy, Debug, Default)]
struct BytesHasher(u64);

impl Hasher for BytesHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= key_hash(bytes);
    }

    /// The length, which is part of the hash of the bytes.
    fn write_usize(&mut self, _: usize) {}
}

/// Values, each with how often it is there, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distinct {
    counts: HashMap<RowBytes, i64, BuildHasherDefault<BytesHasher>>,
    /// The number of values that are there; others have been taken back more often than they were added.
    there: i64,
}

impl Distinct {
    /// Adds a value so often, or takes it back.
    pub(super) fn add(&mut self, value: RowBytes, by: i64) {
        match self.counts.entry(value) {
            Entry::Vacant(entry) => {
                self.there += i64::from(by > 0);
                entry.insert(by);
            }
            Entry::Occupied(mut entry) => {
                let before = *entry.get();
                *entry.get_mut() += by;
                let after = before + by;
                self.there += i64::from(after > 0) - i64::from(before > 0);
                if after == 0 {
                    entry.remove();
                }
            }
        }
    }

    /// Adds the values of another.
    pub(super) fn merge(&mut self, other: Self) {
        other.counts.into_iter().for_each(|(value, by)| self.add(value, by));
    }

    /// How many values there are.
    pub(super) fn len(&self) -> i64 {
        self.there
    }

    /// The values that are there.
    pub(super) fn values(&self) -> impl Iterator<Item = &RowBytes> {
        self.counts.iter().filter(|(_, count)| **count > 0).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_as_long_as_they_are_there() {
        let value = |text: &str| RowBytes::new(text.as_bytes());
        let mut values = Distinct::default();
        for (text, by) in [("a", 1), ("a", 1), ("b", -1), ("c", 1), ("a", -1), ("c", -1)] {
            values.add(value(text), by);
        }
        assert_eq!((values.len(), values.values().cloned().collect::<Vec<_>>()), (1, vec![value("a")]));
        let mut other = Distinct::default();
        other.add(value("b"), 2);
        values.merge(other);
        assert_eq!(values.len(), 2);
        values.add(value("a"), -1);
        assert_eq!((values.len(), values.values().count()), (1, 1));
    }
}
