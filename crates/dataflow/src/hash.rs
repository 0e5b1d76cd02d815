//! The hash that places keys: stable for ever, because checkpoints are divided by it.
//!
//! `hash(key) -> key group -> subtask` decides which subtask owns a key. A checkpoint written today is read by
//! tomorrow's build on another machine, so the function must not change and must not be seeded; the standard
//! library's hasher promises neither. This one folds 128-bit products, as wyhash and its kin do; it is not meant to
//! withstand keys chosen by an attacker.

use std::hash::{Hash, Hasher};

const SEED: u64 = 0x243F_6A88_85A3_08D3;
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// The stable hash of a key. All 64 bits are well mixed.
#[inline]
pub fn key_hash<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = KeyHasher(SEED);
    key.hash(&mut hasher);
    hasher.finish()
}

/// The hasher behind [`key_hash`]. Integers count as little-endian and `usize` as 64 bits, on every machine.
struct KeyHasher(u64);

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

impl Hasher for KeyHasher {
    #[inline]
    fn finish(&self) -> u64 {
        fold(self.0 ^ SEED, MULTIPLIER)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let length = bytes.len();
        let mut state = self.0 ^ (length as u64).wrapping_mul(MULTIPLIER);
        if length >= 8 {
            let mut rest = bytes;
            while rest.len() > 8 {
                state = fold(state ^ word(&rest[..8]), MULTIPLIER);
                rest = &rest[8..];
            }
            // The last eight bytes overlap those before; the length, mixed in above, tells such inputs apart.
            state = fold(state ^ word(&bytes[length - 8..]), MULTIPLIER);
        } else if length >= 4 {
            let low = u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            let tail = &bytes[length - 4..];
            let high = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
            state = fold(state ^ (low << 32 | high), MULTIPLIER);
        } else if length > 0 {
            let (first, middle, last) = (bytes[0], bytes[length / 2], bytes[length - 1]);
            state =
                fold(state ^ (u64::from(first) << 16 | u64::from(middle) << 8 | u64::from(last)), MULTIPLIER);
        }
        self.0 = state;
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        // One byte ends every `str` and tags every enum: cheap here, mixed by what follows or by `finish`.
        self.0 = self.0.rotate_left(5) ^ u64::from(value);
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0 = fold(self.0 ^ value, MULTIPLIER);
    }

    #[inline]
    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    // The signed ones would go through native-endian bytes by default.
    #[inline]
    fn write_i8(&mut self, value: i8) {
        self.write_u8(value as u8);
    }

    #[inline]
    fn write_i16(&mut self, value: i16) {
        self.write_u16(value as u16);
    }

    #[inline]
    fn write_i32(&mut self, value: i32) {
        self.write_u32(value as u32);
    }

    #[inline]
    fn write_i64(&mut self, value: i64) {
        self.write_u64(value as u64);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::key_hash;

    #[test]
    fn checkpoints_of_earlier_builds_find_their_keys() {
        // Changing any of these loses every checkpoint ever taken.
        assert_eq!(
            [
                key_hash(&1_u64),
                key_hash(&-1_i32),
                key_hash("word"),
                key_hash("a longer key"),
                key_hash(&("a", 7_u8))
            ],
            GOLDEN
        );
    }

    const GOLDEN: [u64; 5] = [
        5407266364830808232,
        13380291149913806057,
        10439922818686196694,
        3429584240766005680,
        6306910908845487306,
    ];

    #[test]
    fn neighbouring_keys_spread_over_all_bits() {
        let hashes: Vec<u64> = (0..100_000_u64).map(|key| key_hash(&key)).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 48).collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xFFFF).collect();
        // 100 000 random draws from 65 536 values hit 78 % of them.
        assert!(high.len() > 50_000 && low.len() > 50_000, "{} {}", high.len(), low.len());
        let short: HashSet<u64> = (0..50_000).map(|key: i32| key_hash(&key.to_string())).collect();
        assert_eq!(short.len(), 50_000);
    }
}
