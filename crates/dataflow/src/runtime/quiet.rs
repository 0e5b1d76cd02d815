//! Whether it is of any use to cut the stream, now that it is due: hardly ever, if nothing moves.

use std::time::{Duration, Instant};

use crate::metrics::JobMetrics;

/// A job in which no record moves is cut so often all the same: for what moves no records, timers that clear state say, and to see
/// whether another instance has taken its place.
const QUIET: Duration = Duration::from_millis(500);

/// When the last cut was begun, and how many records the job's operators had been handed and had handed on by then.
#[derive(Debug, Default)]
pub(super) struct Quiet(Option<(Instant, u64)>);

impl Quiet {
    /// Whether records have moved since the last cut, or it was long ago; if so, the next one begins now.
    pub(super) fn is_over(&mut self, metrics: &JobMetrics) -> bool {
        let counts = metrics.operators.iter().map(|(_, metrics)| metrics);
        let moved = counts.map(|metrics| metrics.records_in.get().wrapping_add(metrics.records_out.get()));
        let moved = moved.fold(0, u64::wrapping_add);
        if self.0.is_some_and(|(at, before)| before == moved && at.elapsed() < QUIET) {
            return false;
        }
        self.0 = Some((Instant::now(), moved));
        true
    }
}
