//! The pages of a group: small hash tables, each of which is shared with a snapshot by itself.
//!
//! A group grows by one page at a time (linear hashing: page `n` takes its share out of the page that had it so far), so no
//! record ever waits for all of a group to be hashed anew. Every entry is stamped with the *generation* in which it changed last;
//! a generation ends with each snapshot. So a snapshot can say what changed since the one before it.

use std::sync::Arc;

use hashbrown::HashTable;

use super::snapshot::{Shared, SharedGroup};
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

/// When an entry changed last, and whether a snapshot has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(u64);

impl Stamp {
    const KNOWN: u64 = 1 << 63;

    /// Of an entry that is new in this generation.
    pub(super) fn new(generation: u64) -> Self {
        Self(generation)
    }

    /// Of an entry that came out of a checkpoint. Generations begin with 1.
    pub(super) fn restored() -> Self {
        Self(Self::KNOWN)
    }

    /// Whether the entry has changed in this generation.
    #[inline]
    pub(super) fn is_of(self, generation: u64) -> bool {
        self.0 & !Self::KNOWN == generation
    }

    /// Whether a snapshot before this generation has the entry.
    pub(super) fn is_known(self, generation: u64) -> bool {
        self.0 & Self::KNOWN != 0 || !self.is_of(generation)
    }

    /// The entry changes now. Returns whether that is the first time in this generation.
    #[inline]
    pub(super) fn touch(&mut self, generation: u64) -> bool {
        let first = !self.is_of(generation);
        if first {
            self.0 = generation | Self::KNOWN;
        }
        first
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
}

impl<K: Clone, V: Clone> Page<K, V> {
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
    pub(super) fn page(&self, hash: u64) -> Option<&HashTable<Stored<K, V>>> {
        self.pages.get(self.index(hash)).map(Page::table)
    }

    pub(super) fn pages(&self) -> impl Iterator<Item = &HashTable<Stored<K, V>>> {
        self.pages.iter().map(Page::table)
    }

    /// How many entries a delta would have: those changed, and those removed.
    pub(super) fn differences(&self) -> usize {
        self.changed + self.removed.len()
    }
}

impl<K: Key, V: Clone> Group<K, V> {
    /// What is to be looked at and written to when the entry of a key changes: its page, and the books.
    #[inline]
    pub(super) fn write(&mut self, hash: u64, generation: u64) -> Writing<'_, K, V> {
        if self.len >= self.limit {
            self.grow(generation);
        }
        let index = self.index(hash);
        let page = &mut self.pages[index];
        if page.touched != generation {
            page.touched = generation;
            self.touched.push(index as u32);
        }
        Writing {
            table: page.owned(),
            books: Books {
                generation,
                len: &mut self.len,
                changed: &mut self.changed,
                removed: &mut self.removed,
            },
        }
    }

    /// One more page.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, generation: u64) {
        let new = self.pages.len();
        self.limit = (new + 1) * PAGE;
        let mut table = HashTable::new();
        if new > 0 {
            let mask = (new + 1).next_power_of_two() - 1;
            let old = new & (mask >> 1);
            let page = &mut self.pages[old];
            if page.touched != generation {
                page.touched = generation;
                self.touched.push(old as u32);
            }
            let from = page.owned();
            table.reserve(from.len() / 2, probe_of);
            for stored in from.extract_if(|stored| key_hash(&stored.key) as usize & mask == new) {
                table.insert_unique(probe_of(&stored), stored, probe_of);
            }
            from.shrink_to_fit(probe_of);
        }
        self.pages.push(Page { body: Body::Owned(table), touched: generation });
        // What is restored has not changed.
        if generation > 0 {
            self.touched.push(new as u32);
        }
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self, generation: u64) -> impl Iterator<Item = (K, V)> {
        self.touch_all(generation);
        self.cleared |= self.known;
        self.removed.clear();
        (self.len, self.changed) = (0, 0);
        let drain = self.pages.iter_mut().flat_map(|page| page.owned().drain());
        ToItsEnd(drain.map(|stored| (stored.key, stored.value)))
    }

    pub(super) fn retain(&mut self, generation: u64, mut keep: impl FnMut(&K, &mut V) -> bool) {
        if self.len == 0 {
            return;
        }
        self.touch_all(generation);
        for page in &mut self.pages {
            page.owned().retain(|stored| {
                let kept = keep(&stored.key, &mut stored.value);
                if kept {
                    self.changed += usize::from(stored.stamp.touch(generation));
                } else {
                    self.len -= 1;
                    self.changed -= usize::from(stored.stamp.is_of(generation));
                    if stored.stamp.is_known(generation) {
                        self.removed.push(stored.key.clone());
                    }
                }
                kept
            });
        }
    }

    fn touch_all(&mut self, generation: u64) {
        for (index, page) in self.pages.iter_mut().enumerate() {
            if page.touched != generation {
                page.touched = generation;
                self.touched.push(index as u32);
            }
        }
    }

    /// Ends the generation: leaves all pages to a snapshot, or those that have changed and what was removed.
    pub(super) fn share(&mut self, whole: bool, generation: u64) -> SharedGroup<K, V> {
        let mut snapshot = SharedGroup::new();
        let removed = self.end_generation();
        if whole {
            for page in &mut self.pages {
                page.body = Body::Shared(snapshot.add(page.share(), None));
            }
        } else {
            for index in &self.touched {
                let page = &mut self.pages[*index as usize];
                page.body = Body::Shared(snapshot.add(page.share(), Some(generation)));
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

/// A page that is being written to, and what has to be kept up with it.
pub(super) struct Writing<'a, K, V> {
    pub(super) table: &'a mut HashTable<Stored<K, V>>,
    pub(super) books: Books<'a, K>,
}

/// The books of a group.
pub(super) struct Books<'a, K> {
    pub(super) generation: u64,
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
        Stored { key, value, stamp: Stamp::new(self.generation) }
    }

    /// An entry changes.
    #[inline]
    pub(super) fn changed(&mut self, stamp: &mut Stamp) {
        *self.changed += usize::from(stamp.touch(self.generation));
    }

    /// An entry goes.
    pub(super) fn removed<V>(&mut self, stored: &Stored<K, V>)
    where
        K: Clone,
    {
        *self.len -= 1;
        *self.changed -= usize::from(stored.stamp.is_of(self.generation));
        if stored.stamp.is_known(self.generation) {
            self.removed.push(stored.key.clone());
        }
    }

    /// An entry that came out of a checkpoint goes, as a later one says.
    pub(super) fn unrestored(&mut self) {
        *self.len -= 1;
    }

    /// An entry comes in out of a checkpoint.
    pub(super) fn restored<V>(&mut self, key: K, value: V) -> Stored<K, V> {
        *self.len += 1;
        Stored { key, value, stamp: Stamp::restored() }
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
