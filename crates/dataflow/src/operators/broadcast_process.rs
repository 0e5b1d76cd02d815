//! `process` on a stream and one that is broadcast: every subtask sees all records of the second, and keeps what it makes of them beside the
//! first (Flink's broadcast state pattern: `KeyedBroadcastProcessFunction`, `BroadcastProcessFunction`).
//!
//! - **Records** of the first stream see the broadcast state as it is when they come; those of the second may change it. The order between the two
//!   is not defined. Every subtask has to make the same of the same broadcast records, so that all have the same state.
//! - **Watermarks** are the lower of the two inputs' and call `on_timer` for the event-time timers that are due, then pass. Timers and the
//!   end: as of [`KeyedProcess`](super::KeyedProcess).
//! - **Barriers** are aligned over both inputs, then pass.
//! - **State**: what the function names in `states`, timers and watermark, as of [`KeyedProcess`](super::KeyedProcess); union,
//!   `broadcast`, of which one subtask's is written, and all get it back at any parallelism.
//!
//! ```
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::graph::Either;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{BroadcastProcess, BroadcastProcessFunction, BroadcastState, ProcessContext};
//!
//! /// Prices things by the last price list.
//! #[derive(Clone)]
//! struct Price;
//!
//! impl BroadcastProcessFunction for Price {
//!     type In = &'static str;
//!     type Broadcast = (String, u32);
//!     type StateKey = String;
//!     type StateValue = u32;
//!     type Out = u32;
//!
//!     fn process_element(
//!         &mut self,
//!         thing: &'static str,
//!         prices: &BroadcastState<String, u32>,
//!         context: &mut ProcessContext<'_, u32>,
//!     ) -> Result<(), BoxError> {
//!         if let Some(price) = prices.get(thing) {
//!             context.collect(*price);
//!         }
//!         Ok(())
//!     }
//!
//!     fn process_broadcast_element(
//!         &mut self,
//!         (thing, price): (String, u32),
//!         prices: &mut BroadcastState<String, u32>,
//!         _: &mut ProcessContext<'_, u32>,
//!     ) -> Result<(), BoxError> {
//!         prices.put(thing, price);
//!         Ok(())
//!     }
//! }
//!
//! let mut harness = Harness::new(BroadcastProcess::new(Price));
//! harness.push(Either::Left("book"), 0);
//! harness.push(Either::Right(("book".to_owned(), 12)), 0);
//! harness.push(Either::Left("book"), 0);
//! assert_eq!(harness.values(), [12]);
//! ```

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use super::keyed_process::KeyedTime;
use super::rich::Rich;
use super::{KeyedProcessContext, OnTimer, ProcessContext};
use crate::error::BoxError;
use crate::graph::Either;
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, CurrentKey, Keyed, Record};
use crate::state::{Key, StateData, States};
use crate::time::{MIN_WATERMARK, TaskClock, Timestamp};
use crate::type_name::own_name;
use crate::window::TimeDomain;

/// What a function keeps of the broadcast stream: a map that is the same in all subtasks.
#[derive(Clone, Debug)]
pub struct BroadcastState<UK, UV> {
    entries: HashMap<UK, UV>,
    shared: Vec<(UK, UV)>,
    subtask: usize,
}

impl<UK, UV> Default for BroadcastState<UK, UV> {
    fn default() -> Self {
        Self { entries: HashMap::new(), shared: Vec::new(), subtask: 0 }
    }
}

impl<UK: Key, UV: StateData> BroadcastState<UK, UV> {
    /// The value under a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&UV>
    where
        UK: Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// Whether there is a value under a key.
    pub fn contains<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        UK: Borrow<Q>,
    {
        self.entries.contains_key(key)
    }

    /// Sets a value, and returns the one that was there.
    pub fn put(&mut self, key: UK, value: UV) -> Option<UV> {
        self.entries.insert(key, value)
    }

    /// Removes a value.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<UV>
    where
        UK: Borrow<Q>,
    {
        self.entries.remove(key)
    }

    /// All entries, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = (&UK, &UV)> {
        self.entries.iter()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    fn open(&mut self, context: &OperatorContext) {
        self.subtask = context.operator.subtask;
    }

    /// Barriers are aligned, so at a barrier all subtasks have the same, and one writes it.
    fn states(&mut self, states: &mut States<'_>) {
        let opening = states.epoch().is_none();
        if !opening && self.subtask == 0 {
            self.shared = self.entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        }
        states.union("broadcast", &mut self.shared);
        if opening {
            self.entries = std::mem::take(&mut self.shared).into_iter().collect();
        }
        self.shared.clear();
    }
}

/// A function over a keyed stream and one that is broadcast, with keyed state and timers.
pub trait KeyedBroadcastProcessFunction: Clone + Send + 'static {
    /// What the first stream is keyed by.
    type Key: Key;
    /// The records of the first stream.
    type In: Send + 'static;
    /// The records of the second, which all subtasks see.
    type Broadcast: Send + 'static;
    /// The keys of the broadcast state.
    type StateKey: Key;
    /// The values of the broadcast state.
    type StateValue: StateData;
    /// What is emitted.
    type Out: Send + 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Fail the job.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Names every piece of keyed state; see [`KeyedProcessFunction::states`](super::KeyedProcessFunction::states).
    fn states(&mut self, states: &mut States<'_>);

    /// Called for each record of the first stream.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_element(
        &mut self,
        value: Self::In,
        broadcast: &BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut KeyedProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called for each record of the second stream, in every subtask.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_broadcast_element(
        &mut self,
        value: Self::Broadcast,
        broadcast: &mut BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called when a timer is due that this key has set.
    ///
    /// # Errors
    /// Fail the job.
    fn on_timer(
        &mut self,
        _timer: OnTimer,
        _broadcast: &BroadcastState<Self::StateKey, Self::StateValue>,
        _context: &mut KeyedProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    /// Called once after everything else, if it was opened: also when the job fails or is cancelled.
    fn close(&mut self) {}
}

/// The context of a keyed function `F` beside a broadcast stream, for its signatures: `context: &mut BroadcastContextOf<'_, Self>`.
pub type BroadcastContextOf<'a, F> = KeyedProcessContext<
    'a,
    <F as KeyedBroadcastProcessFunction>::Key,
    <F as KeyedBroadcastProcessFunction>::Out,
>;

/// The operator for a keyed stream. See the [module](self).
#[derive(Clone, Debug)]
pub struct KeyedBroadcastProcess<F: KeyedBroadcastProcessFunction> {
    function: Rich<F>,
    time: KeyedTime<F::Key>,
    broadcast: BroadcastState<F::StateKey, F::StateValue>,
}

impl<F: KeyedBroadcastProcessFunction> KeyedBroadcastProcess<F> {
    /// Calls `function` on every record and timer.
    pub fn new(function: F) -> Self {
        let function = Rich::new(function, F::close);
        Self { function, time: KeyedTime::default(), broadcast: BroadcastState::default() }
    }
}

impl<F: KeyedBroadcastProcessFunction> Operator for KeyedBroadcastProcess<F> {
    type In = Either<Keyed<F::Key, F::In>, F::Broadcast>;
    type Out = F::Out;

    fn identity(&self) -> String {
        own_name::<F>().to_owned()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.time.open(context);
        self.broadcast.open(context);
        self.function.open(|function| function.open(context))
    }

    fn states(&mut self, states: &mut States<'_>) {
        self.time.states(states);
        self.broadcast.states(states);
        self.function.states(states);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let Self { function, time, broadcast } = self;
        for Record { value, timestamp } in batch.records.drain(..) {
            match value {
                Either::Left(Keyed { hash, key, value }) => {
                    let key = CurrentKey { hash, key: &key };
                    function.process_element(value, broadcast, &mut time.context(key, timestamp, output))?;
                }
                Either::Right(value) => {
                    let mut context = time.without_key(timestamp, output);
                    function.process_broadcast_element(value, broadcast, &mut context)?;
                }
            }
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<F::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        let Self { function, time, broadcast } = self;
        time.fire(TimeDomain::Event, watermark, output, |timer, context| {
            function.on_timer(timer, broadcast, context)
        })?;
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.time.next_timer()
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let Self { function, time, broadcast } = self;
        time.fire(TimeDomain::Processing, now, output, |timer, context| {
            function.on_timer(timer, broadcast, context)
        })
    }
}

/// A function over a stream without keys and one that is broadcast.
pub trait BroadcastProcessFunction: Clone + Send + 'static {
    /// The records of the first stream.
    type In: Send + 'static;
    /// The records of the second, which all subtasks see.
    type Broadcast: Send + 'static;
    /// The keys of the broadcast state.
    type StateKey: Key;
    /// The values of the broadcast state.
    type StateValue: StateData;
    /// What is emitted.
    type Out: Send + 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Fail the job.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Called for each record of the first stream.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_element(
        &mut self,
        value: Self::In,
        broadcast: &BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called for each record of the second stream, in every subtask.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_broadcast_element(
        &mut self,
        value: Self::Broadcast,
        broadcast: &mut BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called once after everything else, if it was opened: also when the job fails or is cancelled.
    fn close(&mut self) {}
}

/// The operator for a stream without keys. See the [module](self).
#[derive(Clone, Debug)]
pub struct BroadcastProcess<F: BroadcastProcessFunction> {
    function: Rich<F>,
    watermark: Timestamp,
    clock: TaskClock,
    broadcast: BroadcastState<F::StateKey, F::StateValue>,
}

impl<F: BroadcastProcessFunction> BroadcastProcess<F> {
    /// Calls `function` on every record.
    pub fn new(function: F) -> Self {
        let (clock, broadcast) = (TaskClock::default(), BroadcastState::default());
        Self { function: Rich::new(function, F::close), watermark: MIN_WATERMARK, clock, broadcast }
    }
}

impl<F: BroadcastProcessFunction> Operator for BroadcastProcess<F> {
    type In = Either<F::In, F::Broadcast>;
    type Out = F::Out;

    fn identity(&self) -> String {
        own_name::<F>().to_owned()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        self.broadcast.open(context);
        self.function.open(|function| function.open(context))
    }

    fn states(&mut self, states: &mut States<'_>) {
        self.broadcast.states(states);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let Self { function, watermark, clock, broadcast } = self;
        for Record { value, timestamp } in batch.records.drain(..) {
            let mut context = ProcessContext { output, timestamp, watermark: *watermark, clock };
            match value {
                Either::Left(value) => function.process_element(value, broadcast, &mut context)?,
                Either::Right(value) => function.process_broadcast_element(value, broadcast, &mut context)?,
            }
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        _: &mut Output<F::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.watermark = watermark;
        Ok(Some(watermark))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::harness::Harness;
    use crate::state::ValueState;

    /// Adds to each key's sum what the factor of its parity says, and says it again 5 ms later.
    #[derive(Clone, Default)]
    struct Scaled(ValueState<u8, i64>);

    impl KeyedBroadcastProcessFunction for Scaled {
        type Key = u8;
        type In = i64;
        type Broadcast = (bool, Option<i64>);
        type StateKey = bool;
        type StateValue = i64;
        type Out = (u8, i64);

        fn states(&mut self, states: &mut States<'_>) {
            states.keyed("sum", &mut self.0);
        }

        fn process_element(
            &mut self,
            value: i64,
            factors: &BroadcastState<bool, i64>,
            context: &mut KeyedProcessContext<'_, u8, (u8, i64)>,
        ) -> Result<(), BoxError> {
            let key = context.current_key();
            let factor = factors.get(&key.key().is_multiple_of(2)).copied().unwrap_or(1);
            let sum = self.0.value(&key).copied().unwrap_or(0) + factor * value;
            self.0.update(&key, sum);
            context.collect((*key.key(), sum));
            context.register_event_time_timer(context.timestamp() + 5);
            Ok(())
        }

        fn process_broadcast_element(
            &mut self,
            (even, factor): (bool, Option<i64>),
            factors: &mut BroadcastState<bool, i64>,
            _: &mut ProcessContext<'_, (u8, i64)>,
        ) -> Result<(), BoxError> {
            match factor {
                Some(factor) => factors.put(even, factor),
                None => factors.remove(&even),
            };
            Ok(())
        }

        fn on_timer(
            &mut self,
            _: OnTimer,
            factors: &BroadcastState<bool, i64>,
            context: &mut KeyedProcessContext<'_, u8, (u8, i64)>,
        ) -> Result<(), BoxError> {
            let key = context.current_key();
            context.collect((*key.key(), factors.entries().map(|(_, factor)| factor).sum()));
            Ok(())
        }
    }

    /// Counts how often it was opened and closed.
    #[derive(Clone, Default)]
    struct Life(Arc<[AtomicUsize; 2]>);

    impl BroadcastProcessFunction for Life {
        type In = ();
        type Broadcast = ();
        type StateKey = ();
        type StateValue = ();
        type Out = ();

        fn open(&mut self, _: &OperatorContext) -> Result<(), BoxError> {
            self.0[0].fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn process_element(
            &mut self,
            (): (),
            _: &BroadcastState<(), ()>,
            _: &mut ProcessContext<'_, ()>,
        ) -> Result<(), BoxError> {
            Ok(())
        }

        fn process_broadcast_element(
            &mut self,
            (): (),
            _: &mut BroadcastState<(), ()>,
            _: &mut ProcessContext<'_, ()>,
        ) -> Result<(), BoxError> {
            Ok(())
        }

        fn close(&mut self) {
            self.0[1].fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_was_opened_is_closed_once() {
        let life = Life::default();
        let mut harness = Harness::new(BroadcastProcess::new(life.clone()));
        harness.push(Either::Left(()), 0);
        assert_eq!(life.0.each_ref().map(|n| n.load(Ordering::Relaxed)), [1, 0]);
        drop(harness);
        assert_eq!(life.0.each_ref().map(|n| n.load(Ordering::Relaxed)), [1, 1]);
    }

    proptest! {
        #[test]
        fn rules_are_the_same_for_all_keys_through_a_restore(
            records in prop::collection::vec((any::<bool>(), 0_u8..6, -5_i64..6), 1..60), cut in 0_usize..60, parallelism in 1_usize..4,
        ) {
            let operator = || KeyedBroadcastProcess::new(Scaled::default());
            let mut harness = Harness::new(operator());
            let (mut factors, mut sums): (BTreeMap<bool, i64>, BTreeMap<u8, i64>) = Default::default();
            let mut due: BTreeMap<i64, u8> = BTreeMap::new();
            for (index, (left, key, value)) in records.into_iter().enumerate() {
                if index == cut {
                    harness = harness.restore_beside_broadcast(operator(), parallelism);
                }
                let time = index as i64;
                let mut expected = Vec::new();
                if left {
                    let sum = sums.entry(key).or_insert(0);
                    *sum += factors.get(&(key.is_multiple_of(2))).copied().unwrap_or(1) * value;
                    expected.push((key, *sum));
                    due.insert(time + 5, key);
                    harness.push(Either::Left(Keyed::new(key, value)), time);
                } else {
                    let factor = Some(value).filter(|value| *value != 0);
                    match factor {
                        Some(factor) => factors.insert(key.is_multiple_of(2), factor),
                        None => factors.remove(&(key.is_multiple_of(2))),
                    };
                    harness.broadcast((key.is_multiple_of(2), factor), time);
                }
                harness.watermark(time);
                expected.extend(due.remove(&time).map(|key| (key, factors.values().sum::<i64>())));
                prop_assert_eq!(harness.values(), expected);
            }
        }
    }
}
