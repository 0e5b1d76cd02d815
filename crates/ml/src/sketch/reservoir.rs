//! Reservoir: a uniform sample of what was seen.
//!
//! - **Source**: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006, with equal weights: each value draws a
//!   number, and those with the smallest stay. So samples merge, and
//!   stay uniform. Deterministic by seed.
//!
//! ```
//! use thalweg_ml::sketch::Reservoir;
//!
//! let mut sample = Reservoir::new(100, 42);
//! (0..10_000).for_each(|n| sample.insert(n));
//! let mean = sample.values().sum::<i32>() / 100;
//! assert!((4000..6000).contains(&mean));
//! ```

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::StateData;
use thalweg_dataflow::window::aggregate::AggregateFunction;

use crate::rng::Rng;

/// The sketch. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservoir<T> {
    size: usize,
    seen: u64,
    /// By what they drew, rising.
    drawn: Vec<(u64, T)>,
    rng: Rng,
}

impl<T: Clone> Reservoir<T> {
    /// A sample of `size` values. Samples that are to be merged want different seeds.
    pub fn new(size: usize, seed: u64) -> Self {
        Self { size: size.max(1), seen: 0, drawn: Vec::new(), rng: Rng::new(seed) }
    }

    /// Adds a value.
    pub fn insert(&mut self, value: T) {
        self.seen += 1;
        let drawn = self.rng.bits();
        self.keep(drawn, value);
    }

    fn keep(&mut self, drawn: u64, value: T) {
        if self.drawn.len() == self.size {
            if self.drawn.last().is_some_and(|(last, _)| *last <= drawn) {
                return;
            }
            self.drawn.pop();
        }
        let at = self.drawn.partition_point(|(other, _)| *other <= drawn);
        self.drawn.insert(at, (drawn, value));
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Self) {
        self.seen += other.seen;
        for (drawn, value) in &other.drawn {
            self.keep(*drawn, value.clone());
        }
        // So that two that were merged do not draw alike any longer.
        self.rng = Rng::new(self.rng.bits() ^ other.rng.clone().bits());
    }

    /// The sample, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.drawn.iter().map(|(_, value)| value)
    }

    /// How many values there were.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

/// A sample: an aggregate.
#[derive(Clone, Debug)]
pub struct Sample<T> {
    size: usize,
    rng: Rng,
    types: PhantomData<fn() -> T>,
}

impl<T> Sample<T> {
    /// Samples of `size` records, by seed.
    pub fn new(size: usize, seed: u64) -> Self {
        Self { size, rng: Rng::new(seed), types: PhantomData }
    }
}

impl<T: Data + StateData> AggregateFunction for Sample<T> {
    type In = T;
    type Accumulator = Reservoir<T>;
    type Out = Vec<T>;

    fn create_accumulator(&mut self) -> Reservoir<T> {
        Reservoir::new(self.size, self.rng.bits())
    }

    fn add(&mut self, sample: &mut Reservoir<T>, record: T) {
        sample.insert(record);
    }

    fn merge(&mut self, mut a: Reservoir<T>, b: Reservoir<T>) -> Reservoir<T> {
        a.merge(&b);
        a
    }

    fn get_result(&mut self, sample: &Reservoir<T>) -> Vec<T> {
        sample.values().cloned().collect()
    }
}
