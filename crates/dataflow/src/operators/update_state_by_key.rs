//! `update_state_by_key`: state of each key, brought up to date once a batch with all of the batch's values
//! (Spark's `updateStateByKey`).
//!
//! - **Records** are collected, for each key in the order in which they arrive.
//! - **Barriers** that close the batch call the function for every key that has state or values, and emit every
//!   key that has state then, with the batch's time. Watermarks wait for them. A function that returns `None`
//!   ends the key's state.
//! - **State**: keyed, `state`: of each key its state; keyed, `values`: of each key the values of the open
//!   batch, and so empty at barriers that close the batch.
//!
//! A batch costs as much as there are keys, as in Spark. For results of changed keys only, see
//! [`Reduce`](super::Reduce).
//!
//! ```
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_dataflow::operators::UpdateStateByKey;
//! use thalweg_dataflow::record::Keyed;
//!
//! let total = |_: &u8, new: Vec<i64>, old: Option<i64>| Some(old.unwrap_or(0) + new.iter().sum::<i64>());
//! let mut harness = Harness::new(UpdateStateByKey::new(total, 1000));
//! harness.push(Keyed::new(7, 1), 0);
//! harness.push(Keyed::new(7, 2), 0);
//! harness.barrier(1000, Then::Continue);
//! harness.barrier(2000, Then::Continue);
//! assert_eq!(harness.values(), [(7, 3), (7, 3)]);
//! ```

use std::sync::Arc;

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::key_group::KeyGroups;
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, Keyed};
use crate::state::{Key, KeyedTable, StateData, States};

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct UpdateStateByKey<K, V, S, F> {
    state: KeyedTable<K, S>,
    values: KeyedTable<K, Vec<V>>,
    function: F,
    interval: i64,
    /// What keys have at the very start of the job.
    initial: Arc<Vec<(K, S)>>,
    /// Whether that is still to be put in, and of which groups.
    begins: Option<KeyGroups>,
}

impl<K: Key, V: StateData, S: StateData, F> UpdateStateByKey<K, V, S, F>
where
    F: FnMut(&K, Vec<V>, Option<S>) -> Option<S>,
{
    /// Brings state up to date by `function`: from the key, the batch's values, and the state there was. The
    /// interval is in milliseconds.
    pub fn new(function: F, interval: i64) -> Self {
        let (state, values) = (KeyedTable::default(), KeyedTable::default());
        Self { state, values, function, interval, initial: Arc::default(), begins: None }
    }

    /// The state that keys have at the very start of the job. After a restore it does not count.
    #[must_use]
    pub fn initial_state(self, initial: Vec<(K, S)>) -> Self {
        Self { initial: Arc::new(initial), ..self }
    }

    fn begin(&mut self) {
        let Some(groups) = self.begins.take() else { return };
        for (key, state) in self.initial.iter() {
            let hash = key_hash(key);
            if groups.position(hash).is_some() {
                self.state.insert(hash, key, state.clone());
            }
        }
    }
}

impl<K, V, S, F> Operator for UpdateStateByKey<K, V, S, F>
where
    K: Key,
    V: StateData,
    S: StateData,
    F: FnMut(&K, Vec<V>, Option<S>) -> Option<S> + Send + 'static,
{
    type In = Keyed<K, V>;
    type Out = (K, S);

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.begins = (context.restored_epoch == 0).then(|| context.key_groups.clone());
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        // Also of a checkpoint before the first batch.
        if states.epoch().is_some() {
            self.begin();
        }
        states.keyed("state", &mut self.state);
        states.keyed("values", &mut self.values);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Self::Out>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            let (entry, value) = self.values.entry_of(record.value);
            entry.or_insert_with(Vec::new).push(value);
        }
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.interval)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        if !barrier.closes_batch(self.interval) {
            return Ok(());
        }
        self.begin();
        let Self { state, values, function, .. } = self;
        state.retain(|key, state| {
            let new = values.remove(key_hash(key), key).map_or_else(Vec::new, |(_, new)| new);
            match function(key, new, Some(state.clone())) {
                Some(updated) => {
                    *state = updated;
                    true
                }
                None => false,
            }
        });
        // What is left are keys without state.
        for (key, new) in values.drain() {
            if let Some(first) = function(&key, new, None) {
                state.insert(key_hash(&key), &key, first);
            }
        }
        state.iter().for_each(|(key, state)| output.push((key.clone(), state.clone()), barrier.time));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::{Harness, Then};

    /// Sums; a sum of zero is forgotten.
    fn total(_: &u8, new: Vec<i64>, old: Option<i64>) -> Option<i64> {
        Some(old.unwrap_or(0) + new.iter().sum::<i64>()).filter(|sum| *sum != 0)
    }

    proptest! {
        #[test]
        fn state_follows_the_batches_through_a_restore(
            batches in prop::collection::vec(prop::collection::vec((0_u8..9, -3_i64..4), 0..20), 1..8),
            cut in 0_usize..80,
            parallelism in 1_usize..5,
        ) {
            let mut harness = Harness::new(UpdateStateByKey::new(total, 1000));
            let (mut model, mut count): (BTreeMap<u8, i64>, usize) = (BTreeMap::new(), 0);
            for (index, batch) in batches.into_iter().enumerate() {
                for (key, value) in batch {
                    if count == cut {
                        harness = harness.restore(UpdateStateByKey::new(total, 1000), parallelism);
                    }
                    count += 1;
                    harness.push(Keyed::new(key, value), 0);
                    *model.entry(key).or_insert(0) += value;
                }
                model.retain(|_, sum| *sum != 0);
                harness.barrier((index as i64 + 1) * 1000, Then::Continue);
                let emitted: BTreeMap<u8, i64> = harness.values().into_iter().collect();
                prop_assert_eq!(&emitted, &model);
            }
        }
    }

    #[test]
    fn keys_begin_with_their_initial_state_and_only_once() {
        let total =
            |_: &u8, new: Vec<i64>, old: Option<i64>| Some(old.unwrap_or(0) + new.iter().sum::<i64>());
        let operator = || UpdateStateByKey::new(total, 1000).initial_state(vec![(1, 100), (2, 200)]);
        let mut harness = Harness::new(operator());
        harness.push(Keyed::new(1, 5), 0);
        let mut harness = harness.restore(operator(), 3);
        harness.push(Keyed::new(1, 5), 0);
        harness.barrier(1000, Then::Continue);
        let mut values = harness.values();
        values.sort();
        assert_eq!(values, [(1, 110), (2, 200)]);
    }
}
