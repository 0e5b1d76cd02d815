//! The entries of a page that are on disk.
//!
//! They lie in blocks, each with its stamp and encoded by itself, in the order of their hashes; what stays in memory is where each
//! begins. A block is never changed: an entry that is written to moves into the page's table, and its block is told that it is
//! *gone*. So a snapshot only has to hold the blocks, and to know what was gone at its barrier; and of a block that was written before
//! the last snapshot, a delta wants nothing.
//!
//! Each time the page gives entries to disk they become another block. When there are [`LAYERS`] of them, or most of what they hold is
//! gone, what is left becomes one: so an entry is written a few times over, and not each time that its page gives others.

use std::sync::{Arc, OnceLock};

use super::page::Stored;
use super::snapshot::Wanted;
use super::space::Extent;
use super::spill::Codec;
use super::stamp::{Moment, Stamp};
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::state::Key;

/// So many blocks a page has at the most: each is looked into for a key that may be on disk.
const LAYERS: usize = 8;

/// The entries of one page that are on disk.
#[derive(Clone, Debug)]
pub(super) struct Cold<K, V> {
    codec: Arc<Codec<K, V>>,
    /// The oldest first. None of them is empty.
    layers: Vec<Layer<K, V>>,
}

/// What is left of a block.
#[derive(Clone, Debug)]
struct Layer<K, V> {
    block: Arc<Block>,
    gone: Gone,
    left: usize,
    /// Those that have been looked at where they could not be moved.
    seen: OnceLock<Seen<K, V>>,
}

/// A place for each entry of the block.
type Seen<K, V> = Box<[OnceLock<Box<Stored<K, V>>>]>;

/// A bit for each entry of a block.
#[derive(Clone, Debug)]
struct Gone(Box<[u64]>);

impl Gone {
    fn none(slots: usize) -> Self {
        Self(vec![0; slots.div_ceil(64)].into())
    }

    fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] & (1 << (slot % 64)) != 0
    }

    fn set(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }
}

#[derive(Debug)]
struct Block {
    extent: Extent,
    length: u32,
    /// In the order of their hashes.
    slots: Box<[Slot]>,
    /// The generation that was under way when it was written: none of its entries changed after that.
    generation: u64,
    /// When the oldest of its entries was written last (milliseconds).
    oldest: u64,
}

/// Where an entry begins in its block.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    offset: u32,
}

/// By what a block finds entries: bits that tell neither groups nor pages apart.
fn mark(hash: u64) -> u32 {
    (hash >> 20) as u32
}

impl Block {
    /// Where the bytes of an entry are.
    fn range(&self, slot: usize) -> std::ops::Range<usize> {
        let end = self.slots.get(slot + 1).map_or(self.length, |next| next.offset);
        self.slots[slot].offset as usize..end as usize
    }

    fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.length as usize];
        self.extent.read(0, &mut bytes)?;
        Ok(bytes)
    }
}

/// An entry as it lies in a block.
fn decode<K, V>(codec: &Codec<K, V>, bytes: &[u8]) -> Result<Stored<K, V>, BoxError> {
    let (stamp, entry) = bytes.split_first_chunk().ok_or("it is cut short")?;
    let (key, value) = codec.decode(entry)?;
    Ok(Stored { key, value, stamp: Stamp::from_bytes(*stamp) })
}

/// The first slot whose mark is not below this one. Marks are spread evenly, so it is near where it should be: one or two lines of
/// the cache are looked at, where bisecting looks at many.
fn first_from(slots: &[Slot], mark: u32) -> usize {
    let mut at = ((u64::from(mark) * slots.len() as u64) >> 32) as usize;
    while at > 0 && slots[at - 1].hash >= mark {
        at -= 1;
    }
    while slots.get(at).is_some_and(|slot| slot.hash < mark) {
        at += 1;
    }
    at
}

impl<K, V> Layer<K, V> {
    /// The slots that an entry with this hash may be in, if it is still there.
    fn likely(&self, hash: u64) -> std::ops::Range<usize> {
        let (slots, mark) = (&self.block.slots, mark(hash));
        let first = first_from(slots, mark);
        first..first + slots[first..].iter().take_while(|slot| slot.hash == mark).count()
    }

    fn here(&self) -> impl Iterator<Item = usize> {
        (0..self.block.slots.len()).filter(|slot| !self.gone.has(*slot))
    }

    fn load(&self, slot: usize, codec: &Codec<K, V>) -> Stored<K, V> {
        let read = |bytes: &mut Vec<u8>| {
            let range = self.block.range(slot);
            bytes.resize(range.len(), 0);
            self.block.extent.read(range.start, bytes)?;
            decode(codec, bytes)
        };
        codec.with_scratch(read).unwrap_or_else(|error| unreadable(&error))
    }

    /// An entry, to be looked at only.
    fn peek(&self, slot: usize, codec: &Codec<K, V>) -> &Stored<K, V> {
        let seen = self.seen.get_or_init(|| self.block.slots.iter().map(|_| OnceLock::new()).collect());
        seen[slot].get_or_init(|| {
            codec.seen(1);
            Box::new(self.load(slot, codec))
        })
    }

    fn forget_seen(&mut self, codec: &Codec<K, V>) {
        if let Some(seen) = self.seen.take() {
            codec.unseen(seen.iter().filter(|place| place.get().is_some()).count());
        }
    }

    /// Takes the entries out that may have this hash.
    fn take(&mut self, hash: u64, codec: &Codec<K, V>, take: &mut impl FnMut(Stored<K, V>)) {
        for slot in self.likely(hash) {
            if self.gone.has(slot) {
                continue;
            }
            let seen = self.seen.get_mut().and_then(|seen| seen[slot].take());
            let stored = match seen {
                Some(stored) => {
                    codec.unseen(1);
                    *stored
                }
                None => self.load(slot, codec),
            };
            self.gone.set(slot);
            self.left -= 1;
            take(stored);
        }
    }
}

impl<K, V> Cold<K, V> {
    /// How many entries there are.
    pub(super) fn left(&self) -> usize {
        self.layers.iter().map(|layer| layer.left).sum()
    }

    /// When the oldest entry was written last (milliseconds).
    pub(super) fn oldest(&self) -> u64 {
        self.layers.iter().map(|layer| layer.block.oldest).min().unwrap_or(u64::MAX)
    }

    /// The entries that may have this hash, to be looked at only.
    pub(super) fn with(&self, hash: u64) -> impl Iterator<Item = &Stored<K, V>> {
        self.layers.iter().flat_map(move |layer| {
            let here = layer.likely(hash).filter(|slot| !layer.gone.has(*slot));
            here.map(|slot| layer.peek(slot, &self.codec))
        })
    }

    /// All entries, to be looked at only.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Stored<K, V>> {
        self.layers.iter().flat_map(|layer| layer.here().map(|slot| layer.peek(slot, &self.codec)))
    }

    /// Forgets what has been looked at.
    pub(super) fn forget_seen(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.forget_seen(&self.codec));
    }

    /// Takes the entries out that may have this hash.
    pub(super) fn take(&mut self, hash: u64, mut take: impl FnMut(Stored<K, V>)) {
        self.layers.iter_mut().for_each(|layer| layer.take(hash, &self.codec, &mut take));
        self.layers.retain(|layer| layer.left > 0);
    }

    /// All entries: the blocks are not needed any more.
    pub(super) fn into_entries(mut self) -> Vec<Stored<K, V>> {
        self.forget_seen();
        let mut entries = Vec::with_capacity(self.left());
        for layer in &self.layers {
            let bytes = layer.block.read().unwrap_or_else(|error| unreadable(&error));
            let stored = layer.here().map(|slot| decode(&self.codec, &bytes[layer.block.range(slot)]));
            entries.extend(stored.map(|stored| stored.unwrap_or_else(|error| unreadable(&error))));
        }
        entries
    }

    /// Leaves to a snapshot what it is about.
    pub(super) fn share(&self, wanted: Wanted) -> impl Iterator<Item = ColdSnapshot<K, V>> {
        let about = self.layers.iter().filter(move |layer| wanted.needs(layer.block.generation));
        about.map(move |layer| ColdSnapshot {
            codec: self.codec.clone(),
            block: layer.block.clone(),
            gone: layer.gone.clone(),
            wanted,
        })
    }

    /// Whether what is there had better be written anew, into one block.
    fn is_scattered(&self) -> bool {
        let slots: usize = self.layers.iter().map(|layer| layer.block.slots.len()).sum();
        self.layers.len() >= LAYERS || self.left() * 2 < slots
    }
}

/// What a snapshot has of a block.
#[derive(Debug)]
pub(super) struct ColdSnapshot<K, V> {
    codec: Arc<Codec<K, V>>,
    block: Arc<Block>,
    /// At the barrier.
    gone: Gone,
    wanted: Wanted,
}

impl<K, V> ColdSnapshot<K, V> {
    pub(super) fn entries(&self) -> Result<Vec<Stored<K, V>>, BoxError> {
        let bytes = self.block.read()?;
        let here = (0..self.block.slots.len()).filter(|slot| !self.gone.has(*slot));
        let mut entries = Vec::new();
        for slot in here {
            let stored = decode(&self.codec, &bytes[self.block.range(slot)])?;
            if self.wanted.is_about(&stored) {
                entries.push(stored);
            }
        }
        Ok(entries)
    }
}

/// Writes entries to disk, now and then together with what is there already of their page. Gives them back if that cannot be done.
pub(super) fn chill<K: Key, V>(
    codec: &Arc<Codec<K, V>>,
    before: &mut Option<Box<Cold<K, V>>>,
    entries: Vec<Stored<K, V>>,
    moment: Moment,
) -> Result<(), Vec<Stored<K, V>>> {
    let mut cold =
        before.take().unwrap_or_else(|| Box::new(Cold { codec: codec.clone(), layers: Vec::new() }));
    let anew = cold.is_scattered();
    let written = block(codec, if anew { &cold.layers } else { &[] }, &entries, moment);
    let result = match written {
        Ok(block) => {
            if anew {
                cold.forget_seen();
                cold.layers.clear();
            }
            let left = block.slots.len();
            let (block, gone) = (Arc::new(block), Gone::none(left));
            cold.layers.push(Layer { block, gone, left, seen: OnceLock::new() });
            Ok(())
        }
        Err(error) => {
            codec.cannot(&error);
            Err(entries)
        }
    };
    *before = (!cold.layers.is_empty()).then_some(cold);
    result
}

/// A block of what is left of others, and of entries.
fn block<K: Key, V>(
    codec: &Codec<K, V>,
    layers: &[Layer<K, V>],
    entries: &[Stored<K, V>],
    moment: Moment,
) -> Result<Block, BoxError> {
    let (mut bytes, mut oldest) = (Vec::new(), u64::MAX);
    let there: usize = layers.iter().map(|layer| layer.left).sum();
    let mut places = Vec::with_capacity(entries.len() + there);
    for Layer { block, gone, .. } in layers {
        let start = bytes.len();
        bytes.extend(block.read()?);
        oldest = oldest.min(block.oldest);
        for (slot, Slot { hash, .. }) in block.slots.iter().enumerate().filter(|(slot, _)| !gone.has(*slot)) {
            let range = block.range(slot);
            places.push((*hash, start + range.start..start + range.end));
        }
    }
    let old = bytes.len();
    for stored in entries {
        let start = bytes.len();
        bytes.extend(stored.stamp.to_bytes());
        codec.encode(&stored.key, &stored.value, &mut bytes)?;
        oldest = oldest.min(stored.stamp.time());
        places.push((mark(key_hash(&stored.key)), start..bytes.len()));
    }
    codec.weigh(bytes.len() - old, entries.len());
    places.sort_unstable_by_key(|(hash, range)| (*hash, range.start));
    let mut sorted = Vec::with_capacity(bytes.len());
    let mut slots = Vec::with_capacity(places.len());
    for (hash, range) in places {
        slots.push(Slot { hash, offset: u32::try_from(sorted.len())? });
        sorted.extend_from_slice(&bytes[range]);
    }
    let length = u32::try_from(sorted.len())?;
    Ok(Block {
        extent: codec.write(&sorted)?,
        length,
        slots: slots.into(),
        generation: moment.generation(),
        oldest,
    })
}

/// What was moved to disk cannot be had back: the job has to go on from its checkpoint.
#[cold]
fn unreadable(error: &dyn std::fmt::Display) -> ! {
    panic!("state that was moved to disk for lack of memory cannot be read back: {error}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_is_found_where_bisecting_finds_it(mut marks in prop::collection::vec(prop_oneof![any::<u32>(), 0_u32..9], 0..99), mark in prop_oneof![any::<u32>(), 0_u32..9]) {
            marks.sort_unstable();
            let slots: Vec<Slot> = marks.iter().map(|hash| Slot { hash: *hash, offset: 0 }).collect();
            prop_assert_eq!(first_from(&slots, mark), marks.partition_point(|known| *known < mark));
        }
    }
}
