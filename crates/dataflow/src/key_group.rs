//! Key groups: the unit in which keyed state moves between subtasks (Flink's *key groups*).
//!
//! A key belongs to a group by its hash, for ever; a subtask owns a contiguous range of groups, by its index and the
//! parallelism. So a checkpoint, which stores state by group, can be restored at any parallelism.

use std::ops::Range;

/// The number of key groups of a job unless it says otherwise, and so its highest useful parallelism.
pub const DEFAULT_MAX_PARALLELISM: u16 = 128;

/// Which key groups there are, and which of them one subtask owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGroups {
    max_parallelism: u16,
    owned: Range<u16>,
}

impl KeyGroups {
    /// The groups owned by subtask `index` of `parallelism`, of `max_parallelism` in all.
    pub fn of_subtask(max_parallelism: u16, parallelism: usize, index: usize) -> Self {
        let max = usize::from(max_parallelism);
        debug_assert!(index < parallelism && parallelism <= max);
        // The first group of a subtask is the smallest that `owner` maps to it.
        let first = (index * max).div_ceil(parallelism);
        let end = ((index + 1) * max).div_ceil(parallelism);
        Self { max_parallelism, owned: first as u16..end as u16 }
    }

    /// All groups, owned by one.
    pub fn all(max_parallelism: u16) -> Self {
        Self { max_parallelism, owned: 0..max_parallelism }
    }

    /// The groups owned.
    pub fn owned(&self) -> Range<u16> {
        self.owned.clone()
    }

    /// The number of groups in all.
    pub fn max_parallelism(&self) -> u16 {
        self.max_parallelism
    }

    /// The position, among the groups owned, of the group that a key hash belongs to.
    /// `None` when another subtask owns it: a record was sent to the wrong place, which is a bug of the engine.
    #[inline]
    pub fn position(&self, hash: u64) -> Option<usize> {
        let group = group_of(hash, self.max_parallelism);
        // One comparison serves both bounds: below the range the subtraction wraps.
        let position = group.wrapping_sub(self.owned.start);
        (position < self.owned.end - self.owned.start).then_some(usize::from(position))
    }
}

/// The key group that a key with this hash belongs to.
#[inline]
pub fn group_of(hash: u64, max_parallelism: u16) -> u16 {
    // The high half, scaled: the hash tables inside a group use the low bits and the top seven.
    (((hash >> 32) * u64::from(max_parallelism)) >> 32) as u16
}

/// The subtask, of `parallelism`, that owns `group`.
pub fn owner(group: u16, max_parallelism: u16, parallelism: usize) -> usize {
    usize::from(group) * parallelism / usize::from(max_parallelism)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_group_has_the_owner_that_claims_it(max in 1_u16..500, seed in 0_usize..500) {
            let parallelism = seed % usize::from(max) + 1;
            let mut next = 0;
            for index in 0..parallelism {
                let owned = KeyGroups::of_subtask(max, parallelism, index).owned();
                prop_assert_eq!(owned.start, next);
                next = owned.end;
                for group in owned {
                    prop_assert_eq!(owner(group, max, parallelism), index);
                }
            }
            prop_assert_eq!(next, max);
        }

        #[test]
        fn a_hash_has_a_position_where_its_group_is_owned(hash: u64, index in 0_usize..4) {
            let groups = KeyGroups::of_subtask(128, 4, index);
            let group = group_of(hash, 128);
            let expected = groups.owned().position(|owned| owned == group);
            prop_assert_eq!(groups.position(hash), expected);
        }
    }
}
