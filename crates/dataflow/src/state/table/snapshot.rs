//! What a snapshot has of a table: its pages, until they have been encoded or somebody needs one before that.
//!
//! At a barrier a page moves behind an `Arc`, which the page and its place in the snapshot hold. The thread that encodes takes
//! pages out of their places, one after another. A task that wants to write to a page whose turn has not come
//! yet takes it out of its place first, and leaves copies of those entries there that the snapshot is about: of a delta a few.
//! Only a page that is being encoded at that very moment is copied whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use super::page::Stored;
use crate::error::BoxError;
use crate::state::{Key, StateData, encode_into};

/// A page that a snapshot may still want.
#[derive(Clone, Debug)]
pub(super) struct Shared<K, V> {
    pub(super) table: Arc<HashTable<Stored<K, V>>>,
    place: Arc<Place<K, V>>,
}

/// The place of a page in a snapshot.
#[derive(Debug)]
struct Place<K, V> {
    content: Mutex<Content<K, V>>,
    /// The generation that the snapshot ended: it is about what changed in that; `None` if it is about everything.
    generation: Option<u64>,
}

#[derive(Debug)]
enum Content<K, V> {
    Page(Arc<HashTable<Stored<K, V>>>),
    Copies(Vec<(K, V)>),
    Taken,
}

impl<K, V> Place<K, V> {
    fn lock(&self) -> MutexGuard<'_, Content<K, V>> {
        // A user's `Clone` that panics leaves the page where it is.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_about(&self, stored: &Stored<K, V>) -> bool {
        self.generation.is_none_or(|generation| stored.stamp.is_of(generation))
    }
}

impl<K: Clone, V: Clone> Shared<K, V> {
    /// The table, to be written to. What the snapshot still wants of it is left there.
    pub(super) fn take_back(mut self) -> HashTable<Stored<K, V>> {
        if Arc::get_mut(&mut self.table).is_none() {
            let mut content = self.place.lock();
            if matches!(*content, Content::Page(_)) {
                let wanted = self.table.iter().filter(|stored| self.place.is_about(stored));
                *content = Content::Copies(
                    wanted.map(|stored| (stored.key.clone(), stored.value.clone())).collect(),
                );
            }
        }
        Arc::try_unwrap(self.table).unwrap_or_else(|table| (*table).clone())
    }
}

/// What a snapshot has of one group.
pub(crate) struct SharedGroup<K, V> {
    places: Vec<Arc<Place<K, V>>>,
    /// Of a delta: the keys that have gone.
    removed: Vec<K>,
}

impl<K, V> SharedGroup<K, V> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), removed: Vec::new() }
    }

    /// Gives a page a place: for all of its entries, or for those that changed in one generation.
    pub(super) fn add(
        &mut self,
        table: Arc<HashTable<Stored<K, V>>>,
        generation: Option<u64>,
    ) -> Shared<K, V> {
        let place = Arc::new(Place { content: Mutex::new(Content::Page(table.clone())), generation });
        self.places.push(place.clone());
        Shared { table, place }
    }

    pub(super) fn set_removed(&mut self, removed: Vec<K>) {
        self.removed = removed;
    }
}

impl<K: Key, V: StateData> SharedGroup<K, V> {
    /// Appends the entries to a part: page by page their number, then each key and value.
    pub(crate) fn encode(self, buffer: &mut Vec<u8>) -> Result<(), BoxError> {
        for place in self.places {
            let content = std::mem::replace(&mut *place.lock(), Content::Taken);
            match content {
                Content::Page(table) => {
                    let entries = || table.iter().filter(|stored| place.is_about(stored));
                    encode_entries(
                        entries().count(),
                        entries().map(|stored| (&stored.key, &stored.value)),
                        buffer,
                    )?;
                }
                Content::Copies(copies) => {
                    encode_entries(copies.len(), copies.iter().map(|(key, value)| (key, value)), buffer)?;
                }
                Content::Taken => unreachable!("a snapshot is encoded once"),
            }
        }
        Ok(())
    }

    /// Appends what has changed to a part: the keys that have gone, then the entries.
    pub(super) fn encode_delta(mut self, buffer: &mut Vec<u8>) -> Result<(), BoxError> {
        encode_into(&std::mem::take(&mut self.removed), buffer)?;
        self.encode(buffer)
    }
}

fn encode_entries<'a, K: Key, V: StateData>(
    count: usize,
    mut entries: impl Iterator<Item = (&'a K, &'a V)>,
    buffer: &mut Vec<u8>,
) -> Result<(), BoxError> {
    if count == 0 {
        return Ok(());
    }
    encode_into(&(count as u64), buffer)?;
    entries.try_for_each(|entry| encode_into(&entry, buffer))
}

/// Reads what [`SharedGroup::encode`] wrote, to the end of the part, and hands each entry on.
pub(crate) fn decode_table<K: Key, V: StateData>(
    mut bytes: &[u8],
    mut entry: impl FnMut(K, V),
) -> Result<(), BoxError> {
    while !bytes.is_empty() {
        let (count, mut rest) = postcard::take_from_bytes::<u64>(bytes)?;
        for _ in 0..count {
            let ((key, value), after) = postcard::take_from_bytes::<(K, V)>(rest)?;
            entry(key, value);
            rest = after;
        }
        bytes = rest;
    }
    Ok(())
}

/// Reads the keys that have gone, at the head of a delta. Returns the bytes that follow.
pub(super) fn decode_removed<K: Key>(bytes: &[u8]) -> Result<(Vec<K>, &[u8]), BoxError> {
    Ok(postcard::take_from_bytes::<Vec<K>>(bytes)?)
}
