//! An accumulator for each key (Flink's `AggregatingState`).
//!
//! ```
//! use thalweg_dataflow::key_group::KeyGroups;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{AggregatingState, KeyedState};
//! use thalweg_dataflow::window::aggregate::Average;
//!
//! let mut mean = AggregatingState::new(Average::new(|n: &f64| *n));
//! mean.open(&KeyGroups::all(128)); // the engine does this for an operator's state
//! let ada = Keyed::new("ada".to_owned(), ());
//! mean.add(&ada.at(), 1.0);
//! mean.add(&ada.at(), 2.0);
//! assert_eq!(mean.get(&ada.at()), Some(Some(1.5)));
//! ```

use super::{Key, KeyedTable, StateTtlConfig, TableState};
use crate::record::KeyContext;
use crate::window::aggregate::AggregateFunction;

/// An accumulator for each key. It is shown to the engine by [`States::keyed`](super::States::keyed).
#[derive(Clone, Debug)]
pub struct AggregatingState<K, A: AggregateFunction> {
    accumulators: KeyedTable<K, A::Accumulator>,
    function: A,
}

impl<K: Key, A: AggregateFunction> AggregatingState<K, A> {
    /// Aggregates by `function`.
    pub fn new(function: A) -> Self {
        Self { accumulators: KeyedTable::default(), function }
    }

    /// Aggregates by `function`, and forgets accumulators that expire: see [`ttl`](super::ttl).
    pub fn with_ttl(function: A, config: StateTtlConfig) -> Self {
        Self { accumulators: KeyedTable::with_ttl(config), function }
    }

    /// The result for a key, if anything was added.
    pub fn get(&mut self, key: &impl KeyContext<K>) -> Option<A::Out> {
        let key = &key.at_key();
        let accumulator = self.accumulators.read(key.hash, key.key)?;
        Some(self.function.get_result(accumulator))
    }

    /// Adds a value.
    pub fn add(&mut self, key: &impl KeyContext<K>, value: A::In) {
        let key = &key.at_key();
        let Self { accumulators, function } = self;
        let entry = accumulators.entry(key.hash, key.key.clone());
        let accumulator = entry.or_insert_with(|| function.create_accumulator());
        function.add(accumulator, value);
    }

    /// Forgets what was added for a key.
    pub fn clear(&mut self, key: &impl KeyContext<K>) {
        let key = &key.at_key();
        self.accumulators.remove(key.hash, key.key);
    }
}

impl<K: Key, A: AggregateFunction> TableState for AggregatingState<K, A> {
    type Key = K;
    type Value = A::Accumulator;

    fn table(&mut self) -> &mut KeyedTable<K, A::Accumulator> {
        &mut self.accumulators
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Keyed;
    use crate::state::restored;
    use crate::window::aggregate::Count;

    #[test]
    fn what_was_added_before_a_restore_counts_after_it() {
        let counts = || AggregatingState::new(Count::<char>::new());
        let mut state = restored(&mut counts(), counts());
        let key = Keyed::new(7_u8, ());
        state.add(&key.at(), 'a');
        let mut state = restored(&mut state, counts());
        state.add(&key.at(), 'b');
        assert_eq!(state.get(&key.at()), Some(2));
        state.clear(&key.at());
        assert_eq!(state.get(&key.at()), None);
    }
}
