//! When a table takes more memory than it may, its coldest entries go to disk.
//!
//! Which are cold is told as a clock does it: a hand goes over the pages, and an entry that has not been written to since the hand
//! came by last goes. It comes back when its key is written to. What is looked at only comes back for as long as the hand is away.
//!
//! What it takes is estimated: from the number of entries in memory, their size, and, of those that own memory, how many bytes they
//! take when they are written.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::page::{Group, Stored};
use super::space::{Extent, Space};
use super::stamp::Moment;
use crate::error::BoxError;
use crate::state::encoding::{Encoder, PartDecoder, PartEncoder};
use crate::state::memory::{Memory, Share};
use crate::state::{Key, StateData};

/// After so many writes it is looked whether there is room to be made.
const WRITES: u32 = if cfg!(test) { 3 } else { 64 };
/// So many pages the hand goes over at a time, at the most: a record waits for that.
const PAGES: usize = 32;

/// Writes and reads the entries of one table.
#[derive(Debug)]
pub(super) struct Codec<K, V> {
    inner: Mutex<Inner>,
    space: OnceLock<Result<Arc<Space>, String>>,
    memory: Memory,
    /// How many of the entries on disk are in memory, too, as they have been looked at.
    seen: AtomicUsize,
    encode: Encode<K, V>,
    decode: Decode<K, V>,
}

type Encode<K, V> = fn(&mut Inner, &K, &V, &mut Vec<u8>) -> Result<(), BoxError>;
type Decode<K, V> = fn(&mut Inner, &[u8]) -> Result<(K, V), BoxError>;

pub(super) struct Inner {
    encoder: Encoder,
    scratch: Vec<u8>,
    /// How many bytes an entry takes that has been written, at the average of late.
    weight: f64,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("weight", &self.weight).finish_non_exhaustive()
    }
}

fn encode<K: Key, V: StateData>(
    inner: &mut Inner,
    key: &K,
    value: &V,
    bytes: &mut Vec<u8>,
) -> Result<(), BoxError> {
    let entry = |part: &mut PartEncoder<'_>| part.entries(1, || std::iter::once((key, value)));
    inner.encoder.part(bytes, entry)?;
    inner.encoder.end_snapshot();
    Ok(())
}

fn decode<K: Key, V: StateData>(inner: &mut Inner, bytes: &[u8]) -> Result<(K, V), BoxError> {
    inner.encoder.read(|plan| {
        let mut found = None;
        PartDecoder::new(plan, bytes).entries(|key, value| {
            found = Some((key, value));
            Ok(())
        })?;
        found.ok_or_else(|| "there is nothing where it was".into())
    })
}

impl<K, V> Codec<K, V> {
    fn new(memory: &Memory) -> Self
    where
        K: Key,
        V: StateData,
    {
        let inner = Inner { encoder: Encoder::new(), scratch: Vec::new(), weight: 0.0 };
        Self {
            inner: Mutex::new(inner),
            space: OnceLock::new(),
            memory: memory.clone(),
            seen: AtomicUsize::new(0),
            encode: encode::<K, V>,
            decode: decode::<K, V>,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half done by what panics in a user's code.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn encode(&self, key: &K, value: &V, bytes: &mut Vec<u8>) -> Result<(), BoxError> {
        (self.encode)(&mut self.lock(), key, value, bytes)
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Result<(K, V), BoxError> {
        (self.decode)(&mut self.lock(), bytes)
    }

    /// Lends a buffer.
    pub(super) fn with_scratch<T>(&self, use_it: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut bytes = std::mem::take(&mut self.lock().scratch);
        let result = use_it(&mut bytes);
        self.lock().scratch = bytes;
        result
    }

    /// Writes a block.
    pub(super) fn write(&self, block: &[u8]) -> Result<Extent, BoxError> {
        let space = self.space.get_or_init(|| {
            let file = self.memory.file();
            file.map(|file| Arc::new(Space::new(file))).map_err(|error| error.to_string())
        });
        match space {
            Ok(space) => Ok(space.write(block)?),
            Err(error) => Err(error.as_str().into()),
        }
    }

    pub(super) fn cannot(&self, reason: &dyn std::fmt::Display) {
        self.memory.cannot(reason);
    }

    /// So many entries took so many bytes.
    pub(super) fn weigh(&self, bytes: usize, entries: usize) {
        if entries > 0 {
            let (mut inner, each) = (self.lock(), bytes as f64 / entries as f64);
            inner.weight = if inner.weight == 0.0 { each } else { inner.weight * 0.9 + each * 0.1 };
        }
    }

    pub(super) fn seen(&self, entries: usize) {
        self.seen.fetch_add(entries, Relaxed);
    }

    pub(super) fn unseen(&self, entries: usize) {
        self.seen.fetch_sub(entries, Relaxed);
    }
}

/// What a table has to do with the memory of its job.
#[derive(Debug)]
pub(super) struct Spill<K, V> {
    codec: Arc<Codec<K, V>>,
    share: Share,
    writes: u32,
    /// Where the hand is: a group, and a page of it.
    hand: (usize, usize),
    /// An entry could not be written: all stay in memory.
    unable: bool,
}

// A copy of a table takes memory of its own, and reads what is on disk from where it is.
impl<K, V> Clone for Spill<K, V> {
    fn clone(&self) -> Self {
        let share = self.share.memory().share();
        Self { codec: self.codec.clone(), share, writes: 0, hand: (0, 0), unable: self.unable }
    }
}

impl<K: Key, V: Clone> Spill<K, V> {
    pub(super) fn new(memory: &Memory) -> Self
    where
        V: StateData,
    {
        let codec = Arc::new(Codec::new(memory));
        Self { codec, share: memory.share(), writes: 0, hand: (0, 0), unable: false }
    }

    /// Looks now and then whether the table takes too much, and moves entries to disk if it does.
    #[inline]
    pub(super) fn write(&mut self, groups: &mut [Group<K, V>], moment: Moment) {
        self.writes += 1;
        if self.writes >= WRITES {
            self.writes = 0;
            self.make_room(groups, moment);
        }
    }

    /// Moves entries to disk if the table takes too much.
    #[inline(never)]
    pub(super) fn make_room(&mut self, groups: &mut [Group<K, V>], moment: Moment) {
        let each = self.weight(groups);
        let mut left = PAGES;
        while self.too_much(groups, each) && left > 0 && !self.unable {
            left -= 1;
            self.turn(groups, moment);
        }
    }

    /// About how many bytes an entry takes in memory.
    fn weight(&self, groups: &[Group<K, V>]) -> u64 {
        let mut weight = self.codec.lock().weight;
        if weight == 0.0 && std::mem::needs_drop::<(K, V)>() {
            let some = groups.iter().flat_map(Group::hot_entries).take(32);
            let (mut bytes, mut count) = (Vec::new(), 0);
            for Stored { key, value, .. } in some {
                // What cannot be written is not weighed; it will be found when it is to go.
                if self.codec.encode(key, value, &mut bytes).is_ok() {
                    count += 1;
                }
            }
            self.codec.weigh(bytes.len(), count);
            weight = self.codec.lock().weight;
        }
        let owned = if std::mem::needs_drop::<(K, V)>() { weight as u64 + 16 } else { 0 };
        // Tables are between half and seven eighths full, and keep a byte more for each entry.
        (size_of::<Stored<K, V>>() as u64 + 1) * 3 / 2 + owned
    }

    fn too_much(&mut self, groups: &[Group<K, V>], each: u64) -> bool {
        let (mut all, mut cold) = (0, 0);
        for group in groups {
            (all, cold) = (all + group.len, cold + group.cold);
        }
        let hot = all - cold + self.codec.seen.load(Relaxed);
        // Of an entry on disk its slot stays in memory.
        self.share.report(hot as u64 * each + cold as u64 * 8, cold as u64);
        self.share.too_much() > 0
    }

    /// Turns the hand by one page.
    fn turn(&mut self, groups: &mut [Group<K, V>], moment: Moment) {
        let (group, page) = self.hand;
        let Some(of) = groups.get_mut(group) else {
            self.hand = (0, 0);
            return;
        };
        match of.chill(page, moment, &self.codec) {
            Some(written) => {
                self.unable = !written;
                self.hand = (group, page + 1);
            }
            None => self.hand = (group + 1, 0),
        }
    }
}
