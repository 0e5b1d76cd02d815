//! One value for each key (Flink's `ValueState`).
//!
//! ```
//! use thalweg_dataflow::key_group::KeyGroups;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{KeyedState, ValueState};
//!
//! let mut clicks: ValueState<String, u64> = ValueState::default();
//! clicks.open(&KeyGroups::all(128)); // the engine does this for an operator's state
//! let ada = Keyed::new("ada".to_owned(), ());
//! clicks.update(&ada.at(), 1);
//! assert_eq!(clicks.value(&ada.at()), Some(&1));
//! clicks.clear(&ada.at());
//! assert_eq!(clicks.value(&ada.at()), None);
//! ```

use super::{Key, KeyedTable, StateData, StateTtlConfig, TableState};
use crate::record::KeyContext;

/// One value for each key. It is shown to the engine by [`States::keyed`](super::States::keyed).
#[derive(Clone, Debug)]
pub struct ValueState<K, V> {
    values: KeyedTable<K, V>,
}

impl<K, V> Default for ValueState<K, V> {
    fn default() -> Self {
        Self { values: KeyedTable::default() }
    }
}

impl<K: Key, V: StateData> ValueState<K, V> {
    /// Values that expire: see [`ttl`](super::ttl).
    pub fn with_ttl(config: StateTtlConfig) -> Self {
        Self { values: KeyedTable::with_ttl(config) }
    }

    /// The value of a key, if it has one.
    #[inline]
    pub fn value(&mut self, key: &impl KeyContext<K>) -> Option<&V> {
        let key = &key.at_key();
        self.values.read(key.hash, key.key)
    }

    /// The value of a key, to be changed in place.
    #[inline]
    pub fn value_mut(&mut self, key: &impl KeyContext<K>) -> Option<&mut V> {
        let key = &key.at_key();
        self.values.get_mut(key.hash, key.key)
    }

    /// Sets the value of a key, and returns the one it had.
    #[inline]
    pub fn update(&mut self, key: &impl KeyContext<K>, value: V) -> Option<V> {
        let key = &key.at_key();
        self.values.insert(key.hash, key.key, value)
    }

    /// Forgets the value of a key.
    pub fn clear(&mut self, key: &impl KeyContext<K>) -> Option<V> {
        let key = &key.at_key();
        self.values.remove(key.hash, key.key).map(|(_, value)| value)
    }
}

impl<K: Key, V: StateData> TableState for ValueState<K, V> {
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
    fn a_value_can_be_changed_in_place_and_is_restored() {
        let mut values: ValueState<u8, String> = restored(&mut ValueState::default(), ValueState::default());
        let key = Keyed::new(7, ());
        assert_eq!(values.update(&key.at(), "a".to_owned()), None);
        values.value_mut(&key.at()).unwrap().push('b');
        let mut values = restored(&mut values, ValueState::default());
        assert_eq!(values.value(&key.at()).map(String::as_str), Some("ab"));
        assert_eq!(values.value(&Keyed::new(8, ()).at()), None);
        assert_eq!(values.clear(&key.at()), Some("ab".to_owned()));
    }
}
