//! `map_with_state`: a function over each pair with the state of its key, which may time out (Spark's `mapWithState`).
//!
//! Other than [`UpdateStateByKey`](super::UpdateStateByKey) it looks at those keys only that have records, so a batch costs what is in it.
//!
//! - **Records**: the function is called for each, in order; what it returns has the record's event time.
//! - **Barriers** that close a batch call the function for the keys that have had no record for longer than the timeout, with no value and
//!   a state that [is timing out](State::is_timing_out); the state then goes. A key has its record when its batch is over, whenever within the batch it
//!   came. Watermarks wait for them, as of all that works batch by batch.
//! - **State**: keyed, `state`; keyed, `timeouts`; union, `batch` and `longer`: when the batch before was over, and which batches took longer.
//!
//! ```
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_dataflow::operators::{MapWithState, State, StateSpec};
//! use thalweg_dataflow::record::Keyed;
//!
//! let count = StateSpec::function(|word: &String, one: Option<u64>, state: &mut State<'_, u64>| {
//!     let sum = state.get_option().unwrap_or(0) + one.unwrap_or(0);
//!     state.update(sum);
//!     Some((word.clone(), sum))
//! });
//! let mut harness = Harness::new(MapWithState::new(count, 1000));
//! for word in ["deep", "wide", "deep"] {
//!     harness.push(Keyed::new(word.to_owned(), 1), 0);
//! }
//! harness.barrier(1000, Then::Continue);
//! assert_eq!(harness.values(), [("deep".to_owned(), 1), ("wide".to_owned(), 1), ("deep".to_owned(), 2)]);
//! ```

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::key_group::group_of;
use crate::operator::{Operator, OperatorContext};
use crate::output::{Output, OutputTag};
use crate::record::{Batch, CurrentKey, Keyed, Record};
use crate::state::{Key, KeyedTable, StateData, States, TimerQueue};
use crate::time::{TaskClock, Timestamp, at_least_millis};

/// The state of one key, while the function works on it (Spark's `State`).
#[derive(Debug)]
pub struct State<'a, S> {
    value: &'a mut Option<S>,
    timing_out: bool,
}

impl<S: Clone> State<'_, S> {
    /// Whether there is a state.
    pub fn exists(&self) -> bool {
        self.value.is_some()
    }

    /// The state, if there is one.
    pub fn get(&self) -> Option<&S> {
        self.value.as_ref()
    }

    /// A copy of the state, if there is one.
    pub fn get_option(&self) -> Option<S> {
        self.value.clone()
    }

    /// The state, to be changed in place.
    pub fn get_mut(&mut self) -> Option<&mut S> {
        self.value.as_mut()
    }

    /// Sets the state. What is set while it [is timing out](Self::is_timing_out) goes all the same.
    pub fn update(&mut self, state: S) {
        *self.value = Some(state);
    }

    /// Ends the state.
    pub fn remove(&mut self) {
        *self.value = None;
    }

    /// Whether the key has had no record for longer than the timeout: there is no value, and this is the last time that the state is seen.
    pub fn is_timing_out(&self) -> bool {
        self.timing_out
    }
}

/// What `map_with_state` is to do (Spark's `StateSpec`).
#[derive(Clone, Debug)]
pub struct StateSpec<K, V, S, M, F> {
    function: F,
    initial: Arc<Vec<(K, S)>>,
    timeout: Option<i64>,
    partitions: Option<usize>,
    types: PhantomData<fn(V) -> M>,
}

impl<K, V, S, M, F> StateSpec<K, V, S, M, F>
where
    F: FnMut(&K, Option<V>, &mut State<'_, S>) -> Option<M>,
{
    /// Calls `function` with each key, value and state. It returns what is to be emitted, if anything.
    pub fn function(function: F) -> Self {
        Self { function, initial: Arc::default(), timeout: None, partitions: None, types: PhantomData }
    }

    /// The state that keys have at the very start of the job.
    #[must_use]
    pub fn initial_state(mut self, initial: Vec<(K, S)>) -> Self {
        self.initial = Arc::new(initial);
        self
    }

    /// Ends the state of a key that has had no record for so long. It is looked for at the end of each batch.
    #[must_use]
    pub fn timeout(mut self, idle: Duration) -> Self {
        self.timeout = Some(at_least_millis(idle));
        self
    }

    /// The number of subtasks.
    #[must_use]
    pub fn num_partitions(mut self, partitions: usize) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// The number of subtasks, if that was said.
    pub fn partitions(&self) -> Option<usize> {
        self.partitions
    }
}

/// What is kept of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept<S> {
    /// `None` only while the function is called.
    state: Option<S>,
    /// The time of the batch in which it last had a record, if that took as long as batches do.
    last: Timestamp,
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct MapWithState<K, V, S, M, F> {
    spec: StateSpec<K, V, S, M, F>,
    interval: i64,
    state: KeyedTable<K, Kept<S>>,
    timeouts: TimerQueue<K>,
    clock: TaskClock,
    /// When the batch before was over.
    before: Option<Timestamp>,
    /// Of batches that took longer than they should, when they should have been over, and when they were.
    longer: BTreeMap<Timestamp, Timestamp>,
    /// Whether the initial state is still to be put in.
    begins: bool,
    context: Option<OperatorContext>,
    /// Where the state of all keys goes at the end of each batch, if somebody wants it.
    snapshots: Option<Snapshots<K, S>>,
}

/// Their output, and whether anybody reads it.
type Snapshots<K, S> = (OutputTag<(K, S)>, Arc<AtomicBool>);

impl<K, V, S, M, F> MapWithState<K, V, S, M, F>
where
    K: Key,
    S: StateData,
    F: FnMut(&K, Option<V>, &mut State<'_, S>) -> Option<M>,
{
    /// Does what `spec` says, in batches of `interval` milliseconds.
    pub fn new(spec: StateSpec<K, V, S, M, F>, interval: i64) -> Self {
        Self {
            spec,
            interval,
            state: KeyedTable::default(),
            timeouts: TimerQueue::default(),
            clock: TaskClock::default(),
            before: None,
            longer: BTreeMap::new(),
            begins: false,
            context: None,
            snapshots: None,
        }
    }

    /// Writes the state of all keys to a side output at the end of each batch, once `wanted` says so.
    #[must_use]
    pub fn state_snapshots(mut self, tag: OutputTag<(K, S)>, wanted: Arc<AtomicBool>) -> Self {
        self.snapshots = Some((tag, wanted));
        self
    }

    /// The time of the batch under way: when it is over, if it takes as long as batches do.
    fn batch_time(&self) -> Timestamp {
        // Before the first barrier the clock says in which batch we are.
        let before = self
            .before
            .unwrap_or_else(|| self.clock.now().div_euclid(self.interval).saturating_mul(self.interval));
        before.saturating_add(self.interval)
    }

    /// Puts the initial state in, of the keys that are ours.
    fn begin(&mut self, now: Timestamp) {
        let Some(context) = self.context.as_ref().filter(|_| std::mem::take(&mut self.begins)) else {
            return;
        };
        let (groups, initial) = (context.key_groups.clone(), self.spec.initial.clone());
        for (key, state) in initial.iter() {
            let hash = key_hash(key);
            if groups.owned().contains(&group_of(hash, groups.max_parallelism())) {
                self.state.insert(hash, key, Kept { state: Some(state.clone()), last: now });
                if let Some(timeout) = self.spec.timeout {
                    self.timeouts.register(&CurrentKey { hash, key }, now.saturating_add(timeout));
                }
            }
        }
    }
}

impl<K, V, S, M, F> Operator for MapWithState<K, V, S, M, F>
where
    K: Key,
    V: Send + 'static,
    S: StateData,
    M: Send + 'static,
    F: FnMut(&K, Option<V>, &mut State<'_, S>) -> Option<M> + Send + 'static,
{
    type In = Keyed<K, V>;
    type Out = M;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        self.begins = context.restored_epoch == 0 && !self.spec.initial.is_empty();
        self.context = Some(context.clone());
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        // Also of a checkpoint before the first record.
        if states.epoch().is_some() {
            self.begin(self.batch_time());
        }
        states.keyed("state", &mut self.state);
        states.keyed("timeouts", &mut self.timeouts);
        let mut before: Vec<Timestamp> = self.before.into_iter().collect();
        let mut longer: Vec<(Timestamp, Timestamp)> = self.longer.iter().map(|(a, b)| (*a, *b)).collect();
        states.union("batch", &mut before);
        states.union("longer", &mut longer);
        if states.epoch().is_none() {
            // They are the same for all.
            (self.before, self.longer) = (before.into_iter().max(), longer.into_iter().collect());
        }
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<M>) -> Result<(), BoxError> {
        let now = self.batch_time();
        self.begin(now);
        let Self { spec, state, timeouts, .. } = self;
        for Record { value: Keyed { hash, key, value }, timestamp } in batch.records.drain(..) {
            let mapped = match state.get_mut(hash, &key) {
                Some(kept) => {
                    kept.last = now;
                    let mut handle = State { value: &mut kept.state, timing_out: false };
                    let mapped = (spec.function)(&key, Some(value), &mut handle);
                    if kept.state.is_none() {
                        state.remove(hash, &key);
                    }
                    mapped
                }
                None => {
                    let mut slot = None;
                    let mut handle = State { value: &mut slot, timing_out: false };
                    let mapped = (spec.function)(&key, Some(value), &mut handle);
                    if slot.is_some() {
                        if let Some(timeout) = spec.timeout {
                            timeouts.register(&CurrentKey { hash, key: &key }, now.saturating_add(timeout));
                        }
                        state.insert(hash, &key, Kept { state: slot, last: now });
                    }
                    mapped
                }
            };
            if let Some(mapped) = mapped {
                output.push(mapped, timestamp);
            }
        }
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.interval)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<M>) -> Result<(), BoxError> {
        if !barrier.closes_batch(self.interval) {
            return Ok(());
        }
        // Whatever the clock said when nothing had come.
        self.begin(barrier.time);
        let should = self.before.map_or(barrier.time, |_| self.batch_time());
        let Self { spec, state, timeouts, snapshots, longer, .. } = self;
        if let Some(timeout) = spec.timeout {
            longer.retain(|_, over| over.saturating_add(timeout) >= barrier.time);
            if barrier.time > should {
                longer.insert(should, barrier.time);
            }
        }
        // Only those that have waited for longer than the timeout.
        while let Some(timer) = timeouts.pop_due(barrier.time.saturating_sub(1)) {
            let at = timer.at();
            let (Some(timeout), Some(kept)) = (spec.timeout, state.get(at.hash, at.key)) else { continue };
            let due = longer.get(&kept.last).unwrap_or(&kept.last).saturating_add(timeout);
            if due >= barrier.time {
                timeouts.register(&at, due);
                continue;
            }
            let Some((key, mut kept)) = state.remove(at.hash, at.key) else { continue };
            let mut handle = State { value: &mut kept.state, timing_out: true };
            let mapped = (spec.function)(&key, None, &mut handle);
            if let Some(mapped) = mapped {
                output.push(mapped, barrier.time);
            }
        }
        if let Some((tag, wanted)) = snapshots
            && wanted.load(Ordering::Relaxed)
        {
            for (key, kept) in state.iter() {
                if let Some(state) = &kept.state {
                    output.push_side(tag, (key.clone(), state.clone()), barrier.time);
                }
            }
        }
        self.before = Some(barrier.time);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::harness::{Harness, Then};

    type Counted = (u8, u64, bool);
    type Count = fn(&u8, Option<u64>, &mut State<'_, u64>) -> Option<Counted>;

    fn counts(timeout: Option<u64>) -> MapWithState<u8, u64, u64, Counted, Count> {
        let count: Count = |key, value, state| {
            let sum = state.get_option().unwrap_or(0) + value.unwrap_or(0);
            match state.is_timing_out() {
                true => assert_eq!(value, None),
                // A multiple of five is forgotten.
                false if sum.is_multiple_of(5) => state.remove(),
                false => state.update(sum),
            }
            Some((*key, sum, state.is_timing_out()))
        };
        let spec = StateSpec::function(count);
        let spec = spec.initial_state(vec![(0, 100), (1, 101)]);
        MapWithState::new(
            match timeout {
                Some(timeout) => spec.timeout(Duration::from_millis(timeout)),
                None => spec,
            },
            10,
        )
    }

    proptest! {
        /// Records and timeouts see the state that a plain map would have, through a restore at another parallelism.
        #[test]
        fn it_keeps_what_a_map_would(
            batches in prop::collection::vec((prop::collection::vec((0_u8..4, 1_u64..4), 0..4), 0_i64..14, prop::bool::weighted(0.2)), 1..20),
            timeout in prop::option::of(15_u64..60), cut in 0_usize..20, parallelism in 1_usize..4,
        ) {
            let mut harness = Harness::new(counts(timeout));
            let mut model: BTreeMap<u8, (u64, i64)> = [(0, (100, 10)), (1, (101, 10))].into();
            let (mut begin, mut end) = (0, 0);
            for (index, (batch, at, takes_longer)) in batches.into_iter().enumerate() {
                if index == cut {
                    harness = harness.restore(counts(timeout), parallelism);
                }
                // When within the batch a record comes, and whether that is worked on in time, is of no effect.
                end += if takes_longer && index > 0 { 20 } else { 10 };
                harness.set_processing_time(begin + if index == 0 { at.min(9) } else { at });
                let mut expected = Vec::new();
                for (key, value) in batch {
                    harness.push(Keyed::new(key, value), 0);
                    let sum = model.get(&key).map_or(0, |(sum, _)| *sum) + value;
                    expected.push((key, sum, false));
                    if sum.is_multiple_of(5) { model.remove(&key); } else { model.insert(key, (sum, end)); }
                }
                harness.barrier(end, Then::Continue);
                if let Some(timeout) = timeout {
                    model.retain(|key, (sum, last)| {
                        let over = *last + (timeout as i64) < end;
                        if over { expected.push((*key, *sum, true)); }
                        !over
                    });
                }
                let mut found = harness.values();
                found.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
                begin = end;
            }
        }
    }
}
