//! Session windows: a session of a key begins with a record and ends when none has come for the length of the gap.
//!
//! - **Records** begin a session or extend one; a record between two joins them. A late one, whose session is
//!   over, goes to the side output and is counted; one within the allowed lateness makes its session fire
//!   again, joined with what it now belongs to.
//! - **Watermarks** fire the sessions that end at or before them, then pass. Sessions of processing time fire
//!   by the clock.
//! - **Barriers** pass. **The end** fires the sessions of processing time that are still open.
//! - **State**: keyed, `sessions`: of each key its sessions; keyed, `timers`: when they end; union,
//!   `watermark`: the time that sessions have fired up to, so that what was late stays late.
//!
//! ```
//! use std::time::Duration;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::Collect;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::window::{EventTimeSessionWindows, Lateness, SessionWindows, TimeWindow, aggregate::Count};
//!
//! let sessions = EventTimeSessionWindows::with_gap(Duration::from_millis(100));
//! let result = |_: &char, window: TimeWindow, n: u64, out: &mut Collect<'_, (i64, i64, u64)>| {
//!     out.collect((window.start, window.end, n));
//!     Ok(())
//! };
//! let mut harness = Harness::new(SessionWindows::new(sessions, Lateness::default(), Count::new(), result));
//! for time in [10, 50, 300] {
//!     harness.push(Keyed::new('a', ()), time);
//! }
//! harness.end();
//! assert_eq!(harness.values(), [(10, 150, 2), (300, 400, 1)]);
//! ```

use std::marker::PhantomData;
use std::time::Duration;

use super::aggregate::AggregateFunction;
use super::time::WindowTime;
use super::{Lateness, Session, TimeDomain, TimeWindow};
use crate::error::BoxError;
use crate::operator::{Operator, OperatorContext};
use crate::operators::Collect;
use crate::output::Output;
use crate::record::{Batch, Keyed, Record};
use crate::state::{Key, KeyedTable, States, TimerQueue};
use crate::time::{MAX_WATERMARK, Timestamp, millis};

/// Sessions of event time.
#[derive(Clone, Copy, Debug)]
pub struct EventTimeSessionWindows;

impl EventTimeSessionWindows {
    /// Sessions that end when no record of the key has come for `gap`.
    pub fn with_gap(gap: Duration) -> Session {
        Session { domain: TimeDomain::Event, gap: millis(gap) }
    }
}

/// Sessions of processing time.
#[derive(Clone, Copy, Debug)]
pub struct ProcessingTimeSessionWindows;

impl ProcessingTimeSessionWindows {
    /// Sessions that end when no record of the key has come for `gap`.
    pub fn with_gap(gap: Duration) -> Session {
        Session { domain: TimeDomain::Processing, gap: millis(gap) }
    }
}

/// The operator. See the [module](super).
#[derive(Clone, Debug)]
pub struct SessionWindows<K, A: AggregateFunction, F, Out> {
    windows: Session,
    lateness: Lateness<A::In>,
    aggregate: A,
    function: F,
    /// Of each key its sessions, the earliest first. They do not touch.
    sessions: KeyedTable<K, Vec<(TimeWindow, A::Accumulator)>>,
    /// Of each session a time at or before which it has to be looked at: when it began, its last millisecond; then, as often as that
    /// finds it extended, its new one; at last that after which it is forgotten. So a record that extends a session sets no timer.
    timers: TimerQueue<K>,
    time: WindowTime,
    out: PhantomData<fn() -> Out>,
}

impl<K, A, F, Out> SessionWindows<K, A, F, Out>
where
    K: Key,
    A: AggregateFunction,
    F: FnMut(&K, TimeWindow, A::Out, &mut Collect<'_, Out>) -> Result<(), BoxError>,
    Out: Send + 'static,
{
    /// Aggregates by `aggregate`, and hands each key, session and result to `function` when a session fires.
    pub fn new(windows: Session, lateness: Lateness<A::In>, aggregate: A, function: F) -> Self {
        Self {
            windows,
            lateness,
            aggregate,
            function,
            sessions: KeyedTable::default(),
            timers: TimerQueue::default(),
            time: WindowTime::new(windows.domain),
            out: PhantomData,
        }
    }

    /// The last time at which a session is still known.
    fn forgotten_at(&self, session: TimeWindow) -> Timestamp {
        session.max_timestamp().saturating_add(self.lateness.allowed)
    }

    fn add(
        &mut self,
        Keyed { hash, key, value }: Keyed<K, A::In>,
        time: Timestamp,
        output: &mut Output<Out>,
    ) -> Result<(), BoxError> {
        let mut session = TimeWindow { start: time, end: time.saturating_add(self.windows.gap) };
        let known = self.sessions.get(hash, &key).map_or(&[][..], Vec::as_slice);
        let first = known.partition_point(|(other, _)| other.end < session.start);
        let after = known.partition_point(|(other, _)| other.start <= session.end);
        if let [(earliest, _), ..] = &known[first..after] {
            session.start = session.start.min(earliest.start);
        }
        if let [.., (latest, _)] = &known[first..after] {
            session.end = session.end.max(latest.end);
        }
        if self.forgotten_at(session) <= self.time.fired() {
            self.time.late(&self.lateness, value, time, output);
            return Ok(());
        }
        let (fired, forgotten_at) = (self.time.fired(), self.forgotten_at(session));
        let has_fired = session.max_timestamp() <= fired;
        // One that has not fired has a timer that is early enough; one that is extended after it has fired may not.
        let needs_timer =
            known[first..after].iter().all(|(other, _)| !has_fired && other.max_timestamp() <= fired);
        let Self { aggregate, sessions, timers, .. } = self;
        let known = sessions.entry(hash, key.clone()).or_insert_with(Vec::new);
        let joined = known.drain(first..after).map(|(_, accumulator)| accumulator);
        let mut accumulator =
            joined.reduce(|a, b| aggregate.merge(a, b)).unwrap_or_else(|| aggregate.create_accumulator());
        aggregate.add(&mut accumulator, value);
        let result = has_fired.then(|| aggregate.get_result(&accumulator));
        known.insert(first, (session, accumulator));
        let keyed = Keyed { hash, key, value: () };
        if needs_timer {
            timers.register(&keyed.at(), if has_fired { forgotten_at } else { session.max_timestamp() });
        }
        if let Some(result) = result {
            (self.function)(&keyed.key, session, result, &mut Collect::new(output, session.max_timestamp()))?;
        }
        Ok(())
    }

    fn fire_until(&mut self, time: Timestamp, output: &mut Output<Out>) -> Result<(), BoxError> {
        let fired_before = self.time.fired();
        while let Some(timer) = self.timers.pop_due(time) {
            let key = timer.at();
            let Some(sessions) = self.sessions.get_mut(key.hash, key.key) else { continue };
            // The timer of a session that was extended since finds none that ends there.
            if timer.time > fired_before
                && let Some((session, accumulator)) =
                    sessions.iter().find(|(session, _)| session.max_timestamp() == timer.time)
            {
                let result = self.aggregate.get_result(accumulator);
                (self.function)(key.key, *session, result, &mut Collect::new(output, timer.time))?;
            }
            let allowed = self.lateness.allowed;
            sessions.retain(|(session, _)| session.max_timestamp().saturating_add(allowed) > timer.time);
            for (session, _) in sessions.iter() {
                let last = session.max_timestamp();
                let next = if last > timer.time { last } else { last.saturating_add(allowed) };
                self.timers.register(&key, next);
            }
            if sessions.is_empty() {
                self.sessions.remove(key.hash, key.key);
            }
        }
        self.time.advance(time);
        Ok(())
    }
}

impl<K, A, F, Out> Operator for SessionWindows<K, A, F, Out>
where
    K: Key,
    A: AggregateFunction,
    F: FnMut(&K, TimeWindow, A::Out, &mut Collect<'_, Out>) -> Result<(), BoxError> + Send + 'static,
    Out: Send + 'static,
{
    type In = Keyed<K, A::In>;
    type Out = Out;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.time.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("sessions", &mut self.sessions);
        states.keyed("timers", &mut self.timers);
        self.time.states(states);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<Out>) -> Result<(), BoxError> {
        let times = self.time.of_batch();
        for Record { value, timestamp } in batch.records.drain(..) {
            let time = times.of(timestamp)?;
            self.add(value, time, output)?;
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        if self.time.domain == TimeDomain::Event {
            self.fire_until(watermark, output)?;
        }
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        match self.time.domain {
            TimeDomain::Event => None,
            TimeDomain::Processing => self.timers.next().map(|last| last.saturating_add(1)),
        }
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<Out>) -> Result<(), BoxError> {
        self.fire_until(now - 1, output)
    }

    fn end(&mut self, output: &mut Output<Out>) -> Result<(), BoxError> {
        match self.time.domain {
            TimeDomain::Event => Ok(()),
            TimeDomain::Processing => self.fire_until(MAX_WATERMARK, output),
        }
    }
}

#[cfg(test)]
mod tests;
