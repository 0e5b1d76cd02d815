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

use super::ttl::Aged;
use super::{Encode, Key, KeyedState, KeyedTable, Memory, PartDecoder, StateData, StateTtlConfig, shape_of};
use crate::error::BoxError;
use crate::key_group::KeyGroups;
use crate::record::{CurrentKey, KeyContext};
use crate::time::Timestamp;

/// A map for each key. It is shown to the engine by [`States::keyed`](super::States::keyed).
#[derive(Clone, Debug)]
pub struct MapState<K, UK, UV> {
    maps: Maps<K, UK, UV>,
}

#[derive(Clone, Debug)]
enum Maps<K, UK, UV> {
    Plain(KeyedTable<K, HashMap<UK, UV>>),
    Aged(KeyedTable<K, AgedMap<UK, UV>>),
}

type AgedMap<UK, UV> = HashMap<UK, Aged<UV>>;

impl<K, UK, UV> Default for MapState<K, UK, UV> {
    fn default() -> Self {
        Self { maps: Maps::Plain(KeyedTable::default()) }
    }
}

impl<K: Key, UK: Key, UV: StateData> MapState<K, UK, UV> {
    /// Maps each entry of which expires for itself: see [`ttl`](super::ttl).
    pub fn with_ttl(config: StateTtlConfig) -> Self {
        Self { maps: Maps::Aged(KeyedTable::with_ttl(config)) }
    }

    /// The value under `user_key` in the map of a key.
    pub fn get(&mut self, key: &impl KeyContext<K>, user_key: &UK) -> Option<&UV> {
        let key = &key.at_key();
        match &mut self.maps {
            Maps::Plain(maps) => maps.get(key.hash, key.key)?.get(user_key),
            Maps::Aged(maps) => {
                let (now, alive_from) = maps.times();
                if maps.reads_count() {
                    let aged = maps.get_mut(key.hash, key.key)?.get_mut(user_key)?;
                    aged.is_alive(alive_from).then(|| {
                        aged.time = now;
                        &aged.value
                    })
                } else {
                    maps.get(key.hash, key.key)?.get(user_key)?.alive(alive_from)
                }
            }
        }
    }

    /// Whether the map of a key has `user_key`.
    pub fn contains(&mut self, key: &impl KeyContext<K>, user_key: &UK) -> bool {
        self.get(key, user_key).is_some()
    }

    /// Sets a value in the map of a key, and returns the one that was there.
    pub fn put(&mut self, key: &impl KeyContext<K>, user_key: UK, value: UV) -> Option<UV> {
        let key = &key.at_key();
        match &mut self.maps {
            Maps::Plain(maps) => {
                maps.entry(key.hash, key.key.clone()).or_insert_with(HashMap::new).insert(user_key, value)
            }
            Maps::Aged(maps) => {
                let (time, alive_from) = maps.times();
                let map = maps.entry(key.hash, key.key.clone()).or_insert_with(HashMap::new);
                map.insert(user_key, Aged { value, time })?.into_alive(alive_from)
            }
        }
    }

    /// Removes a value from the map of a key. A map that becomes empty is forgotten.
    pub fn remove(&mut self, key: &impl KeyContext<K>, user_key: &UK) -> Option<UV> {
        let key = &key.at_key();
        match &mut self.maps {
            Maps::Plain(maps) => remove(maps, key, user_key),
            Maps::Aged(maps) => {
                let (_, alive_from) = maps.times();
                remove(maps, key, user_key)?.into_alive(alive_from)
            }
        }
    }

    /// The map of a key, in no particular order.
    pub fn entries(&mut self, key: &impl KeyContext<K>) -> impl Iterator<Item = (&UK, &UV)> {
        let key = &key.at_key();
        let (plain, aged) = match &mut self.maps {
            Maps::Plain(maps) => (maps.get(key.hash, key.key), None),
            Maps::Aged(maps) => {
                let (now, alive_from) = maps.times();
                if maps.reads_count()
                    && let Some(map) = maps.get_mut(key.hash, key.key)
                {
                    map.retain(|_, aged| aged.is_alive(alive_from));
                    map.values_mut().for_each(|aged| aged.time = now);
                }
                (None, maps.get(key.hash, key.key).map(|map| (map, alive_from)))
            }
        };
        let aged = aged.into_iter().flat_map(|(map, alive_from)| {
            map.iter().filter_map(move |(key, aged)| Some((key, aged.alive(alive_from)?)))
        });
        plain.into_iter().flatten().chain(aged)
    }

    /// Forgets the map of a key, and returns it.
    pub fn clear(&mut self, key: &impl KeyContext<K>) -> HashMap<UK, UV> {
        let key = &key.at_key();
        match &mut self.maps {
            Maps::Plain(maps) => maps.remove(key.hash, key.key).map(|(_, map)| map),
            Maps::Aged(maps) => {
                let (_, alive_from) = maps.times();
                let map = maps.remove(key.hash, key.key).map(|(_, map)| map.into_iter());
                map.map(|map| {
                    map.filter_map(|(key, aged)| Some((key, aged.into_alive(alive_from)?))).collect()
                })
            }
        }
        .unwrap_or_default()
    }
}

fn remove<K: Key, UK: Key, UV: Clone>(
    maps: &mut KeyedTable<K, HashMap<UK, UV>>,
    key: &CurrentKey<'_, K>,
    user_key: &UK,
) -> Option<UV> {
    let map = maps.get_mut(key.hash, key.key)?;
    let removed = map.remove(user_key);
    if map.is_empty() {
        maps.remove(key.hash, key.key);
    }
    removed
}

impl<K: Key, UK: Key, UV: StateData> KeyedState for MapState<K, UK, UV> {
    fn shape(&self) -> String {
        shape_of::<(K, HashMap<UK, UV>)>()
    }

    fn open(&mut self, groups: &KeyGroups) {
        match &mut self.maps {
            Maps::Plain(maps) => maps.open_for(groups),
            Maps::Aged(maps) => maps.open_for(groups),
        }
    }

    fn share(&mut self, whole: bool) -> Encode {
        match &mut self.maps {
            Maps::Plain(maps) => maps.share_all(whole),
            Maps::Aged(maps) => maps.share_all(whole),
        }
    }

    fn restore(&mut self, group: u16, part: PartDecoder<'_>, delta: bool) -> Result<(), BoxError> {
        match &mut self.maps {
            Maps::Plain(maps) => maps.restore_part(
                group,
                part,
                delta,
                |map, _| map,
                |map: AgedMap<UK, UV>| map.into_iter().map(|(key, aged)| (key, aged.value)).collect(),
            ),
            Maps::Aged(maps) => maps.restore_part(
                group,
                part,
                delta,
                |map: HashMap<UK, UV>, time| {
                    map.into_iter().map(|(key, value)| (key, Aged { value, time })).collect()
                },
                |map| map,
            ),
        }
    }

    fn restored(&mut self, continues: bool) {
        match &mut self.maps {
            Maps::Plain(maps) => maps.has_restored(continues),
            Maps::Aged(maps) => maps.has_restored(continues),
        }
    }

    fn tick(&mut self, now: Timestamp) -> bool {
        match &mut self.maps {
            Maps::Plain(_) => false,
            Maps::Aged(maps) => maps.pass(
                now,
                |map, alive_from| map.values().any(|aged| !aged.is_alive(alive_from)),
                |map, alive_from| map.retain(|_, aged| aged.is_alive(alive_from)),
            ),
        }
    }

    fn bound(&mut self, memory: &Memory) {
        match &mut self.maps {
            Maps::Plain(maps) => maps.bind(memory),
            Maps::Aged(maps) => maps.bind(memory),
        }
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
