//! `reduce_by_key_and_window`: every slide, one pair for each key, reduced over the last batches (Spark's
//! `reduceByKeyAndWindow`).
//!
//! A window is made of whole batches: at batch time t, of those with times in (t − length, t]. Each key keeps
//! one partial result a batch. Without an inverse function the partial results of the window are reduced at
//! each slide; with one, the window's result is kept, partial results that come in are added to it, and those
//! that fall out are taken off: work that does not grow with the window. With both, a key without records in
//! the window is forgotten and not emitted.
//!
//! - **Records** combine with their key's value in the open batch.
//! - **Barriers** that end a slide emit the window of every key, with the batch's time. Watermarks wait for them.
//! - **State**: keyed, `open`: of each key its value in the open batch; keyed, `window`: of each key the
//!   window's result and its partial results.
//!
//! ```
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_dataflow::operators::ReduceByKeyAndWindow;
//! use thalweg_dataflow::record::Keyed;
//!
//! let sums = ReduceByKeyAndWindow::with_inverse(|a: i64, b: i64| a + b, |a, b| a - b, 1000, 2000, 1000);
//! let mut harness = Harness::new(sums);
//! for time in [1000, 2000, 3000] {
//!     harness.push(Keyed::new("key".to_owned(), time), 0);
//!     harness.barrier(time, Then::Continue);
//! }
//! let sums: Vec<i64> = harness.values().into_iter().map(|(_, sum)| sum).collect();
//! assert_eq!(sums, [1000, 3000, 5000]);
//! ```

use serde::{Deserialize, Serialize};

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::{Batch, Keyed};
use crate::state::{Key, KeyedTable, StateData, States};
use crate::time::Timestamp;

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct ReduceByKeyAndWindow<K, V, F, I> {
    open: KeyedTable<K, V>,
    window: KeyedTable<K, Window<V>>,
    function: F,
    inverse: Option<I>,
    interval: i64,
    length: i64,
    slide: i64,
}

/// What is known of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Window<V> {
    /// With an inverse function: the result over `partial`.
    total: Option<V>,
    /// Batch time and value of each batch with records, rising.
    partial: Vec<(Timestamp, V)>,
}

impl<K: Key, V: StateData, F: FnMut(V, V) -> V> ReduceByKeyAndWindow<K, V, F, fn(V, V) -> V> {
    /// Reduces each window anew. Batch interval, window length and slide are in milliseconds.
    pub fn new(function: F, interval: i64, length: i64, slide: i64) -> Self {
        Self::make(function, None, interval, length, slide)
    }
}

impl<K: Key, V: StateData, F: FnMut(V, V) -> V, I: FnMut(V, V) -> V> ReduceByKeyAndWindow<K, V, F, I> {
    /// Brings each window up to date: `inverse(function(a, b), b)` must be `a`.
    pub fn with_inverse(function: F, inverse: I, interval: i64, length: i64, slide: i64) -> Self {
        Self::make(function, Some(inverse), interval, length, slide)
    }

    fn make(function: F, inverse: Option<I>, interval: i64, length: i64, slide: i64) -> Self {
        let (open, window) = (KeyedTable::default(), KeyedTable::default());
        Self { open, window, function, inverse, interval, length, slide }
    }
}

impl<K, V, F, I> Operator for ReduceByKeyAndWindow<K, V, F, I>
where
    K: Key,
    V: StateData,
    F: FnMut(V, V) -> V + Send + 'static,
    I: FnMut(V, V) -> V + Send + 'static,
{
    type In = Keyed<K, V>;
    type Out = (K, V);

    fn identity(&self) -> String {
        let Self { length, slide, inverse, .. } = self;
        let how = if inverse.is_some() { ", with inverse" } else { "" };
        format!("{length} ms, every {slide} ms{how}")
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("open", &mut self.open);
        states.keyed("window", &mut self.window);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Self::Out>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            let (entry, value) = self.open.entry_of(record.value);
            entry.merge(value, &mut self.function);
        }
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.slide)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        if !barrier.closes_batch(self.interval) {
            return Ok(());
        }
        let Self { open, window, function, inverse, .. } = self;
        for (key, value) in open.drain() {
            let entry = window.entry(key_hash(&key), key);
            let window = entry.or_insert_with(|| Window { total: None, partial: Vec::new() });
            if inverse.is_some() {
                window.total = Some(match window.total.take() {
                    Some(total) => function(total, value.clone()),
                    None => value.clone(),
                });
            }
            window.partial.push((barrier.time, value));
        }
        if !barrier.closes_batch(self.slide) {
            return Ok(());
        }
        let oldest = barrier.time - self.length;
        window.retain(|key, window| {
            let expired = window.partial.partition_point(|(time, _)| *time <= oldest);
            for (_, value) in window.partial.drain(..expired) {
                if let (Some(inverse), Some(total)) = (inverse.as_mut(), window.total.take()) {
                    window.total = Some(inverse(total, value));
                }
            }
            if window.partial.is_empty() {
                return false;
            }
            let reduced = window
                .total
                .clone()
                .or_else(|| window.partial.iter().map(|(_, value)| value.clone()).reduce(&mut *function));
            if let Some(reduced) = reduced {
                output.push((key.clone(), reduced), barrier.time);
            }
            true
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::{Harness, Then};

    type Function = fn(i64, i64) -> i64;
    type Sums = ReduceByKeyAndWindow<u8, i64, Function, Function>;

    fn sums(inverse: bool, length: i64, slide: i64) -> Sums {
        let (add, subtract): (Function, Function) = (|a, b| a + b, |a, b| a - b);
        Sums::make(add, inverse.then_some(subtract), 10, length * 10, slide * 10)
    }

    proptest! {
        #[test]
        fn windows_with_and_without_inverse_are_those_of_the_records(
            batches in prop::collection::vec(prop::collection::vec((0_u8..5, -9_i64..9), 0..6), 1..12),
            length in 1_i64..5,
            slide in 1_i64..4,
            inverse: bool,
            cut in 0_usize..12,
            parallelism in 1_usize..5,
        ) {
            let mut harness = Harness::new(sums(inverse, length, slide));
            let mut model: Vec<(i64, u8, i64)> = Vec::new();
            for (index, batch) in batches.into_iter().enumerate() {
                let time = (index as i64 + 1) * 10;
                for (key, value) in batch {
                    harness.push(Keyed::new(key, value), 0);
                    model.push((time, key, value));
                }
                if index == cut {
                    harness = harness.restore(sums(inverse, length, slide), parallelism);
                }
                harness.barrier(time, Then::Continue);
                let mut expected = BTreeMap::new();
                if time % (slide * 10) == 0 {
                    for (_, key, value) in model.iter().filter(|(at, ..)| *at > time - length * 10) {
                        *expected.entry(*key).or_insert(0) += value;
                    }
                }
                prop_assert_eq!(harness.values().into_iter().collect::<BTreeMap<_, _>>(), expected);
            }
        }
    }
}
