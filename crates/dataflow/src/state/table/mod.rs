//! The keyed table: a hash table per key group, shared with a snapshot without stopping for it.
//!
//! A group is made of pages (`page`), and a page is the unit of sharing.
//!
//! **At a barrier** the pages that have changed since the last snapshot move behind an `Arc`, which the snapshot holds, too:
//! about a tenth of a microsecond a page. The first write to a page after that takes it back; if its turn to be encoded has not
//! come yet, it leaves copies of the entries that the snapshot is about (`snapshot`). So a record waits for one page at the most.
//!
//! **Past its memory** (`Memory`) a table moves entries to disk (`spill`), from where they come back when they are written to (`cold`).
//!
//! **In a checkpoint** each group that has changed is one part: all of its entries, or a *delta*, what has changed since the
//! last checkpoint. A group is written whole when its deltas have become as large as itself, each group at a time of its own.

mod changes;
mod cold;
mod page;
mod perishing;
mod snapshot;
mod space;
mod spill;
mod stamp;

use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

pub(crate) use snapshot::SharedGroup;

use self::changes::{Change, Changes};
use self::page::{Books, Group, Stored, Writing, probe, probe_of};
use self::perishing::Perishing;
use self::spill::Spill;
use self::stamp::{Moment, Stamp};
use super::memory::Memory;
use super::{Encode, Key, KeyedState, PartDecoder, StateData, shape_of};
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::key_group::{KeyGroups, group_of};
use crate::record::Keyed;
use crate::time::Timestamp;
use crate::type_name::without_paths;

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
    shards: Vec<Group<K, V>>,
    /// Counts the snapshots; begins with 1.
    generation: u64,
    /// What changes now does so in this generation, and at this time.
    moment: Moment,
    /// What the checkpoints have of it.
    changes: Changes,
    ttl: Option<Perishing>,
    /// Where entries go when there are too many; `None` if there is room for all.
    spill: Option<Box<Spill<K, V>>>,
}

impl<K, V> Default for KeyedTable<K, V> {
    fn default() -> Self {
        Self {
            groups: KeyGroups::all(0),
            shards: Vec::new(),
            generation: 1,
            moment: Moment::new(1, 0, 0),
            changes: Changes::default(),
            ttl: None,
            spill: None,
        }
    }
}

/// The place of a key in a table.
pub struct TableEntry<'a, K, V> {
    entry: Entry<'a, Stored<K, V>>,
    key: K,
    books: Books<'a, K>,
}

impl<'a, K, V> TableEntry<'a, K, V> {
    /// The value, made by `make` where there was none.
    #[inline]
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        self.or_insert_pair(make).1
    }

    /// The key as the table keeps it, and the value, made by `make` where there was none.
    #[inline]
    pub fn or_insert_pair(mut self, make: impl FnOnce() -> V) -> (&'a K, &'a mut V) {
        let stored = match self.entry {
            Entry::Occupied(entry) => {
                let stored = entry.into_mut();
                if !self.books.is_alive(&stored.stamp) {
                    stored.value = make();
                }
                self.books.changed(&mut stored.stamp);
                stored
            }
            Entry::Vacant(entry) => entry.insert(self.books.added(self.key, make())).into_mut(),
        };
        (&stored.key, &mut stored.value)
    }

    /// Combines `value` with the one that is there, if there is one, else inserts it. Returns the key and the
    /// new value.
    #[inline]
    pub fn merge(mut self, value: V, merge: impl FnOnce(V, V) -> V) -> (&'a K, &'a mut V)
    where
        V: Clone,
    {
        let entry = match self.entry {
            Entry::Occupied(mut entry) if !self.books.is_alive(&entry.get().stamp) => {
                let stored = entry.get_mut();
                self.books.changed(&mut stored.stamp);
                stored.value = value;
                entry
            }
            // A value that owns nothing is copied out; one that owns memory is moved out and back in, never cloned.
            Entry::Occupied(entry) if std::mem::needs_drop::<V>() => {
                let (Stored { key, value: old, mut stamp }, place) = entry.remove();
                self.books.changed(&mut stamp);
                place.insert(Stored { key, value: merge(old, value), stamp })
            }
            Entry::Occupied(mut entry) => {
                let stored = entry.get_mut();
                self.books.changed(&mut stored.stamp);
                stored.value = merge(stored.value.clone(), value);
                entry
            }
            Entry::Vacant(entry) => entry.insert(self.books.added(self.key, value)),
        };
        let stored = entry.into_mut();
        (&stored.key, &mut stored.value)
    }
}

impl<K: Key, V: Clone> KeyedTable<K, V> {
    /// An empty table for these key groups.
    pub fn new(groups: &KeyGroups) -> Self {
        let shards = groups.owned().map(|_| Group::default()).collect();
        Self { groups: groups.clone(), shards, ..Self::default() }
    }

    #[inline]
    fn shard_mut(&mut self, hash: u64) -> &mut Group<K, V> {
        // The exchange sends a key only to the subtask that owns its group; anything else would lose state silently.
        let Some(position) = self.groups.position(hash) else { misplaced::<K, V>(&self.groups) };
        if let Some(spill) = &mut self.spill {
            spill.write(&mut self.shards, self.moment);
        }
        &mut self.shards[position]
    }

    #[inline]
    fn find(&self, hash: u64, key: &K) -> Option<&Stored<K, V>> {
        let Some(position) = self.groups.position(hash) else { misplaced::<K, V>(&self.groups) };
        let page = self.shards[position].page(hash)?;
        let hot = page.table().find(probe(hash), |stored| stored.key == *key);
        let stored = hot.or_else(|| page.cold_with(hash).find(|stored| stored.key == *key))?;
        stored.stamp.is_alive(self.moment.alive_from).then_some(stored)
    }

    /// The place of a key. `hash` is [`key_hash`] of `key`.
    #[inline]
    pub fn entry(&mut self, hash: u64, key: K) -> TableEntry<'_, K, V> {
        debug_assert_eq!(hash, key_hash(&key));
        let moment = self.moment;
        let place = self.shard_mut(hash).write(hash, moment);
        let entry = place.table.entry(probe(hash), |stored| stored.key == key, probe_of);
        TableEntry { entry, key, books: place.books }
    }

    /// The value of a key. It does not make it young again, whatever the time to live says: see [`read`](Self::read).
    #[inline]
    pub fn get(&self, hash: u64, key: &K) -> Option<&V> {
        self.find(hash, key).map(|stored| &stored.value)
    }

    /// The value of a key. With a [time to live](super::ttl) for which reading counts, it is young again.
    #[inline]
    pub fn read(&mut self, hash: u64, key: &K) -> Option<&V> {
        if self.reads_count() { self.get_mut(hash, key).map(|value| &*value) } else { self.get(hash, key) }
    }

    /// Shows each key that has this hash, one but for an accident, and its value to `look`, which may change it, and says whether it
    /// is kept: one look-up for all of that.
    #[inline]
    pub(crate) fn look_at<E>(
        &mut self,
        hash: u64,
        mut look: impl FnMut(&K, &mut V) -> Result<bool, E>,
    ) -> Result<(), E> {
        let moment = self.moment;
        let Writing { table, mut books } = self.shard_mut(hash).write(hash, moment);
        let is_it =
            |bucket: &usize| table.get_bucket(*bucket).is_some_and(|stored| key_hash(&stored.key) == hash);
        // What is removed leaves the others where they are.
        let buckets: SmallVec<[usize; 2]> = table.iter_hash_buckets(probe(hash)).filter(is_it).collect();
        for bucket in buckets {
            let Ok(mut entry) = table.get_bucket_entry(bucket) else { continue };
            let stored = entry.get_mut();
            if !books.is_alive(&stored.stamp) {
                continue;
            }
            books.changed(&mut stored.stamp);
            if !look(&stored.key, &mut stored.value)? {
                books.removed(&entry.remove().0);
            }
        }
        Ok(())
    }

    /// The value of a key, to be changed.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        let moment = self.moment;
        let mut place = self.shard_mut(hash).write(hash, moment);
        let stored = place.table.find_mut(probe(hash), |stored| stored.key == *key)?;
        if !place.books.is_alive(&stored.stamp) {
            return None;
        }
        place.books.changed(&mut stored.stamp);
        Some(&mut stored.value)
    }

    /// Sets the value of a key, and returns the one it had. The key is cloned only if it is new.
    pub fn insert(&mut self, hash: u64, key: &K, value: V) -> Option<V> {
        let moment = self.moment;
        let mut place = self.shard_mut(hash).write(hash, moment);
        match place.table.entry(probe(hash), |stored| stored.key == *key, probe_of) {
            Entry::Occupied(entry) => {
                let stored = entry.into_mut();
                let alive = place.books.is_alive(&stored.stamp);
                place.books.changed(&mut stored.stamp);
                let before = std::mem::replace(&mut stored.value, value);
                alive.then_some(before)
            }
            Entry::Vacant(entry) => {
                entry.insert(place.books.added(key.clone(), value));
                None
            }
        }
    }

    /// Forgets a key.
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<(K, V)> {
        let moment = self.moment;
        let mut place = self.shard_mut(hash).write(hash, moment);
        let entry = place.table.find_entry(probe(hash), |stored| stored.key == *key).ok()?;
        let stored = entry.remove().0;
        place.books.removed(&stored);
        place.books.is_alive(&stored.stamp).then_some((stored.key, stored.value))
    }

    /// All keys and values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let alive_from = self.moment.alive_from;
        let stored = self.shards.iter().flat_map(Group::entries);
        let alive = stored.filter(move |stored| stored.stamp.is_alive(alive_from));
        alive.map(|stored| (&stored.key, &stored.value))
    }

    /// Takes everything out. Tables keep their room for the next round.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> {
        let moment = self.moment;
        self.shards.iter_mut().flat_map(move |group| group.drain(moment))
    }

    /// Keeps the entries for which `keep` says so; it may change the values.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        for position in 0..self.shards.len() {
            self.shards[position].retain(self.moment, &mut keep);
            self.make_room();
        }
    }

    /// What is looked at, kept or restored may have taken entries from disk.
    fn make_room(&mut self) {
        if let Some(spill) = &mut self.spill {
            spill.make_room(&mut self.shards, self.moment);
        }
    }

    /// The number of keys; with a time to live also those that have expired and are still in memory.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|group| group.len).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|group| group.len == 0)
    }

    /// The place of a keyed record's key, and the record's value.
    #[inline]
    pub fn entry_of<T>(&mut self, record: Keyed<K, T>) -> (TableEntry<'_, K, V>, T) {
        (self.entry(record.hash, record.key), record.value)
    }

    /// Shares with a snapshot what has changed since the last one, or all of it: for each group of which that is something, its
    /// number and the entries. It is for tables whose entries are never removed.
    pub(crate) fn share_entries(&mut self, whole: bool) -> Vec<(u16, SharedGroup<K, V>)> {
        if whole {
            self.changes = Changes::default();
        }
        let changes = self.share_changes().into_iter();
        let entries = changes.filter_map(|(group, change)| match change {
            Change::Whole(entries, _) | Change::Delta(entries, _) => Some((group, entries)),
            Change::Unchanged(_) => None,
        });
        entries.collect()
    }

    /// Shares with a snapshot what has changed since the last one.
    fn share_changes(&mut self) -> Vec<(u16, Change<K, V>)> {
        self.make_room();
        let (first, moment, aged) = (self.groups.owned().start, self.moment, self.ttl.is_some());
        self.generation = Moment::next(self.generation);
        self.set_moment();
        let Self { shards, changes, .. } = self;
        let count = shards.len();
        let groups = (first..).zip(shards).enumerate();
        groups
            .filter_map(|(position, (number, group))| {
                // Of what is empty nothing is said, and so nothing is left.
                Some((number, changes.of(position, count, group, moment, aged)?))
            })
            .collect()
    }

    /// [`hash_in`], for the groups of this table.
    pub(crate) fn hash_in(&self, group: u16, key: &K) -> Result<u64, BoxError> {
        hash_in(&self.groups, group, key)
    }

    /// Puts in an entry of a checkpoint, which was written last at `time`.
    fn restore_entry(&mut self, hash: u64, key: K, value: V, time: u64) {
        let moment = self.moment.of_restore();
        let group = self.shard_mut(hash);
        group.known = true;
        // Of a generation that no snapshot will be about.
        let mut place = group.write(hash, moment);
        match place.table.entry(probe(hash), |stored| stored.key == key, probe_of) {
            Entry::Occupied(entry) => {
                let stored = entry.into_mut();
                (stored.value, stored.stamp) = (value, Stamp::restored(time));
            }
            Entry::Vacant(entry) => {
                entry.insert(place.books.restored(key, value, time));
            }
        }
    }

    /// Takes a key out that a later checkpoint has not got any more.
    fn restore_removal(&mut self, hash: u64, key: &K) {
        let moment = self.moment.of_restore();
        let mut place = self.shard_mut(hash).write(hash, moment);
        if let Ok(entry) = place.table.find_entry(probe(hash), |stored| stored.key == *key) {
            entry.remove();
            place.books.unrestored();
        }
    }
}

/// The hash of a key of a checkpoint, which has it in this group: its key group says where the records of a key go.
pub(crate) fn hash_in<K: Key>(groups: &KeyGroups, group: u16, key: &K) -> Result<u64, BoxError> {
    let hash = key_hash(key);
    match group_of(hash, groups.max_parallelism()) == group {
        true => Ok(hash),
        false => Err(moved()),
    }
}

#[cold]
fn moved() -> BoxError {
    "a key has another hash than when it was written, so its type hashes otherwise than it did: the type of a key may only change in \
     ways that its `Hash` does not notice (names of fields, a newtype around it)"
        .into()
}

#[cold]
fn misplaced<K, V>(groups: &KeyGroups) -> ! {
    if groups.max_parallelism() == 0 {
        // Found by `Chained`, which knows whose it is.
        let state = format!("{} for each {}", without_paths::<V>(), without_paths::<K>());
        panic!("{UNNAMED} {state}: name it there, as in `states.keyed(\"clicks\", &mut self.clicks)`");
    }
    panic!(
        "a key reached a subtask that does not own its key group; this is a bug in Thalweg, please report it"
    )
}

/// After so many entries of a part it is guessed how many there are in all, and after eight times as many again.
const SAMPLE: u64 = 64;

/// How the message begins when state is used that was not shown to the engine.
pub(crate) const UNNAMED: &str = "its `states()` does not name the state that keeps";

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
        self.table().open_for(groups);
    }

    fn share(&mut self, whole: bool) -> Encode {
        self.table().share_all(whole)
    }

    fn restore(&mut self, group: u16, part: PartDecoder<'_>, delta: bool) -> Result<(), BoxError> {
        self.table().restore_part(group, part, delta, |value, _| value, |value| value)
    }

    fn restored(&mut self, continues: bool) {
        self.table().has_restored(continues);
    }

    fn tick(&mut self, now: Timestamp) -> bool {
        self.table().pass(now, |_, _| false, |_, _| {})
    }

    fn bound(&mut self, memory: &Memory) {
        self.table().bind(memory);
    }
}

impl<K: Key, V: StateData> KeyedTable<K, V> {
    /// Empties it, for these key groups.
    pub(in crate::state) fn open_for(&mut self, groups: &KeyGroups) {
        let ttl = self.ttl.map(|perishing| Perishing::new(perishing.config));
        *self = Self { ttl, ..Self::new(groups) };
    }

    /// [`KeyedState::bound`].
    pub(in crate::state) fn bind(&mut self, memory: &Memory) {
        self.spill = Some(Box::new(Spill::new(memory)));
    }

    /// [`KeyedState::share`].
    pub(in crate::state) fn share_all(&mut self, whole: bool) -> Encode {
        if whole {
            self.changes = Changes::default();
        }
        let changes = self.share_changes();
        Box::new(move |parts| {
            for (group, change) in changes {
                match change {
                    Change::Whole(entries, size) => {
                        size.whole(parts.part(group, |part| entries.encode(part))?);
                    }
                    Change::Delta(entries, size) => {
                        let bytes = parts.delta(group, |part| entries.encode_delta(part))?;
                        size.delta(bytes, parts.is_wasteful(group));
                    }
                    Change::Unchanged(size) => {
                        parts.unchanged(group);
                        size.delta(0, parts.is_wasteful(group));
                    }
                }
            }
            Ok(())
        })
    }

    /// [`KeyedState::restore`]. State without a time to live was written as `P`, and state with one as `A`; the first is made
    /// a value as of a time, the second a value.
    pub(super) fn restore_part<P: StateData, A: StateData>(
        &mut self,
        group: u16,
        mut part: PartDecoder<'_>,
        delta: bool,
        of_plain: impl Fn(P, u64) -> V,
        of_aged: impl Fn(A) -> V,
    ) -> Result<(), BoxError> {
        let position = usize::from(group - self.groups.owned().start);
        self.changes.restored_bytes(position, self.shards.len(), part.length(), delta);
        if delta {
            let removed: Vec<K> = part.head()?;
            for key in removed {
                let hash = self.hash_in(group, &key)?;
                self.restore_removal(hash, &key);
            }
        }
        let (keeps, now) = (self.ttl.is_some(), self.now_bits());
        if part.has_ages() {
            part.aged_entries(|key: K, value: A, time| {
                let hash = self.hash_in(group, &key)?;
                self.restore_entry(hash, key, of_aged(value), if keeps { time } else { 0 });
                Ok(())
            })
        } else {
            let (length, mut count, mut sample) = (part.length(), 0, SAMPLE);
            part.counted_entries(|key: K, value: P, left| {
                count += 1;
                if count == sample && !delta {
                    // By what these take, there are about so many; it is not believed too far ahead.
                    let all = length.saturating_mul(count) / (length - left as u64).max(1);
                    sample *= 8;
                    self.shards[position].expect(all.min(sample) as usize, self.moment.of_restore());
                }
                let hash = self.hash_in(group, &key)?;
                self.restore_entry(hash, key, of_plain(value, now), now);
                Ok(())
            })
        }
    }

    /// [`KeyedState::restored`].
    pub(super) fn has_restored(&mut self, continues: bool) {
        self.changes.restored(continues);
    }
}

#[cfg(test)]
mod tests;
