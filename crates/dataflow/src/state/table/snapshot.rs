//! What a snapshot has of a table: its pages, until they have been encoded or somebody needs one before that.
//!
//! At a barrier a page moves behind an `Arc`, which the page and its place in the snapshot hold. The thread that encodes takes
//! pages out of their places, one after another. A task that wants to write to a page whose turn has not come
//! yet takes it out of its place first, and leaves copies of those entries there that the snapshot is about: of a delta a few.
//! Only a page that is being encoded at that very moment is copied whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use super::cold::ColdSnapshot;
use super::page::Stored;
use super::stamp::Moment;
use crate::error::BoxError;
use crate::state::{Key, PartEncoder, StateData};

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
    wanted: Wanted,
}

/// Which entries of a page a snapshot is about: what had expired at its barrier is never among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    moment: Moment,
    all: bool,
}

impl Wanted {
    /// All.
    pub(super) fn all(moment: Moment) -> Self {
        Self { moment, all: true }
    }

    /// Those that changed in the generation that the snapshot ended.
    pub(super) fn changed(moment: Moment) -> Self {
        Self { moment, all: false }
    }

    /// Whether it is about all, or else only about what changed in this generation.
    pub(super) fn needs(&self, generation: u64) -> bool {
        self.all || self.moment.generation() == generation
    }

    pub(super) fn is_about<K, V>(&self, stored: &Stored<K, V>) -> bool {
        let Self { moment, all } = *self;
        (all || stored.stamp.is_of(moment)) && stored.stamp.is_alive(moment.alive_from)
    }
}

#[derive(Debug)]
enum Content<K, V> {
    Page(Arc<HashTable<Stored<K, V>>>),
    /// With when they were written last.
    Copies(Vec<(K, V, u64)>),
    Taken,
}

impl<K, V> Place<K, V> {
    fn lock(&self) -> MutexGuard<'_, Content<K, V>> {
        // A user's `Clone` that panics leaves the page where it is.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_about(&self, stored: &Stored<K, V>) -> bool {
        self.wanted.is_about(stored)
    }
}

impl<K, V> Shared<K, V> {
    /// Whether the snapshot has got what it wants of the page.
    pub(super) fn is_done(&self) -> bool {
        Arc::strong_count(&self.table) == 1
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
                    wanted
                        .map(|stored| (stored.key.clone(), stored.value.clone(), stored.stamp.time()))
                        .collect(),
                );
            }
        }
        Arc::try_unwrap(self.table).unwrap_or_else(|table| (*table).clone())
    }
}

/// What a snapshot has of one group.
pub(crate) struct SharedGroup<K, V> {
    places: Vec<Arc<Place<K, V>>>,
    /// What it is about of what is on disk.
    cold: Vec<ColdSnapshot<K, V>>,
    /// Of a delta: the keys that have gone.
    removed: Vec<K>,
    /// Whether it is told when each entry was written last.
    aged: bool,
}

impl<K, V> SharedGroup<K, V> {
    pub(super) fn new(aged: bool) -> Self {
        Self { places: Vec::new(), cold: Vec::new(), removed: Vec::new(), aged }
    }

    /// Gives a page a place: for all of its entries, or for those that changed in one generation.
    pub(super) fn add(&mut self, table: Arc<HashTable<Stored<K, V>>>, wanted: Wanted) -> Shared<K, V> {
        let place = Arc::new(Place { content: Mutex::new(Content::Page(table.clone())), wanted });
        self.places.push(place.clone());
        Shared { table, place }
    }

    pub(super) fn add_cold(&mut self, cold: impl IntoIterator<Item = ColdSnapshot<K, V>>) {
        self.cold.extend(cold);
    }

    pub(super) fn set_removed(&mut self, removed: Vec<K>) {
        self.removed = removed;
    }
}

impl<K: Key, V: StateData> SharedGroup<K, V> {
    /// Writes the entries: page by page a run of them.
    pub(crate) fn encode(self, part: &mut PartEncoder<'_>) -> Result<(), BoxError> {
        for place in self.places {
            let content = std::mem::replace(&mut *place.lock(), Content::Taken);
            match content {
                // All of them are about it, and need not be counted.
                Content::Page(table) if place.wanted.all && !self.aged => {
                    encode_entries(false, table.len(), || table.iter().map(Stored::entry), part)?;
                }
                Content::Page(table) => {
                    let stored = || table.iter().filter(|stored| place.is_about(stored));
                    encode_entries(self.aged, stored().count(), || stored().map(Stored::entry), part)?;
                }
                Content::Copies(copies) => {
                    let entries = || copies.iter().map(|(key, value, time)| (key, value, *time));
                    encode_entries(self.aged, copies.len(), entries, part)?;
                }
                Content::Taken => unreachable!("a snapshot is encoded once"),
            }
        }
        for cold in self.cold {
            let stored = cold.entries()?;
            encode_entries(self.aged, stored.len(), || stored.iter().map(Stored::entry), part)?;
        }
        Ok(())
    }

    /// Writes what has changed: the keys that have gone, then the entries.
    pub(super) fn encode_delta(mut self, part: &mut PartEncoder<'_>) -> Result<(), BoxError> {
        part.head(&std::mem::take(&mut self.removed))?;
        self.encode(part)
    }
}

fn encode_entries<'a, K: Key, V: StateData, I: Iterator<Item = (&'a K, &'a V, u64)>>(
    aged: bool,
    count: usize,
    entries: impl Fn() -> I,
    part: &mut PartEncoder<'_>,
) -> Result<(), BoxError> {
    match (count, aged) {
        (0, _) => Ok(()),
        (_, true) => part.aged_entries(count, entries),
        (_, false) => part.entries(count, || entries().map(|(key, value, _)| (key, value))),
    }
}
