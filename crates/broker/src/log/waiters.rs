//! Fetches that sleep until a partition has more for them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

/// One sleeping fetch. It hangs on every partition it asked for, and whoever appends first wakes it.
#[derive(Default)]
pub(crate) struct Waiter {
    woken: AtomicBool,
    notify: Notify,
    /// Called besides, under the partition's lock.
    call: Option<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("woken", &self.woken).finish_non_exhaustive()
    }
}

impl Waiter {
    /// One that does not sleep, but wants to be called.
    pub(crate) fn calling(call: impl Fn() + Send + Sync + 'static) -> Self {
        Self { call: Some(Box::new(call)), ..Self::default() }
    }

    /// Sleeps until some partition has been appended to since the waiter was hung there.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }

    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
            if let Some(call) = &self.call {
                call();
            }
        }
    }
}

/// The fetches that hang on one partition.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: Vec<Weak<Waiter>>,
    /// Length at which those that gave up are thrown out.
    tidy_at: usize,
}

impl Waiters {
    pub(crate) fn hang(&mut self, waiter: &Arc<Waiter>) {
        if self.waiting.len() >= self.tidy_at.max(8) {
            self.waiting.retain(|waiter| waiter.strong_count() > 0);
            self.tidy_at = 2 * self.waiting.len();
        }
        self.waiting.push(Arc::downgrade(waiter));
    }

    /// Wakes all; they hang themselves up again if it was not enough.
    pub(crate) fn wake(&mut self) {
        for waiter in self.waiting.drain(..).filter_map(|waiter| waiter.upgrade()) {
            waiter.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_that_gave_up_do_not_pile_up() {
        let mut waiters = Waiters::default();
        let kept = Arc::new(Waiter::default());
        waiters.hang(&kept);
        for _ in 0..1_000 {
            waiters.hang(&Arc::new(Waiter::default()));
        }
        assert!(waiters.waiting.len() <= 8, "{}", waiters.waiting.len());
        waiters.wake();
        assert!(kept.woken.load(Ordering::Acquire));
    }
}
