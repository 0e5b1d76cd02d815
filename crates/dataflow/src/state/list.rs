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

use super::{Encode, Key, KeyedState, KeyedTable, Memory, PartDecoder, StateData, StateTtlConfig, shape_of};
use crate::error::BoxError;
use crate::key_group::KeyGroups;
use crate::record::KeyContext;
use crate::time::Timestamp;

/// A list for each key. It is shown to the engine by [`States::keyed`](super::States::keyed).
#[derive(Clone, Debug)]
pub struct ListState<K, V> {
    lists: Lists<K, V>,
}

#[derive(Clone, Debug)]
enum Lists<K, V> {
    Plain(KeyedTable<K, Vec<V>>),
    Aged(KeyedTable<K, AgedItems<V>>),
}

/// Items, and when each was touched last (milliseconds). Those times rise, as items are appended, and touched all at once.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct AgedItems<V> {
    items: Vec<V>,
    times: Vec<u64>,
}

impl<V> AgedItems<V> {
    /// All as of one time.
    fn new(items: Vec<V>, time: u64) -> Self {
        Self { times: vec![time; items.len()], items }
    }

    /// How many have expired; they come first.
    fn expired(&self, alive_from: u64) -> usize {
        self.times.partition_point(|time| *time < alive_from)
    }

    fn trim(&mut self, alive_from: u64) {
        let expired = self.expired(alive_from);
        self.items.drain(..expired);
        self.times.drain(..expired);
    }

    fn is_stale(&self, alive_from: u64) -> bool {
        self.times.first().is_some_and(|time| *time < alive_from)
    }
}

impl<K, V> Default for ListState<K, V> {
    fn default() -> Self {
        Self { lists: Lists::Plain(KeyedTable::default()) }
    }
}

impl<K: Key, V: StateData> ListState<K, V> {
    /// Lists each item of which expires for itself: see [`ttl`](super::ttl).
    pub fn with_ttl(config: StateTtlConfig) -> Self {
        Self { lists: Lists::Aged(KeyedTable::with_ttl(config)) }
    }

    /// The items of a key, in the order in which they were added.
    pub fn get(&mut self, key: &impl KeyContext<K>) -> &[V] {
        let key = &key.at_key();
        match &mut self.lists {
            Lists::Plain(lists) => lists.get(key.hash, key.key).map_or(&[], Vec::as_slice),
            Lists::Aged(lists) => {
                let (now, alive_from) = lists.times();
                if lists.reads_count()
                    && let Some(list) = lists.get_mut(key.hash, key.key)
                {
                    list.trim(alive_from);
                    list.times.fill(now);
                }
                lists
                    .get(key.hash, key.key)
                    .map_or(&[], |list| list.items.get(list.expired(alive_from)..).unwrap_or(&[]))
            }
        }
    }

    /// Appends an item.
    pub fn add(&mut self, key: &impl KeyContext<K>, item: V) {
        self.add_all(key, [item]);
    }

    /// Appends items.
    pub fn add_all(&mut self, key: &impl KeyContext<K>, items: impl IntoIterator<Item = V>) {
        let key = &key.at_key();
        match &mut self.lists {
            Lists::Plain(lists) => {
                lists.entry(key.hash, key.key.clone()).or_insert_with(Vec::new).extend(items)
            }
            Lists::Aged(lists) => {
                let (now, alive_from) = lists.times();
                let entry = lists.entry(key.hash, key.key.clone());
                let list = entry.or_insert_with(|| AgedItems::new(Vec::new(), now));
                list.trim(alive_from);
                list.items.extend(items);
                list.times.resize(list.items.len(), now);
            }
        }
    }

    /// Replaces the items of a key, and returns those it had.
    pub fn update(&mut self, key: &impl KeyContext<K>, items: Vec<V>) -> Vec<V> {
        let key = &key.at_key();
        match &mut self.lists {
            Lists::Plain(lists) => lists.insert(key.hash, key.key, items).unwrap_or_default(),
            Lists::Aged(lists) => {
                let (now, alive_from) = lists.times();
                let before = lists.insert(key.hash, key.key, AgedItems::new(items, now));
                before.map(|list| alive(list, alive_from)).unwrap_or_default()
            }
        }
    }

    /// Forgets the items of a key, and returns them.
    pub fn clear(&mut self, key: &impl KeyContext<K>) -> Vec<V> {
        let key = &key.at_key();
        match &mut self.lists {
            Lists::Plain(lists) => lists.remove(key.hash, key.key).map(|(_, items)| items),
            Lists::Aged(lists) => {
                let (_, alive_from) = lists.times();
                lists.remove(key.hash, key.key).map(|(_, list)| alive(list, alive_from))
            }
        }
        .unwrap_or_default()
    }
}

fn alive<V>(mut list: AgedItems<V>, alive_from: u64) -> Vec<V> {
    list.trim(alive_from);
    list.items
}

impl<K: Key, V: StateData> KeyedState for ListState<K, V> {
    fn shape(&self) -> String {
        shape_of::<(K, Vec<V>)>()
    }

    fn open(&mut self, groups: &KeyGroups) {
        match &mut self.lists {
            Lists::Plain(lists) => lists.open_for(groups),
            Lists::Aged(lists) => lists.open_for(groups),
        }
    }

    fn share(&mut self, whole: bool) -> Encode {
        match &mut self.lists {
            Lists::Plain(lists) => lists.share_all(whole),
            Lists::Aged(lists) => lists.share_all(whole),
        }
    }

    fn restore(&mut self, group: u16, part: PartDecoder<'_>, delta: bool) -> Result<(), BoxError> {
        match &mut self.lists {
            Lists::Plain(lists) => {
                lists.restore_part(group, part, delta, |items, _| items, |list: AgedItems<V>| list.items)
            }
            Lists::Aged(lists) => lists.restore_part(group, part, delta, AgedItems::new, |list| list),
        }
    }

    fn restored(&mut self, continues: bool) {
        match &mut self.lists {
            Lists::Plain(lists) => lists.has_restored(continues),
            Lists::Aged(lists) => lists.has_restored(continues),
        }
    }

    fn tick(&mut self, now: Timestamp) -> bool {
        match &mut self.lists {
            Lists::Plain(_) => false,
            Lists::Aged(lists) => lists.pass(now, AgedItems::is_stale, AgedItems::trim),
        }
    }

    fn bound(&mut self, memory: &Memory) {
        match &mut self.lists {
            Lists::Plain(lists) => lists.bind(memory),
            Lists::Aged(lists) => lists.bind(memory),
        }
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
        assert_eq!(lists.get(&one.at()), [3, 1, 2, 0]);
        assert_eq!(lists.get(&two.at()), [9]);
        assert_eq!(lists.clear(&one.at()), [3, 1, 2, 0]);
        assert!(lists.get(&one.at()).is_empty());
    }
}
