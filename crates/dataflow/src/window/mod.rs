//! Windows: finite pieces of a keyed stream, aggregated key by key.
//!
//! A window is an *assigner* ([`Aligned`], [`Session`]: which windows a record belongs to), an
//! [*aggregate*](aggregate::AggregateFunction) (what is kept of its records) and a *window function* (what is
//! emitted when it fires). It fires when the watermark, or the processing time, reaches its end; a result has
//! the window's last millisecond as its event time, so it is never late.
//!
//! Tumbling and sliding windows are aligned: they begin at the same times for every key. [`AlignedWindows`]
//! cuts them into *panes* that no window begins or ends within, so a record is added once, however many windows
//! overlap, if the aggregate is [commutative](aggregate::AggregateFunction::COMMUTATIVE); otherwise to each window, in the order
//! of arrival. Sessions begin and end with the records of their key: [`SessionWindows`].
//!
//! **Late records.** A record is late when all its windows are over: when the watermark has passed their ends
//! by more than the allowed lateness. It goes to the late side output if there is one, and is counted in any
//! case ([`OperatorMetrics::late_records`](crate::metrics::OperatorMetrics)). A record that comes within the
//! allowed lateness makes its windows fire once more for its key, with the corrected result.

pub mod aggregate;
pub mod aligned;
pub mod assigner;
pub mod evictor;
pub mod function;
pub mod global;
mod panes;
mod runs;
pub mod session;
pub mod sliding;
mod time;
pub mod trigger;
pub mod triggered;
pub mod tumbling;

use std::fmt;

pub use aligned::AlignedWindows;
pub use assigner::{Aligned, Session, TimeDomain, WindowAssigner, WindowOffset};
pub use function::{
    ProcessWindow, ProcessWindowFunction, WindowContext, WindowContextOf, WindowFunction, WindowOf,
};
pub use global::{FixedWindows, GlobalWindows};
pub use session::{
    DynamicSession, EventTimeSessionWindows, ProcessingTimeSessionWindows, SessionGap, SessionWindows,
};
pub use sliding::{SlidingEventTimeWindows, SlidingProcessingTimeWindows};
pub use triggered::TriggeredWindows;
pub use tumbling::{TumblingEventTimeWindows, TumblingProcessingTimeWindows};

use crate::output::OutputTag;
use crate::time::Timestamp;

/// The time that a window spans, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct TimeWindow {
    /// Its first millisecond.
    pub start: Timestamp,
    /// The millisecond after its last.
    pub end: Timestamp,
}

impl TimeWindow {
    /// The last millisecond that belongs to it: the event time of its result.
    #[inline]
    pub fn max_timestamp(&self) -> Timestamp {
        self.end - 1
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// What becomes of late records.
#[derive(Clone, Debug)]
pub struct Lateness<T> {
    /// How long after its end a window is kept for late records, in milliseconds.
    pub allowed: i64,
    /// Where records go that come even later.
    pub tag: Option<OutputTag<T>>,
}

impl<T> Default for Lateness<T> {
    fn default() -> Self {
        Self { allowed: 0, tag: None }
    }
}
