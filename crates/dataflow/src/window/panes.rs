//! Panes: the pieces that aligned windows are made of, each with an accumulator for each key.
//!
//! There may be very many, most of them with one key, or few with very many keys. So a pane begins as one entry without any table,
//! becomes a plain hash table with its second key, and one that is divided by key group, as [`KeyedTable`] is, when copying it whole
//! (as has to be done when it is written to while a snapshot reads it) would take a while.
//!
//! **In a checkpoint** each pane and non-empty key group is one part: the pane's beginning, then its table as
//! [`KeyedTable`] writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::error::BoxError;
use crate::hash::key_hash;
use crate::key_group::{KeyGroups, group_of};
use crate::state::{
    Encode, Key, KeyedState, KeyedTable, PartDecoder, PartEncoder, StateData, hash_in, shape_of,
};
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
}

/// The accumulators of one pane, by key.
#[derive(Clone, Debug)]
pub(super) enum PaneTable<K, A> {
    Empty,
    One(Shareable<(K, A)>),
    Table(Shareable<HashTable<(K, A)>>),
    Divided(KeyedTable<K, A>),
}

/// What a snapshot may still be reading.
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
        }
    }
}

impl<K: Key, A: StateData> Panes<K, A> {
    /// The place of the pane that begins at `start`; it is made if it is not there. It holds until the pane is removed.
    pub(super) fn find(&mut self, start: Timestamp) -> usize {
        let Self { places, tables, free, .. } = self;
        let place = places.entry(start).or_insert_with(|| {
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
            let place = first.remove();
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

impl<K: Key, A: StateData> KeyedState for Panes<K, A> {
    fn shape(&self) -> String {
        shape_of::<(Timestamp, K, A)>()
    }

    fn open(&mut self, groups: &KeyGroups) {
        *self = Self { groups: groups.clone(), ..Self::default() };
    }

    fn share(&mut self, _whole: bool) -> Encode {
        let (mut ones, mut tables, mut divided) = (Vec::new(), Vec::new(), Vec::new());
        for (start, place) in &self.places {
            let table = &mut self.tables[*place as usize];
            *table = match std::mem::replace(table, PaneTable::Empty) {
                PaneTable::Empty => PaneTable::Empty,
                PaneTable::One(one) => {
                    let (one, shared) = one.share();
                    ones.push((*start, shared));
                    PaneTable::One(one)
                }
                PaneTable::Table(table) => {
                    let (table, shared) = table.share();
                    tables.push((*start, shared));
                    PaneTable::Table(table)
                }
                PaneTable::Divided(mut table) => {
                    divided.push((*start, table.share_tables()));
                    PaneTable::Divided(table)
                }
            };
        }
        let groups = self.groups.max_parallelism();
        Box::new(move |parts| {
            for (start, one) in ones {
                let group = group_of(key_hash(&one.0), groups);
                parts.part(group, |part| encode_part(start, &[&*one], part))?;
            }
            for (start, table) in tables {
                let of = |entry: &(K, A)| group_of(key_hash(&entry.0), groups);
                let mut entries: Vec<&(K, A)> = table.iter().collect();
                entries.sort_by_cached_key(|entry| of(entry));
                for entries in entries.chunk_by(|a, b| of(a) == of(b)) {
                    parts.part(of(entries[0]), |part| encode_part(start, entries, part))?;
                }
            }
            for (start, tables) in divided {
                for (group, table) in tables {
                    parts.part(group, |part| {
                        part.head(&start)?;
                        table.encode(part)
                    })?;
                }
            }
            Ok(())
        })
    }

    fn restore(&mut self, group: u16, mut part: PartDecoder<'_>, _delta: bool) -> Result<(), BoxError> {
        let start = part.head::<Timestamp>()?;
        let place = self.find(start);
        part.entries(|key: K, accumulator: A| {
            let hash = hash_in(&self.groups, group, &key)?;
            // Of each pane a key is in one part only.
            let _ = self.accumulator(place, hash, key, || accumulator);
            Ok(())
        })
    }
}

/// What a pane has of one key group, as a [`KeyedTable`] writes it.
fn encode_part<K: Key, A: StateData>(
    start: Timestamp,
    entries: &[&(K, A)],
    part: &mut PartEncoder<'_>,
) -> Result<(), BoxError> {
    part.head(&start)?;
    part.entries(entries.len(), || entries.iter().map(|(key, accumulator)| (key, accumulator)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::state::encoding::Plan;
    use crate::state::{encoded, restored};

    fn contents(panes: &Panes<u32, i64>) -> BTreeMap<(Timestamp, u32), i64> {
        let mut contents = BTreeMap::new();
        for (start, table) in panes.iter() {
            let all: Result<(), ()> = table.try_for_each(|key, n| {
                assert_eq!(table.get(key_hash(key), key), Some(n));
                assert_eq!(contents.insert((start, *key), *n), None);
                Ok(())
            });
            all.unwrap();
        }
        contents
    }

    proptest! {
        /// Whatever form a pane has, and whoever reads it meanwhile.
        #[test]
        fn panes_hold_what_was_added(
            steps in prop::collection::vec((0_u8..12, 0_i64..6, 0_u32..5), 0..150), large: bool,
        ) {
            let mut panes: Panes<u32, i64> = Panes::default();
            panes.open(&KeyGroups::all(128));
            let mut model: BTreeMap<(Timestamp, u32), i64> = BTreeMap::new();
            if large {
                let place = panes.find(3);
                for key in 0..2 * UNDIVIDED as u32 {
                    *panes.accumulator(place, key_hash(&key), key, || 0) += 1;
                    model.insert((3, key), 1);
                }
            }
            let mut snapshots = Vec::new();
            for (step, start, key) in steps {
                match step {
                    0 => snapshots.push((panes.share(true), model.clone())),
                    1 => {
                        panes.remove_while(|pane| pane < start);
                        model = model.split_off(&(start, 0));
                    }
                    2 => panes = restored(&mut panes, Panes::default()),
                    _ => {
                        let place = panes.find(start);
                        *panes.accumulator(place, key_hash(&key), key, || 0) += 1;
                        *model.entry((start, key)).or_insert(0) += 1;
                    }
                }
            }
            prop_assert_eq!(contents(&panes), model);
            for (encode, model) in snapshots {
                let mut panes: Panes<u32, i64> = Panes::default();
                panes.open(&KeyGroups::all(128));
                let (parts, schema) = encoded(encode);
                let plan = Plan::new(&schema);
                for (part, bytes) in parts {
                    panes.restore(part.group, PartDecoder::new(&plan, &bytes), false).unwrap();
                }
                prop_assert_eq!(contents(&panes), model);
            }
        }
    }
}
