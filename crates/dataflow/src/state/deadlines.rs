//! When keys have to be looked at: an index in memory over what the state itself says, so that it is in no checkpoint, and is made anew
//! after a restore.
//!
//! It is a calendar: of each time the hashes of its keys; one may stand there more than once, and is then taken once. Unlike a
//! [`TimerQueue`](super::TimerQueue) it forgets nothing before its time, and costs little more than the room. Its pages are of some
//! milliseconds each, in no order: a page is sorted when its time has come.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};

use crate::time::Timestamp;

/// A key, by its hash, and when it is to be looked at.
type Deadline = (Timestamp, u64);

/// The calendar.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    /// By their numbers.
    pages: BTreeMap<i64, Page>,
    /// What was set last, for one page: keys often come one after the other for about the same time. There may be more of that page
    /// among the others.
    open: Option<(i64, Page)>,
    /// The page whose time has come, the earliest last, and its number.
    today: Vec<Deadline>,
    number: Option<i64>,
    /// What has been set since for that page, or for those before it.
    since: BinaryHeap<Reverse<Deadline>>,
    /// The room of pages that have passed, for others.
    spare: Vec<Vec<Deadline>>,
    /// How many there are.
    len: usize,
}

#[derive(Clone, Debug)]
struct Page {
    earliest: Timestamp,
    deadlines: Vec<Deadline>,
}

/// A page is of 2 to the power of this many milliseconds.
const PAGE_BITS: u32 = 6;

/// Room is kept of so many pages.
const SPARE: usize = 16;

impl Deadlines {
    /// The key with this hash is to be looked at when it is `time`.
    #[inline]
    pub(crate) fn register(&mut self, time: Timestamp, hash: u64) {
        self.len += 1;
        let number = time >> PAGE_BITS;
        match &mut self.open {
            Some((open, page)) if *open == number => {
                page.earliest = page.earliest.min(time);
                page.deadlines.push((time, hash));
            }
            _ => self.turn_to(number, (time, hash)),
        }
    }

    /// Opens another page.
    fn turn_to(&mut self, number: i64, deadline: Deadline) {
        if self.number.is_some_and(|today| number <= today) {
            self.since.push(Reverse(deadline));
            return;
        }
        self.close();
        let mut deadlines = self.spare.pop().unwrap_or_default();
        deadlines.push(deadline);
        self.open = Some((number, Page { earliest: deadline.0, deadlines }));
    }

    /// Puts what is on the open page to the others.
    fn close(&mut self) {
        let Some((number, mut page)) = self.open.take() else { return };
        match self.pages.entry(number) {
            Entry::Vacant(entry) => drop(entry.insert(page)),
            Entry::Occupied(mut entry) => {
                let there = entry.get_mut();
                there.earliest = there.earliest.min(page.earliest);
                there.deadlines.append(&mut page.deadlines);
                self.keep(page.deadlines);
            }
        }
    }

    /// Keeps the room of an empty page.
    fn keep(&mut self, room: Vec<Deadline>) {
        if self.spare.len() < SPARE {
            self.spare.push(room);
        }
    }

    /// The first of the page whose time has come, and of what was set for it since.
    #[inline]
    fn first(&self) -> Option<Deadline> {
        match (self.today.last(), self.since.peek()) {
            (Some(a), Some(Reverse(b))) => Some(*a.min(b)),
            (Some(a), None) => Some(*a),
            (None, since) => since.map(|Reverse(b)| *b),
        }
    }

    /// The next time for which there is anything.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        // What is on pages is later.
        let later = || {
            let first = self.pages.first_key_value().map(|(_, page)| page.earliest);
            first.into_iter().chain(self.open.as_ref().map(|(_, page)| page.earliest)).min()
        };
        self.first().map(|(time, _)| time).or_else(later)
    }

    /// Takes the first one out whose time has come when it is `now`: that time, and the hash of the key.
    #[inline]
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Deadline> {
        loop {
            let Some(first) = self.first() else {
                if self.turn_page(now) {
                    continue;
                }
                return None;
            };
            if first.0 > now {
                return None;
            }
            // Once only.
            while self.today.last() == Some(&first) {
                self.today.pop();
                self.len -= 1;
            }
            while self.since.peek() == Some(&Reverse(first)) {
                self.since.pop();
                self.len -= 1;
            }
            return Some(first);
        }
    }

    /// Makes the first page today's, if there is anything on it whose time has come.
    fn turn_page(&mut self, now: Timestamp) -> bool {
        let number = now >> PAGE_BITS;
        if self.open.as_ref().is_some_and(|(open, _)| *open <= number) {
            self.close();
        }
        let Some(first) = self.pages.first_entry().filter(|first| first.get().earliest <= now) else {
            return false;
        };
        let (number, mut page) = first.remove_entry();
        page.deadlines.sort_unstable_by(|a, b| b.cmp(a));
        self.number = Some(number);
        let passed = std::mem::replace(&mut self.today, page.deadlines);
        self.keep(passed);
        true
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_due_comes_by_its_time_and_all_of_it() {
        let mut deadlines = Deadlines::default();
        for (time, hash) in [(7, 3), (5, 2), (7, 1), (900, 1), (7, 3)] {
            deadlines.register(time, hash);
        }
        assert_eq!((deadlines.next(), deadlines.due(4), deadlines.len()), (Some(5), None, 5));
        assert_eq!((deadlines.due(8), deadlines.next()), (Some((5, 2)), Some(7)));
        // What is set meanwhile comes in its turn, also for a time that has passed.
        deadlines.register(6, 4);
        deadlines.register(-700, 4);
        assert_eq!([deadlines.due(8), deadlines.due(8)], [Some((-700, 4)), Some((6, 4))]);
        assert_eq!(
            [deadlines.due(8), deadlines.due(8), deadlines.due(8)],
            [Some((7, 1)), Some((7, 3)), None]
        );
        assert_eq!((deadlines.next(), deadlines.len()), (Some(900), 1));
        assert_eq!([deadlines.due(899), deadlines.due(900)], [None, Some((900, 1))]);
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_set_with_what_comes_while_it_is_taken(
            steps in prop::collection::vec((0_u8..5, -200_i64..400, 0_u64..4), 0..150),
        ) {
            let (mut deadlines, mut model) = (Deadlines::default(), BTreeSet::new());
            for (step, time, hash) in steps {
                if step < 3 {
                    deadlines.register(time, hash);
                    model.insert((time, hash));
                } else {
                    // Some of what is due, or all.
                    let count = if step == 3 { 1 } else { usize::MAX };
                    let taken: Vec<_> = std::iter::from_fn(|| deadlines.due(time)).take(count).collect();
                    let due: Vec<_> = model.range(..=(time, u64::MAX)).copied().take(count).collect();
                    prop_assert_eq!(&taken, &due);
                    model.retain(|deadline| !due.contains(deadline));
                }
                prop_assert_eq!(deadlines.next(), model.first().map(|(time, _)| *time));
                prop_assert!(deadlines.len() >= model.len());
            }
            prop_assert_eq!(std::iter::from_fn(|| deadlines.due(i64::MAX)).count(), model.len());
            prop_assert_eq!(deadlines.len(), 0);
        }
    }
}
