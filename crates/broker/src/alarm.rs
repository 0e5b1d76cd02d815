//! One sleeping task for all deadlines: of members, rebalances and transactions.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;

/// The longest sleep, so that a clock that is set back or forth is noticed.
const NAP_MS: i64 = 60_000;

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

    /// Makes it ring now, because the clock was moved.
    pub(crate) fn now(&self) {
        self.by(i64::MIN);
    }

    /// Sleeps until the alarm rings, and clears it: whoever wakes has to look at all deadlines and set it again.
    pub(crate) async fn ring(&self, clock: &Clock) {
        loop {
            let left_ms = self.at_ms.load(Ordering::Acquire).saturating_sub(clock.now_ms());
            if left_ms <= 0 {
                self.at_ms.store(i64::MAX, Ordering::Release);
                return;
            }
            let nap = Duration::from_millis(left_ms.min(NAP_MS).unsigned_abs());
            tokio::select! {
                () = self.earlier.notified() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }
}

/// Something that is to be done every so often. The first time is one interval after it was first asked for.
#[derive(Debug, Default)]
pub(crate) struct Recurring {
    at_ms: Mutex<Option<i64>>,
}

impl Recurring {
    /// Whether it is time, and when it will be next.
    pub(crate) fn check(&self, now_ms: i64, interval_ms: i64) -> (bool, i64) {
        let mut at_ms = self.at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let due = at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if due || at_ms.is_none() {
            *at_ms = Some(now_ms.saturating_add(interval_ms));
        }
        (due, at_ms.unwrap_or(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn an_earlier_deadline_wakes_a_sleeping_alarm() {
        let alarm = Arc::new(Alarm::default());
        let clock = Arc::new(Clock::default());
        alarm.by(clock.now_ms() + 3_600_000);
        let ringing = tokio::spawn({
            let (alarm, clock) = (Arc::clone(&alarm), Arc::clone(&clock));
            async move { alarm.ring(&clock).await }
        });
        tokio::task::yield_now().await;
        assert!(!ringing.is_finished());
        alarm.by(clock.now_ms());
        ringing.await.unwrap();
        alarm.by(i64::MAX - 1);
        assert_eq!(alarm.at_ms.load(Ordering::Acquire), i64::MAX - 1, "ringing has cleared it");
    }

    #[test]
    fn what_recurs_is_due_once_in_every_interval() {
        let recurring = Recurring::default();
        assert_eq!(recurring.check(100, 10), (false, 110));
        assert_eq!(recurring.check(109, 10), (false, 110));
        assert_eq!(recurring.check(115, 10), (true, 125));
        assert_eq!(recurring.check(115, 10), (false, 125));
    }
}
