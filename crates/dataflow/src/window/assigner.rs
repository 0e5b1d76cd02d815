//! The assigner: which windows a record belongs to.

use std::time::Duration;

use super::aggregate::AggregateFunction;
use super::function::WindowFunction;
use super::session::NO_STATE_OF_SESSIONS;
use super::{AlignedWindows, FixedWindows, Lateness, SessionWindows, TimeWindow};
use crate::error::BoxError;
use crate::graph::Stream;
use crate::operators::Collect;
use crate::record::{Data, Keyed};
use crate::state::Key;
use crate::time::{Timestamp, at_least_millis, whole_millis};
use crate::type_name::own_name;

/// Which time a window is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeDomain {
    /// The records' own time. Windows end when the watermark has reached their end.
    Event,
    /// The time of the machine that works on them. No record is ever late. What is open when the input ends fires then.
    Processing,
}

/// Says which windows a record belongs to, and so which operator makes them.
pub trait WindowAssigner<T: Data>: Clone + Send + 'static {
    /// Adds these windows to a keyed stream, with any kind of function. When a window fires, `function` is handed each key, the window and the
    /// aggregate's result.
    fn call<K, A, F, Out>(
        self,
        stream: &Stream<Keyed<K, T>>,
        name: &str,
        lateness: Lateness<T>,
        aggregate: A,
        function: F,
    ) -> Stream<Out>
    where
        K: Key,
        A: AggregateFunction<In = T>,
        F: WindowFunction<K, A::Out, Out>,
        Out: Data;

    /// [`call`](Self::call) with a closure.
    fn apply<K, A, F, Out>(
        self,
        stream: &Stream<Keyed<K, T>>,
        name: &str,
        lateness: Lateness<T>,
        aggregate: A,
        function: F,
    ) -> Stream<Out>
    where
        K: Key,
        A: AggregateFunction<In = T>,
        F: FnMut(&K, TimeWindow, A::Out, &mut Collect<'_, Out>) -> Result<(), BoxError>
            + Clone
            + Send
            + 'static,
        Out: Data,
    {
        self.call(stream, name, lateness, aggregate, function)
    }
}

/// Windows of equal length that begin at regular times, the same for every key: tumbling and sliding ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aligned {
    pub(super) domain: TimeDomain,
    /// How long a window is, in milliseconds.
    pub(super) size: i64,
    /// The time from the beginning of one window to that of the next, in milliseconds.
    pub(super) slide: i64,
    /// When windows begin, counted from the epoch, in milliseconds.
    pub(super) offset: i64,
    /// The length of a pane: the greatest that divides size and slide.
    pub(super) pane: i64,
    /// One of them, as it was given, if it is no whole number of milliseconds: that is refused.
    uneven: Option<Duration>,
}

/// How long after the epoch and its multiples windows begin, or, if it is negative, before: a [`Duration`], or a number of milliseconds. It
/// must be less than the time from one window to the next. Days of a place eight hours ahead of UTC begin at `-8 * 3_600_000`.
///
/// Flink's `WindowStagger` is not there: it spreads the load of windows that fire at the same time, which here is that of one watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowOffset {
    millis: i64,
    uneven: Option<Duration>,
}

impl From<Duration> for WindowOffset {
    fn from(offset: Duration) -> Self {
        let (millis, uneven) = even(offset);
        Self { millis, uneven }
    }
}

impl From<i64> for WindowOffset {
    fn from(millis: i64) -> Self {
        Self { millis, uneven: None }
    }
}

/// Windows that span the records of one key between two gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub(super) domain: TimeDomain,
    /// So long without a record ends a session, in milliseconds.
    pub(super) gap: i64,
    /// The gap as it was given, if it is no whole number of milliseconds: that is refused.
    pub(super) uneven: Option<Duration>,
}

/// A length in milliseconds; and the length itself if that is not all of it.
pub(super) fn even(length: Duration) -> (i64, Option<Duration>) {
    match whole_millis(length) {
        Some(millis) => (millis, None),
        None => (at_least_millis(length), Some(length)),
    }
}

fn is_uneven(what: &str, length: Duration) -> String {
    format!("{what} of {length:?}; it must be a whole number of milliseconds")
}

impl<T: Data> WindowAssigner<T> for Aligned {
    fn call<K, A, F, Out>(
        self,
        stream: &Stream<Keyed<K, T>>,
        name: &str,
        lateness: Lateness<T>,
        aggregate: A,
        function: F,
    ) -> Stream<Out>
    where
        K: Key,
        A: AggregateFunction<In = T>,
        F: WindowFunction<K, A::Out, Out>,
        Out: Data,
    {
        if let Some(reason) = self.problem() {
            stream.graph().refuse(reason);
        }
        let what = format!("{} {} {}", self.describe(), own_name::<A>(), function.identity());
        stream
            .apply(name, AlignedWindows::new(self, lateness, aggregate, function))
            .described(what.trim_end())
    }
}

impl<T: Data> WindowAssigner<T> for Session {
    fn call<K, A, F, Out>(
        self,
        stream: &Stream<Keyed<K, T>>,
        name: &str,
        lateness: Lateness<T>,
        aggregate: A,
        function: F,
    ) -> Stream<Out>
    where
        K: Key,
        A: AggregateFunction<In = T>,
        F: WindowFunction<K, A::Out, Out>,
        Out: Data,
    {
        if let Some(gap) = self.uneven {
            stream.graph().refuse(is_uneven("sessions with a gap", gap));
        } else if self.gap <= 0 {
            stream
                .graph()
                .refuse(format!("sessions with a gap of {} ms; it must be at least 1 ms", self.gap));
        }
        if F::HAS_WINDOW_STATE {
            stream.graph().refuse(NO_STATE_OF_SESSIONS.to_owned());
        }
        let (domain, gap, function_is) = (self.domain, self.gap, function.identity());
        let what = format!("{domain:?} time, gap of {gap} ms {} {function_is}", own_name::<A>());
        stream
            .apply(name, SessionWindows::new(self, lateness, aggregate, function))
            .described(what.trim_end())
    }
}

impl Aligned {
    pub(super) fn new(
        domain: TimeDomain,
        size: Duration,
        slide: Duration,
        offset: impl Into<WindowOffset>,
    ) -> Self {
        let offset = offset.into();
        let ((size, uneven_size), (slide, uneven_slide)) = (even(size), even(slide));
        let uneven = uneven_size.or(uneven_slide).or(offset.uneven);
        Self { domain, size, slide, offset: offset.millis, pane: gcd(size, slide), uneven }
    }

    /// Why there can be no such windows.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { size, slide, offset, uneven, .. } = *self;
        if let Some(length) = uneven {
            return Some(is_uneven("windows with a length, slide or offset", length));
        }
        if size <= 0 || slide <= 0 {
            return Some(format!("windows of {size} ms, one every {slide} ms; both must be at least 1 ms"));
        }
        (offset.unsigned_abs() >= slide.unsigned_abs()).then(|| {
            format!("windows that begin every {slide} ms, with an offset of {offset} ms; it must be less than that")
        })
    }

    /// The beginning of the pane that a time belongs to.
    #[inline]
    pub(super) fn pane_of(&self, time: Timestamp) -> Timestamp {
        time.saturating_sub(since(time, self.offset, self.pane))
    }

    /// The window that begins at `start`.
    pub(super) fn beginning_at(&self, start: Timestamp) -> TimeWindow {
        TimeWindow { start, end: start.saturating_add(self.size) }
    }

    /// No window that has not fired, when those that end at or before `fired` have, begins before this time. `None`: all have.
    pub(super) fn first_unfired_start(&self, fired: Timestamp) -> Option<Timestamp> {
        self.unfired_from(fired).map(clamped)
    }

    fn unfired_from(&self, fired: Timestamp) -> Option<i128> {
        // The last millisecond of a window that is cut off at the end of time is the one before the last.
        (fired < Timestamp::MAX - 1).then(|| i128::from(fired) + 2 - i128::from(self.size))
    }

    /// No pane of a window that has not fired begins before this time. `None`: all have fired.
    pub(super) fn first_unfired_pane(&self, fired: Timestamp) -> Option<Timestamp> {
        let start = self.unfired_from(fired)?;
        let into = (start - i128::from(self.offset)).rem_euclid(i128::from(self.slide));
        Some(clamped(if into == 0 { start } else { start + i128::from(self.slide) - into }))
    }

    /// The first window of a pane that has not fired.
    pub(super) fn first_unfired(&self, pane: Timestamp, fired: Timestamp) -> Option<TimeWindow> {
        let Self { size, slide, offset, .. } = *self;
        let into = since(pane, offset, slide);
        let earlier = (size - 1 - into).div_euclid(slide);
        let ahead = i128::from(pane) + i128::from(size) - i128::from(into) - i128::from(fired) - 2;
        let unfired = i128::from(earlier).min(ahead.div_euclid(i128::from(slide)));
        (unfired >= 0 && earlier >= 0).then(|| self.spanning(pane, into + unfired as i64 * slide))
    }

    /// The window that began so long before a pane.
    fn spanning(&self, pane: Timestamp, before: i64) -> TimeWindow {
        // Of the sum and the difference at most one is cut off, as the window spans the pane's beginning.
        TimeWindow { start: pane.saturating_sub(before), end: pane.saturating_add(self.size - before) }
    }

    /// The windows that a pane is part of, the earliest first. None if it lies in a gap between windows. Those that would begin before
    /// time does, or end after it, are cut off there.
    pub(super) fn windows_of(&self, pane: Timestamp) -> impl DoubleEndedIterator<Item = TimeWindow> + use<> {
        let windows @ Self { size, slide, offset, .. } = *self;
        let into = since(pane, offset, slide);
        let earlier = (size - 1 - into).div_euclid(slide);
        (0..=earlier).rev().map(move |n| windows.spanning(pane, into + n * slide))
    }
}

/// How far `time` is into its period, of periods that begin at `offset`.
#[inline]
fn since(time: Timestamp, offset: i64, period: i64) -> i64 {
    // Times near the ends of the range have no difference that is a number of 64 bits.
    match time.checked_sub(offset) {
        Some(time) => time.rem_euclid(period),
        None => (i128::from(time) - i128::from(offset)).rem_euclid(i128::from(period)) as i64,
    }
}

fn clamped(time: i128) -> Timestamp {
    time.clamp(i128::from(Timestamp::MIN), i128::from(Timestamp::MAX)) as Timestamp
}

fn gcd(a: i64, b: i64) -> i64 {
    if b <= 0 { a.max(1) } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_is_in_the_windows_that_span_it(
            time in -100_i64..100, size in 1_i64..30, slide in 1_i64..30, offset in -30_i64..30,
        ) {
            let ms = |n: i64| Duration::from_millis(n as u64);
            let aligned = Aligned::new(TimeDomain::Event, ms(size), ms(slide), offset);
            let found: Vec<TimeWindow> = aligned.windows_of(aligned.pane_of(time)).collect();
            let expected: Vec<TimeWindow> = (-200_i64..200)
                .map(|n| offset + n * slide)
                .filter(|start| *start <= time && time < start + size)
                .map(|start| TimeWindow { start, end: start + size })
                .collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_first_window_that_has_not_fired_is_found_without_looking_at_all(
            pane in -100_i64..100, size in 1_i64..30, slide in 1_i64..30, offset in -30_i64..30, fired in -150_i64..150,
        ) {
            let ms = |n: i64| Duration::from_millis(n as u64);
            let aligned = Aligned::new(TimeDomain::Event, ms(size), ms(slide), offset);
            let pane = aligned.pane_of(pane);
            let unfired = |window: &TimeWindow| window.max_timestamp() > fired;
            let expected = aligned.windows_of(pane).find(unfired);
            prop_assert_eq!(aligned.first_unfired(pane, fired), expected);
            if let Some(window) = expected {
                prop_assert!(aligned.first_unfired_pane(fired).is_some_and(|first| first <= pane));
                prop_assert!(aligned.first_unfired_start(fired).is_some_and(|first| first <= window.start));
            } else if aligned.windows_of(pane).next().is_some() {
                prop_assert!(aligned.first_unfired_pane(fired).is_none_or(|first| first > pane));
            }
        }
    }
}
