//! The pages of a group: small hash tables, each of which is shared with a snapshot by itself.
//!
//! A group grows by one page at a time (linear hashing: page `n` takes its share out of the page that had it so far), so no
//! record ever waits for all of a group to be hashed anew. Every entry is stamped with the *generation* in which it changed last;
//! a generation ends with each snapshot. So a snapshot can say what changed since the one before it. With a
//! [time to live](crate::state::ttl) the stamp also says when that was.

use std::sync::Arc;

use hashbrown::HashTable;

use super::cold::{self, Cold};
use super::snapshot::{Shared, SharedGroup, Wanted};
use super::spill::Codec;
use super::stamp::{GENERATION_BITS, Moment, Stamp};
use crate::hash::key_hash;
use crate::state::Key;

/// So many entries a page has at the average before the group gets another one: few enough to be looked through in some
/// microseconds, and so many that a state of ten million keys has only twenty thousand to share at a barrier.
const PAGE: usize = 512;

/// An entry as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Stored<K, V> {
    pub(super) key: K,
    pub(super) value: V,
    pub(super) stamp: Stamp,
}

impl<K, V> Stored<K, V> {
    /// Its key, its value, and when it was written last.
    pub(super) fn entry(&self) -> (&K, &V, u64) {
        (&self.key, &self.value, self.stamp.time())
    }
}

/// What hashbrown is given. Inside a group the seven highest bits of a key's hash are nearly always the same, and they are what
/// it tells entries apart by: it gets others. Page numbers use the low ones.
#[inline]
pub(super) fn probe(hash: u64) -> u64 {
    hash.rotate_left(20)
}

pub(super) fn probe_of<K: Key, V>(stored: &Stored<K, V>) -> u64 {
    probe(key_hash(&stored.key))
}

#[derive(Clone, Debug)]
pub(super) struct Page<K, V> {
    pub(super) body: Body<K, V>,
    /// The last generation in which it may have changed.
    touched: u64,
    /// What of it is on disk.
    cold: Option<Box<Cold<K, V>>>,
}

#[derive(Clone, Debug)]
pub(super) enum Body<K, V> {
    Owned(HashTable<Stored<K, V>>),
    /// A snapshot may still want it.
    Shared(Shared<K, V>),
}

impl<K, V> Page<K, V> {
    pub(super) fn table(&self) -> &HashTable<Stored<K, V>> {
        match &self.body {
            Body::Owned(table) => table,
            Body::Shared(shared) => &shared.table,
        }
    }

    /// What of it is on disk, and may have this hash.
    #[inline]
    pub(super) fn cold_with(&self, hash: u64) -> impl Iterator<Item = &Stored<K, V>> {
        self.cold.as_deref().into_iter().flat_map(move |cold| cold.with(hash))
    }
}

impl<K: Key, V: Clone> Page<K, V> {
    /// The page may change from now on. Returns whether that is the first time in this generation.
    #[inline]
    fn begin(&mut self, moment: Moment, cold: &mut usize) -> bool {
        let first = self.touched != moment.generation();
        if first {
            if (self.touched ^ moment.generation()) >> GENERATION_BITS != 0 {
                *cold -= self.settle();
            }
            self.touched = moment.generation();
        }
        first
    }

    /// Returns how many entries it has taken from disk for that.
    #[cold]
    #[inline(never)]
    fn settle(&mut self) -> usize {
        let warmed = self.warm_all();
        self.owned().iter_mut().for_each(|stored| stored.stamp.settle());
        warmed
    }

    /// Takes from disk what may have this hash. Returns how many entries that were.
    #[cold]
    #[inline(never)]
    fn warm(&mut self, hash: u64) -> usize {
        let Some(mut cold) = self.cold.take() else { return 0 };
        let before = cold.left();
        let table = self.owned();
        cold.take(hash, |stored| {
            table.insert_unique(probe_of(&stored), stored, probe_of);
        });
        let left = cold.left();
        self.cold = (left > 0).then_some(cold);
        before - left
    }

    /// Takes everything from disk. Returns how many entries that were.
    fn warm_all(&mut self) -> usize {
        let Some(cold) = self.cold.take() else { return 0 };
        let entries = cold.into_entries();
        let count = entries.len();
        put_back(self.owned(), entries);
        count
    }

    /// The table, to be changed.
    #[inline]
    fn owned(&mut self) -> &mut HashTable<Stored<K, V>> {
        if let Body::Shared(_) = self.body {
            self.take_back();
        }
        match &mut self.body {
            Body::Owned(table) => table,
            Body::Shared(_) => unreachable!("just taken back"),
        }
    }

    #[cold]
    #[inline(never)]
    fn take_back(&mut self) {
        if let Body::Shared(shared) = std::mem::replace(&mut self.body, Body::Owned(HashTable::new())) {
            self.body = Body::Owned(shared.take_back());
        }
    }

    /// Leaves the table to be read by a snapshot.
    fn share(&mut self) -> Arc<HashTable<Stored<K, V>>> {
        match std::mem::replace(&mut self.body, Body::Owned(HashTable::new())) {
            Body::Owned(table) => Arc::new(table),
            Body::Shared(shared) => shared.table,
        }
    }
}

/// The entries of one key group.
#[derive(Clone, Debug)]
pub(super) struct Group<K, V> {
    pages: Vec<Page<K, V>>,
    pub(super) len: usize,
    /// So many of the entries are on disk.
    pub(super) cold: usize,
    /// At this many entries it gets another page.
    limit: usize,
    /// The pages that may have changed in this generation.
    touched: Vec<u32>,
    /// The keys that a snapshot has and that have been removed since.
    removed: Vec<K>,
    /// The number of entries that have changed in this generation.
    pub(super) changed: usize,
    /// Whether a snapshot has had entries of it.
    pub(super) known: bool,
    /// Whether everything that a snapshot had has been removed.
    pub(super) cleared: bool,
}

impl<K, V> Default for Group<K, V> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            len: 0,
            cold: 0,
            limit: 0,
            touched: Vec::new(),
            removed: Vec::new(),
            changed: 0,
            known: false,
            cleared: false,
        }
    }
}

impl<K, V> Group<K, V> {
    /// The page that a key belongs to, of so many pages.
    #[inline]
    fn index(&self, hash: u64) -> usize {
        let pages = self.pages.len();
        if pages <= 1 {
            return 0;
        }
        let mask = pages.next_power_of_two() - 1;
        let index = hash as usize & mask;
        if index < pages { index } else { index & (mask >> 1) }
    }

    /// The page in which the key is, if it is anywhere.
    #[inline]
    pub(super) fn page(&self, hash: u64) -> Option<&Page<K, V>> {
        self.pages.get(self.index(hash))
    }

    /// All entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Stored<K, V>> {
        self.pages.iter().flat_map(|page| {
            let cold = page.cold.as_deref().into_iter().flat_map(Cold::iter);
            page.table().iter().chain(cold)
        })
    }

    /// Those in memory.
    pub(super) fn hot_entries(&self) -> impl Iterator<Item = &Stored<K, V>> {
        self.pages.iter().flat_map(|page| page.table())
    }

    /// The number of pages.
    pub(super) fn count(&self) -> usize {
        self.pages.len()
    }

    /// How many entries a delta would have: those changed, and those removed.
    pub(super) fn differences(&self) -> usize {
        self.changed + self.removed.len()
    }
}

impl<K: Key, V: Clone> Group<K, V> {
    /// What is to be looked at and written to when the entry of a key changes: its page, and the books.
    #[inline]
    pub(super) fn write(&mut self, hash: u64, moment: Moment) -> Writing<'_, K, V> {
        if self.len >= self.limit {
            self.grow(moment);
        }
        let index = self.index(hash);
        let page = &mut self.pages[index];
        if page.begin(moment, &mut self.cold) {
            self.touched.push(index as u32);
        }
        if page.cold.is_some() {
            self.cold -= page.warm(hash);
        }
        Writing {
            table: page.owned(),
            books: Books {
                moment,
                len: &mut self.len,
                changed: &mut self.changed,
                removed: &mut self.removed,
            },
        }
    }

    /// One more page.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, moment: Moment) {
        let new = self.pages.len();
        self.limit = (new + 1) * PAGE;
        let mut table = HashTable::new();
        if new > 0 {
            let mask = (new + 1).next_power_of_two() - 1;
            let old = new & (mask >> 1);
            let page = &mut self.pages[old];
            if page.begin(moment, &mut self.cold) {
                self.touched.push(old as u32);
            }
            self.cold -= page.warm_all();
            let from = page.owned();
            table.reserve(from.len() / 2, probe_of);
            for stored in from.extract_if(|stored| key_hash(&stored.key) as usize & mask == new) {
                table.insert_unique(probe_of(&stored), stored, probe_of);
            }
            from.shrink_to_fit(probe_of);
        }
        self.pages.push(Page { body: Body::Owned(table), touched: moment.generation(), cold: None });
        // What is restored has not changed.
        if moment.generation() > 0 {
            self.touched.push(new as u32);
        }
    }

    /// Makes room for so many entries, as long as there are few: what is restored need not be moved from page to page then.
    pub(super) fn expect(&mut self, entries: usize, moment: Moment) {
        while self.limit < entries {
            self.grow(moment);
        }
        // Their hashes vary a little; one page more or less is no matter.
        let each = entries / self.pages.len().max(1);
        for page in &mut self.pages {
            let table = page.owned();
            table.reserve(each.saturating_sub(table.len()), probe_of);
        }
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self, moment: Moment) -> impl Iterator<Item = (K, V)> {
        self.touch_all(moment);
        self.cleared |= self.known;
        self.removed.clear();
        (self.len, self.changed) = (0, 0);
        self.cold = 0;
        let drain = self.pages.iter_mut().flat_map(|page| {
            page.warm_all();
            page.owned().drain()
        });
        let alive = drain.filter(move |stored| stored.stamp.is_alive(moment.alive_from));
        ToItsEnd(alive.map(|stored| (stored.key, stored.value)))
    }

    pub(super) fn retain(&mut self, moment: Moment, mut keep: impl FnMut(&K, &mut V) -> bool) {
        if self.len == 0 {
            return;
        }
        self.touch_all(moment);
        let Self { pages, len, cold, changed, removed, .. } = self;
        let mut books = Books { moment, len, changed, removed };
        for page in pages {
            *cold -= page.warm_all();
            page.owned().retain(|stored| {
                let kept = books.is_alive(&stored.stamp) && keep(&stored.key, &mut stored.value);
                if kept {
                    books.changed(&mut stored.stamp);
                } else {
                    books.removed(stored);
                }
                kept
            });
        }
    }

    /// Removes from page `index` what has expired, and has of the rest whatever `is_stale` trimmed. A page in which there is nothing
    /// of either is only looked at, and not taken from a snapshot that has it.
    pub(super) fn sweep(
        &mut self,
        index: usize,
        moment: Moment,
        is_stale: impl Fn(&V) -> bool,
        trim: impl Fn(&mut V),
    ) {
        let is_alive = |stamp: Stamp| stamp.is_alive(moment.alive_from);
        let page = &mut self.pages[index];
        if page.cold.as_ref().is_some_and(|cold| cold.oldest() < moment.alive_from) {
            self.cold -= page.warm_all();
        }
        if page.table().iter().all(|stored| is_alive(stored.stamp) && !is_stale(&stored.value)) {
            return;
        }
        if page.begin(moment, &mut self.cold) {
            self.touched.push(index as u32);
        }
        let Self { pages, len, changed, removed, .. } = self;
        let mut books = Books { moment, len, changed, removed };
        let table = pages[index].owned();
        table.retain(|stored| {
            let alive = is_alive(stored.stamp);
            if !alive {
                books.removed(stored);
            } else if is_stale(&stored.value) {
                // No change: what is trimmed has expired in every snapshot, too.
                trim(&mut stored.value);
            }
            alive
        });
        if table.len() * 4 < table.capacity() {
            table.shrink_to_fit(probe_of);
        }
    }

    fn touch_all(&mut self, moment: Moment) {
        for (index, page) in self.pages.iter_mut().enumerate() {
            if page.begin(moment, &mut self.cold) {
                self.touched.push(index as u32);
            }
        }
    }

    /// Moves the entries of a page to disk that have not been written to of late. Returns whether they could be written; `None` if
    /// there is no such page.
    pub(super) fn chill(&mut self, page: usize, moment: Moment, codec: &Arc<Codec<K, V>>) -> Option<bool> {
        let page = self.pages.get_mut(page)?;
        if let Some(cold) = &mut page.cold {
            cold.forget_seen();
        }
        if let Body::Shared(shared) = &page.body
            && !shared.is_done()
        {
            // A snapshot is about to read it.
            return Some(true);
        }
        let there = page.cold.as_ref().map_or(0, |cold| cold.left());
        let table = page.owned();
        let entries: Vec<_> = table.extract_if(|stored| !stored.stamp.take_used()).collect();
        // Few are not worth a block of their own.
        let few = entries.len() * 16 < there;
        if entries.is_empty() || few {
            put_back(table, entries);
            return Some(true);
        }
        let count = entries.len();
        let written = cold::chill(codec, &mut page.cold, entries, moment);
        let table = page.owned();
        match written {
            Ok(()) => {
                self.cold += count;
                table.shrink_to_fit(probe_of);
                Some(true)
            }
            Err(entries) => {
                put_back(table, entries);
                Some(false)
            }
        }
    }

    /// Ends the generation: leaves all pages to a snapshot, or those that have changed and what was removed.
    pub(super) fn share(&mut self, whole: bool, moment: Moment, aged: bool) -> SharedGroup<K, V> {
        let mut snapshot = SharedGroup::new(aged);
        let removed = self.end_generation();
        if whole {
            for page in &mut self.pages {
                page.body = Body::Shared(snapshot.add(page.share(), Wanted::all(moment)));
                snapshot.add_cold(page.cold.iter().flat_map(|cold| cold.share(Wanted::all(moment))));
            }
        } else {
            for index in &self.touched {
                let page = &mut self.pages[*index as usize];
                page.body = Body::Shared(snapshot.add(page.share(), Wanted::changed(moment)));
                snapshot.add_cold(page.cold.iter().flat_map(|cold| cold.share(Wanted::changed(moment))));
            }
            snapshot.set_removed(removed);
        }
        self.touched.clear();
        snapshot
    }

    /// Ends a generation in which there is nothing to be written.
    pub(super) fn skip(&mut self) {
        self.end_generation();
        self.touched.clear();
    }

    fn end_generation(&mut self) -> Vec<K> {
        self.known = self.len > 0;
        self.cleared = false;
        self.changed = 0;
        std::mem::take(&mut self.removed)
    }
}

fn put_back<K: Key, V>(table: &mut HashTable<Stored<K, V>>, entries: Vec<Stored<K, V>>) {
    table.reserve(entries.len(), probe_of);
    for stored in entries {
        table.insert_unique(probe_of(&stored), stored, probe_of);
    }
}

/// A page that is being written to, and what has to be kept up with it.
pub(super) struct Writing<'a, K, V> {
    pub(super) table: &'a mut HashTable<Stored<K, V>>,
    pub(super) books: Books<'a, K>,
}

/// The books of a group.
pub(super) struct Books<'a, K> {
    pub(super) moment: Moment,
    len: &'a mut usize,
    changed: &'a mut usize,
    removed: &'a mut Vec<K>,
}

impl<K> Books<'_, K> {
    /// An entry comes in.
    #[inline]
    pub(super) fn added<V>(&mut self, key: K, value: V) -> Stored<K, V> {
        *self.len += 1;
        *self.changed += 1;
        Stored { key, value, stamp: Stamp::new(self.moment) }
    }

    /// An entry changes.
    #[inline]
    pub(super) fn changed(&mut self, stamp: &mut Stamp) {
        *self.changed += usize::from(stamp.touch(self.moment));
    }

    /// Whether an entry has not expired.
    #[inline]
    pub(super) fn is_alive(&self, stamp: &Stamp) -> bool {
        stamp.is_alive(self.moment.alive_from)
    }

    /// An entry goes.
    pub(super) fn removed<V>(&mut self, stored: &Stored<K, V>)
    where
        K: Clone,
    {
        *self.len -= 1;
        *self.changed -= usize::from(stored.stamp.is_of(self.moment));
        if stored.stamp.is_known(self.moment) {
            self.removed.push(stored.key.clone());
        }
    }

    /// An entry that came out of a checkpoint goes, as a later one says.
    pub(super) fn unrestored(&mut self) {
        *self.len -= 1;
    }

    /// An entry comes in out of a checkpoint.
    pub(super) fn restored<V>(&mut self, key: K, value: V, time: u64) -> Stored<K, V> {
        *self.len += 1;
        Stored { key, value, stamp: Stamp::restored(time) }
    }
}

/// An iterator that goes to its end also if nobody asks it to.
struct ToItsEnd<I: Iterator>(I);

impl<I: Iterator> Iterator for ToItsEnd<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<I: Iterator> Drop for ToItsEnd<I> {
    fn drop(&mut self) {
        self.0.by_ref().for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_not_taken_for_one_of_a_million_generations_ago() {
        let last = (1 << GENERATION_BITS) - 1;
        assert_eq!((Moment::next(1), Moment::next(last)), (2, last + 2), "low bits of 0 are left out");
        let mut group: Group<u32, u32> = Group::default();
        let first = Moment::new(7, 0, 0);
        let again = Moment::new(7 + (1 << GENERATION_BITS), 0, 0);
        let hash = key_hash(&1_u32);
        let mut place = group.write(hash, first);
        let stored = place.books.added(1, 10);
        assert!(stored.stamp.is_of(first) && stored.stamp.is_of(again), "or there is nothing to be tested");
        place.table.insert_unique(probe(hash), stored, probe_of);
        group.share(false, first, false);
        // Another key of the same page.
        let place = group.write(key_hash(&2_u32), again);
        let stored = place.table.find(probe(hash), |stored| stored.key == 1).unwrap();
        assert!(!stored.stamp.is_of(again) && stored.stamp.is_known(again));
        assert_eq!(group.changed, 0);
    }
}
