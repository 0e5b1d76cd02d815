//! Time, as the engine counts it: milliseconds since the Unix epoch, and the clocks that tell it.
//!
//! Operators never read a clock. They are told the processing time by the task that drives them
//! ([`TaskClock`]), which reads a [`Clock`] once a batch; so a test can hold time in its hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch (UTC), event time or processing time.
pub type Timestamp = i64;

/// A record without an event time. Such a record is never late, and an event-time window refuses it with an error.
pub const NO_TIMESTAMP: Timestamp = i64::MIN;

/// The watermark before any: no event time has been promised yet.
pub const MIN_WATERMARK: Timestamp = i64::MIN;

/// The watermark that says that all input has been read: every event-time timer fires.
pub const MAX_WATERMARK: Timestamp = i64::MAX;

/// A duration in whole milliseconds, saturating at `i64::MAX`.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The wall clock of a job: the machine's, or one that a test moves by hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is moved.
    Manual(ManualClock),
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        match self {
            // A machine whose clock stands before 1970 reads 0: timers then fire late, never early.
            Clock::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
            Clock::Manual(clock) => clock.now(),
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
