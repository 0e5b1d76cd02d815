//! `flat_map_with_state`: a closure over each record with the state of its key (Flink's `flatMapWithState`).
//!
//! - **Records**: the closure is called for each, in order, with the state of its key, which it may set, change or take away; what it
//!   collects has the record's event time.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `state`.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{Collect, FlatMapWithState};
//! use thalweg_dataflow::record::Keyed;
//!
//! // Only what differs from what came before.
//! let changes = FlatMapWithState::new(|n: u32, last: &mut Option<u32>, out: &mut Collect<'_, u32>| {
//!     if last.replace(n) != Some(n) {
//!         out.collect(n);
//!     }
//!     Ok(())
//! });
//! let mut harness = Harness::new(changes);
//! for n in [1, 1, 2, 1] {
//!     harness.push(Keyed::new('k', n), 0);
//! }
//! assert_eq!(harness.values(), [1, 2, 1]);
//! ```

use std::marker::PhantomData;

use super::Collect;
use crate::error::BoxError;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::{Batch, Keyed, Record};
use crate::state::{Key, KeyedTable, StateData, States};

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct FlatMapWithState<K, T, S, Out, F> {
    function: F,
    /// `None` only while the function is called.
    state: KeyedTable<K, Option<S>>,
    types: PhantomData<fn(T) -> Out>,
}

impl<K, T, S, Out, F> FlatMapWithState<K, T, S, Out, F>
where
    K: Key,
    S: StateData,
    F: FnMut(T, &mut Option<S>, &mut Collect<'_, Out>) -> Result<(), BoxError>,
{
    /// Calls `function` on every record.
    pub fn new(function: F) -> Self {
        Self { function, state: KeyedTable::default(), types: PhantomData }
    }
}

impl<K, T, S, Out, F> Operator for FlatMapWithState<K, T, S, Out, F>
where
    K: Key,
    T: Send + 'static,
    S: StateData,
    Out: Send + 'static,
    F: FnMut(T, &mut Option<S>, &mut Collect<'_, Out>) -> Result<(), BoxError> + Send + 'static,
{
    type In = Keyed<K, T>;
    type Out = Out;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("state", &mut self.state);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<Out>) -> Result<(), BoxError> {
        let Self { function, state, .. } = self;
        for Record { value: Keyed { hash, key, value }, timestamp } in batch.records.drain(..) {
            let out = &mut Collect::new(output, timestamp);
            if let Some(slot) = state.get_mut(hash, &key) {
                function(value, slot, out)?;
                if slot.is_none() {
                    state.remove(hash, &key);
                }
                continue;
            }
            let mut slot = None;
            function(value, &mut slot, out)?;
            if slot.is_some() {
                state.entry(hash, key).or_insert_with(|| slot);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::Harness;

    proptest! {
        #[test]
        fn state_comes_and_goes_through_a_restore(
            records in prop::collection::vec((0_u8..5, 0_u32..4), 1..60), cut in 0_usize..60, parallelism in 1_usize..4,
        ) {
            let operator = || FlatMapWithState::new(|(key, n): (u8, u32), sum: &mut Option<u32>, out: &mut Collect<'_, (u8, u32)>| {
                let new = sum.unwrap_or(0) + n;
                out.collect((key, new));
                *sum = Some(new).filter(|new| !new.is_multiple_of(3));
                Ok(())
            });
            let mut harness = Harness::new(operator());
            let mut model: BTreeMap<u8, u32> = BTreeMap::new();
            for (index, (key, n)) in records.into_iter().enumerate() {
                if index == cut {
                    harness = harness.restore(operator(), parallelism);
                }
                harness.push(Keyed::new(key, (key, n)), 0);
                let sum = model.remove(&key).unwrap_or(0) + n;
                if !sum.is_multiple_of(3) {
                    model.insert(key, sum);
                }
                prop_assert_eq!(harness.values(), [(key, sum)]);
            }
        }
    }
}
