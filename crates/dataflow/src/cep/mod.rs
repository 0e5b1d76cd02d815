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
//! - **State**: keyed, `matches`; union, `watermark`. It belongs to this pattern: with another name, order or
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
use crate::hash::key_hash;
use crate::operator::{Cancelled, Operator, OperatorContext};
use crate::operators::ProcessContext;
use crate::output::{Output, OutputTag};
use crate::record::{Batch, Keyed, Record};
use crate::state::{Deadlines, Key, KeyedTable, StateData, States, TimerQueue};
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
    /// When keys are to be looked at: it follows from `matches`, and is no state.
    deadlines: Deadlines,
    /// Room of keys of which nothing is known any more, for others.
    spare: Vec<Matching<F::In>>,
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
            deadlines: Deadlines::default(),
            spare: Vec::new(),
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

    /// Looks at all keys for which something is to be done until `now`.
    fn fire(&mut self, now: Timestamp, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        // In the same order in every run.
        while let Some((time, hash)) = self.deadlines.due(now) {
            self.cancelled.check()?;
            let (matches, spare, mut looking) = self.looking(output);
            matches.look_at(hash, |_, matching| {
                if looking.is_due(matching, hash, time) {
                    looking.catch_up(matching, hash, now)?;
                }
                Ok::<_, BoxError>(!put_away(matching, spare))
            })?;
        }
        self.tidy();
        Ok(())
    }

    /// Makes the calendar anew when most of it is of keys of which nothing is known any more.
    fn tidy(&mut self) {
        if self.deadlines.len() > 64 + 4 * self.matches.len() {
            self.enter_all();
        }
    }

    fn looking<'a>(&'a mut self, output: &'a mut Output<F::Out>) -> Parts<'a, K, F> {
        let Self { automaton, function, matches, deadlines, spare, watermark, clock, scratch, .. } = self;
        let watermark = watermark.get();
        (matches, spare, Looking { automaton, function, deadlines, scratch, watermark, clock, output })
    }

    /// Makes the calendar of what is known.
    fn enter_all(&mut self) {
        self.deadlines = Deadlines::default();
        for (key, matching) in self.matches.iter() {
            let hash = key_hash(key);
            for time in matching.deadlines(self.automaton.within) {
                self.deadlines.register(time, hash);
            }
        }
    }
}

/// So many matchings are kept for their room.
const SPARE: usize = 1024;

/// Whether nothing is known of a key. Its room is then kept for others.
fn put_away<T>(matching: &mut Matching<T>, spare: &mut Vec<Matching<T>>) -> bool {
    let is_empty = matching.is_empty();
    if is_empty && spare.len() < SPARE {
        spare.extend(matching.take_room());
    }
    is_empty
}

/// What is known of all keys, room, and what it takes to look at one.
type Parts<'a, K, F> = (
    &'a mut KeyedTable<K, Matching<<F as PatternProcessFunction>::In>>,
    &'a mut Vec<Matching<<F as PatternProcessFunction>::In>>,
    Looking<'a, F>,
);

/// What it takes to look at what is known of a key.
struct Looking<'a, F: PatternProcessFunction> {
    automaton: &'a Automaton<F::In>,
    function: &'a mut F,
    deadlines: &'a mut Deadlines,
    scratch: &'a mut Scratch,
    watermark: Timestamp,
    clock: &'a TaskClock,
    output: &'a mut Output<F::Out>,
}

impl<F: PatternProcessFunction> Looking<'_, F> {
    /// Whether something is to be done at `time`, for which a key stood in the calendar. If that was set for a match that is no more, it is
    /// put off to when the next one is over.
    fn is_due(&mut self, matching: &mut Matching<F::In>, hash: u64, time: Timestamp) -> bool {
        let over = matching.next_over(self.automaton.within);
        let is_due = matching.due.min(over) <= time;
        if !is_due && matching.over == time {
            matching.over = over;
            self.set(over, hash);
        }
        is_due
    }

    fn set(&mut self, time: Timestamp, hash: u64) {
        if time != Timestamp::MAX {
            self.deadlines.register(time, hash);
        }
    }

    /// Looks at what has come of a key until `now`, and says when it is to be looked at next.
    fn catch_up(
        &mut self,
        matching: &mut Matching<F::In>,
        hash: u64,
        now: Timestamp,
    ) -> Result<(), BoxError> {
        let Self { automaton, function, scratch, watermark, clock, output, .. } = self;
        let mut emit = |found: Found<'_, F::In>, timestamp| {
            let mut context = ProcessContext { output, timestamp, watermark: *watermark, clock };
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
        matching.due = matching.waiting.first().map_or(Timestamp::MAX, |(time, _)| *time);
        self.set(matching.due, hash);
        let over = matching.next_over(self.automaton.within);
        // One that is too early finds that out then, and is put off: so most matches need none of their own.
        if matching.over <= now || matching.over > over {
            matching.over = over;
            self.set(over, hash);
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
        if states.epoch().is_none() {
            // What earlier versions wrote.
            states.keyed("timers", &mut TimerQueue::<K>::default());
        }
        self.watermark.states(states);
        if states.is_opening() {
            self.enter_all();
        }
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
            let is_new = || self.spare.pop().unwrap_or_default();
            let (key, matching) = self.matches.entry(hash, key).or_insert_pair(is_new);
            matching.waiting.push((time, value));
            if self.domain == TimeDomain::Event {
                if time < matching.due {
                    matching.due = time;
                    self.deadlines.register(time, hash);
                }
                continue;
            }
            let key = key.clone();
            let (matches, spare, mut looking) = self.looking(output);
            let Some(matching) = matches.get_mut(hash, &key) else { continue };
            looking.catch_up(matching, hash, time)?;
            if put_away(matching, spare) {
                matches.remove(hash, &key);
            }
        }
        if self.domain == TimeDomain::Processing {
            self.tidy();
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
        self.deadlines.next().filter(|_| self.domain == TimeDomain::Processing)
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.fire(now, output)
    }
}
