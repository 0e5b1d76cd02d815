//! The time that windows go by, event time or processing time, and what is late by it.

use std::sync::Arc;

use super::{Lateness, TimeDomain};
use crate::error::BoxError;
use crate::metrics::OperatorMetrics;
use crate::operator::{Cancelled, OperatorContext};
use crate::output::Output;
use crate::state::States;
use crate::time::{NO_TIMESTAMP, TaskClock, Timestamp};
use crate::watermark::CurrentWatermark;

/// The time of one window operator.
#[derive(Clone, Debug)]
pub(super) struct WindowTime {
    pub(super) domain: TimeDomain,
    /// Windows that end at or before it have fired.
    fired: CurrentWatermark,
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
