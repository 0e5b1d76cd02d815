//! Panes in a checkpoint. Cost follows change: of a pane that has only a few keys all are written when one has changed, of one
//! that is divided the entries that have.
//!
//! A part is of one pane and key group: the pane's beginning, then entries, as a [`KeyedTable`](crate::state::KeyedTable) writes them. The parts of a delta hold
//! what has changed since the checkpoint before, and, for each group that there was, one part without entries: that pane, and all that
//! begin before it, are over. Panes end in the order of time, so there is nothing else to be told of them.
//!
//! When the deltas have become as large as what was written whole, everything is written whole again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{PaneTable, Panes, Shareable};
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::key_group::{KeyGroups, group_of};
use crate::state::{
    Encode, Key, KeyedState, PartDecoder, PartEncoder, PartWriter, SharedGroup, StateData, hash_in, shape_of,
};
use crate::time::Timestamp;

/// So many deltas a restore may have to read.
const MOST_DELTAS: u32 = 128;

/// What the checkpoints have of the panes.
#[derive(Debug, Default)]
pub(super) struct Checkpointed {
    books: Arc<Mutex<Books>>,
    /// The last pane of which they know that it is over.
    gone: Option<Timestamp>,
    /// Whatever they have, the next one has to say everything.
    anew: bool,
    /// While they are read: of each group, the last pane that is over.
    floors: BTreeMap<u16, Timestamp>,
}

// A copy is other panes, of which no checkpoint knows anything.
impl Clone for Checkpointed {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Kept by the thread that encodes.
#[derive(Debug, Default)]
struct Books {
    /// The groups that they say something of, since they said it whole.
    known: BTreeSet<u16>,
    /// Whether a delta can follow.
    continues: bool,
    /// Bytes written whole, and in deltas since.
    whole: u64,
    changed: u64,
    deltas: u32,
}

impl Checkpointed {
    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// The next checkpoint has to say everything.
    pub(super) fn begin_anew(&mut self) {
        self.anew = true;
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    // What it guards is whole at every moment; and after a panic of a user's `Serialize` the job ends.
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Books {
    fn is_due(&self) -> bool {
        !self.continues || self.changed > self.whole || self.deltas >= MOST_DELTAS
    }
}

/// What a snapshot has of the panes.
struct Snapshot<K, A> {
    groups: u16,
    whole: bool,
    /// This pane, and all before it, are over, which is news.
    gone: Option<Timestamp>,
    ones: Vec<(Timestamp, Arc<(K, A)>)>,
    tables: Vec<(Timestamp, Arc<Table<K, A>>)>,
    divided: Vec<(Timestamp, Divided<K, A>)>,
}

/// A small pane, not divided.
type Table<K, A> = hashbrown::HashTable<(K, A)>;

/// A pane by key group.
type Divided<K, A> = Vec<(u16, SharedGroup<K, A>)>;

impl<K: Key, A: StateData> KeyedState for Panes<K, A> {
    fn shape(&self) -> String {
        shape_of::<(Timestamp, K, A)>()
    }

    fn open(&mut self, groups: &KeyGroups) {
        *self = Self { groups: groups.clone(), ..Self::default() };
    }

    fn share(&mut self, whole: bool) -> Encode {
        let whole = whole
            || std::mem::take(&mut self.checkpointed.anew)
            || self.places.is_empty()
            || self.checkpointed.books().is_due();
        let gone = self.gone.filter(|_| self.gone != self.checkpointed.gone);
        self.checkpointed.gone = self.gone;
        let groups = self.groups.max_parallelism();
        let mut snapshot =
            Snapshot { groups, whole, gone, ones: Vec::new(), tables: Vec::new(), divided: Vec::new() };
        for (start, place) in &self.places {
            let table = &mut self.tables[*place as usize];
            if let PaneTable::One(Shareable::Shared(_)) | PaneTable::Table(Shareable::Shared(_)) = table
                && !whole
            {
                continue;
            }
            *table = match std::mem::replace(table, PaneTable::Empty) {
                PaneTable::Empty => PaneTable::Empty,
                PaneTable::One(one) => {
                    let (one, shared) = one.share();
                    snapshot.ones.push((*start, shared));
                    PaneTable::One(one)
                }
                PaneTable::Table(table) => {
                    let (table, shared) = table.share();
                    snapshot.tables.push((*start, shared));
                    PaneTable::Table(table)
                }
                PaneTable::Divided(mut table) => {
                    snapshot.divided.push((*start, table.share_entries(whole)));
                    PaneTable::Divided(table)
                }
            };
        }
        let books = self.checkpointed.books.clone();
        Box::new(move |parts| snapshot.encode(&mut lock(&books), parts))
    }

    fn restore(&mut self, group: u16, mut part: PartDecoder<'_>, delta: bool) -> Result<(), BoxError> {
        let mut books = self.checkpointed.books();
        books.known.insert(group);
        if delta {
            books.changed += part.length()
        } else {
            books.whole += part.length()
        }
        drop(books);
        let start = part.head::<Timestamp>()?;
        let mut place = None;
        part.entries(|key: K, accumulator: A| {
            let place = *place.get_or_insert_with(|| self.find(start));
            let hash = hash_in(&self.groups, group, &key)?;
            let mut new = Some(accumulator);
            let there = self
                .accumulator(place, hash, key, || new.take().unwrap_or_else(|| unreachable!("called once")));
            // It is a later one of an entry that is there.
            if let Some(new) = new {
                *there = new;
            }
            Ok(())
        })?;
        if place.is_none() {
            let floor = self.checkpointed.floors.entry(group).or_insert(start);
            *floor = start.max(*floor);
        }
        Ok(())
    }

    fn restored(&mut self, continues: bool) {
        let floors = std::mem::take(&mut self.checkpointed.floors);
        self.remove_below(&floors);
        let known = std::mem::take(&mut *self.checkpointed.books());
        if continues {
            // What is there is what the checkpoint has.
            drop(self.share(true));
            *self.checkpointed.books() = Books { continues: true, deltas: 0, ..known };
        }
    }
}

impl<K: Key, A: StateData> Panes<K, A> {
    /// Removes, of each group, the panes up to this one.
    fn remove_below(&mut self, floors: &BTreeMap<u16, Timestamp>) {
        let Some(highest) = floors.values().max() else { return };
        let groups = self.groups.max_parallelism();
        let starts: Vec<Timestamp> = self.places.range(..=*highest).map(|(start, _)| *start).collect();
        for start in starts {
            let Some(place) = self.places.remove(&start) else { continue };
            let table = std::mem::replace(&mut self.tables[place as usize], PaneTable::Empty);
            self.free.push(place);
            let mut kept = Vec::new();
            let Ok(()) = table.try_for_each(|key, accumulator| {
                let floor = floors.get(&group_of(key_hash(key), groups));
                if floor.is_none_or(|floor| start > *floor) {
                    kept.push((key.clone(), accumulator.clone()));
                }
                Ok::<(), std::convert::Infallible>(())
            });
            for (key, accumulator) in kept {
                let place = self.find(start);
                self.accumulator(place, key_hash(&key), key, || accumulator);
            }
        }
    }
}

impl<K: Key, A: StateData> Snapshot<K, A> {
    fn encode(self, books: &mut Books, parts: &mut PartWriter<'_>) -> Result<(), BoxError> {
        let Self { groups, whole, gone, ones, tables, divided } = self;
        if whole {
            *books = Books { continues: true, ..Books::default() };
        }
        let mut out = Parts { parts, known: &books.known, said: BTreeSet::new(), bytes: 0 };
        for (start, one) in ones {
            let group = group_of(key_hash(&one.0), groups);
            out.add(group, |part| encode_part(start, &[&*one], part))?;
        }
        for (start, table) in tables {
            let of = |entry: &(K, A)| group_of(key_hash(&entry.0), groups);
            let mut entries: Vec<&(K, A)> = table.iter().collect();
            entries.sort_by_cached_key(|entry| of(entry));
            for entries in entries.chunk_by(|a, b| of(a) == of(b)) {
                out.add(of(entries[0]), |part| encode_part(start, entries, part))?;
            }
        }
        for (start, groups) in divided {
            for (group, entries) in groups {
                out.add(group, |part| {
                    part.head(&start)?;
                    entries.encode(part)
                })?;
            }
        }
        for group in &books.known {
            match gone {
                Some(gone) => out.add(*group, |part| part.head(&gone))?,
                None if !out.said.contains(group) => out.parts.unchanged(*group),
                None => {}
            }
        }
        let Parts { said, bytes, .. } = out;
        if whole {
            books.whole = bytes;
        } else {
            books.changed += bytes;
            books.deltas += u32::from(!said.is_empty());
        }
        books.known.extend(said);
        if books.known.iter().any(|group| parts.is_wasteful(*group)) {
            books.continues = false;
        }
        Ok(())
    }
}

/// Where the parts of a snapshot go.
struct Parts<'p, 'w, 'b> {
    parts: &'p mut PartWriter<'w>,
    /// The groups that earlier checkpoints have something of: more of them is a change.
    known: &'b BTreeSet<u16>,
    said: BTreeSet<u16>,
    bytes: u64,
}

impl Parts<'_, '_, '_> {
    fn add(
        &mut self,
        group: u16,
        encode: impl FnOnce(&mut PartEncoder<'_>) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        let known = self.known.contains(&group);
        self.bytes +=
            if known { self.parts.delta(group, encode)? } else { self.parts.part(group, encode)? };
        self.said.insert(group);
        Ok(())
    }
}

/// What a pane has of one key group, as a table writes it.
fn encode_part<K: Key, A: StateData>(
    start: Timestamp,
    entries: &[&(K, A)],
    part: &mut PartEncoder<'_>,
) -> Result<(), BoxError> {
    part.head(&start)?;
    part.entries(entries.len(), || entries.iter().map(|(key, accumulator)| (key, accumulator)))
}
