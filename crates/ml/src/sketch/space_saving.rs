//! Space-saving: the most frequent values.
//!
//! - **Source**: Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data streams", ICDT 2005;
//!   merged as in Agarwal et al., "Mergeable summaries",
//!   PODS 2012. A count is never too low, and too high by at most the error kept beside it, `n / capacity`. Every value more frequent
//!   than that is among them.
//!
//! ```
//! use thalweg_ml::sketch::SpaceSaving;
//!
//! let mut sketch = SpaceSaving::new(20);
//! (0..10_000_u32).for_each(|n| sketch.insert(if n % 3 == 0 { n } else { n % 2 }));
//! let top: Vec<u32> = sketch.top(2).into_iter().map(|(value, _, _)| value).collect();
//! assert_eq!({ let mut top = top; top.sort(); top }, [0, 1]);
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::StateData;
use thalweg_dataflow::window::aggregate::AggregateFunction;

/// The sketch. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Ord + Serialize", deserialize = "T: Ord + serde::de::DeserializeOwned"))]
pub struct SpaceSaving<T> {
    capacity: usize,
    /// Count, and by how much it may be too high.
    counts: BTreeMap<T, (u64, u64)>,
    by_count: BTreeSet<(u64, T)>,
}

impl<T: Ord + Clone> SpaceSaving<T> {
    /// With room for `capacity` values: some times as many as are asked for.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), counts: BTreeMap::new(), by_count: BTreeSet::new() }
    }

    /// Adds a value.
    pub fn insert(&mut self, value: T) {
        self.add(value, 1, 0);
    }

    fn add(&mut self, value: T, count: u64, error: u64) {
        if let Some((before, errors)) = self.counts.get_mut(&value) {
            self.by_count.remove(&(*before, value.clone()));
            *before += count;
            *errors += error;
            self.by_count.insert((*before, value));
            return;
        }
        let floor = if self.counts.len() < self.capacity {
            0
        } else if let Some((least, evicted)) = self.by_count.pop_first() {
            self.counts.remove(&evicted);
            least
        } else {
            0
        };
        self.counts.insert(value.clone(), (floor + count, floor + error));
        self.by_count.insert((floor + count, value));
    }

    /// The `k` most frequent values, the most frequent first: value, count, and by how much that may be too high.
    pub fn top(&self, k: usize) -> Vec<(T, u64, u64)> {
        let of = |(count, value): &(u64, T)| {
            (value.clone(), *count, self.counts.get(value).map_or(0, |(_, error)| *error))
        };
        self.by_count.iter().rev().take(k).map(of).collect()
    }

    /// The count that a value which is not there may have had.
    fn floor(&self) -> u64 {
        if self.counts.len() < self.capacity {
            0
        } else {
            self.by_count.first().map_or(0, |(count, _)| *count)
        }
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Self) {
        let (own, theirs) = (self.floor(), other.floor());
        let mut merged: BTreeMap<T, (u64, u64)> = BTreeMap::new();
        for value in self.counts.keys().chain(other.counts.keys()) {
            let (a, b) = (self.counts.get(value), other.counts.get(value));
            let ((count, error), (more, doubt)) =
                (a.copied().unwrap_or((own, own)), b.copied().unwrap_or((theirs, theirs)));
            merged.insert(value.clone(), (count + more, error + doubt));
        }
        let mut by_count: BTreeSet<(u64, T)> =
            merged.iter().map(|(value, (count, _))| (*count, value.clone())).collect();
        while by_count.len() > self.capacity
            && let Some((_, value)) = by_count.pop_first()
        {
            merged.remove(&value);
        }
        (self.counts, self.by_count) = (merged, by_count);
    }
}

/// The most frequent values: an aggregate.
#[derive(Clone, Debug)]
pub struct TopK<R, T, F> {
    k: usize,
    capacity: usize,
    field: F,
    types: PhantomData<fn(R) -> T>,
}

impl<R, T, F: FnMut(&R) -> T> TopK<R, T, F> {
    /// The `k` most frequent of what `field` takes out of records, by a sketch with room for `capacity`.
    pub fn new(k: usize, capacity: usize, field: F) -> Self {
        Self { k, capacity, field, types: PhantomData }
    }
}

impl<R: Data, T: StateData + Ord, F: FnMut(&R) -> T + Clone + Send + 'static> AggregateFunction
    for TopK<R, T, F>
{
    type In = R;
    type Accumulator = SpaceSaving<T>;
    type Out = Vec<(T, u64, u64)>;

    fn create_accumulator(&mut self) -> SpaceSaving<T> {
        SpaceSaving::new(self.capacity)
    }

    fn add(&mut self, sketch: &mut SpaceSaving<T>, record: R) {
        sketch.insert((self.field)(&record));
    }

    fn merge(&mut self, mut a: SpaceSaving<T>, b: SpaceSaving<T>) -> SpaceSaving<T> {
        a.merge(&b);
        a
    }

    fn get_result(&mut self, sketch: &SpaceSaving<T>) -> Self::Out {
        sketch.top(self.k)
    }
}
