//! Tables whose entries expire: what time it is for them, and how what has expired is taken out of memory.
//!
//! A table is gone through page by page, so many pages each time that it is told the time that each page has its turn once
//! in a time to live. So no entry stays for longer than twice that, and no batch waits for all of them.

use super::KeyedTable;
use super::page::Group;
use super::stamp::Moment;
use crate::state::{Key, StateTtlConfig};
use crate::time::Timestamp;

/// What a table with a time to live keeps beside its entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Perishing {
    pub(super) config: StateTtlConfig,
    /// The time, as it was told last (milliseconds).
    now: u64,
    /// The pages, and the part of one, that ought to have had their turn.
    due: f64,
    /// Whose turn it is: which group's, and which page of it.
    next: (usize, usize),
}

impl Perishing {
    pub(super) fn new(config: StateTtlConfig) -> Self {
        Self { config, now: 0, due: 0.0, next: (0, 0) }
    }

    /// The earliest time that is not too long ago.
    fn alive_from(&self) -> u64 {
        (self.now + 1).saturating_sub(self.config.ttl().unsigned_abs())
    }

    /// The next page, of those that there are.
    fn turn<K, V>(&mut self, shards: &[Group<K, V>]) -> Option<(usize, usize)> {
        for _ in 0..=shards.len() {
            let (group, page) = self.next;
            if shards.get(group).is_some_and(|shard| page < shard.count()) {
                self.next.1 += 1;
                return Some((group, page));
            }
            self.next = (if group + 1 < shards.len() { group + 1 } else { 0 }, 0);
        }
        None
    }
}

impl<K, V> KeyedTable<K, V> {
    /// An empty table whose entries expire. See [`ttl`](crate::state::ttl).
    pub fn with_ttl(config: StateTtlConfig) -> Self {
        Self { ttl: Some(Perishing::new(config)), ..Self::default() }
    }

    /// Its time to live, if it has one.
    pub fn ttl(&self) -> Option<StateTtlConfig> {
        self.ttl.map(|perishing| perishing.config)
    }

    /// The processing time by which its entries expire (milliseconds); 0 without a time to live.
    pub fn now(&self) -> Timestamp {
        self.now_bits().cast_signed()
    }

    /// What was written last before this time has expired (milliseconds); 0 without a time to live.
    pub fn alive_from(&self) -> Timestamp {
        self.moment.alive_from.cast_signed()
    }

    /// The time, and from when on things are alive.
    pub(in crate::state) fn times(&self) -> (u64, u64) {
        (self.now_bits(), self.moment.alive_from)
    }

    pub(in crate::state) fn reads_count(&self) -> bool {
        self.ttl.is_some_and(|perishing| perishing.config.reads_count())
    }

    pub(super) fn now_bits(&self) -> u64 {
        self.ttl.map_or(0, |perishing| perishing.now)
    }

    pub(super) fn set_moment(&mut self) {
        let (now, alive_from) = self.ttl.map_or((0, 0), |perishing| (perishing.now, perishing.alive_from()));
        self.moment = Moment::new(self.generation, now, alive_from);
    }
}

impl<K: Key, V: Clone> KeyedTable<K, V> {
    /// It is `now`; some of what has expired goes. Of what is left, `trim` takes off what `is_stale`, told from when on things are
    /// alive. Returns whether there is a time to live.
    pub(in crate::state) fn pass(
        &mut self,
        now: Timestamp,
        is_stale: impl Fn(&V, u64) -> bool,
        trim: impl Fn(&mut V, u64),
    ) -> bool {
        let Some(perishing) = &mut self.ttl else { return false };
        let now = u64::try_from(now).unwrap_or(0).max(perishing.now);
        let passed = now - perishing.now;
        perishing.now = now;
        if passed > 0 {
            let pages: usize = self.shards.iter().map(Group::count).sum();
            let share = passed as f64 / perishing.config.ttl() as f64;
            perishing.due = (perishing.due + share * pages as f64).min(pages as f64);
        }
        self.set_moment();
        let (moment, Some(perishing)) = (self.moment, &mut self.ttl) else { return true };
        while perishing.due >= 1.0
            && let Some((group, page)) = perishing.turn(&self.shards)
        {
            perishing.due -= 1.0;
            let alive_from = moment.alive_from;
            let shard = &mut self.shards[group];
            shard.sweep(page, moment, |value| is_stale(value, alive_from), |value| trim(value, alive_from));
        }
        true
    }
}
