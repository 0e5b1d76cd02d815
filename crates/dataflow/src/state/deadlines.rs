//! When keys have to be looked at: an index in memory over what the state itself says, so that it is in no checkpoint, and is made anew
//! after a restore.
//!
//! It is a calendar: of each time the hashes of its keys, in no order; one may stand there more than once. Unlike a
//! [`TimerQueue`](super::TimerQueue) it forgets nothing before its time, and costs little more than the room.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// The calendar.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    days: BTreeMap<Timestamp, Vec<u64>>,
    /// The room of days that have passed, for others.
    spare: Vec<Vec<u64>>,
}

/// Room is kept of so many days.
const SPARE: usize = 64;

impl Deadlines {
    /// The key with this hash is to be looked at when it is `time`.
    #[inline]
    pub(crate) fn register(&mut self, time: Timestamp, hash: u64) {
        let Self { days, spare } = self;
        days.entry(time).or_insert_with(|| spare.pop().unwrap_or_default()).push(hash);
    }

    /// The next time for which there is anything.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.days.first_key_value().map(|(time, _)| *time)
    }

    /// Takes the first time out that has come when it is `now`, and the hashes of its keys.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<(Timestamp, Vec<u64>)> {
        let first = self.days.first_entry().filter(|first| *first.key() <= now)?;
        Some(first.remove_entry())
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.days.values().map(Vec::len).sum()
    }

    /// Those have been looked at.
    pub(crate) fn done(&mut self, mut hashes: Vec<u64>) {
        if self.spare.len() < SPARE {
            hashes.clear();
            self.spare.push(hashes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_by_its_time_and_all_of_it() {
        let mut deadlines = Deadlines::default();
        for (time, hash) in [(7, 1), (5, 2), (7, 3), (9, 1)] {
            deadlines.register(time, hash);
        }
        assert_eq!((deadlines.next(), deadlines.due(4)), (Some(5), None));
        let first = deadlines.due(8);
        assert_eq!(first, Some((5, vec![2])));
        deadlines.done(first.map(|(_, hashes)| hashes).unwrap_or_default());
        // What is set meanwhile comes in its turn, also for a time that has passed.
        deadlines.register(6, 4);
        assert_eq!([deadlines.due(8), deadlines.due(8)], [Some((6, vec![4])), Some((7, vec![1, 3]))]);
        assert_eq!((deadlines.due(8), deadlines.next()), (None, Some(9)));
    }
}
