//! The transactions of one attempt of a job: how exactly-once works.
//!
//! There are two transactional producers that take turns, an epoch each, shared by all subtasks of all sinks. The
//! transaction of an epoch carries all its output, the positions of its sources and the [marker](super::committer), and
//! its commit is the commit of the checkpoint:
//!
//! 1. **Fence, then look.** A start takes over both transactional ids, which aborts what an older instance left open,
//!    and reads the marker after that. The job is restored to the checkpoint that the marker names.
//! 2. **State first.** Epoch n is committed when every writer has reached barrier n and the state of n is durable.
//! 3. **In order.** An append is done when it returns, and a writer has appended everything before barrier n when
//!    it passes it. So what it writes behind the barrier, into the other transaction, comes later in the log.
//! 4. **Nobody waits for a commit.** The engine sends barrier n+1 when n is committed, so the transaction that a
//!    writer moves to at a barrier is always free.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thalweg_broker::{LocalProducer, ResponseError};

use crate::error::EmbeddedError;

/// See the module.
pub(super) struct Transactions {
    id: String,
    timeout: Duration,
    sides: [Mutex<Side>; 2],
}

/// One of the two.
struct Side {
    producer: LocalProducer,
    /// Since when its transaction is open.
    begun: Option<Instant>,
}

impl Transactions {
    pub(super) fn new(id: &str, timeout: Duration, producers: [LocalProducer; 2]) -> Self {
        let side = |producer| Mutex::new(Side { producer, begun: None });
        Self { id: id.to_owned(), timeout, sides: producers.map(side) }
    }

    fn side(&self, ended: usize) -> MutexGuard<'_, Side> {
        self.sides[ended % 2].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker says the same of a producer when another one has taken over, and when it has aborted its transaction itself (or, if
    /// nothing has been written since, that there is none); it does the latter only after the timeout.
    fn fenced(&self, begun: Option<Instant>, error: EmbeddedError) -> EmbeddedError {
        let error = match error {
            EmbeddedError::Broker { action, source } => EmbeddedError::transaction(action, &self.id)(source),
            other => other,
        };
        let aborted = match &error {
            EmbeddedError::Fenced(_) => true,
            EmbeddedError::Broker { source, .. } => source.code() == Some(ResponseError::InvalidTxnState),
            _ => false,
        };
        match begun.map(|begun| begun.elapsed()) {
            Some(open) if aborted && open >= self.timeout => {
                EmbeddedError::TransactionTimedOut { open, timeout: self.timeout }
            }
            _ => error,
        }
    }

    /// Writes into the transaction of the epoch that comes after so many others, beginning it if need be.
    pub(super) fn within<R>(
        &self,
        ended: usize,
        act: impl FnOnce(&mut LocalProducer) -> Result<R, EmbeddedError>,
    ) -> Result<R, EmbeddedError> {
        let side = &mut *self.side(ended);
        if side.begun.is_none() {
            side.producer.begin().map_err(EmbeddedError::transaction("begin a transaction", &self.id))?;
            side.begun = Some(Instant::now());
        }
        act(&mut side.producer).map_err(|error| self.fenced(side.begun, error))
    }

    /// Appends what the producer still holds.
    pub(super) fn flush(&self, ended: usize) -> Result<(), EmbeddedError> {
        let mut side = self.side(ended);
        let flushed = side.producer.flush().map_err(EmbeddedError::broker("write"));
        flushed.map_err(|error| self.fenced(side.begun, error))
    }

    /// Whether anything has been written in the epoch that comes after so many others.
    pub(super) fn is_begun(&self, ended: usize) -> bool {
        self.side(ended).begun.is_some()
    }

    /// Makes the epoch visible.
    pub(super) fn commit(&self, ended: usize) -> Result<(), EmbeddedError> {
        let mut side = self.side(ended);
        let committed = side.producer.commit().map_err(EmbeddedError::broker("commit a transaction"));
        committed.map_err(|error| self.fenced(side.begun, error))?;
        side.begun = None;
        Ok(())
    }

    /// Aborts what is open: the attempt is over, and readers should not wait for the timeout.
    pub(super) fn abort(&self) {
        for ended in 0..2 {
            let mut side = self.side(ended);
            if side.begun.take().is_some()
                && let Err(error) = side.producer.abort()
            {
                tracing::debug!(%error, "a transaction could not be aborted; another instance or the timeout will");
            }
        }
    }
}
