//! Panes: the pieces that aligned windows are made of, each with an accumulator for each key.
//!
//! There may be very many, most of them with one key, or few with very many keys. So a pane begins as one entry without any table,
//! becomes a plain hash table with its second key, and one that is divided by key group, as [`KeyedTable`] is, when copying it whole
//! (as has to be done when it is written to while a snapshot reads it) would take a while.
//!
//! What they look like in a checkpoint is in [`state`].

mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use self::state::Checkpointed;
use crate::hash::key_hash;
use crate::key_group::KeyGroups;
use crate::state::{Key, KeyedTable, StateData};
use crate::time::Timestamp;

/// So many keys a pane has at the most in one table. Tests come by it sooner.
const UNDIVIDED: usize = if cfg!(test) { 64 } else { 4096 };

/// The panes that are open, in the order of time.
#[derive(Clone, Debug)]
pub(super) struct Panes<K, A> {
    groups: KeyGroups,
    /// Of each pane, by its beginning, where its table is.
    places: BTreeMap<Timestamp, u32>,
    tables: Vec<PaneTable<K, A>>,
    /// Places of panes that are over.
    free: Vec<u32>,
    /// Tables that have been used, and keep their room for the next pane.
    spare: HashTable<(K, A)>,
    spare_divided: Option<KeyedTable<K, A>>,
    /// The last pane that is over.
    gone: Option<Timestamp>,
    checkpointed: Checkpointed,
}

/// The accumulators of one pane, by key.
#[derive(Clone, Debug)]
pub(super) enum PaneTable<K, A> {
    Empty,
    One(Shareable<(K, A)>),
    Table(Shareable<HashTable<(K, A)>>),
    Divided(KeyedTable<K, A>),
}

/// What a snapshot may still be reading. What is shared has not changed since the last one.
#[derive(Clone, Debug)]
pub(super) enum Shareable<T> {
    Owned(T),
    Shared(Arc<T>),
}

impl<T: Clone> Shareable<T> {
    fn get(&self) -> &T {
        match self {
            Self::Owned(value) => value,
            Self::Shared(value) => value,
        }
    }

    fn into_owned(self) -> T {
        match self {
            Self::Owned(value) => value,
            Self::Shared(value) => Arc::unwrap_or_clone(value),
        }
    }

    /// This value, and the same to be read by a snapshot.
    fn share(self) -> (Self, Arc<T>) {
        let shared = match self {
            Self::Owned(value) => Arc::new(value),
            Self::Shared(value) => value,
        };
        (Self::Shared(shared.clone()), shared)
    }
}

impl<K: Key, A: StateData> PaneTable<K, A> {
    /// The accumulator of a key.
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&A> {
        match self {
            Self::Empty => None,
            Self::One(one) => {
                let (other, accumulator) = one.get();
                (other == key).then_some(accumulator)
            }
            Self::Table(table) => {
                table.get().find(hash, |(other, _)| other == key).map(|(_, accumulator)| accumulator)
            }
            Self::Divided(table) => table.get(hash, key),
        }
    }

    /// Calls `each` for all keys, in no particular order.
    pub(super) fn try_for_each<E>(&self, mut each: impl FnMut(&K, &A) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Empty => Ok(()),
            Self::One(one) => {
                let (key, accumulator) = one.get();
                each(key, accumulator)
            }
            Self::Table(table) => {
                table.get().iter().try_for_each(|(key, accumulator)| each(key, accumulator))
            }
            Self::Divided(table) => table.iter().try_for_each(|(key, accumulator)| each(key, accumulator)),
        }
    }
}

impl<K, A> Default for Panes<K, A> {
    fn default() -> Self {
        Self {
            groups: KeyGroups::all(0),
            places: BTreeMap::new(),
            tables: Vec::new(),
            free: Vec::new(),
            spare: HashTable::new(),
            spare_divided: None,
            gone: None,
            checkpointed: Checkpointed::default(),
        }
    }
}

impl<K: Key, A: StateData> Panes<K, A> {
    /// The place of the pane that begins at `start`; it is made if it is not there. It holds until the pane is removed.
    pub(super) fn find(&mut self, start: Timestamp) -> usize {
        let Self { places, tables, free, gone, checkpointed, .. } = self;
        let place = places.entry(start).or_insert_with(|| {
            if gone.is_some_and(|gone| start <= gone) {
                // It was said to be over.
                checkpointed.begin_anew();
            }
            free.pop().unwrap_or_else(|| {
                tables.push(PaneTable::Empty);
                (tables.len() - 1) as u32
            })
        });
        *place as usize
    }

    /// The accumulator of a key in the pane at `place`, made by `make` if there is none.
    #[inline]
    pub(super) fn accumulator(
        &mut self,
        place: usize,
        hash: u64,
        key: K,
        make: impl FnOnce() -> A,
    ) -> &mut A {
        match &self.tables[place] {
            PaneTable::Table(Shareable::Owned(table)) if table.len() < UNDIVIDED => {}
            PaneTable::Divided(_) => {}
            _ => self.prepare(place, &key),
        }
        match &mut self.tables[place] {
            PaneTable::Table(Shareable::Owned(table)) => {
                match table.entry(hash, |(other, _)| *other == key, |(other, _)| key_hash(other)) {
                    Entry::Occupied(entry) => &mut entry.into_mut().1,
                    Entry::Vacant(entry) => &mut entry.insert((key, make())).into_mut().1,
                }
            }
            PaneTable::Divided(table) => table.entry(hash, key).or_insert_with(make),
            first => {
                // Only an empty pane, or the only entry of this key, are left as they are by `prepare`.
                if matches!(first, PaneTable::Empty) {
                    *first = PaneTable::One(Shareable::Owned((key, make())));
                }
                match first {
                    PaneTable::One(Shareable::Owned((_, accumulator))) => accumulator,
                    _ => unreachable!("just prepared"),
                }
            }
        }
    }

    /// Brings the pane at `place` into a form in which the accumulator of `key` can be written to, or added.
    #[cold]
    fn prepare(&mut self, place: usize, key: &K) {
        let table = std::mem::replace(&mut self.tables[place], PaneTable::Empty);
        self.tables[place] = match table {
            PaneTable::One(one) if one.get().0 == *key => PaneTable::One(Shareable::Owned(one.into_owned())),
            PaneTable::One(one) => {
                let (first, mut table) = (one.into_owned(), std::mem::take(&mut self.spare));
                table.insert_unique(key_hash(&first.0), first, |(other, _)| key_hash(other));
                PaneTable::Table(Shareable::Owned(table))
            }
            PaneTable::Table(table) if table.get().len() < UNDIVIDED => {
                PaneTable::Table(Shareable::Owned(table.into_owned()))
            }
            PaneTable::Table(table) => {
                let mut divided = self.spare_divided.take().unwrap_or_else(|| KeyedTable::new(&self.groups));
                for (key, accumulator) in table.into_owned() {
                    divided.entry(key_hash(&key), key).or_insert_with(|| accumulator);
                }
                PaneTable::Divided(divided)
            }
            other @ (PaneTable::Empty | PaneTable::Divided(_)) => other,
        };
    }

    /// The tables of the panes that begin in this span, in order.
    pub(super) fn within(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = &PaneTable<K, A>> {
        self.places.range(from..to.max(from)).map(|(_, place)| &self.tables[*place as usize])
    }

    /// The beginning of the first pane that does not begin before `from`.
    pub(super) fn first_from(&self, from: Timestamp) -> Option<Timestamp> {
        self.places.range(from..).next().map(|(start, _)| *start)
    }

    /// All panes, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Timestamp, &PaneTable<K, A>)> {
        self.places.iter().map(|(start, place)| (*start, &self.tables[*place as usize]))
    }

    /// Removes panes from the earliest on, as long as `over` says so.
    pub(super) fn remove_while(&mut self, over: impl Fn(Timestamp) -> bool) {
        while let Some(first) = self.places.first_entry().filter(|first| over(*first.key())) {
            let (start, place) = first.remove_entry();
            self.gone = self.gone.max(Some(start));
            self.free.push(place);
            match std::mem::replace(&mut self.tables[place as usize], PaneTable::Empty) {
                PaneTable::Table(Shareable::Owned(mut table)) => {
                    table.clear();
                    self.spare = table;
                }
                PaneTable::Divided(mut table) => {
                    table.drain().for_each(drop);
                    self.spare_divided = Some(table);
                }
                PaneTable::Empty | PaneTable::One(_) | PaneTable::Table(Shareable::Shared(_)) => {}
            }
        }
        if self.places.is_empty() && self.tables.capacity() > UNDIVIDED {
            // There were very many; their places need not be kept for the next time.
            (self.tables, self.free) = (Vec::new(), Vec::new());
        }
    }
}
