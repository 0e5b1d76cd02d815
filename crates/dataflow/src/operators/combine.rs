//! `combine`: values of the same key are combined before they are sent to the key's owner (Spark's map-side combine).
//!
//! It goes before the exchange of a [`Reduce`](super::Reduce) that emits at batches, whose function must be
//! associative and commutative: the reduce then gets partial results instead of records, fewer by orders of
//! magnitude where keys repeat.
//!
//! - **Records** combine with the partial result of their key, which keeps the latest of their event times.
//!   When there are 65,536 keys, all partial results are emitted.
//! - **Watermarks** pass at once, ahead of partial results with earlier times. That is right only before a
//!   reduce that emits at batches, as it asks no record for its time and holds watermarks until the batch is
//!   closed.
//! - **Barriers**, each of them, and the end, are preceded by all partial results.
//! - **State**: none, as it is empty at every barrier.
//!
//! ```
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_dataflow::operators::Combine;
//!
//! let mut harness = Harness::new(Combine::new(|a: i64, b: i64| a + b));
//! for word in ["deep", "deep", "deep"] {
//!     harness.push((word.to_owned(), 1), 0);
//! }
//! harness.barrier(1000, Then::Continue);
//! let partial = harness.values();
//! assert_eq!((partial.len(), partial[0].value), (1, 3));
//! ```

use std::marker::PhantomData;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::{Batch, Data, Keyed, Record};
use crate::state::Key;
use crate::time::Timestamp;

/// So many keys are held before all partial results are emitted: a few megabytes, and far above what fits a batch.
const LIMIT: usize = 1 << 16;

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct Combine<K, V, F> {
    /// No keyed state: what a subtask combines is not what it owns, and no snapshot sees it.
    partial: HashTable<Partial<K, V>>,
    function: F,
    records: PhantomData<fn(K, V)>,
}

/// What there is of a key so far.
#[derive(Clone, Debug)]
struct Partial<K, V> {
    key: K,
    value: V,
    timestamp: Timestamp,
}

impl<K: Key, V: Data + Sync, F: FnMut(V, V) -> V> Combine<K, V, F> {
    /// Combines values by `function`.
    pub fn new(function: F) -> Self {
        Self { partial: HashTable::new(), function, records: PhantomData }
    }
}

impl<K, V, F> Combine<K, V, F>
where
    K: Key,
    V: Data + Sync,
{
    fn emit(&mut self, output: &mut Output<Keyed<K, V>>) {
        for Partial { key, value, timestamp } in self.partial.drain() {
            output.push(Keyed::new(key, value), timestamp);
        }
    }
}

impl<K, V, F> Operator for Combine<K, V, F>
where
    K: Key,
    V: Data + Sync,
    F: FnMut(V, V) -> V + Send + 'static,
{
    type In = (K, V);
    type Out = Keyed<K, V>;

    fn process(
        &mut self,
        batch: &mut Batch<(K, V)>,
        output: &mut Output<Keyed<K, V>>,
    ) -> Result<(), BoxError> {
        let Self { partial, function, .. } = self;
        for Record { value: (key, value), timestamp } in batch.records.drain(..) {
            let entry =
                partial.entry(key_hash(&key), |partial| partial.key == key, |partial| key_hash(&partial.key));
            match entry {
                // A value that owns nothing is copied out; one that owns memory is moved out and back in, never cloned.
                Entry::Occupied(entry) if std::mem::needs_drop::<V>() => {
                    let (Partial { key, value: before, timestamp: at }, place) = entry.remove();
                    place.insert(Partial {
                        key,
                        value: function(before, value),
                        timestamp: at.max(timestamp),
                    });
                }
                Entry::Occupied(mut entry) => {
                    let partial = entry.get_mut();
                    partial.value = function(partial.value.clone(), value);
                    partial.timestamp = partial.timestamp.max(timestamp);
                }
                Entry::Vacant(entry) => {
                    entry.insert(Partial { key, value, timestamp });
                }
            }
        }
        if self.partial.len() >= LIMIT {
            self.emit(output);
        }
        Ok(())
    }

    fn barrier(&mut self, _: &Barrier, output: &mut Output<Keyed<K, V>>) -> Result<(), BoxError> {
        self.emit(output);
        Ok(())
    }

    fn end(&mut self, output: &mut Output<Keyed<K, V>>) -> Result<(), BoxError> {
        self.emit(output);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::{Event, Harness, Then};

    proptest! {
        #[test]
        fn partial_results_add_up_to_the_whole(records in prop::collection::vec((0_u8..20, -9_i64..9, 0_i64..99), 0..300)) {
            let mut harness = Harness::new(Combine::new(|a: i64, b: i64| a + b));
            let mut expected: BTreeMap<u8, (i64, i64)> = BTreeMap::new();
            for (index, (key, value, at)) in records.into_iter().enumerate() {
                let entry = expected.entry(key).or_insert((0, 0));
                *entry = (entry.0 + value, entry.1.max(at));
                harness.push((key, value), at);
                if index % 50 == 49 {
                    harness.barrier(index as i64, Then::Continue);
                }
            }
            harness.end();
            let mut found: BTreeMap<u8, (i64, i64)> = BTreeMap::new();
            for event in harness.events() {
                if let Event::Record(Keyed { key, value, .. }, at) = event {
                    let entry = found.entry(key).or_insert((0, 0));
                    *entry = (entry.0 + value, entry.1.max(at));
                }
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn many_keys_do_not_pile_up() {
        let mut harness = Harness::new(Combine::new(|a: u8, _| a));
        for key in 0..LIMIT {
            harness.push((key, 0), 0);
        }
        assert_eq!(harness.values().len(), LIMIT);
    }
}
