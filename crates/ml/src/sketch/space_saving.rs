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

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::StateData;
use thalweg_dataflow::window::aggregate::AggregateFunction;

/// The sketch. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceSaving<T> {
    capacity: usize,
    /// By value: its count, and by how much that may be too high.
    counts: Vec<(T, (u64, u64))>,
}

impl<T: Ord + Clone> SpaceSaving<T> {
    /// With room for `capacity` values: some times as many as are asked for.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), counts: Vec::new() }
    }

    fn place(&self, value: &T) -> Result<usize, usize> {
        self.counts.binary_search_by(|(known, _)| known.cmp(value))
    }

    /// Adds a value. One that is new costs as much as there is room for.
    pub fn insert(&mut self, value: T) {
        let mut at = match self.place(&value) {
            Ok(at) => {
                self.counts[at].1.0 += 1;
                return;
            }
            Err(at) => at,
        };
        let mut floor = 0;
        if self.counts.len() >= self.capacity {
            // The least frequent gives way; of several, the least value, which comes first.
            let least = (0..self.counts.len()).min_by_key(|place| self.counts[*place].1.0);
            if let Some(least) = least {
                floor = self.counts.remove(least).1.0;
                at -= usize::from(least < at);
            }
        }
        self.counts.insert(at, (value, (floor + 1, floor)));
    }

    /// The `k` most frequent values, the most frequent first: value, count, and by how much that may be too high.
    pub fn top(&self, k: usize) -> Vec<(T, u64, u64)> {
        let mut all: Vec<&(T, (u64, u64))> = self.counts.iter().collect();
        all.sort_by(|a, b| (b.1.0, &b.0).cmp(&(a.1.0, &a.0)));
        all.into_iter().take(k).map(|(value, (count, error))| (value.clone(), *count, *error)).collect()
    }

    /// The count that a value which is not there may have had.
    fn floor(&self) -> u64 {
        if self.counts.len() < self.capacity {
            0
        } else {
            self.counts.iter().map(|(_, (count, _))| *count).min().unwrap_or(0)
        }
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Self) {
        let (own, theirs) = (self.floor(), other.floor());
        for (_, (count, error)) in self.counts.iter_mut() {
            (*count, *error) = (*count + theirs, *error + theirs);
        }
        for (value, (count, error)) in &other.counts {
            match self.place(value) {
                // What the other has counted takes the place of what it may have.
                Ok(at) => {
                    let (sum, doubt) = &mut self.counts[at].1;
                    (*sum, *doubt) = (*sum - theirs + count, *doubt - theirs + error);
                }
                Err(at) => self.counts.insert(at, (value.clone(), (own + count, own + error))),
            }
        }
        while self.counts.len() > self.capacity
            && let Some(least) = (0..self.counts.len()).min_by_key(|place| self.counts[*place].1.0)
        {
            self.counts.remove(least);
        }
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
