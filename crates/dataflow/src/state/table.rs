//! The keyed table: a hash table per key group, shared with a snapshot without stopping for it.
//!
//! **At a barrier** each group's table moves behind an `Arc`, which the snapshot holds, too: microseconds,
//! whatever the size. The first write to a group after that takes its table back if the snapshot has been
//! written by then, and copies that one group if not. So a checkpoint stalls a record for as long as 1/128 of
//! the state takes to copy, at the worst.
//!
//! **In a checkpoint** each non-empty group is one part: postcard's encoding of the number of entries, then of each
//! entry's key and value.

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{Encode, Key, KeyedState, StateData, encode_into, shape_of};
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::key_group::KeyGroups;
use crate::record::Keyed;

/// A value for each key, divided by key group.
///
/// Keys come with their hash ([`Keyed`]), so that it is computed once, where the stream is keyed. Everything
/// built-in and all state of users' functions is made of this.
///
/// ```
/// use thalweg_dataflow::key_group::KeyGroups;
/// use thalweg_dataflow::hash::key_hash;
/// use thalweg_dataflow::state::{KeyedState, KeyedTable};
///
/// let mut table: KeyedTable<String, u32> = KeyedTable::default();
/// table.open(&KeyGroups::all(128));
/// let key = "thalweg".to_owned();
/// *table.entry(key_hash(&key), key.clone()).or_insert_with(|| 0) += 1;
/// assert_eq!(table.get(key_hash(&key), &key), Some(&1));
/// ```
#[derive(Clone, Debug)]
pub struct KeyedTable<K, V> {
    groups: KeyGroups,
    shards: Vec<Shard<K, V>>,
}

#[derive(Clone, Debug)]
enum Shard<K, V> {
    Owned(HashTable<(K, V)>),
    /// A snapshot may still be reading it.
    Shared(Arc<HashTable<(K, V)>>),
}

impl<K, V> Default for KeyedTable<K, V> {
    fn default() -> Self {
        Self { groups: KeyGroups::all(0), shards: Vec::new() }
    }
}

/// The place of a key in a table.
pub struct TableEntry<'a, K, V>(Entry<'a, (K, V)>, K);

impl<'a, K, V> TableEntry<'a, K, V> {
    /// The value, made by `make` where there was none.
    #[inline]
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        self.or_insert_pair(make).1
    }

    /// The key as the table keeps it, and the value, made by `make` where there was none.
    #[inline]
    pub fn or_insert_pair(self, make: impl FnOnce() -> V) -> (&'a K, &'a mut V) {
        let (key, value) = match self.0 {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert((self.1, make())).into_mut(),
        };
        (key, value)
    }

    /// Combines `value` with the one that is there, if there is one, else inserts it. Returns the key and the
    /// new value.
    #[inline]
    pub fn merge(self, value: V, merge: impl FnOnce(V, V) -> V) -> (&'a K, &'a mut V)
    where
        V: Clone,
    {
        let entry = match self.0 {
            // A value that owns nothing is copied out; one that owns memory is moved out and back in, never cloned.
            Entry::Occupied(entry) if std::mem::needs_drop::<V>() => {
                let ((key, old), place) = entry.remove();
                place.insert((key, merge(old, value)))
            }
            Entry::Occupied(mut entry) => {
                let slot = &mut entry.get_mut().1;
                *slot = merge(slot.clone(), value);
                entry
            }
            Entry::Vacant(entry) => entry.insert((self.1, value)),
        };
        let (key, value) = entry.into_mut();
        (key, value)
    }
}

impl<K: Key, V: Clone> KeyedTable<K, V> {
    /// An empty table for these key groups.
    pub fn new(groups: &KeyGroups) -> Self {
        let owned = groups.owned().len();
        Self { groups: groups.clone(), shards: (0..owned).map(|_| Shard::Owned(HashTable::new())).collect() }
    }

    /// The key's table, ready to be written to.
    #[inline]
    fn shard_mut(&mut self, hash: u64) -> &mut HashTable<(K, V)> {
        // The exchange sends a key only to the subtask that owns its group; anything else would lose state silently.
        let Some(position) = self.groups.position(hash) else { misplaced() };
        let shard = &mut self.shards[position];
        shard.unshare();
        match shard {
            Shard::Owned(table) => table,
            Shard::Shared(_) => unreachable!("just unshared"),
        }
    }

    #[inline]
    fn shard(&self, hash: u64) -> &HashTable<(K, V)> {
        let Some(position) = self.groups.position(hash) else { misplaced() };
        self.shards[position].table()
    }

    /// The place of a key. `hash` is [`key_hash`] of `key`.
    #[inline]
    pub fn entry(&mut self, hash: u64, key: K) -> TableEntry<'_, K, V> {
        debug_assert_eq!(hash, key_hash(&key));
        let table = self.shard_mut(hash);
        TableEntry(table.entry(hash, |(other, _)| *other == key, |(other, _)| key_hash(other)), key)
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, hash: u64, key: &K) -> Option<&V> {
        self.shard(hash).find(hash, |(other, _)| other == key).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        self.shard_mut(hash).find_mut(hash, |(other, _)| other == key).map(|(_, value)| value)
    }

    /// Sets the value of a key, and returns the one it had. The key is cloned only if it is new.
    pub fn insert(&mut self, hash: u64, key: &K, value: V) -> Option<V> {
        match self.shard_mut(hash).entry(hash, |(other, _)| other == key, |(other, _)| key_hash(other)) {
            Entry::Occupied(entry) => Some(std::mem::replace(&mut entry.into_mut().1, value)),
            Entry::Vacant(entry) => {
                entry.insert((key.clone(), value));
                None
            }
        }
    }

    /// Forgets a key.
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<(K, V)> {
        let entry = self.shard_mut(hash).find_entry(hash, |(other, _)| other == key).ok()?;
        Some(entry.remove().0)
    }

    /// All keys and values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.table().iter().map(|(key, value)| (key, value)))
    }

    /// Takes everything out, with the hash of each key computed anew. Tables keep their room for the next round.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> {
        self.shards.iter_mut().flat_map(|shard| {
            shard.unshare();
            match shard {
                Shard::Owned(table) => table.drain(),
                Shard::Shared(_) => unreachable!("just unshared"),
            }
        })
    }

    /// Keeps the entries for which `keep` says so; it may change the values.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        for shard in &mut self.shards {
            shard.unshare();
            if let Shard::Owned(table) = shard {
                table.retain(|(key, value)| keep(key, value));
            }
        }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.table().len()).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.table().is_empty())
    }

    /// The place of a keyed record's key, and the record's value.
    #[inline]
    pub fn entry_of<T>(&mut self, record: Keyed<K, T>) -> (TableEntry<'_, K, V>, T) {
        (self.entry(record.hash, record.key), record.value)
    }

    /// Shares the tables with a snapshot: for each non-empty group, its number and its table.
    pub(crate) fn share_tables(&mut self) -> Vec<(u16, SharedTable<K, V>)> {
        let first = self.groups.owned().start;
        let shards = (first..).zip(&mut self.shards);
        shards
            .filter(|(_, shard)| !shard.table().is_empty())
            .map(|(group, shard)| (group, shard.share()))
            .collect()
    }
}

/// One group's table, shared with a snapshot.
pub(crate) type SharedTable<K, V> = Arc<HashTable<(K, V)>>;

impl<K: Clone, V: Clone> Shard<K, V> {
    fn table(&self) -> &HashTable<(K, V)> {
        match self {
            Shard::Owned(table) => table,
            Shard::Shared(table) => table,
        }
    }

    fn share(&mut self) -> SharedTable<K, V> {
        let shared = match std::mem::replace(self, Shard::Owned(HashTable::new())) {
            Shard::Owned(table) => Arc::new(table),
            Shard::Shared(table) => table,
        };
        *self = Shard::Shared(shared.clone());
        shared
    }

    #[inline]
    fn unshare(&mut self) {
        if let Shard::Shared(_) = self {
            self.take_back();
        }
    }

    #[cold]
    fn take_back(&mut self) {
        if let Shard::Shared(shared) = std::mem::replace(self, Shard::Owned(HashTable::new())) {
            *self = Shard::Owned(Arc::try_unwrap(shared).unwrap_or_else(|shared| (*shared).clone()));
        }
    }
}

#[cold]
fn misplaced() -> ! {
    panic!(
        "a key reached a subtask that does not own its key group; this is a bug in Thalweg, please report it"
    )
}

/// Appends a table to a part: its length, then its entries.
pub(crate) fn encode_table<K: Key, V: StateData>(
    table: &HashTable<(K, V)>,
    buffer: &mut Vec<u8>,
) -> Result<(), BoxError> {
    encode_into(&(table.len() as u64), buffer)?;
    table.iter().try_for_each(|entry| encode_into(entry, buffer))
}

/// Reads what [`encode_table`] wrote, and hands each entry on. Returns the bytes that follow it.
pub(crate) fn decode_table<K: Key, V: StateData>(
    bytes: &[u8],
    mut entry: impl FnMut(K, V),
) -> Result<&[u8], BoxError> {
    let (length, mut rest) = postcard::take_from_bytes::<u64>(bytes)?;
    for _ in 0..length {
        let ((key, value), after) = postcard::take_from_bytes::<(K, V)>(rest)?;
        entry(key, value);
        rest = after;
    }
    Ok(rest)
}

/// State that is a keyed table in other words: it is opened, shared and restored as the table is.
pub trait TableState {
    /// What it is keyed by.
    type Key: Key;
    /// What it keeps for each key.
    type Value: StateData;

    /// The table.
    fn table(&mut self) -> &mut KeyedTable<Self::Key, Self::Value>;
}

impl<K: Key, V: StateData> TableState for KeyedTable<K, V> {
    type Key = K;
    type Value = V;

    fn table(&mut self) -> &mut Self {
        self
    }
}

impl<T: TableState> KeyedState for T {
    fn shape(&self) -> String {
        shape_of::<(T::Key, T::Value)>()
    }

    fn open(&mut self, groups: &KeyGroups) {
        *self.table() = KeyedTable::new(groups);
    }

    fn share(&mut self) -> Encode {
        let tables = self.table().share_tables();
        Box::new(move |parts| {
            tables
                .into_iter()
                .try_for_each(|(group, table)| parts.part(group, |buffer| encode_table(&table, buffer)))
        })
    }

    fn restore(&mut self, _group: u16, bytes: &[u8]) -> Result<(), BoxError> {
        let table = self.table();
        decode_table(bytes, |key: T::Key, value: T::Value| {
            table.insert(key_hash(&key), &key, value);
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::state::{Part, PartWriter};

    /// Encodes shared state and restores it into tables for each subtask of `parallelism`.
    fn restore_at(encode: Encode, parallelism: usize) -> HashMap<u16, i32> {
        let (mut buffer, mut parts): (Vec<u8>, Vec<Part>) = Default::default();
        encode(&mut PartWriter::new(&mut buffer, &mut parts)).unwrap();
        let mut all = HashMap::new();
        for index in 0..parallelism {
            let groups = KeyGroups::of_subtask(128, parallelism, index);
            let mut table = KeyedTable::<u16, i32>::new(&groups);
            for part in parts.iter().filter(|part| groups.owned().contains(&part.group)) {
                table.restore(part.group, &buffer[part.offset as usize..][..part.length as usize]).unwrap();
            }
            all.extend(table.iter().map(|(key, value)| (*key, *value)));
        }
        all
    }

    proptest! {
        #[test]
        fn a_snapshot_holds_what_was_there_at_the_barrier(
            before in prop::collection::vec((0_u16..300, any::<i32>()), 0..300),
            after in prop::collection::vec((0_u16..300, any::<Option<i32>>()), 0..300),
            parallelism in 1_usize..5,
        ) {
            let mut table = KeyedTable::<u16, i32>::new(&KeyGroups::all(128));
            let mut model = HashMap::new();
            for (key, value) in before {
                table.insert(key_hash(&key), &key, value);
                model.insert(key, value);
            }
            let at_barrier = model.clone();
            let encode = table.share();
            for (key, value) in after {
                match value {
                    Some(value) => prop_assert_eq!(table.insert(key_hash(&key), &key, value), model.insert(key, value)),
                    None => prop_assert_eq!(table.remove(key_hash(&key), &key).map(|e| e.1), model.remove(&key)),
                }
            }
            prop_assert_eq!(restore_at(encode, parallelism), at_barrier);
            prop_assert_eq!(table.len(), model.len());
            let contents: HashMap<u16, i32> = table.iter().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(contents, model);
        }
    }
}
