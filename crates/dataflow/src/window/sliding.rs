//! Sliding windows: of the same length, one beginning every slide. A record belongs to as many as overlap.
//!
//! ```
//! use std::time::Duration;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::Collect;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::window::{AlignedWindows, Lateness, SlidingEventTimeWindows, TimeWindow, aggregate::Count};
//!
//! let windows = SlidingEventTimeWindows::of(Duration::from_millis(1000), Duration::from_millis(500));
//! let result = |_: &char, window: TimeWindow, n: u64, out: &mut Collect<'_, (i64, u64)>| {
//!     out.collect((window.start, n));
//!     Ok(())
//! };
//! let mut harness = Harness::new(AlignedWindows::new(windows, Lateness::default(), Count::new(), result));
//! harness.push(Keyed::new('a', ()), 700);
//! harness.push(Keyed::new('a', ()), 1200);
//! harness.end();
//! assert_eq!(harness.values(), [(0, 1), (500, 2), (1000, 1)]);
//! ```

use std::time::Duration;

use super::{Aligned, TimeDomain, WindowOffset};

/// Sliding windows of event time.
#[derive(Clone, Copy, Debug)]
pub struct SlidingEventTimeWindows;

impl SlidingEventTimeWindows {
    /// Windows of length `size`, one every `slide`, aligned with the epoch.
    pub fn of(size: Duration, slide: Duration) -> Aligned {
        Self::with_offset(size, slide, Duration::ZERO)
    }

    /// Windows of length `size`, one every `slide`, that begin `offset` after the epoch and its multiples, or before: see [`WindowOffset`].
    pub fn with_offset(size: Duration, slide: Duration, offset: impl Into<WindowOffset>) -> Aligned {
        Aligned::new(TimeDomain::Event, size, slide, offset)
    }
}

/// Sliding windows of processing time.
#[derive(Clone, Copy, Debug)]
pub struct SlidingProcessingTimeWindows;

impl SlidingProcessingTimeWindows {
    /// Windows of length `size`, one every `slide`, aligned with the epoch.
    pub fn of(size: Duration, slide: Duration) -> Aligned {
        Self::with_offset(size, slide, Duration::ZERO)
    }

    /// Windows of length `size`, one every `slide`, that begin `offset` after the epoch and its multiples, or before: see [`WindowOffset`].
    pub fn with_offset(size: Duration, slide: Duration, offset: impl Into<WindowOffset>) -> Aligned {
        Aligned::new(TimeDomain::Processing, size, slide, offset)
    }
}
