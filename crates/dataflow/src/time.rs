//! Time, as the engine counts it: milliseconds since the Unix epoch, and the clocks that tell it.
//!
//! Operators never read a clock. They are told the processing time by the task that drives them
//! ([`TaskClock`]), which reads a [`Clock`] once a batch; so a test can hold time in its hand.
//!
//! Clocks of machines are set back now and then. A job's never goes back ([`SteadyClock`]): batch times only grow, and neither batches nor
//! timers wait until a time comes round once more.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch (UTC), event time or processing time.
pub type Timestamp = i64;

/// A record without an event time. Such a record is never late, and an event-time window refuses it with an error.
pub const NO_TIMESTAMP: Timestamp = i64::MIN;

/// The watermark before any: no event time has been promised yet.
pub const MIN_WATERMARK: Timestamp = i64::MIN;

/// The watermark that says that all input has been read: every event-time timer fires.
pub const MAX_WATERMARK: Timestamp = i64::MAX;

/// A duration in milliseconds, what is beyond the last whole one left out, saturating at `i64::MAX`: what a clock shows. For what a user asks for
/// there are [`at_least_millis`] and [`whole_millis`], which leave nothing out.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A duration in milliseconds, rounded up, saturating at `i64::MAX`: for bounds and timeouts, which are kept for as long as was asked, and up to a
/// millisecond longer.
///
/// ```
/// use std::time::Duration;
/// use thalweg_dataflow::time::at_least_millis;
///
/// assert_eq!(at_least_millis(Duration::from_micros(1_500)), 2);
/// assert_eq!(at_least_millis(Duration::from_millis(2)), 2);
/// ```
pub fn at_least_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// A duration in milliseconds, if it is a whole number of them: for lengths that results depend on, such as those of windows and batches, which are
/// refused otherwise.
///
/// ```
/// use std::time::Duration;
/// use thalweg_dataflow::time::whole_millis;
///
/// assert_eq!(whole_millis(Duration::from_millis(2)), Some(2));
/// assert_eq!(whole_millis(Duration::from_micros(2_500)), None);
/// ```
pub fn whole_millis(duration: Duration) -> Option<i64> {
    duration.subsec_nanos().is_multiple_of(1_000_000).then(|| millis(duration))
}

/// The wall clock of a job: the machine's, or one that a test moves by hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is moved.
    Manual(ManualClock),
    /// One of the others that never goes back: what a job makes of its clock when it starts.
    Steady(SteadyClock),
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        match self {
            // A machine whose clock stands before 1970 reads 0: timers then fire late, never early.
            Clock::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
            Clock::Manual(clock) => clock.now(),
            Clock::Steady(clock) => clock.now(),
        }
    }

    /// This clock, as one that never goes back.
    pub(crate) fn steady(&self) -> Self {
        match self {
            Clock::Steady(_) => self.clone(),
            other => Clock::Steady(SteadyClock::new(other.clone())),
        }
    }

    /// Goes on from `time`, if it is not there yet: for what was done before by a clock that was ahead.
    pub(crate) fn go_on_from(&self, time: Timestamp) {
        if let Clock::Steady(clock) = self {
            clock.0.lock().unwrap_or_else(PoisonError::into_inner).go_on_from(time);
        }
    }

    /// Whether it is moved by hand, and so does not say when it will have moved.
    pub(crate) fn is_manual(&self) -> bool {
        match self {
            Clock::System => false,
            Clock::Manual(_) => true,
            Clock::Steady(clock) => {
                let state = clock.0.lock().unwrap_or_else(PoisonError::into_inner);
                matches!(state.clock, Clock::Manual(_))
            }
        }
    }
}

/// A clock that never goes back, whatever happens to the one underneath. When that is set back, it goes on from where it was, ahead of the
/// other by as much, until the other is set forward again. Clones show the same time.
#[derive(Clone, Debug)]
pub struct SteadyClock(Arc<Mutex<Steady>>);

#[derive(Debug)]
struct Steady {
    clock: Clock,
    /// What the clock underneath said last, and when that was, by one that cannot be set.
    last: Timestamp,
    at: Instant,
    /// So much it is ahead.
    ahead: i64,
    shown: Timestamp,
}

/// Between two readings, the clock of a machine that was not set may differ by so much from the one that cannot be set, in milliseconds: the
/// two are not read at the same moment.
const JITTER: i64 = 50;

impl SteadyClock {
    fn new(clock: Clock) -> Self {
        let (last, at) = (clock.now(), Instant::now());
        Self(Arc::new(Mutex::new(Steady { clock, last, at, ahead: 0, shown: last })))
    }

    /// The time it shows.
    pub fn now(&self) -> Timestamp {
        // The clock underneath is read under the lock, so that readings come in their order.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, at) = (state.clock.now(), Instant::now());
        state.step(read, at)
    }
}

impl Steady {
    fn step(&mut self, read: Timestamp, at: Instant) -> Timestamp {
        // One that is moved by hand does not pass by itself.
        let (passed, jitter) = match self.clock {
            Clock::Manual(_) => (0, 0),
            _ => (millis(at.saturating_duration_since(self.at)), JITTER),
        };
        let behind = self.last.saturating_add(passed).saturating_sub(read);
        if behind > jitter {
            self.ahead = self.ahead.saturating_add(behind);
            tracing::warn!(
                milliseconds = behind,
                "the clock has been set back; the time of the job goes on from where it was"
            );
        } else if behind < -jitter && self.ahead > 0 && jitter > 0 {
            self.ahead = self.ahead.saturating_add(behind).max(0);
        }
        (self.last, self.at) = (read, at);
        self.shown = self.shown.max(read.saturating_add(self.ahead));
        self.shown
    }

    fn go_on_from(&mut self, time: Timestamp) {
        if time > self.shown {
            self.ahead = self.ahead.saturating_add(time.saturating_sub(self.shown));
            self.shown = time;
        }
    }
}

/// A clock that a test moves by hand. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now)))
    }

    /// The time it shows.
    pub fn now(&self) -> Timestamp {
        self.0.load(Ordering::Acquire)
    }

    /// Moves it on by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(millis(duration), Ordering::AcqRel);
    }

    /// Sets it to `now`.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now, Ordering::Release);
    }
}

/// The processing time of one task, as of its current batch: written once a batch by the task, read by its operators.
#[derive(Clone, Debug, Default)]
pub struct TaskClock(Arc<AtomicI64>);

impl TaskClock {
    /// The processing time as of the current batch.
    #[inline]
    pub fn now(&self) -> Timestamp {
        self.0.load(Ordering::Relaxed)
    }

    /// Tells the operators that it is `now`.
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
        let start = Instant::now();
        let mut steady = Steady { clock: Clock::System, last: 10_000, at: start, ahead: 0, shown: 10_000 };
        let mut at = |read, passed| steady.step(read, start + Duration::from_millis(passed));
        assert_eq!(at(10_100, 100), 10_100);
        assert_eq!(at(10_090, 110), 10_100, "not read at the same moment");
        // Set back by a minute, it passes on at the speed of the other.
        assert_eq!(at(10_200 - 60_000, 200), 10_180);
        assert_eq!(at(10_900 - 60_000, 900), 10_880);
        assert_eq!(at(11_000, 1000), 11_000, "and is set forward again");
        assert_eq!(at(80_000, 1100), 80_000, "as it may be at any time");
    }

    #[test]
    fn so_does_one_that_is_moved_by_hand() {
        let manual = ManualClock::new(100_000);
        let steady = Clock::Manual(manual.clone()).steady();
        assert!(steady.is_manual() && !Clock::System.steady().is_manual());
        manual.set(40_000);
        assert_eq!(steady.now(), 100_000);
        manual.advance(Duration::from_secs(1));
        assert_eq!(steady.now(), 101_000);
        steady.go_on_from(100_500);
        assert_eq!(steady.now(), 101_000);
        steady.go_on_from(200_000);
        manual.advance(Duration::from_secs(1));
        assert_eq!(steady.now(), 201_000);
    }
}
