//! Count–min: how often a value was seen, never too little.
//!
//! - **Source**: Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and its applications", J. Algorithms
//!   2005. A count is too high by at most `2n / width`
//!   with probability `1 - 2^-depth`, n being the number of all values.
//! - Merging is exact.
//!
//! ```
//! use thalweg_ml::sketch::CountMin;
//!
//! let mut sketch = CountMin::new(1024, 4);
//! (0..10_000_u64).for_each(|n| sketch.insert(&(n % 100), 1));
//! assert!((100..110).contains(&sketch.count(&7_u64)));
//! ```

use std::hash::Hash;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::hash::key_hash;

/// The sketch. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountMin {
    width: usize,
    depth: usize,
    counts: Vec<u64>,
    total: u64,
}

impl CountMin {
    /// With `depth` rows of `width` counts.
    pub fn new(width: usize, depth: usize) -> Self {
        let (width, depth) = (width.max(1), depth.max(1));
        Self { width, depth, counts: vec![0; width * depth], total: 0 }
    }

    /// The place in each row: two halves of one hash make as many as are wanted (Kirsch and Mitzenmacher, 2008).
    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let (a, b, width) = (hash, (hash >> 32) | 1, self.width);
        (0..self.depth).map(move |row| {
            let mixed = a.wrapping_add(b.wrapping_mul(row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            row * width + ((u128::from(mixed) * width as u128) >> 64) as usize
        })
    }

    /// Adds `count` of a value.
    pub fn insert<T: Hash + ?Sized>(&mut self, value: &T, count: u64) {
        self.total += count;
        for place in self.places(key_hash(value)) {
            self.counts[place] += count;
        }
    }

    /// How often a value was seen, or a little more.
    pub fn count<T: Hash + ?Sized>(&self, value: &T) -> u64 {
        self.places(key_hash(value)).map(|place| self.counts[place]).min().unwrap_or(0)
    }

    /// How many values there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds what another sketch of the same size has seen; says whether it was of the same size.
    pub fn merge(&mut self, other: &Self) -> bool {
        if (self.width, self.depth) != (other.width, other.depth) {
            return false;
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        self.total += other.total;
        true
    }
}
