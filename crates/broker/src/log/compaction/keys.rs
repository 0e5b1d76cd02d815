//! The last offset of each key, in bounded memory.
//!
//! Of a key only a hash is kept. It has 128 bits and secret seeds, so that two keys will not meet, not even on purpose.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

/// Bytes that a key takes: its hash, an offset, and a byte of the map's own.
const ENTRY_BYTES: u64 = 25;
/// How full a map gets before it grows.
const FULL: f64 = 0.875;

/// See the module.
#[derive(Debug)]
pub(super) struct Keys {
    seeds: [RandomState; 2],
    last: HashMap<Key, i64, BuildHasherDefault<AsIs>>,
    most: usize,
    /// One past the last offset whose keys are all here.
    end: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(u64, u64);

impl Keys {
    /// Room for as many keys as fit into so many bytes, and no more than are expected.
    pub(super) fn within(bytes: u64, load_factor: f64, expected: i64) -> Self {
        // The map has a power of two of places.
        let places = 1_u64 << (bytes / ENTRY_BYTES).max(8).ilog2();
        let most = (places as f64 * load_factor.min(FULL)) as usize;
        let room = most.min(usize::try_from(expected).unwrap_or(0));
        let last = HashMap::with_capacity_and_hasher(room, BuildHasherDefault::default());
        Self { seeds: [RandomState::new(), RandomState::new()], last, most, end: None }
    }

    /// Notes a key, which has not been at a greater offset before; returns whether there is room for it. The keys of the
    /// first batch have room whatever it takes, lest nothing ever be compacted.
    pub(super) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        if self.last.len() < self.most || self.end.is_none() {
            self.last.insert(hash, offset);
            return true;
        }
        self.last.get_mut(&hash).map(|last| *last = offset).is_some()
    }

    /// All keys before `offset` are here.
    pub(super) fn complete_to(&mut self, offset: i64) {
        self.end = Some(offset);
    }

    /// Before which offset it is known what comes last; `None` if nothing was noted.
    pub(super) fn end(&self) -> Option<i64> {
        self.end
    }

    /// Whether the key is known to come again behind `offset`.
    pub(super) fn comes_after(&self, key: &[u8], offset: i64) -> bool {
        self.last.get(&self.hash(key)).is_some_and(|last| *last > offset)
    }

    fn hash(&self, key: &[u8]) -> Key {
        let [first, second] = self.seeds.each_ref().map(|seed| {
            let mut hasher = seed.build_hasher();
            hasher.write(key);
            hasher.finish()
        });
        Key(first, second)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Takes half a hash for a hash.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_but_known_keys_move_on() {
        let mut keys = Keys::within(8 * ENTRY_BYTES, 0.5, 1_000);
        for n in 0..6 {
            assert!(keys.put(&[n], n.into()), "the first batch fits whatever its size");
        }
        keys.complete_to(6);
        assert!(!keys.put(b"another", 6));
        assert!(keys.put(&[3], 7));
        assert!(keys.comes_after(&[3], 3) && !keys.comes_after(&[3], 7));
        assert!(!keys.comes_after(&[2], 2) && !keys.comes_after(b"another", 0));
        assert_eq!(keys.end(), Some(6));
    }

    #[test]
    fn it_takes_no_more_memory_than_it_may() {
        for bytes in [1 << 20, 100 << 20, 128 << 20] {
            let keys = Keys::within(bytes, 0.9, i64::MAX);
            let places = (keys.last.capacity() as f64 / FULL) as u64;
            assert!(places * ENTRY_BYTES <= bytes && places * ENTRY_BYTES > bytes / 3, "{bytes}");
            assert!(keys.most <= keys.last.capacity());
        }
        assert!(Keys::within(128 << 20, 0.9, 10).last.capacity() < 100);
    }
}
