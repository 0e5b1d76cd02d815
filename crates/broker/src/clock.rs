//! The time of day, in which Kafka counts. Tests may put it forward.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The system's clock, and how far it was put forward.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicI64,
}

impl Clock {
    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        in_ms(since).saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Puts it forward. Whoever sleeps until a time of this clock has to be woken.
    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(in_ms(by), Ordering::Relaxed);
    }
}

fn in_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_put_forward_and_goes_on_from_there() {
        let (real, moved) = (Clock::default(), Clock::default());
        moved.advance(Duration::from_secs(3_600));
        moved.advance(Duration::from_secs(60));
        let before_ms = real.now_ms();
        let now_ms = moved.now_ms();
        assert!((before_ms + 3_660_000..=real.now_ms() + 3_660_000).contains(&now_ms), "{now_ms}");
    }
}
