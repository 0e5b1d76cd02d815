//! One value for each key, combined out of all that were added (Flink's `ReducingState`).
//!
//! ```
//! use thalweg_dataflow::key_group::KeyGroups;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{KeyedState, ReducingState};
//!
//! let mut highest = ReducingState::new(|a: u32, b: u32| a.max(b));
//! highest.open(&KeyGroups::all(128)); // the engine does this for an operator's state
//! let ada = Keyed::new("ada".to_owned(), ());
//! highest.add(&ada.at(), 3);
//! highest.add(&ada.at(), 2);
//! assert_eq!(highest.get(&ada.at()), Some(&3));
//! ```

use super::{Key, KeyedTable, StateData, StateTtlConfig, TableState};
use crate::record::KeyContext;

/// One combined value for each key. It is shown to the engine by [`States::keyed`](super::States::keyed).
#[derive(Clone, Debug)]
pub struct ReducingState<K, V, F> {
    values: KeyedTable<K, V>,
    function: F,
}

impl<K: Key, V: StateData, F: FnMut(V, V) -> V> ReducingState<K, V, F> {
    /// Combines values by `function`.
    pub fn new(function: F) -> Self {
        Self { values: KeyedTable::default(), function }
    }

    /// Combines values by `function`, and forgets those that expire: see [`ttl`](super::ttl).
    pub fn with_ttl(function: F, config: StateTtlConfig) -> Self {
        Self { values: KeyedTable::with_ttl(config), function }
    }

    /// The combined value of a key, if anything was added.
    pub fn get(&mut self, key: &impl KeyContext<K>) -> Option<&V> {
        let key = &key.at_key();
        self.values.read(key.hash, key.key)
    }

    /// Combines a value with that of a key, and returns the result.
    pub fn add(&mut self, key: &impl KeyContext<K>, value: V) -> &V {
        let key = &key.at_key();
        self.values.entry(key.hash, key.key.clone()).merge(value, &mut self.function).1
    }

    /// Forgets the value of a key, and returns it.
    pub fn clear(&mut self, key: &impl KeyContext<K>) -> Option<V> {
        let key = &key.at_key();
        self.values.remove(key.hash, key.key).map(|(_, value)| value)
    }
}

impl<K: Key, V: StateData, F> TableState for ReducingState<K, V, F> {
    type Key = K;
    type Value = V;

    fn table(&mut self) -> &mut KeyedTable<K, V> {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Keyed;
    use crate::state::restored;

    #[test]
    fn what_was_added_before_a_restore_counts_after_it() {
        let sums = || ReducingState::new(|a: i64, b: i64| a + b);
        let mut state = restored(&mut sums(), sums());
        let key = Keyed::new(7_u8, ());
        state.add(&key.at(), 2);
        let mut state = restored(&mut state, sums());
        assert_eq!(state.add(&key.at(), 3), &5);
        assert_eq!((state.clear(&key.at()), state.get(&key.at())), (Some(5), None));
    }
}
