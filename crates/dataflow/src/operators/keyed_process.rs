//! `process` on a keyed stream: a function with state and timers (Flink's `KeyedProcessFunction`).
//!
//! - **Records**: `process_element` is called once for each, in order.
//! - **Watermarks** call `on_timer` for the event-time timers that are due, the earliest first, then pass. What `on_timer` sets
//!   fires with the same watermark if it is later than the timer that fires, and the watermark has reached it; what it sets for the
//!   same time or an earlier one fires with the next watermark.
//! - **The last watermark**, when the input has ended or the job is drained, fires the timers that are set then, and of those that
//!   they set anew only what is not later than the latest of them: so a timer that always sets itself again does not make the
//!   job endless. What is left is counted in the log, stays in the state, and fires when the job is resumed and gets there.
//! - **Processing time**: timers fire by the clock, before the records that come after; those that are set for a time that has
//!   passed fire as soon as all that are due have. After the end of the input none fires any more, also if the job still runs;
//!   what is set then stays in the state.
//! - **Barriers, the end**: pass. A cancel ends the work also between two timers.
//! - **State**: what the function names in `states`; keyed, `timers-event` and `timers-processing`; union, `watermark`.
//!
//! ```
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{ContextOf, KeyedProcess, KeyedProcessFunction, OnTimer};
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{States, ValueState};
//!
//! /// Says of each user how many clicks came before a pause of 100 ms.
//! #[derive(Clone, Default)]
//! struct Visits {
//!     clicks: ValueState<String, (u32, i64)>,
//! }
//!
//! impl KeyedProcessFunction for Visits {
//!     type Key = String;
//!     type In = ();
//!     type Out = (String, u32);
//!
//!     fn states(&mut self, states: &mut States<'_>) {
//!         states.keyed("clicks", &mut self.clicks);
//!     }
//!
//!     fn process_element(&mut self, (): (), context: &mut ContextOf<'_, Self>) -> Result<(), BoxError> {
//!         let (clicks, last) = self.clicks.value(context).copied().unwrap_or_default();
//!         context.delete_event_time_timer(last + 100);
//!         self.clicks.update(context, (clicks + 1, context.timestamp()));
//!         context.register_event_time_timer(context.timestamp() + 100);
//!         Ok(())
//!     }
//!
//!     fn on_timer(&mut self, _: OnTimer, context: &mut ContextOf<'_, Self>) -> Result<(), BoxError> {
//!         if let Some((clicks, _)) = self.clicks.clear(context) {
//!             context.collect((context.key().clone(), clicks));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut harness = Harness::new(KeyedProcess::new(Visits::default()));
//! for time in [10, 60, 400] {
//!     harness.watermark(time - 1);
//!     harness.push(Keyed::new("ada".to_owned(), ()), time);
//! }
//! harness.end();
//! assert_eq!(harness.values(), [("ada".to_owned(), 2), ("ada".to_owned(), 1)]);
//! ```

use super::ProcessContext;
use super::rich::Rich;
use crate::error::{BoxError, OperatorName};
use crate::metrics::OperatorMetrics;
use crate::operator::{Cancelled, Operator, OperatorContext};
use crate::output::{Output, OutputTag};
use crate::record::{Batch, CurrentKey, KeyContext, Keyed, Record};
use crate::state::{Key, States, TimerQueue};
use crate::time::{MAX_WATERMARK, TaskClock, Timestamp};
use crate::type_name::own_name;
use crate::watermark::CurrentWatermark;
use crate::window::TimeDomain;

/// A function over the records of a keyed stream, with state and timers. The engine runs a clone of it in each subtask.
pub trait KeyedProcessFunction: Clone + Send + 'static {
    /// What the stream is keyed by.
    type Key: Key;
    /// The records.
    type In: Send + 'static;
    /// What is emitted.
    type Out: Send + 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Fail the job.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Names every piece of state, always the same under the same name, and none twice: every field that is a
    /// [`ValueState`](crate::state::ValueState) or one of its kin. A function without state names nothing:
    /// `fn states(&mut self, _: &mut States<'_>) {}`. State that is not named here cannot be used.
    fn states(&mut self, states: &mut States<'_>);

    /// Called for each record.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_element(
        &mut self,
        value: Self::In,
        context: &mut KeyedProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called when a timer is due that this key has set.
    ///
    /// # Errors
    /// Fail the job.
    fn on_timer(
        &mut self,
        _timer: OnTimer,
        _context: &mut KeyedProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    /// Called once after everything else, if it was opened: also when the job fails or is cancelled.
    fn close(&mut self) {}
}

/// A timer that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnTimer {
    /// The time that it was set for (milliseconds).
    pub time: Timestamp,
    /// In which time.
    pub domain: TimeDomain,
}

/// What a function sees and emits to while it works on one record, or one timer, of one key.
pub struct KeyedProcessContext<'a, K, Out> {
    base: ProcessContext<'a, Out>,
    key: CurrentKey<'a, K>,
    timers: &'a mut Timers<K>,
}

impl<'a, K: Key, Out: Send + 'static> KeyedProcessContext<'a, K, Out> {
    /// Hands on `value`, with the event time of the record, or the time that the timer was set for.
    #[inline]
    pub fn collect(&mut self, value: Out) {
        self.base.collect(value);
    }

    /// What functions of windows are called with: the key, the watermark, the clock, and where they emit to.
    pub(crate) fn parts(&mut self) -> (&'a K, Timestamp, &'a TaskClock, &mut Output<Out>) {
        let ProcessContext { output, watermark, clock, .. } = &mut self.base;
        (self.key.key, *watermark, clock, output)
    }

    /// Counts a record that is late, and hands it to the side output that there may be.
    pub(crate) fn push_late<S: Send + 'static>(
        &mut self,
        metrics: &OperatorMetrics,
        tag: Option<&OutputTag<S>>,
        value: S,
    ) {
        self.base.output.push_late(metrics, tag, value, self.base.timestamp);
    }

    /// Hands `value` to a side output, with the same time. Where nobody reads it, it is dropped.
    pub fn output<S: Send + 'static>(&mut self, tag: &OutputTag<S>, value: S) {
        self.base.output(tag, value);
    }

    /// The event time of the record (milliseconds), or [`NO_TIMESTAMP`](crate::time::NO_TIMESTAMP); for a timer
    /// the time that it was set for.
    pub fn timestamp(&self) -> Timestamp {
        self.base.timestamp()
    }

    /// The watermark that the operator has reached (milliseconds).
    pub fn current_watermark(&self) -> Timestamp {
        self.base.current_watermark()
    }

    /// The processing time (milliseconds), as of the current batch.
    pub fn current_processing_time(&self) -> Timestamp {
        self.base.current_processing_time()
    }

    /// The key.
    pub fn key(&self) -> &'a K {
        self.key.key
    }

    /// The key with its hash: state takes it, and the context itself as well.
    pub fn current_key(&self) -> CurrentKey<'a, K> {
        CurrentKey { hash: self.key.hash, key: self.key.key }
    }

    /// Sets a timer of event time (milliseconds): it is due when the watermark reaches it.
    pub fn register_event_time_timer(&mut self, time: Timestamp) {
        self.timers.event.register(&self.key, time);
    }

    /// Sets a timer of processing time (milliseconds).
    pub fn register_processing_time_timer(&mut self, time: Timestamp) {
        self.timers.processing.register(&self.key, time);
    }

    /// Deletes a timer of event time. Returns whether it was set.
    pub fn delete_event_time_timer(&mut self, time: Timestamp) -> bool {
        self.timers.event.delete(&self.key, time)
    }

    /// Deletes a timer of processing time. Returns whether it was set.
    pub fn delete_processing_time_timer(&mut self, time: Timestamp) -> bool {
        self.timers.processing.delete(&self.key, time)
    }
}

impl<K, Out> KeyContext<K> for KeyedProcessContext<'_, K, Out> {
    #[inline]
    fn at_key(&self) -> CurrentKey<'_, K> {
        CurrentKey { hash: self.key.hash, key: self.key.key }
    }
}

/// The context of a function `F`, for its signatures: `context: &mut ContextOf<'_, Self>`.
pub type ContextOf<'a, F> =
    KeyedProcessContext<'a, <F as KeyedProcessFunction>::Key, <F as KeyedProcessFunction>::Out>;

/// The timers of both times.
#[derive(Clone, Debug)]
struct Timers<K> {
    event: TimerQueue<K>,
    processing: TimerQueue<K>,
}

/// What every keyed function has: timers, and the time that they go by.
#[derive(Clone, Debug)]
pub(super) struct KeyedTime<K> {
    timers: Timers<K>,
    watermark: CurrentWatermark,
    clock: TaskClock,
    cancelled: Cancelled,
    operator: Option<OperatorName>,
}

impl<K> Default for KeyedTime<K> {
    fn default() -> Self {
        Self {
            timers: Timers { event: TimerQueue::default(), processing: TimerQueue::default() },
            watermark: CurrentWatermark::default(),
            clock: TaskClock::default(),
            cancelled: Cancelled::default(),
            operator: None,
        }
    }
}

impl<K: Key> KeyedTime<K> {
    pub(super) fn open(&mut self, context: &OperatorContext) {
        (self.clock, self.cancelled) = (context.clock.clone(), context.cancelled.clone());
        self.operator = Some(context.operator.clone());
    }

    pub(super) fn states(&mut self, states: &mut States<'_>) {
        states.keyed("timers-event", &mut self.timers.event);
        states.keyed("timers-processing", &mut self.timers.processing);
        self.watermark.states(states);
    }

    pub(super) fn context<'a, Out>(
        &'a mut self,
        key: CurrentKey<'a, K>,
        timestamp: Timestamp,
        output: &'a mut Output<Out>,
    ) -> KeyedProcessContext<'a, K, Out> {
        let Self { timers, watermark, clock, .. } = self;
        let base = ProcessContext { output, timestamp, watermark: watermark.get(), clock };
        KeyedProcessContext { base, key, timers }
    }

    /// For a record that belongs to no key.
    pub(super) fn without_key<'a, Out>(
        &'a self,
        timestamp: Timestamp,
        output: &'a mut Output<Out>,
    ) -> ProcessContext<'a, Out> {
        ProcessContext { output, timestamp, watermark: self.watermark.get(), clock: &self.clock }
    }

    /// Calls `on_timer` for each timer that is due, and for those that it sets meanwhile as far as the module says.
    pub(super) fn fire<Out>(
        &mut self,
        domain: TimeDomain,
        time: Timestamp,
        output: &mut Output<Out>,
        mut on_timer: impl FnMut(OnTimer, &mut KeyedProcessContext<'_, K, Out>) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        if domain == TimeDomain::Event {
            self.watermark.advance(time);
        }
        let is_last = domain == TimeDomain::Event && time == MAX_WATERMARK;
        let until = if is_last {
            let Some(latest) = self.timers.event.latest() else { return Ok(()) };
            latest
        } else {
            time
        };
        loop {
            let timers = self.queue(domain);
            let Some(timer) = timers.pop_due(until) else { break };
            timers.in_round(if domain == TimeDomain::Event { timer.time } else { time });
            self.cancelled.check()?;
            let context = &mut self.context(timer.at(), timer.time, output);
            on_timer(OnTimer { time: timer.time, domain }, context)?;
        }
        self.queue(domain).end_round();
        if is_last && self.timers.event.len() > 0 {
            tracing::warn!(
                operator = self.operator.as_ref().map(ToString::to_string),
                timers = self.timers.event.len(),
                "timers of event time that were set anew at the end of the input do not fire; they stay in the state"
            );
        }
        Ok(())
    }

    fn queue(&mut self, domain: TimeDomain) -> &mut TimerQueue<K> {
        match domain {
            TimeDomain::Event => &mut self.timers.event,
            TimeDomain::Processing => &mut self.timers.processing,
        }
    }

    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.processing.next()
    }
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct KeyedProcess<F: KeyedProcessFunction> {
    function: Rich<F>,
    time: KeyedTime<F::Key>,
}

impl<F: KeyedProcessFunction> KeyedProcess<F> {
    /// Calls `function` on every record and timer.
    pub fn new(function: F) -> Self {
        Self { function: Rich::new(function, F::close), time: KeyedTime::default() }
    }
}

impl<F: KeyedProcessFunction> Operator for KeyedProcess<F> {
    type In = Keyed<F::Key, F::In>;
    type Out = F::Out;

    fn identity(&self) -> String {
        own_name::<F>().to_owned()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.time.open(context);
        self.function.open(|function| function.open(context))
    }

    fn states(&mut self, states: &mut States<'_>) {
        self.time.states(states);
        self.function.states(states);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        for Record { value: Keyed { hash, key, value }, timestamp } in batch.records.drain(..) {
            let mut context = self.time.context(CurrentKey { hash, key: &key }, timestamp, output);
            self.function.process_element(value, &mut context)?;
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<F::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        let Self { function, time } = self;
        time.fire(TimeDomain::Event, watermark, output, |timer, context| function.on_timer(timer, context))?;
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.time.next_timer()
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let Self { function, time } = self;
        time.fire(TimeDomain::Processing, now, output, |timer, context| function.on_timer(timer, context))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::{Event, Harness};
    use crate::state::ReducingState;

    type Add = fn(i64, i64) -> i64;

    /// Sums values, and emits a key's sum 10 ms of event time after each of its records.
    #[derive(Clone)]
    struct Sums(ReducingState<u8, i64, Add>);

    fn sums() -> KeyedProcess<Sums> {
        KeyedProcess::new(Sums(ReducingState::new(|a, b| a + b)))
    }

    impl KeyedProcessFunction for Sums {
        type Key = u8;
        type In = i64;
        type Out = (u8, i64);

        fn states(&mut self, states: &mut States<'_>) {
            states.keyed("sum", &mut self.0);
        }

        fn process_element(
            &mut self,
            value: i64,
            context: &mut KeyedProcessContext<'_, u8, Self::Out>,
        ) -> Result<(), BoxError> {
            self.0.add(&context.current_key(), value);
            context.register_event_time_timer(context.timestamp() + 10);
            context.register_processing_time_timer(context.current_processing_time() + 5);
            Ok(())
        }

        fn on_timer(
            &mut self,
            timer: OnTimer,
            context: &mut KeyedProcessContext<'_, u8, Self::Out>,
        ) -> Result<(), BoxError> {
            let key = context.current_key();
            match timer.domain {
                TimeDomain::Event => context.collect((*key.key(), self.0.get(&key).copied().unwrap_or(0))),
                TimeDomain::Processing => context.collect((*key.key(), -1)),
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn state_and_timers_survive_a_restore(
            records in prop::collection::vec((0_u8..6, -9_i64..9), 1..60),
            cut in 0_usize..60,
            parallelism in 1_usize..5,
        ) {
            let mut harness = Harness::new(sums());
            let mut model: BTreeMap<u8, i64> = BTreeMap::new();
            let mut due: BTreeMap<i64, u8> = BTreeMap::new();
            for (time, (key, value)) in records.into_iter().enumerate() {
                if time == cut {
                    harness = harness.restore(sums(), parallelism);
                }
                let time = time as i64;
                harness.push(Keyed::new(key, value), time);
                *model.entry(key).or_insert(0) += value;
                due.insert(time + 10, key);
                harness.watermark(time);
                let expected: Vec<(u8, i64)> = due.remove(&time).map(|key| (key, model[&key])).into_iter().collect();
                prop_assert_eq!(harness.values(), expected);
            }
        }
    }

    #[test]
    fn timers_of_processing_time_fire_by_the_clock() {
        let mut harness = Harness::new(sums());
        harness.set_processing_time(100);
        harness.push(Keyed::new(1, 7), 50);
        harness.set_processing_time(104);
        assert_eq!(harness.events(), []);
        harness.set_processing_time(105);
        assert_eq!(harness.events(), [Event::Record((1, -1), 105)]);
    }
}
