//! `co_group`: of each batch, for each key, all values of two streams (Spark's `cogroup`; the joins are made of it).
//!
//! - **Records** of either side are collected under their key.
//! - **Barriers** that close the batch emit every key that has values on either side, with the batch's time.
//!   Watermarks wait for them.
//! - **State**: keyed, `left` and `right`: the values of the open batch; empty at barriers that close it.
//!
//! ```
//! use thalweg_dataflow::graph::Either;
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_dataflow::operators::CoGroup;
//! use thalweg_dataflow::record::Keyed;
//!
//! let mut harness = Harness::new(CoGroup::new(1000));
//! harness.push(Either::Left(Keyed::new(7, "left".to_owned())), 0);
//! harness.push(Either::Right(Keyed::new(7, 1.5)), 0);
//! harness.barrier(1000, Then::Continue);
//! assert_eq!(harness.values(), [(7, (vec!["left".to_owned()], vec![1.5]))]);
//! ```

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::graph::Either;
use crate::hash::key_hash;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::{Batch, Keyed};
use crate::state::{Key, KeyedTable, StateData, States};

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct CoGroup<K, A, B> {
    left: KeyedTable<K, Vec<A>>,
    right: KeyedTable<K, Vec<B>>,
    interval: i64,
}

impl<K: Key, A: StateData, B: StateData> CoGroup<K, A, B> {
    /// The batch interval is in milliseconds.
    pub fn new(interval: i64) -> Self {
        Self { left: KeyedTable::default(), right: KeyedTable::default(), interval }
    }
}

impl<K: Key, A: StateData, B: StateData> Operator for CoGroup<K, A, B> {
    type In = Either<Keyed<K, A>, Keyed<K, B>>;
    type Out = (K, (Vec<A>, Vec<B>));

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("left", &mut self.left);
        states.keyed("right", &mut self.right);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Self::Out>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            match record.value {
                Either::Left(record) => {
                    let (entry, value) = self.left.entry_of(record);
                    entry.or_insert_with(Vec::new).push(value);
                }
                Either::Right(record) => {
                    let (entry, value) = self.right.entry_of(record);
                    entry.or_insert_with(Vec::new).push(value);
                }
            }
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
        let Self { left, right, .. } = self;
        for (key, left) in left.drain() {
            let right = right.remove(key_hash(&key), &key).map_or_else(Vec::new, |(_, right)| right);
            output.push((key, (left, right)), barrier.time);
        }
        right.drain().for_each(|(key, right)| output.push((key, (Vec::new(), right)), barrier.time));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::{Harness, Then};

    proptest! {
        #[test]
        fn both_sides_meet_even_when_the_batch_is_cut_in_two_by_a_restore(
            records in prop::collection::vec((any::<bool>(), 0_u8..5, any::<u16>()), 0..60),
            cut in 0_usize..60,
            parallelism in 1_usize..5,
        ) {
            let mut harness = Harness::new(CoGroup::<u8, u16, u16>::new(1000));
            let mut expected: BTreeMap<u8, (Vec<u16>, Vec<u16>)> = BTreeMap::new();
            for (index, (left, key, value)) in records.into_iter().enumerate() {
                if index == cut {
                    harness = harness.restore(CoGroup::new(1000), parallelism);
                }
                let sides = expected.entry(key).or_default();
                if left {
                    sides.0.push(value);
                    harness.push(Either::Left(Keyed::new(key, value)), 0);
                } else {
                    sides.1.push(value);
                    harness.push(Either::Right(Keyed::new(key, value)), 0);
                }
            }
            harness.barrier(1000, Then::Continue);
            prop_assert_eq!(harness.values().into_iter().collect::<BTreeMap<_, _>>(), expected);
            harness.barrier(2000, Then::Continue);
            prop_assert!(harness.values().is_empty());
        }
    }
}
