//! How fast a compaction goes, and whether it goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::log::compaction::Halted;
use crate::metrics::CleanerTotals;

/// Bytes after which to look up, and how many of those that are allowed in a second.
const STRETCH: u64 = 1 << 20;
const STRETCHES_A_SECOND: f64 = 20.0;
/// The longest sleep, so that it is noticed that the broker stops, or a topic is deleted.
const NAP: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    stop: &'a AtomicBool,
    totals: &'a CleanerTotals,
    /// Bytes read and written, in a second.
    limit: f64,
    /// When the bytes of this stretch began.
    since: Instant,
    bytes: u64,
    read: u64,
}

impl<'a> Pace<'a> {
    pub(crate) fn new(stop: &'a AtomicBool, totals: &'a CleanerTotals) -> Self {
        Self { stop, totals, limit: f64::MAX, since: Instant::now(), bytes: 0, read: 0 }
    }

    /// Sets how many bytes may be read and written in a second.
    pub(crate) fn set_limit(&mut self, bytes_per_second: f64) {
        self.limit = bytes_per_second;
    }

    /// So many bytes were read. Now and then it is seen whether somebody wants an end; sleeps, if they came too fast.
    pub(super) fn read(&mut self, bytes: usize, is_over: impl Fn() -> bool) -> Result<(), Halted> {
        self.bytes += bytes as u64;
        self.read += bytes as u64;
        self.totals.bytes_read.add(bytes as u64);
        if self.read < STRETCH && (self.read as f64) < self.limit / STRETCHES_A_SECOND {
            return Ok(());
        }
        self.read = 0;
        let due = Duration::try_from_secs_f64(self.bytes as f64 / self.limit).unwrap_or(Duration::MAX);
        loop {
            if self.stop.load(Ordering::Relaxed) || is_over() {
                return Err(Halted::Stopped);
            }
            let left = due.saturating_sub(self.since.elapsed());
            if left.is_zero() {
                (self.bytes, self.since) = (0, Instant::now());
                return Ok(());
            }
            std::thread::sleep(left.min(NAP));
        }
    }

    /// So many bytes were written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.totals.bytes_written.add(bytes as u64);
    }
}
