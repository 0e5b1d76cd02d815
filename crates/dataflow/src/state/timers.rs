//! Timers: for each key, the times at which it wants to be called (Flink's timer service).
//!
//! A timer is set once however often it is registered. The times are kept in a [`KeyedTable`], which is what a
//! checkpoint holds; a calendar over them says which is next: the keys of each time, looked at only when that has come. A deleted
//! timer stays there, and is passed over; the calendar is made anew when most of it are deleted ones. So a timer that is put off again
//! and again takes no more room than one that is not.
//!
//! ```
//! use thalweg_dataflow::key_group::KeyGroups;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{KeyedState, TimerQueue};
//!
//! let mut timers: TimerQueue<String> = TimerQueue::default();
//! timers.open(&KeyGroups::all(128)); // the engine does this for an operator's state
//! let ada = Keyed::new("ada".to_owned(), ());
//! timers.register(&ada.at(), 500);
//! timers.register(&ada.at(), 500);
//! assert_eq!(timers.pop_due(499), None);
//! assert_eq!(timers.pop_due(500).map(|timer| timer.time), Some(500));
//! assert_eq!(timers.pop_due(500), None);
//! ```

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::{Encode, Key, KeyedState, KeyedTable, PartDecoder, shape_of};
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::key_group::KeyGroups;
use crate::record::CurrentKey;
use crate::time::Timestamp;

/// The times of a key, rising: most keys have one or two. In a checkpoint it is a list.
type Times = SmallVec<[Timestamp; 2]>;

/// The timers of all keys. It is shown to the engine by [`States::keyed`](super::States::keyed).
#[derive(Clone, Debug)]
pub struct TimerQueue<K> {
    times: KeyedTable<K, Times>,
    calendar: BTreeMap<Timestamp, Day<K>>,
    /// How many timers are in the calendar.
    entered: usize,
    /// The number of timers that are set: the calendar and `deferred` have as many, and those deleted.
    set: usize,
    /// While timers fire: what is set for this time or before waits for the next round.
    round: Option<Timestamp>,
    deferred: Vec<Timer<K>>,
    /// Room of days that have passed, for others.
    spare: Vec<Vec<(u64, K)>>,
}

/// The keys that want to be called at one time, with their hashes. Keys need no order of their own: they go by their hashes, which are
/// the same in every run.
#[derive(Clone, Debug)]
struct Day<K> {
    keys: Vec<(u64, K)>,
    /// Whether they are in the order in which they are taken, from the end.
    sorted: bool,
}

/// So many deleted timers may always be in the calendar.
const SLACK: usize = 64;

/// Room is kept of so many days.
const SPARE: usize = 16;

/// A timer that has been registered.
#[derive(Clone, Debug)]
pub struct Timer<K> {
    /// When.
    pub time: Timestamp,
    hash: u64,
    key: K,
}

impl<K> Timer<K> {
    /// The key that registered it.
    pub fn at(&self) -> CurrentKey<'_, K> {
        CurrentKey { hash: self.hash, key: &self.key }
    }
}

impl<K> PartialEq for Timer<K> {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.hash) == (other.time, other.hash)
    }
}

impl<K> Eq for Timer<K> {}

impl<K> Default for TimerQueue<K> {
    fn default() -> Self {
        Self {
            times: KeyedTable::default(),
            calendar: BTreeMap::new(),
            entered: 0,
            set: 0,
            round: None,
            deferred: Vec::new(),
            spare: Vec::new(),
        }
    }
}

impl<K: Key> TimerQueue<K> {
    /// Sets a timer, if it is not set already.
    pub fn register(&mut self, key: &CurrentKey<'_, K>, time: Timestamp) {
        let times = self.times.entry(key.hash, key.key.clone()).or_insert_with(Times::new);
        if let Err(place) = times.binary_search(&time) {
            times.insert(place, time);
            self.set += 1;
            let timer = Timer { time, hash: key.hash, key: key.key.clone() };
            match self.round {
                Some(round) if time <= round => self.deferred.push(timer),
                _ => self.enter(timer),
            }
        }
    }

    /// Puts a timer into the calendar.
    fn enter(&mut self, Timer { time, hash, key }: Timer<K>) {
        let Self { calendar, spare, .. } = self;
        let none = || Day { keys: spare.pop().unwrap_or_default(), sorted: false };
        let day = calendar.entry(time).or_insert_with(none);
        day.keys.push((hash, key));
        day.sorted = false;
        self.entered += 1;
    }

    /// Makes the calendar anew, of what is set.
    fn enter_all(&mut self) {
        self.calendar.clear();
        self.entered = 0;
        let timers = self.times.iter().flat_map(|(key, times)| {
            let hash = key_hash(key);
            times.iter().map(move |time| Timer { time: *time, hash, key: key.clone() })
        });
        for timer in timers.collect::<Vec<_>>() {
            self.enter(timer);
        }
    }

    /// From here until [`end_round`](Self::end_round), what is set for `time` or before is kept for the next round: so a timer
    /// that sets itself again, and not later, does not make a round endless.
    pub(crate) fn in_round(&mut self, time: Timestamp) {
        self.round = Some(time);
    }

    /// What has been set meanwhile, and is due already, fires in the next round.
    pub(crate) fn end_round(&mut self) {
        self.round = None;
        for timer in std::mem::take(&mut self.deferred) {
            self.enter(timer);
        }
    }

    /// The latest time for which any timer is set. It looks at every key.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        self.times.iter().filter_map(|(_, times)| times.last().copied()).max()
    }

    /// The number of timers that are set.
    pub(crate) fn len(&self) -> usize {
        self.set
    }

    /// Deletes a timer. Returns whether it was set.
    pub fn delete(&mut self, key: &CurrentKey<'_, K>, time: Timestamp) -> bool {
        let deleted = self.forget(key, time);
        if self.round.is_none() && self.entered > 2 * self.set + SLACK {
            self.enter_all();
        }
        deleted
    }

    fn forget(&mut self, key: &CurrentKey<'_, K>, time: Timestamp) -> bool {
        let Some(times) = self.times.get_mut(key.hash, key.key) else { return false };
        let Ok(place) = times.binary_search(&time) else { return false };
        times.remove(place);
        self.set -= 1;
        if times.is_empty() {
            self.times.remove(key.hash, key.key);
        }
        true
    }

    /// When the next timer is due. It may have been deleted since; then there is nothing to be done at that time.
    pub fn next(&self) -> Option<Timestamp> {
        self.calendar.first_key_value().map(|(time, _)| *time)
    }

    /// Takes the next timer out that is due at `time` or before.
    pub fn pop_due(&mut self, time: Timestamp) -> Option<Timer<K>> {
        loop {
            let mut first = self.calendar.first_entry().filter(|first| *first.key() <= time)?;
            let (time, day) = (*first.key(), first.get_mut());
            if !day.sorted {
                day.keys.sort_unstable_by_key(|(hash, _)| std::cmp::Reverse(*hash));
                day.sorted = true;
            }
            let last = day.keys.pop();
            if day.keys.is_empty() {
                let Day { keys, .. } = first.remove();
                if self.spare.len() < SPARE {
                    self.spare.push(keys);
                }
            }
            let Some((hash, key)) = last else { continue };
            self.entered -= 1;
            let timer = Timer { time, hash, key };
            if self.forget(&timer.at(), time) {
                return Some(timer);
            }
        }
    }
}

impl<K: Key> KeyedState for TimerQueue<K> {
    fn shape(&self) -> String {
        // As it is a list in a checkpoint.
        shape_of::<(K, Vec<Timestamp>)>()
    }

    fn open(&mut self, groups: &KeyGroups) {
        self.times.open(groups);
        self.calendar.clear();
        self.deferred.clear();
        (self.entered, self.set, self.round) = (0, 0, None);
    }

    fn share(&mut self, whole: bool) -> Encode {
        self.times.share(whole)
    }

    fn restore(&mut self, group: u16, part: PartDecoder<'_>, delta: bool) -> Result<(), BoxError> {
        self.times.restore(group, part, delta)
    }

    fn restored(&mut self, continues: bool) {
        self.times.restored(continues);
        self.enter_all();
        self.set = self.entered;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::record::Keyed;
    use crate::state::restored;

    #[test]
    fn a_timer_that_is_put_off_again_and_again_takes_no_more_room() {
        let mut timers = TimerQueue::default();
        timers.open(&KeyGroups::all(128));
        let keys = [0_u8, 1, 2].map(|key| Keyed::new(key, ()));
        for time in 0..10_000 {
            for key in &keys {
                timers.delete(&key.at(), time + 99_999);
                timers.register(&key.at(), time + 100_000);
            }
        }
        assert!(timers.entered <= 2 * keys.len() + SLACK + 1, "{}", timers.entered);
        assert_eq!(timers.pop_due(109_998).map(|timer| timer.time), None);
        assert_eq!(std::iter::from_fn(|| timers.pop_due(109_999)).count(), 3);
    }

    proptest! {
        #[test]
        fn timers_fire_once_in_order_and_survive_a_restore(
            steps in prop::collection::vec((0_u8..4, 0_u8..5, 0_i64..30), 0..120),
        ) {
            let mut timers = TimerQueue::default();
            timers.open(&KeyGroups::all(128));
            let mut model: BTreeSet<(i64, u8)> = BTreeSet::new();
            for (step, key, time) in steps {
                let keyed = Keyed::new(key, ());
                match step {
                    0 | 1 => {
                        timers.register(&keyed.at(), time);
                        model.insert((time, key));
                    }
                    2 => prop_assert_eq!(timers.delete(&keyed.at(), time), model.remove(&(time, key))),
                    _ => {
                        timers = restored(&mut timers, TimerQueue::default());
                        let mut fired = Vec::new();
                        while let Some(timer) = timers.pop_due(time) {
                            fired.push((timer.time, *timer.at().key()));
                        }
                        prop_assert!(fired.is_sorted_by_key(|(time, _)| *time));
                        let later = model.split_off(&(time + 1, 0));
                        prop_assert_eq!(fired.into_iter().collect::<BTreeSet<_>>(), std::mem::replace(&mut model, later));
                    }
                }
            }
        }
    }
}
