//! `reduce`: one value for each key, combined out of all of the key's values so far.
//!
//! One state machine, two faces: Flink's `keyBy().reduce()` emits the new value with every record
//! ([`Emit::Each`]); Spark's `reduceByKey` emits every key's value once, when a barrier closes the batch, and
//! starts anew ([`Emit::AtBatch`]); in batch mode, Flink's emits every key's value at the end ([`Emit::AtEnd`]).
//!
//! - **Records** combine with their key's value by the user's function, in the order in which they arrive. A
//!   result has the latest event time among the records that went into it; none of them having any, the batch's
//!   time.
//! - **Watermarks** pass at once with `Each`; with `AtBatch` they wait for the batch to close, so that no
//!   result is late.
//! - **Barriers** that close the batch emit it before they pass.
//! - **State**: keyed, `value`: of each key its value and event time. With `AtBatch` it is empty at a barrier
//!   that closes the batch.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{Emit, Reduce};
//! use thalweg_dataflow::record::Keyed;
//!
//! let sum = Reduce::new(|a: i64, b: i64| a + b, |word: &String, n: &i64| (word.clone(), *n), Emit::Each);
//! let mut harness = Harness::new(sum);
//! for word in ["deep", "fast", "deep"] {
//!     harness.push(Keyed::new(word.to_owned(), 1), 0);
//! }
//! assert_eq!(harness.values(), [("deep".to_owned(), 1), ("fast".to_owned(), 1), ("deep".to_owned(), 2)]);
//! ```

use std::marker::PhantomData;

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::{Batch, Keyed, Record};
use crate::state::{Key, KeyedTable, StateData, States};
use crate::time::{MAX_WATERMARK, NO_TIMESTAMP, Timestamp};

/// When results are emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// With each record: a running result.
    Each,
    /// Once a batch, by the barrier that closes it. The interval is in milliseconds.
    AtBatch {
        /// The batch interval.
        interval: i64,
    },
    /// Once, at the last watermark: for jobs in batch mode.
    AtEnd,
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct Reduce<K, V, F, R, Out> {
    values: KeyedTable<K, (V, Timestamp)>,
    function: F,
    result: R,
    emit: Emit,
    out: PhantomData<fn() -> Out>,
}

impl<K: Key, V: StateData, F, R, Out> Reduce<K, V, F, R, Out>
where
    F: FnMut(V, V) -> V,
    R: FnMut(&K, &V) -> Out,
{
    /// Combines values by `function`, and emits what `result` makes of a key and its value.
    pub fn new(function: F, result: R, emit: Emit) -> Self {
        Self { values: KeyedTable::default(), function, result, emit, out: PhantomData }
    }
}

impl<K, V, F, R, Out> Operator for Reduce<K, V, F, R, Out>
where
    K: Key,
    V: StateData,
    F: FnMut(V, V) -> V + Send + 'static,
    R: FnMut(&K, &V) -> Out + Send + 'static,
    Out: Send + 'static,
{
    type In = Keyed<K, V>;
    type Out = Out;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("value", &mut self.values);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<Out>) -> Result<(), BoxError> {
        let Self { values, function, result, .. } = self;
        let merge = |(a, at): (V, Timestamp), (b, bt): (V, Timestamp)| (function(a, b), at.max(bt));
        // The choice is made once a batch, so that neither loop asks again for every record.
        match self.emit {
            Emit::Each => {
                reduce_each(values, batch, merge, |key, value, at| output.push(result(key, value), at))
            }
            Emit::AtBatch { .. } | Emit::AtEnd => reduce_all(values, batch, merge),
        }
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        match self.emit {
            Emit::Each | Emit::AtEnd => None,
            Emit::AtBatch { interval } => Some(interval),
        }
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        if watermark == MAX_WATERMARK && self.emit == Emit::AtEnd {
            for (key, (value, timestamp)) in self.values.drain() {
                output.push((self.result)(&key, &value), timestamp);
            }
        }
        Ok(Some(watermark))
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<Out>) -> Result<(), BoxError> {
        if self.batch_interval().is_some_and(|interval| barrier.closes_batch(interval)) {
            for (key, (value, timestamp)) in self.values.drain() {
                let timestamp = if timestamp == NO_TIMESTAMP { barrier.time } else { timestamp };
                output.push((self.result)(&key, &value), timestamp);
            }
        }
        Ok(())
    }
}

#[inline]
fn reduce_all<K: Key, V: Clone>(
    values: &mut KeyedTable<K, (V, Timestamp)>,
    batch: &mut Batch<Keyed<K, V>>,
    mut merge: impl FnMut((V, Timestamp), (V, Timestamp)) -> (V, Timestamp),
) {
    for Record { value: record, timestamp } in batch.records.drain(..) {
        values.entry(record.hash, record.key).merge((record.value, timestamp), &mut merge);
    }
}

#[inline]
fn reduce_each<K: Key, V: Clone>(
    values: &mut KeyedTable<K, (V, Timestamp)>,
    batch: &mut Batch<Keyed<K, V>>,
    mut merge: impl FnMut((V, Timestamp), (V, Timestamp)) -> (V, Timestamp),
    mut emit: impl FnMut(&K, &V, Timestamp),
) {
    for Record { value: record, timestamp } in batch.records.drain(..) {
        let (key, (value, _)) =
            values.entry(record.hash, record.key).merge((record.value, timestamp), &mut merge);
        emit(key, value, timestamp);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::{Event, Harness, Then};

    fn sum(emit: Emit) -> impl Operator<In = Keyed<u8, i64>, Out = (u8, i64)> + Clone {
        Reduce::new(|a: i64, b: i64| a + b, |key: &u8, value: &i64| (*key, *value), emit)
    }

    proptest! {
        /// Whatever the records, wherever the cut and whatever the parallelism after it: the running sums are
        /// those of a map.
        #[test]
        fn running_sums_survive_a_restore_at_another_parallelism(
            records in prop::collection::vec((any::<u8>(), -9_i64..9), 1..200),
            cut in 0_usize..200,
            parallelism in 1_usize..5,
        ) {
            let mut sums = BTreeMap::new();
            let expected: Vec<(u8, i64)> = records
                .iter()
                .map(|(key, value)| (*key, *sums.entry(*key).and_modify(|sum| *sum += value).or_insert(*value)))
                .collect();
            let mut harness = Harness::new(sum(Emit::Each));
            for (index, (key, value)) in records.into_iter().enumerate() {
                if index == cut {
                    harness = harness.restore(sum(Emit::Each), parallelism);
                }
                harness.push(Keyed::new(key, value), index as i64);
            }
            prop_assert_eq!(harness.values(), expected);
        }
    }

    #[test]
    fn a_batch_is_emitted_once_before_its_barrier_and_never_late() {
        let mut harness = Harness::new(sum(Emit::AtBatch { interval: 1000 }));
        harness.push(Keyed::new(1, 10), 400);
        harness.push(Keyed::new(1, 5), NO_TIMESTAMP);
        harness.watermark(400);
        harness.barrier(500, Then::Continue);
        assert_eq!(harness.events(), [Event::Barrier(500)], "500 closes no batch of 1000 ms");
        harness.barrier(1000, Then::Continue);
        assert_eq!(
            harness.events(),
            [Event::Record((1, 15), 400), Event::Watermark(400), Event::Barrier(1000)]
        );
        harness.push(Keyed::new(2, 1), NO_TIMESTAMP);
        harness.end();
        harness.barrier(1300, Then::Finish);
        let last = harness.events();
        assert_eq!(last[0], Event::Record((2, 1), 1300), "a record without a time takes its batch's");
        assert_eq!(last[2..], [Event::End, Event::Barrier(1300)]);
    }

    #[test]
    fn an_open_batch_is_part_of_a_checkpoint() {
        let emit = Emit::AtBatch { interval: 1000 };
        let mut harness = Harness::new(sum(emit));
        harness.push(Keyed::new(1, 10), 1);
        let mut harness = harness.restore(sum(emit), 4);
        harness.push(Keyed::new(1, 1), 2);
        harness.barrier(1000, Then::Continue);
        assert_eq!(harness.values(), [(1, 11)]);
    }
}
