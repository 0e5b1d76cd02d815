//! Complex events: patterns of events that follow each other (Flink's CEP).
//!
//! A [`Pattern`] is a row of steps, each with a name and a condition. Between two steps stands how they follow each other:
//!
//! | | events between them |
//! |---|---|
//! | [`next`](Pattern::next) | none |
//! | [`followed_by`](Pattern::followed_by) | those that do not match the second |
//! | [`followed_by_any`](Pattern::followed_by_any) | any: each event that matches the second is a match of its own |
//! | [`not_next`](Pattern::not_next), [`not_followed_by`](Pattern::not_followed_by) | it must not be the next; none may come before the step after it does |
//!
//! A step may take several events ([`times`](Pattern::times), [`one_or_more`](Pattern::one_or_more), …), which follow each other as by
//! `followed_by` unless they are [`consecutive`](Pattern::consecutive) or all [combinations](Pattern::allow_combinations) are wanted. Every
//! event may begin a match, so there are many with events in common: [`AfterMatchSkipStrategy`] says which are given up.
//!
//! - **Records** wait for the watermark, and are looked at by their times, for each key by itself; those of the same time as they came. A
//!   late one goes to the side output and is counted. In processing time nothing waits, and nothing is late.
//! - **Watermarks** let the records up to them be looked at, then pass. A match has the event time of the event that made it one; one that
//!   was held back, or ends with a step that is not to be, has that of the moment when it was clear.
//! - **Timed out**: what has begun and is not through [`within`](Pattern::within) its time is handed to
//!   [`PatternProcessFunction::process_timed_out_match`], with the time when that was.
//! - **Barriers, the end**: pass. What has begun stays in the state; in event time the end times it out.
//! - **State**: keyed, `matches`; keyed, `timers`; union, `watermark`. It belongs to this pattern: with another name, order or
//!   quantifier the operator is another one. Conditions may be changed.
//!
//! Several steps may be one ([`begin_group`](Pattern::begin_group), [`followed_by_group`](Pattern::followed_by_group) …), so that what is said of how often it
//! comes is said of all of them.
//!
//! Each condition is asked at most once about an event, unless it looks at what has been matched before. `within` between two neighbours is not
//! there.
//!
//! ```
//! use std::time::Duration;
//!
//! use thalweg_dataflow::cep::{Cep, Pattern, PatternMatch};
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::ProcessContext;
//! use thalweg_dataflow::record::Keyed;
//!
//! let probed = Pattern::begin("small").where_(|amount: &u32| *amount < 5).next("large").where_(|amount| *amount > 500);
//! let tell = |found: &PatternMatch<'_, u32>, context: &mut ProcessContext<'_, (u32, u32)>| {
//!     if let (Some(small), Some(large)) = (found.first("small"), found.first("large")) {
//!         context.collect((*small, *large));
//!     }
//!     Ok(())
//! };
//! let mut harness = Harness::new(Cep::new(&probed.within(Duration::from_secs(60)), tell));
//! for (card, amount, time) in [('a', 3, 1_000), ('b', 2, 2_000), ('a', 900, 30_000), ('b', 700, 90_000)] {
//!     harness.push(Keyed::new(card, amount), time);
//! }
//! harness.end();
//! assert_eq!(harness.values(), [(3, 900)]);
//! ```

mod automaton;
mod found;
mod pattern;
mod run;
mod skip;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use found::PatternMatch;
pub use pattern::Pattern;
pub use skip::AfterMatchSkipStrategy;

use self::automaton::Automaton;
use self::run::{Found, Matching, Scratch};
use crate::error::BoxError;
use crate::operator::{Cancelled, Operator, OperatorContext};
use crate::operators::ProcessContext;
use crate::output::{Output, OutputTag};
use crate::record::{Batch, CurrentKey, Keyed, Record};
use crate::state::{Key, KeyedTable, StateData, States, TimerQueue};
use crate::time::{NO_TIMESTAMP, TaskClock, Timestamp};
use crate::watermark::CurrentWatermark;
use crate::window::TimeDomain;

/// What is done with matches. A closure of a match and a context is one.
pub trait PatternProcessFunction: Clone + Send + 'static {
    /// The events.
    type In: StateData;
    /// What is emitted.
    type Out: Send + 'static;

    /// Called for each match.
    ///
    /// # Errors
    /// Fail the job.
    fn process_match(
        &mut self,
        found: &PatternMatch<'_, Self::In>,
        context: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called for each match that has begun and is not through in time, with the events that it has so far: for side outputs of the context.
    ///
    /// # Errors
    /// Fail the job.
    fn process_timed_out_match(
        &mut self,
        _begun: &PatternMatch<'_, Self::In>,
        _context: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A closure as a [`PatternProcessFunction`], with the types it is about.
#[derive(Debug)]
pub struct OnMatch<T, Out, F> {
    function: F,
    types: std::marker::PhantomData<fn(T) -> Out>,
}

impl<T, Out, F: Clone> Clone for OnMatch<T, Out, F> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), types: std::marker::PhantomData }
    }
}

impl<T, Out, F> PatternProcessFunction for OnMatch<T, Out, F>
where
    T: StateData,
    Out: Send + 'static,
    F: FnMut(&PatternMatch<'_, T>, &mut ProcessContext<'_, Out>) -> Result<(), BoxError>
        + Clone
        + Send
        + 'static,
{
    type In = T;
    type Out = Out;

    fn process_match(
        &mut self,
        found: &PatternMatch<'_, T>,
        context: &mut ProcessContext<'_, Out>,
    ) -> Result<(), BoxError> {
        (self.function)(found, context)
    }
}

/// The operator. See the [module](self).
#[derive(Clone)]
pub struct Cep<K, F: PatternProcessFunction> {
    automaton: Arc<Automaton<F::In>>,
    identity: Arc<str>,
    function: F,
    domain: TimeDomain,
    late: Option<OutputTag<F::In>>,
    matches: KeyedTable<K, Matching<F::In>>,
    timers: TimerQueue<K>,
    watermark: CurrentWatermark,
    clock: TaskClock,
    cancelled: Cancelled,
    context: Option<OperatorContext>,
    scratch: Scratch,
}

impl<K: Key, T, Out, F> Cep<K, OnMatch<T, Out, F>>
where
    T: StateData,
    Out: Send + 'static,
    F: FnMut(&PatternMatch<'_, T>, &mut ProcessContext<'_, Out>) -> Result<(), BoxError>
        + Clone
        + Send
        + 'static,
{
    /// Looks for a pattern, and hands matches to `function`.
    pub fn new(pattern: &Pattern<T>, function: F) -> Self {
        Self::with_function(pattern, OnMatch { function, types: std::marker::PhantomData })
    }
}

impl<K: Key, F: PatternProcessFunction> Cep<K, F> {
    /// Looks for a pattern, and hands matches, and what is timed out, to `function`.
    pub fn with_function(pattern: &Pattern<F::In>, function: F) -> Self {
        Self {
            automaton: Arc::new(Automaton::new(pattern)),
            identity: pattern.describe().into(),
            function,
            domain: TimeDomain::Event,
            late: None,
            matches: KeyedTable::default(),
            timers: TimerQueue::default(),
            watermark: CurrentWatermark::default(),
            clock: TaskClock::default(),
            cancelled: Cancelled::default(),
            context: None,
            scratch: Scratch::default(),
        }
    }

    /// Looks at records as they come, by the clock.
    #[must_use]
    pub fn in_processing_time(self) -> Self {
        Self { domain: TimeDomain::Processing, ..self }
    }

    /// Sends late records to a side output.
    #[must_use]
    pub fn side_output_late_data(self, tag: OutputTag<F::In>) -> Self {
        Self { late: Some(tag), ..self }
    }

    /// Looks at what has come of a key until `now`, and sets the next timer.
    fn catch_up(
        &mut self,
        key: CurrentKey<'_, K>,
        now: Timestamp,
        output: &mut Output<F::Out>,
    ) -> Result<(), BoxError> {
        let Self { automaton, function, matches, timers, watermark, clock, scratch, .. } = self;
        let Some(matching) = matches.get_mut(key.hash, key.key) else { return Ok(()) };
        let watermark = watermark.get();
        let mut emit = |found: Found<'_, F::In>, timestamp| {
            let mut context = ProcessContext { output, timestamp, watermark, clock };
            match found {
                Found::Match(found) => function.process_match(&found, &mut context),
                Found::TimedOut(begun) => function.process_timed_out_match(&begun, &mut context),
            }
        };
        let mut waiting = std::mem::take(&mut matching.waiting);
        if !waiting.is_sorted_by_key(|(time, _)| *time) {
            waiting.sort_by_key(|(time, _)| *time);
        }
        let ready = waiting.partition_point(|(time, _)| *time <= now);
        for (time, value) in waiting.drain(..ready) {
            matching.advance(automaton, time, scratch, &mut emit)?;
            matching.process(automaton, value, time, scratch, &mut emit)?;
        }
        matching.waiting = waiting;
        matching.advance(automaton, now, scratch, &mut emit)?;
        let due = matching.next_due(automaton.within);
        if due != matching.due {
            if matching.due > now {
                timers.delete(&key, matching.due);
            }
            if due != Timestamp::MAX {
                timers.register(&key, due);
            }
            matching.due = due;
        }
        if matching.is_empty() {
            matches.remove(key.hash, key.key);
        }
        Ok(())
    }

    /// Looks at all keys for which something is to be done until `now`.
    fn fire(&mut self, now: Timestamp, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        while let Some(timer) = self.timers.pop_due(now) {
            self.cancelled.check()?;
            if let Some(matching) = self.matches.get_mut(timer.at().hash, timer.at().key) {
                matching.due = Timestamp::MAX;
            }
            self.catch_up(timer.at(), now, output)?;
        }
        Ok(())
    }
}

impl<K: Key, F: PatternProcessFunction> Operator for Cep<K, F> {
    type In = Keyed<K, F::In>;
    type Out = F::Out;

    fn identity(&self) -> String {
        self.identity.to_string()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        (self.clock, self.cancelled) = (context.clock.clone(), context.cancelled.clone());
        self.context = Some(context.clone());
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("matches", &mut self.matches);
        states.keyed("timers", &mut self.timers);
        self.watermark.states(states);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let reached = self.watermark.get();
        for Record { value: Keyed { hash, key, value }, timestamp } in batch.records.drain(..) {
            let time = match self.domain {
                TimeDomain::Processing => self.clock.now(),
                TimeDomain::Event if timestamp == NO_TIMESTAMP => {
                    return Err(
                        "a record without an event time: give its source a watermark strategy, or look for \
                                the pattern `in_processing_time`"
                            .into(),
                    );
                }
                TimeDomain::Event if timestamp <= reached => {
                    if let Some(context) = &self.context {
                        output.push_late(&context.metrics, self.late.as_ref(), value, timestamp);
                    }
                    continue;
                }
                TimeDomain::Event => timestamp,
            };
            let (key, matching) = self.matches.entry(hash, key).or_insert_pair(Matching::default);
            matching.waiting.push((time, value));
            if self.domain == TimeDomain::Processing {
                let key = key.clone();
                self.catch_up(CurrentKey { hash, key: &key }, time, output)?;
            } else if time < matching.due {
                let key = CurrentKey { hash, key };
                if matching.due != Timestamp::MAX {
                    self.timers.delete(&key, matching.due);
                }
                self.timers.register(&key, time);
                matching.due = time;
            }
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<F::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        if self.domain == TimeDomain::Event {
            self.fire(watermark, output)?;
        }
        self.watermark.advance(watermark);
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next().filter(|_| self.domain == TimeDomain::Processing)
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.fire(now, output)
    }
}
