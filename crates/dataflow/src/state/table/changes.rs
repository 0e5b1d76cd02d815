//! What the checkpoints have of a table, and so what the next one is to be told of each group.
//!
//! Cost follows change: a group that has not changed is not written, and one that has is written as a delta, until its deltas
//! since it was last written whole have become as large as itself. Then it is written whole again, and what was written before
//! is of no more use. Each group's limit is a little different, so that they do not all become due at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::page::Group;
use super::snapshot::SharedGroup;
use super::stamp::Moment;
use crate::state::Key;

/// So many deltas a restore may have to read for one group; up to as many again, so that groups differ.
const MOST_DELTAS: u16 = 128;

/// What a snapshot is told of one group.
pub(super) enum Change<K, V> {
    /// All of its entries.
    Whole(SharedGroup<K, V>, Size),
    /// What has changed since the last snapshot.
    Delta(SharedGroup<K, V>, Size),
    /// Nothing.
    Unchanged(Size),
}

/// The books of a table: of each of its groups.
#[derive(Debug, Default)]
pub(super) struct Changes {
    groups: Vec<Written>,
    sizes: Arc<[Sizes]>,
}

// A copy of a table is another table, of which no checkpoint knows anything.
impl Clone for Changes {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What has been written of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// Whether a delta can follow.
    whole: bool,
    /// How many have.
    deltas: u16,
}

/// How many bytes that took.
#[derive(Debug, Default)]
struct Sizes {
    whole: AtomicU64,
    deltas: AtomicU64,
    rewrite: AtomicBool,
}

/// Where the thread that encodes says how large a group has become.
pub(super) struct Size {
    sizes: Arc<[Sizes]>,
    group: usize,
}

impl Size {
    pub(super) fn whole(&self, bytes: u64) {
        let sizes = &self.sizes[self.group];
        sizes.whole.store(bytes, Relaxed);
        sizes.deltas.store(0, Relaxed);
        sizes.rewrite.store(false, Relaxed);
    }

    /// So many bytes were added; and it had better be written whole the next time.
    pub(super) fn delta(&self, bytes: u64, wasteful: bool) {
        let sizes = &self.sizes[self.group];
        sizes.deltas.fetch_add(bytes, Relaxed);
        sizes.rewrite.fetch_or(wasteful, Relaxed);
    }
}

impl Changes {
    fn make(&mut self, groups: usize) {
        if self.groups.len() != groups {
            self.groups = vec![Written::default(); groups];
            self.sizes = (0..groups).map(|_| Sizes::default()).collect();
        }
    }

    /// Says that part of a group has been restored, of so many groups.
    pub(super) fn restored_bytes(&mut self, group: usize, groups: usize, bytes: u64, delta: bool) {
        self.make(groups);
        let (written, size) = (&mut self.groups[group], Size { sizes: self.sizes.clone(), group });
        written.whole = true;
        if delta {
            written.deltas = written.deltas.saturating_add(1);
            size.delta(bytes, false);
        } else {
            written.deltas = 0;
            size.whole(bytes);
        }
    }

    /// Says that all has been restored, and whether the next checkpoint may go on from the files it was in.
    pub(super) fn restored(&mut self, continues: bool) {
        if !continues {
            *self = Self::default();
        }
    }

    /// Ends a generation of a group, and says what the snapshot is to have of it; `None` if it is empty.
    pub(super) fn of<K: Key, V: Clone>(
        &mut self,
        position: usize,
        of_groups: usize,
        group: &mut Group<K, V>,
        moment: Moment,
        aged: bool,
    ) -> Option<Change<K, V>> {
        self.make(of_groups);
        let written = &mut self.groups[position];
        if group.len == 0 {
            *written = Written::default();
            group.skip();
            return None;
        }
        let size = Size { sizes: self.sizes.clone(), group: position };
        let differences = group.differences();
        if !written.whole
            || group.cleared
            || 2 * differences >= group.len
            || self.sizes[position].is_due(position, written.deltas)
        {
            *written = Written { whole: true, deltas: 0 };
            return Some(Change::Whole(group.share(true, moment, aged), size));
        }
        if differences == 0 {
            group.skip();
            return Some(Change::Unchanged(size));
        }
        written.deltas += 1;
        Some(Change::Delta(group.share(false, moment, aged), size))
    }
}

impl Sizes {
    /// Whether it is time to write the group whole.
    fn is_due(&self, group: usize, deltas: u16) -> bool {
        let (whole, changed) = (self.whole.load(Relaxed), self.deltas.load(Relaxed));
        // From three quarters of its size to five.
        let limit = whole / 8 * (6 + group as u64 % 5);
        deltas >= MOST_DELTAS + group as u16 % MOST_DELTAS || changed > limit || self.rewrite.load(Relaxed)
    }
}
