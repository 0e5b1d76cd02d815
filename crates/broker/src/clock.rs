//! The broker's time, which tests may move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// The system's clock plus what it was moved by.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicI64,
    moved: Notify,
}

impl Clock {
    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis())
            .unwrap_or(i64::MAX)
            .saturating_add(self.ahead_ms.load(Ordering::Acquire))
    }

    /// Lets time jump ahead; deadlines passed over are met at once.
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(by, Ordering::AcqRel);
        self.moved.notify_waiters();
    }

    /// Waits until that time, or until the clock has been moved.
    pub(crate) async fn sleep_until(&self, at_ms: i64) {
        let moved = self.moved.notified();
        let left = u64::try_from(at_ms.saturating_sub(self.now_ms())).unwrap_or(0);
        tokio::select! {
            () = moved => {}
            () = tokio::time::sleep(Duration::from_millis(left)) => {}
        }
    }
}
