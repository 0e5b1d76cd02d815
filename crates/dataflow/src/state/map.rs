//! A map for each key (Flink's `MapState`).
//!
//! ```
//! use thalweg_dataflow::key_group::KeyGroups;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{KeyedState, MapState};
//!
//! let mut pages: MapState<String, u32, u64> = MapState::default();
//! pages.open(&KeyGroups::all(128)); // the engine does this for an operator's state
//! let ada = Keyed::new("ada".to_owned(), ());
//! pages.put(&ada.at(), 7, 1);
//! assert_eq!(pages.get(&ada.at(), &7), Some(&1));
//! assert!(!pages.contains(&ada.at(), &8));
//! ```

use std::collections::HashMap;

use super::{Key, KeyedTable, StateData, TableState};
use crate::record::CurrentKey;

/// A map for each key. It is shown to the engine by [`States::keyed`](super::States::keyed).
#[derive(Clone, Debug)]
pub struct MapState<K, UK, UV> {
    maps: KeyedTable<K, HashMap<UK, UV>>,
}

impl<K, UK, UV> Default for MapState<K, UK, UV> {
    fn default() -> Self {
        Self { maps: KeyedTable::default() }
    }
}

impl<K: Key, UK: Key, UV: StateData> MapState<K, UK, UV> {
    /// The value under `user_key` in the map of a key.
    pub fn get(&self, key: &CurrentKey<'_, K>, user_key: &UK) -> Option<&UV> {
        self.maps.get(key.hash, key.key)?.get(user_key)
    }

    /// Whether the map of a key has `user_key`.
    pub fn contains(&self, key: &CurrentKey<'_, K>, user_key: &UK) -> bool {
        self.get(key, user_key).is_some()
    }

    /// Sets a value in the map of a key, and returns the one that was there.
    pub fn put(&mut self, key: &CurrentKey<'_, K>, user_key: UK, value: UV) -> Option<UV> {
        self.maps.entry(key.hash, key.key.clone()).or_insert_with(HashMap::new).insert(user_key, value)
    }

    /// Removes a value from the map of a key. A map that becomes empty is forgotten.
    pub fn remove(&mut self, key: &CurrentKey<'_, K>, user_key: &UK) -> Option<UV> {
        let map = self.maps.get_mut(key.hash, key.key)?;
        let removed = map.remove(user_key);
        if map.is_empty() {
            self.maps.remove(key.hash, key.key);
        }
        removed
    }

    /// The map of a key, in no particular order.
    pub fn entries(&self, key: &CurrentKey<'_, K>) -> impl Iterator<Item = (&UK, &UV)> {
        self.maps.get(key.hash, key.key).into_iter().flatten()
    }

    /// Forgets the map of a key, and returns it.
    pub fn clear(&mut self, key: &CurrentKey<'_, K>) -> HashMap<UK, UV> {
        self.maps.remove(key.hash, key.key).map(|(_, map)| map).unwrap_or_default()
    }
}

impl<K: Key, UK: Key, UV: StateData> TableState for MapState<K, UK, UV> {
    type Key = K;
    type Value = HashMap<UK, UV>;

    fn table(&mut self) -> &mut KeyedTable<K, HashMap<UK, UV>> {
        &mut self.maps
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::record::Keyed;
    use crate::state::restored;

    proptest! {
        #[test]
        fn maps_of_keys_do_not_mix(steps in prop::collection::vec((0_u8..4, 0_u8..3, 0_u8..4, any::<i8>()), 0..80)) {
            let mut maps: MapState<u8, u8, i8> = restored(&mut MapState::default(), MapState::default());
            let mut model: BTreeMap<(u8, u8), i8> = BTreeMap::new();
            for (step, key, user_key, value) in steps {
                let keyed = Keyed::new(key, ());
                match step {
                    0 | 1 => prop_assert_eq!(maps.put(&keyed.at(), user_key, value), model.insert((key, user_key), value)),
                    2 => prop_assert_eq!(maps.remove(&keyed.at(), &user_key), model.remove(&(key, user_key))),
                    _ => maps = restored(&mut maps, MapState::default()),
                }
                let found: BTreeMap<(u8, u8), i8> =
                    maps.entries(&keyed.at()).map(|(user_key, value)| ((key, *user_key), *value)).collect();
                let expected = model.iter().filter(|((of, _), _)| *of == key).map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
