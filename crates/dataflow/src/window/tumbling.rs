//! Tumbling windows: one after the other, of the same length. Each record belongs to one.
//!
//! ```
//! use std::time::Duration;
//! use thalweg_dataflow::harness::{Event, Harness};
//! use thalweg_dataflow::operators::Collect;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::window::{AlignedWindows, Lateness, TimeWindow, TumblingEventTimeWindows, aggregate::Count};
//!
//! let each_second = TumblingEventTimeWindows::of(Duration::from_secs(1));
//! let result = |key: &char, window: TimeWindow, n: u64, out: &mut Collect<'_, (char, i64, u64)>| {
//!     out.collect((*key, window.start, n));
//!     Ok(())
//! };
//! let mut harness = Harness::new(AlignedWindows::new(each_second, Lateness::default(), Count::new(), result));
//! for (key, time) in [('a', 100), ('b', 200), ('a', 900), ('a', 1100)] {
//!     harness.push(Keyed::new(key, ()), time);
//! }
//! harness.watermark(999);
//! let mut first = harness.values();
//! first.sort();
//! assert_eq!(first, [('a', 0, 2), ('b', 0, 1)]);
//! ```

use std::time::Duration;

use super::{Aligned, TimeDomain, WindowOffset};

/// Tumbling windows of event time.
#[derive(Clone, Copy, Debug)]
pub struct TumblingEventTimeWindows;

impl TumblingEventTimeWindows {
    /// Windows of this length, aligned with the epoch: hours begin with the hour (UTC).
    pub fn of(size: Duration) -> Aligned {
        Self::with_offset(size, Duration::ZERO)
    }

    /// Windows of this length that begin `offset` after the epoch and its multiples, or before: see [`WindowOffset`].
    pub fn with_offset(size: Duration, offset: impl Into<WindowOffset>) -> Aligned {
        Aligned::new(TimeDomain::Event, size, size, offset)
    }
}

/// Tumbling windows of processing time.
#[derive(Clone, Copy, Debug)]
pub struct TumblingProcessingTimeWindows;

impl TumblingProcessingTimeWindows {
    /// Windows of this length, aligned with the epoch: hours begin with the hour (UTC).
    pub fn of(size: Duration) -> Aligned {
        Self::with_offset(size, Duration::ZERO)
    }

    /// Windows of this length that begin `offset` after the epoch and its multiples, or before: see [`WindowOffset`].
    pub fn with_offset(size: Duration, offset: impl Into<WindowOffset>) -> Aligned {
        Aligned::new(TimeDomain::Processing, size, size, offset)
    }
}
