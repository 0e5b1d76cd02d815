//! A limit to the records per second of one partition.

use thalweg_dataflow::time::Timestamp;

/// What was not used is saved up for this long.
const BURST_MS: f64 = 100.0;

/// Allows so many records per second.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_ms: f64,
    allowed: f64,
    since: Timestamp,
}

impl RateLimit {
    pub(super) fn new(per_second: u64, now: Timestamp) -> Self {
        Self { per_ms: per_second as f64 / 1000.0, allowed: 0.0, since: now }
    }

    /// How many records may be read now.
    pub(super) fn allowed(&mut self, now: Timestamp) -> usize {
        let passed = (now - self.since).max(0) as f64;
        self.since = now;
        let most = (self.per_ms * BURST_MS).max(1.0);
        self.allowed = (self.allowed + passed * self.per_ms).min(most);
        self.allowed as usize
    }

    /// So many have been read.
    pub(super) fn used(&mut self, records: usize) {
        self.allowed -= records as f64;
    }

    /// When the next one may be.
    pub(super) fn next_at(&self) -> Timestamp {
        let missing = (1.0 - self.allowed).max(0.0) / self.per_ms;
        self.since.saturating_add(missing.ceil() as Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_sees_what_is_allowed_and_no_more() {
        for per_second in [1, 7, 1_000, 123_457] {
            let (mut limit, mut read, mut now) = (RateLimit::new(per_second, 0), 0, 0);
            while now <= 60_000 {
                let allowed = limit.allowed(now).min(1024);
                limit.used(allowed);
                read += allowed;
                now = limit.next_at().max(now + i64::from(allowed == 0));
            }
            let expected = per_second as f64 * 60.0;
            assert!((read as f64 - expected).abs() <= (expected * 0.01).max(1.0), "{read} of {expected}");
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut limit = RateLimit::new(1_000, 0);
        assert_eq!(limit.allowed(60_000), 100);
    }
}
