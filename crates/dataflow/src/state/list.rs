//! A list for each key (Flink's `ListState`).
//!
//! ```
//! use thalweg_dataflow::key_group::KeyGroups;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{KeyedState, ListState};
//!
//! let mut visits: ListState<String, u32> = ListState::default();
//! visits.open(&KeyGroups::all(128)); // the engine does this for an operator's state
//! let ada = Keyed::new("ada".to_owned(), ());
//! visits.add(&ada.at(), 3);
//! visits.add(&ada.at(), 5);
//! assert_eq!(visits.get(&ada.at()), [3, 5]);
//! ```

use super::{Key, KeyedTable, StateData, TableState};
use crate::record::CurrentKey;

/// A list for each key. It is shown to the engine by [`States::keyed`](super::States::keyed).
#[derive(Clone, Debug)]
pub struct ListState<K, V> {
    lists: KeyedTable<K, Vec<V>>,
}

impl<K, V> Default for ListState<K, V> {
    fn default() -> Self {
        Self { lists: KeyedTable::default() }
    }
}

impl<K: Key, V: StateData> ListState<K, V> {
    /// The items of a key, in the order in which they were added.
    pub fn get(&self, key: &CurrentKey<'_, K>) -> &[V] {
        self.lists.get(key.hash, key.key).map_or(&[], Vec::as_slice)
    }

    /// Appends an item.
    pub fn add(&mut self, key: &CurrentKey<'_, K>, item: V) {
        self.add_all(key, [item]);
    }

    /// Appends items.
    pub fn add_all(&mut self, key: &CurrentKey<'_, K>, items: impl IntoIterator<Item = V>) {
        self.lists.entry(key.hash, key.key.clone()).or_insert_with(Vec::new).extend(items);
    }

    /// Replaces the items of a key, and returns those it had.
    pub fn update(&mut self, key: &CurrentKey<'_, K>, items: Vec<V>) -> Vec<V> {
        self.lists.insert(key.hash, key.key, items).unwrap_or_default()
    }

    /// Forgets the items of a key, and returns them.
    pub fn clear(&mut self, key: &CurrentKey<'_, K>) -> Vec<V> {
        self.lists.remove(key.hash, key.key).map(|(_, items)| items).unwrap_or_default()
    }
}

impl<K: Key, V: StateData> TableState for ListState<K, V> {
    type Key = K;
    type Value = Vec<V>;

    fn table(&mut self) -> &mut KeyedTable<K, Vec<V>> {
        &mut self.lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Keyed;
    use crate::state::restored;

    #[test]
    fn lists_keep_their_order_through_a_restore() {
        let mut lists: ListState<u8, u32> = restored(&mut ListState::default(), ListState::default());
        let (one, two) = (Keyed::new(1, ()), Keyed::new(2, ()));
        lists.add_all(&one.at(), [3, 1, 2]);
        assert!(lists.update(&two.at(), vec![9]).is_empty());
        let mut lists = restored(&mut lists, ListState::default());
        lists.add(&one.at(), 0);
        assert_eq!((lists.get(&one.at()), lists.get(&two.at())), (&[3, 1, 2, 0][..], &[9][..]));
        assert_eq!(lists.clear(&one.at()), [3, 1, 2, 0]);
        assert!(lists.get(&one.at()).is_empty());
    }
}
