//! The time that windows go by, event time or processing time, and what is late by it.

use std::sync::Arc;

use super::function::WindowOf;
use super::{Lateness, TimeDomain, TimeWindow};
use crate::error::BoxError;
use crate::metrics::OperatorMetrics;
use crate::operator::{Cancelled, OperatorContext};
use crate::output::Output;
use crate::state::States;
use crate::time::{MIN_WATERMARK, NO_TIMESTAMP, TaskClock, Timestamp};
use crate::watermark::CurrentWatermark;

/// The time of one window operator.
#[derive(Clone, Debug)]
pub(super) struct WindowTime {
    pub(super) domain: TimeDomain,
    /// Windows that end at or before it have fired.
    fired: CurrentWatermark,
    /// The watermark that has come last.
    watermark: Timestamp,
    clock: TaskClock,
    metrics: Arc<OperatorMetrics>,
    cancelled: Cancelled,
}

/// What the time of the records of one batch is. The clock is read once for all of them.
#[derive(Clone, Copy)]
pub(super) enum RecordTime {
    Own,
    Now(Timestamp),
}

impl RecordTime {
    /// The time of a record.
    #[inline]
    pub(super) fn of(self, timestamp: Timestamp) -> Result<Timestamp, BoxError> {
        match self {
            Self::Now(now) => Ok(now),
            Self::Own if timestamp != NO_TIMESTAMP => Ok(timestamp),
            Self::Own => Err(no_event_time()),
        }
    }
}

#[cold]
pub(super) fn no_event_time() -> BoxError {
    "a record without an event time cannot be put into a window of event time; give the source a WatermarkStrategy \
     with a timestamp assigner, or use windows of processing time"
        .into()
}

impl WindowTime {
    pub(super) fn new(domain: TimeDomain) -> Self {
        Self {
            domain,
            fired: CurrentWatermark::default(),
            watermark: MIN_WATERMARK,
            clock: TaskClock::default(),
            metrics: Arc::default(),
            cancelled: Cancelled::default(),
        }
    }

    pub(super) fn open(&mut self, context: &OperatorContext) {
        (self.clock, self.metrics) = (context.clock.clone(), context.metrics.clone());
        self.cancelled = context.cancelled.clone();
    }

    /// Ends the work on very many windows if the job has been cancelled.
    #[inline]
    pub(super) fn check_cancelled(&self) -> Result<(), BoxError> {
        self.cancelled.check()
    }

    pub(super) fn states(&mut self, states: &mut States<'_>) {
        self.fired.states(states);
    }

    /// Windows that end at or before it have fired.
    #[inline]
    pub(super) fn fired(&self) -> Timestamp {
        self.fired.get()
    }

    /// A watermark has come. Windows that it ends have yet to fire.
    pub(super) fn reach(&mut self, watermark: Timestamp) {
        self.watermark = self.watermark.max(watermark);
    }

    /// The window of a key, as its function sees it.
    #[inline]
    pub(super) fn window_of<'a, K>(&'a self, key: &'a K, window: TimeWindow) -> WindowOf<'a, K> {
        let watermark = match self.domain {
            // After a restore the next one has not come yet.
            TimeDomain::Event => self.watermark.max(self.fired()),
            TimeDomain::Processing => self.watermark,
        };
        WindowOf { key, window, watermark, clock: &self.clock }
    }

    pub(super) fn advance(&mut self, time: Timestamp) {
        self.fired.advance(time);
    }

    /// The time of the records of the batch that is about to be worked on.
    pub(super) fn of_batch(&self) -> RecordTime {
        match self.domain {
            TimeDomain::Event => RecordTime::Own,
            // A clock that was set back must not make records late.
            TimeDomain::Processing => RecordTime::Now(self.clock.now().max(self.fired().saturating_add(1))),
        }
    }

    /// Counts a record that is late, and hands it to the side output that there may be.
    pub(super) fn late<T: Send + 'static, Out: Send + 'static>(
        &self,
        lateness: &Lateness<T>,
        value: T,
        time: Timestamp,
        output: &mut Output<Out>,
    ) {
        output.push_late(&self.metrics, lateness.tag.as_ref(), value, time);
    }
}
