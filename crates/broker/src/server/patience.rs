//! How long a connection waits for its client. One timer, which is moved only when it goes off: a busy
//! connection does not touch it.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How long the bytes of a request may take to come, beside what their number takes.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes a second that are slow, but no bad intent.
const SLOW: usize = 64 * 1024;

/// The client has done nothing for too long.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Impatient {
    #[error("nothing has moved for as long as connections.max.idle.ms allows")]
    Idle,
    #[error("a request was begun and not finished in time")]
    Half,
}

/// The patience with one client.
#[derive(Debug)]
pub(crate) struct Patience {
    /// None if it may be idle for ever.
    idle: Option<Duration>,
    moved: Instant,
    /// When the first bytes of a request came of which more are to come, and when the last ones must be there.
    begun: Option<Instant>,
    complete: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    /// `idle_ms` below 0 is for ever, as Kafka has it.
    pub(crate) fn new(idle_ms: i64) -> Self {
        let idle = u64::try_from(idle_ms).ok().map(Duration::from_millis);
        let now = Instant::now();
        let first = idle.unwrap_or(Duration::from_secs(365 * 86_400));
        let timer = Box::pin(tokio::time::sleep_until(now + first));
        Self { idle, moved: now, begun: None, complete: None, timer }
    }

    /// Bytes have come or gone.
    pub(crate) fn moved(&mut self) {
        self.moved = Instant::now();
    }

    /// The request at the front is complete, or there is none.
    pub(crate) fn complete(&mut self) {
        (self.begun, self.complete) = (None, None);
    }

    /// The bytes at hand are a part of a request of that length. Its time runs from the first of them.
    pub(crate) fn incomplete(&mut self, len: usize) {
        let begun = *self.begun.get_or_insert(self.moved);
        let complete = begun + GRACE + Duration::from_secs((len / SLOW) as u64);
        self.complete = Some(complete);
        if complete < self.timer.deadline() {
            self.timer.as_mut().reset(complete);
        }
    }

    /// Waits for something that moves bytes, for as long as the patience lasts.
    pub(crate) async fn unless_over<T>(&mut self, moves: impl Future<Output = T>) -> Result<T, Impatient> {
        tokio::select! {
            biased;
            moved = moves => {
                self.moved();
                Ok(moved)
            }
            over = self.over() => Err(over),
        }
    }

    /// Sleeps until it is over.
    pub(crate) async fn over(&mut self) -> Impatient {
        loop {
            self.timer.as_mut().await;
            let now = Instant::now();
            let idle = self.idle.map(|idle| self.moved + idle);
            if self.complete.is_some_and(|complete| complete <= now) {
                return Impatient::Half;
            }
            if idle.is_some_and(|idle| idle <= now) {
                return Impatient::Idle;
            }
            let next = [idle, self.complete].into_iter().flatten().min();
            self.timer.as_mut().reset(next.unwrap_or(now + Duration::from_secs(365 * 86_400)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_is_idle_since_it_moved() {
        let start = Instant::now();
        let mut patience = Patience::new(1_000);
        tokio::time::sleep(Duration::from_millis(600)).await;
        patience.moved();
        assert_eq!(patience.over().await, Impatient::Idle);
        assert_eq!(start.elapsed().as_millis() / 10, 160);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_its_time_from_the_first_byte_whatever_trickles_in() {
        let start = Instant::now();
        let mut patience = Patience::new(600_000);
        patience.incomplete(SLOW * 10);
        for _ in 0..40 {
            tokio::select! {
                over = patience.over() => assert_eq!(over, Impatient::Half),
                () = tokio::time::sleep(Duration::from_secs(5)) => {
                    patience.moved();
                    patience.incomplete(SLOW * 10);
                    continue;
                }
            }
            break;
        }
        assert_eq!(start.elapsed().as_secs(), 40);
        // The next one has its own.
        patience.complete();
        patience.moved();
        patience.incomplete(0);
        assert_eq!(patience.over().await, Impatient::Half);
        assert_eq!(start.elapsed().as_secs(), 70);
    }
}
