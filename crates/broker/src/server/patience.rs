//! How long a connection waits for its client. One timer, which is moved only when it goes off: a busy
//! connection does not touch it.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::server::memory::STEP;

/// How long the bytes of a request may take to come, beside what their number takes.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes a second that are slow, but no bad intent.
const SLOW: usize = 64 * 1024;
/// How long a client may take to prove who it is, from the moment that it is there.
const PROOF: Duration = Duration::from_secs(30);

/// The client has done nothing for too long.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Impatient {
    #[error("nothing has moved for as long as connections.max.idle.ms allows")]
    Idle,
    #[error("a request was begun and not finished in time")]
    Half,
    #[error("a request did not go on while others waited for the memory that it holds")]
    InTheWay,
    #[error("the client has not proved in time who it is")]
    Unproved,
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
    /// When the request had grown by as much as counts, and how much of it there was.
    grown: Option<(Instant, usize)>,
    /// When it must be known who the client is.
    proved: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    /// `idle_ms` below 0 is for ever, as Kafka has it.
    pub(crate) fn new(idle_ms: i64) -> Self {
        let idle = u64::try_from(idle_ms).ok().map(Duration::from_millis);
        let now = Instant::now();
        let first = idle.unwrap_or(Duration::from_secs(365 * 86_400));
        let timer = Box::pin(tokio::time::sleep_until(now + first));
        Self { idle, moved: now, begun: None, complete: None, grown: None, proved: None, timer }
    }

    /// The client, which has come then, has to prove who it is.
    pub(crate) fn proof_wanted(&mut self, since: Instant) {
        let proved = since + PROOF;
        self.proved = Some(proved);
        if proved < self.timer.deadline() {
            self.timer.as_mut().reset(proved);
        }
    }

    /// It has.
    pub(crate) fn proved(&mut self) {
        self.proved = None;
    }

    /// It was not the client's doing that nothing has moved since then.
    pub(crate) fn not_the_clients(&mut self, since: Instant) {
        let waited = since.elapsed();
        self.moved();
        self.begun = self.begun.map(|begun| begun + waited);
        self.grown = self.grown.map(|(at, received)| (at + waited, received));
    }

    /// Bytes have come or gone.
    pub(crate) fn moved(&mut self) {
        self.moved = Instant::now();
    }

    /// The request at the front is complete, or there is none.
    pub(crate) fn complete(&mut self) {
        (self.begun, self.complete, self.grown) = (None, None, None);
    }

    /// The bytes at hand, which are that many, are a part of a request of that length. Its time runs from the first of
    /// them; and it has to go on, so that who announces much does not have much time to say nothing.
    pub(crate) fn incomplete(&mut self, len: usize, received: usize) {
        let begun = *self.begun.get_or_insert(self.moved);
        let whole = begun + GRACE + Duration::from_secs((len / SLOW) as u64);
        let grown = match self.grown {
            Some((at, before)) if received < before + STEP => at,
            _ => {
                self.grown = Some((self.moved, received));
                self.moved
            }
        };
        let complete = whole.min(grown + GRACE);
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
            if self.proved.is_some_and(|proved| proved <= now) {
                return Impatient::Unproved;
            }
            if idle.is_some_and(|idle| idle <= now) {
                return Impatient::Idle;
            }
            let next = [idle, self.complete, self.proved].into_iter().flatten().min();
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
        patience.incomplete(SLOW * 10, 0);
        for n in 0..40 {
            tokio::select! {
                over = patience.over() => assert_eq!(over, Impatient::Half),
                () = tokio::time::sleep(Duration::from_secs(5)) => {
                    patience.moved();
                    patience.incomplete(SLOW * 10, n * STEP);
                    continue;
                }
            }
            break;
        }
        assert_eq!(start.elapsed().as_secs(), 40);
        // The next one has its own.
        patience.complete();
        patience.moved();
        patience.incomplete(0, 0);
        assert_eq!(patience.over().await, Impatient::Half);
        assert_eq!(start.elapsed().as_secs(), 70);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_go_on_has_no_more_time_for_being_long() {
        let start = Instant::now();
        let mut patience = Patience::new(-1);
        patience.incomplete(100 << 20, 1_000);
        for n in 0..10 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            patience.moved();
            patience.incomplete(100 << 20, 1_000 + n * 1_000);
        }
        assert_eq!(patience.over().await, Impatient::Half);
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_memory_is_not_the_clients_fault() {
        let start = Instant::now();
        let mut patience = Patience::new(-1);
        patience.incomplete(SLOW, 1_000);
        let since = Instant::now();
        tokio::time::sleep(Duration::from_secs(100)).await;
        patience.not_the_clients(since);
        patience.incomplete(SLOW, 1_000);
        assert_eq!(patience.over().await, Impatient::Half);
        assert_eq!(start.elapsed().as_secs(), 130);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_to_prove_something_has_half_a_minute_for_it() {
        let mut patience = Patience::new(600_000);
        let came = Instant::now();
        tokio::time::sleep(Duration::from_secs(8)).await;
        patience.proof_wanted(came);
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            patience.moved();
        }
        assert_eq!(patience.over().await, Impatient::Unproved);
        assert_eq!(came.elapsed().as_secs(), 30);
        patience.proved();
        assert_eq!(patience.over().await, Impatient::Idle);
    }
}
