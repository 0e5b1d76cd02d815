//! How everyone learns that the broker stops: who carries out a request finishes it, and who waits comes back.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Told once, and for good.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    told: AtomicBool,
    notify: Notify,
}

impl Stopping {
    /// Tells everyone.
    pub(crate) fn tell(&self) {
        self.told.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// Whether everyone has been told.
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Waits for something; None if the broker stops first.
    pub(crate) async fn unless<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            came = something => Some(came),
            () = self.told() => None,
        }
    }

    /// Sleeps until the broker stops.
    pub(crate) async fn told(&self) {
        let mut notified = pin!(self.notify.notified());
        // Before the look, or the call in between would be missed.
        notified.as_mut().enable();
        if !self.is_told() {
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_and_those_who_come_later_are_told() {
        let stopping = Arc::new(Stopping::default());
        let waiting = tokio::spawn({
            let stopping = Arc::clone(&stopping);
            async move { stopping.told().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        stopping.tell();
        waiting.await.unwrap();
        stopping.told().await;
    }
}
