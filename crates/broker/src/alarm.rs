//! One sleeping task for all deadlines: of members, rebalances and transactions.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

use crate::clock::Clock;

/// When the next deadline is. Deadlines that move away leave the alarm early, which costs a look and no more.
#[derive(Debug)]
pub(crate) struct Alarm {
    at_ms: AtomicI64,
    earlier: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { at_ms: AtomicI64::new(i64::MAX), earlier: Notify::new() }
    }
}

impl Alarm {
    /// Makes sure that the alarm rings at that time or before.
    pub(crate) fn by(&self, at_ms: i64) {
        if self.at_ms.fetch_min(at_ms, Ordering::AcqRel) > at_ms {
            self.earlier.notify_one();
        }
    }

    /// Sleeps until the alarm rings, and clears it: whoever wakes has to look at all deadlines and set it again.
    pub(crate) async fn ring(&self, clock: &Clock) {
        loop {
            let at_ms = self.at_ms.load(Ordering::Acquire);
            if at_ms <= clock.now_ms() {
                self.at_ms.store(i64::MAX, Ordering::Release);
                return;
            }
            tokio::select! {
                () = self.earlier.notified() => {}
                () = clock.sleep_until(at_ms.min(clock.now_ms() + 3_600_000)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn rings_when_the_clock_is_moved_past_it() {
        let (alarm, clock) = (Arc::new(Alarm::default()), Arc::new(Clock::default()));
        let ringing = tokio::spawn({
            let (alarm, clock) = (Arc::clone(&alarm), Arc::clone(&clock));
            async move { alarm.ring(&clock).await }
        });
        tokio::task::yield_now().await;
        alarm.by(clock.now_ms() + 60_000);
        tokio::task::yield_now().await;
        assert!(!ringing.is_finished());
        clock.advance(Duration::from_secs(61));
        ringing.await.unwrap();
    }
}
