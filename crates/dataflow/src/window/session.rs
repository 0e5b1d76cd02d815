//! Session windows: a session of a key begins with a record and ends when none has come for the length of the gap.
//!
//! - **Records** begin a session or extend one; a record between two joins them. What a session holds is in the order of arrival,
//!   also if it was joined. A late one, whose session is over, goes to the side output and is counted; one within the allowed
//!   lateness makes its session fire again, joined with what it now belongs to.
//! - **Watermarks** fire the sessions that end at or before them, the earliest first, then pass. One that ends n sessions takes in
//!   the order of n log n, also if all are of one key. Sessions of processing time fire by the clock.
//! - **Barriers** pass. **The end** fires the sessions of processing time that are still open.
//! - **State**: keyed, `open-sessions`: of each key its sessions; union, `watermark`: the time that sessions have fired up to, so
//!   that what was late stays late.
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
use super::assigner::even;
use super::function::WindowFunction;
use super::runs::{Runs, Sessions};
use super::time::WindowTime;
use super::{Lateness, Session, TimeDomain, TimeWindow, WindowAssigner};
use crate::error::BoxError;
use crate::graph::Stream;
use crate::hash::key_hash;
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, Data, Keyed, Record};
use crate::state::{Deadlines, Key, KeyedTable, States, TimerQueue};
use crate::time::{MAX_WATERMARK, Timestamp, at_least_millis};
use crate::type_name::own_name;

/// Why sessions cannot have state of a window.
pub(super) const NO_STATE_OF_SESSIONS: &str = "state of a window is not there for session windows, as they are joined with others: whose would it be then? Let the \
     function's `WindowState` be `()`, and keep what it knows for each key (`states`), or in the aggregate's accumulator";

/// Sessions of event time.
#[derive(Clone, Copy, Debug)]
pub struct EventTimeSessionWindows;

impl EventTimeSessionWindows {
    /// Sessions that end when no record of the key has come for `gap`.
    pub fn with_gap(gap: Duration) -> Session {
        let (gap, uneven) = even(gap);
        Session { domain: TimeDomain::Event, gap, uneven }
    }

    /// Sessions that end when no record of the key has come for as long as the records say: a session lasts until the latest of its records' times
    /// and gaps (Flink's `withDynamicGap`). A gap below a millisecond fails the job.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dataflow::window::EventTimeSessionWindows;
    ///
    /// struct Click { patience: u64 }
    ///
    /// let sessions = EventTimeSessionWindows::with_dynamic_gap(|click: &Click| Duration::from_millis(click.patience));
    /// # let _ = sessions;
    /// ```
    pub fn with_dynamic_gap<T, F: FnMut(&T) -> Duration>(gap: F) -> DynamicSession<T, F> {
        DynamicSession { domain: TimeDomain::Event, gap, records: PhantomData }
    }
}

/// Sessions of processing time.
#[derive(Clone, Copy, Debug)]
pub struct ProcessingTimeSessionWindows;

impl ProcessingTimeSessionWindows {
    /// Sessions that end when no record of the key has come for `gap`.
    pub fn with_gap(gap: Duration) -> Session {
        let (gap, uneven) = even(gap);
        Session { domain: TimeDomain::Processing, gap, uneven }
    }

    /// Sessions that end when no record of the key has come for as long as the records say: see
    /// [`EventTimeSessionWindows::with_dynamic_gap`].
    pub fn with_dynamic_gap<T, F: FnMut(&T) -> Duration>(gap: F) -> DynamicSession<T, F> {
        DynamicSession { domain: TimeDomain::Processing, gap, records: PhantomData }
    }
}

/// How long after a record its session ends, if nothing comes.
pub trait SessionGap<T>: Clone + Send + 'static {
    /// Which time sessions are made of.
    fn domain(&self) -> TimeDomain;
    /// The gap after this record (milliseconds).
    fn after(&mut self, record: &T) -> i64;
}

impl<T> SessionGap<T> for Session {
    fn domain(&self) -> TimeDomain {
        self.domain
    }

    #[inline]
    fn after(&mut self, _: &T) -> i64 {
        self.gap
    }
}

/// Windows that span the records of one key between two gaps that the records themselves say.
pub struct DynamicSession<T, F> {
    domain: TimeDomain,
    gap: F,
    records: PhantomData<fn(T)>,
}

// Also of records that cannot be cloned.
impl<T, F: Clone> Clone for DynamicSession<T, F> {
    fn clone(&self) -> Self {
        Self { domain: self.domain, gap: self.gap.clone(), records: PhantomData }
    }
}

impl<T: 'static, F: FnMut(&T) -> Duration + Clone + Send + 'static> SessionGap<T> for DynamicSession<T, F> {
    fn domain(&self) -> TimeDomain {
        self.domain
    }

    #[inline]
    fn after(&mut self, record: &T) -> i64 {
        at_least_millis((self.gap)(record))
    }
}

impl<T: Data, F: FnMut(&T) -> Duration + Clone + Send + 'static> WindowAssigner<T> for DynamicSession<T, F> {
    fn call<K, A, G, Out>(
        self,
        stream: &Stream<Keyed<K, T>>,
        name: &str,
        lateness: Lateness<T>,
        aggregate: A,
        function: G,
    ) -> Stream<Out>
    where
        K: Key,
        A: AggregateFunction<In = T>,
        G: WindowFunction<K, A::Out, Out>,
        Out: Data,
    {
        if G::HAS_WINDOW_STATE {
            stream.graph().refuse(NO_STATE_OF_SESSIONS.to_owned());
        }
        let (domain, function_is) = (self.domain, function.identity());
        let what = format!("{domain:?} time, gap of the records {} {function_is}", own_name::<A>());
        stream
            .apply(name, SessionWindows::new(self, lateness, aggregate, function))
            .described(what.trim_end())
    }
}

/// The operator. See the [module](super).
#[derive(Clone, Debug)]
pub struct SessionWindows<K, A: AggregateFunction, F, Out, G = Session> {
    windows: G,
    lateness: Lateness<A::In>,
    aggregate: A,
    function: F,
    sessions: KeyedTable<K, Sessions<A::Accumulator>>,
    /// Of each session a time at or before which it has to be looked at: when it began, its last millisecond; then, as often as that
    /// finds it extended, its new one. So a record that extends a session sets nothing. Of those that have fired, the earliest of a
    /// key has the time at which it is forgotten. What is here follows from the sessions, and is no state.
    deadlines: Deadlines,
    /// Records are numbered as they come, from 1 on.
    sequence: u64,
    time: WindowTime,
    out: PhantomData<fn() -> Out>,
}

impl<K, A, F, Out, G> SessionWindows<K, A, F, Out, G>
where
    K: Key,
    A: AggregateFunction,
    G: SessionGap<A::In>,
    F: WindowFunction<K, A::Out, Out>,
    Out: Send + 'static,
{
    /// Aggregates by `aggregate`, and hands each key, session and result to `function` when a session fires.
    pub fn new(windows: G, lateness: Lateness<A::In>, aggregate: A, function: F) -> Self {
        let domain = windows.domain();
        Self {
            windows,
            lateness,
            aggregate,
            function,
            sessions: KeyedTable::default(),
            deadlines: Deadlines::default(),
            sequence: 0,
            time: WindowTime::new(domain),
            out: PhantomData,
        }
    }

    fn add(
        &mut self,
        Keyed { hash, key, value }: Keyed<K, A::In>,
        time: Timestamp,
        output: &mut Output<Out>,
    ) -> Result<(), BoxError> {
        let gap = self.windows.after(&value);
        if gap <= 0 {
            return Err(format!("a session gap of {gap} ms; it must be at least 1 ms").into());
        }
        let mut session = TimeWindow { start: time, end: time.saturating_add(gap) };
        let fired = self.time.fired();
        let Self { aggregate, sessions, sequence, deadlines, lateness, .. } = self;
        let forgotten_at = |session: TimeWindow| session.max_timestamp().saturating_add(lateness.allowed);
        let (key, Sessions { latest, sessions }) = if forgotten_at(session) > fired {
            sessions.entry(hash, key).or_insert_pair(Sessions::default)
        } else if let Some(known) = sessions.get_mut(hash, &key) {
            (&key, known)
        } else {
            self.time.late(lateness, value, time, output);
            return Ok(());
        };
        let first = sessions.partition_point(|(other, _)| other.end < session.start);
        let after = sessions.partition_point(|(other, _)| other.start <= session.end);
        if first < after {
            let ends = [first, after - 1].map(|index| sessions.get(index).map(|(other, _)| *other));
            for other in ends.into_iter().flatten() {
                session.start = session.start.min(other.start);
                session.end = session.end.max(other.end);
            }
        }
        let forgotten_at = forgotten_at(session);
        if forgotten_at <= fired {
            self.time.late(lateness, value, time, output);
            return Ok(());
        }
        let has_fired = session.max_timestamp() <= fired;
        *sequence += 1;
        // One that has not fired has a deadline that is early enough; one that is extended after it has fired may not.
        let needs_deadline = (first..after)
            .filter_map(|index| sessions.get(index))
            .all(|(other, _)| !has_fired && other.max_timestamp() <= fired);
        if after - first > 1 {
            let joined = sessions.drain(first..after).map(|(_, runs)| runs);
            if let Some(joined) = joined.reduce(|a, b| a.join(aggregate, b)) {
                sessions.insert(first, (session, joined));
            }
        }
        let is_only = sessions.len() == 1;
        if first == after {
            *latest = *sequence;
            sessions.insert(first, (session, Runs::of(aggregate, value, *sequence)));
        } else if let Some((span, runs)) = sessions.get_mut(first) {
            *span = session;
            if is_only {
                runs.close(aggregate, *latest);
            }
            runs.add(aggregate, value, *sequence, latest);
        }
        if needs_deadline {
            let time = if has_fired { forgotten_at } else { session.max_timestamp() };
            deadlines.register(time, hash);
        }
        if has_fired && let Some((_, runs)) = sessions.get(first) {
            let result = runs.result(aggregate);
            self.function.fire(self.time.window_of(key, session), result, output)?;
        }
        Ok(())
    }

    fn fire_until(&mut self, time: Timestamp, output: &mut Output<Out>) -> Result<(), BoxError> {
        let fired_before = self.time.fired();
        // In the same order in every run.
        while let Some((time, hash)) = self.deadlines.due(time) {
            self.time.check_cancelled()?;
            self.look_at(hash, time, fired_before, output)?;
        }
        self.time.advance(time);
        Ok(())
    }

    /// Does what is due for the sessions of the keys with this hash at `time`: fires the one that ends then, and forgets those whose time is
    /// over.
    fn look_at(
        &mut self,
        hash: u64,
        time: Timestamp,
        fired_before: Timestamp,
        output: &mut Output<Out>,
    ) -> Result<(), BoxError> {
        let allowed = self.lateness.allowed;
        let Self { aggregate, function, deadlines, sessions, time: window_time, .. } = self;
        let is_over = |session: TimeWindow| session.max_timestamp().saturating_add(allowed) <= time;
        sessions.look_at(hash, |key, known| {
            let mut set = |time| deadlines.register(time, hash);
            if let Some((session, runs)) = known.sessions.get(known.first_ending(time.saturating_add(1))) {
                if session.max_timestamp() > time && session.start <= time {
                    // It has been extended since.
                    set(session.max_timestamp());
                } else if session.max_timestamp() == time && time > fired_before {
                    function.fire(window_time.window_of(key, *session), runs.result(aggregate), output)?;
                }
            }
            while let Some(session) =
                known.sessions.get(0).map(|(session, _)| *session).filter(|first| is_over(*first))
            {
                known.sessions.pop_front();
                function.clear(window_time.window_of(key, session), output)?;
            }
            let first = known.sessions.get(0).map(|(first, _)| first.max_timestamp());
            if let Some(first) = first.filter(|first| *first <= time.max(fired_before)) {
                set(first.saturating_add(allowed));
            }
            Ok(first.is_some())
        })
    }

    /// Takes up what is known: sessions of a checkpoint that was written when they had no runs, and all deadlines.
    fn opened(&mut self, before: KeyedTable<K, Vec<(TimeWindow, A::Accumulator)>>) {
        for (key, sessions) in before.iter() {
            let sessions = sessions.iter().map(|(session, all)| (*session, Runs::One(0, all.clone())));
            self.sessions.insert(key_hash(key), key, Sessions { latest: 0, sessions: sessions.collect() });
        }
        let (fired, allowed) = (self.time.fired(), self.lateness.allowed);
        for (key, known) in self.sessions.iter() {
            let hash = key_hash(key);
            for (session, runs) in known.sessions.iter() {
                let last = session.max_timestamp();
                let time = if last > fired { last } else { last.saturating_add(allowed) };
                self.deadlines.register(time, hash);
                self.sequence = self.sequence.max(runs.last());
            }
            self.sequence = self.sequence.max(known.latest);
        }
    }
}

impl<K, A, F, Out, G> Operator for SessionWindows<K, A, F, Out, G>
where
    K: Key,
    A: AggregateFunction,
    G: SessionGap<A::In>,
    F: WindowFunction<K, A::Out, Out>,
    Out: Send + 'static,
{
    type In = Keyed<K, A::In>;
    type Out = Out;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        if F::HAS_WINDOW_STATE {
            return Err(NO_STATE_OF_SESSIONS.into());
        }
        self.time.open(context);
        self.function.open(context)
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("open-sessions", &mut self.sessions);
        self.function.states(states);
        if states.epoch().is_some() {
            self.time.states(states);
            return;
        }
        // What earlier versions wrote.
        let (mut before, mut timers) = (KeyedTable::default(), TimerQueue::<K>::default());
        states.keyed("sessions", &mut before);
        states.keyed("timers", &mut timers);
        self.time.states(states);
        if states.is_opening() {
            (self.deadlines, self.sequence) = (Deadlines::default(), 0);
            self.opened(before);
        }
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
        self.time.reach(watermark);
        if self.time.domain == TimeDomain::Event {
            self.fire_until(watermark, output)?;
        }
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        match self.time.domain {
            TimeDomain::Event => None,
            TimeDomain::Processing => self.deadlines.next().map(|last| last.saturating_add(1)),
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
