//! How transactions end: what a client may ask for in which state, and what comes after.
//!
//! | in the second version | abort again | abort | commit again | commit |
//! |---|---|---|---|---|
//! | `Empty` | fenced | next epoch | fenced | `INVALID_TXN_STATE` |
//! | `CompleteAbort` | done | next epoch | `INVALID_TXN_STATE` | `INVALID_TXN_STATE` |
//! | `CompleteCommit` | `INVALID_TXN_STATE` | next epoch | done | `INVALID_TXN_STATE` |
//!
//! "Again" is with the epoch that the transaction had, whose end has begun another one. A client that does not know
//! whether anything of its transaction has reached the broker aborts, and has a new epoch for sure.

use kafka_protocol::ResponseError;

use crate::log::batch::Marker;
use crate::txn::transaction::{Phase, ProducerKey, Transaction, Version};

/// The last epoch that a producer is given. The one after it is for fencing whoever has that.
pub(crate) const LAST_EPOCH: i16 = i16::MAX - 1;

/// Gives out a producer id.
pub(crate) type NewId<'a> = &'a dyn Fn() -> Result<i64, ResponseError>;

impl Transaction {
    /// The transaction once it is decided that it ends as its producer wishes; `None` if it has ended so already.
    ///
    /// What was decided before has to be everywhere known.
    pub(crate) fn end(
        &self,
        producer: ProducerKey,
        marker: Marker,
        version: Version,
        now_ms: i64,
        new_id: NewId<'_>,
    ) -> Result<Option<Self>, ResponseError> {
        let again = match version {
            Version::One => {
                self.check(producer)?;
                true
            }
            Version::Two => self.is_repeated(producer)?,
        };
        match (self.phase, marker) {
            (Phase::Ongoing, _) => self.decided(marker, version, now_ms, new_id).map(Some),
            (Phase::CompleteCommit, Marker::Commit) | (Phase::CompleteAbort, Marker::Abort) if again => {
                Ok(None)
            }
            (Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort, Marker::Abort)
                if version == Version::Two && !again =>
            {
                self.decided(marker, version, now_ms, new_id).map(Some)
            }
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// The open transaction once it is decided to abort it, whatever its producer wants. Whoever is in charge is fenced.
    pub(crate) fn fenced(&self, now_ms: i64, new_id: NewId<'_>) -> Result<Self, ResponseError> {
        self.decided(Marker::Abort, Version::Two, now_ms, new_id)
    }

    /// Whether a producer of the second version asks for the end of the transaction that ended last, and not of one
    /// that came after it.
    fn is_repeated(&self, producer: ProducerKey) -> Result<bool, ResponseError> {
        let is_over = matches!(self.phase, Phase::CompleteCommit | Phase::CompleteAbort);
        let ran_out = ProducerKey { id: self.last_producer_id.unwrap_or(-1), epoch: LAST_EPOCH };
        if is_over && self.epoch == 0 && self.last_producer_id.is_some() && producer == ran_out {
            return Ok(true);
        }
        // Kafka takes the epoch before for enough, and so a client that was fenced by one of the first version, whose
        // transaction it is then.
        let again = is_over
            && Some(self.epoch) == producer.epoch.checked_add(1)
            && self.last_epoch == Some(producer.epoch);
        let epoch = if again { self.epoch } else { producer.epoch };
        self.check(ProducerKey { epoch, ..producer })?;
        Ok(again)
    }

    /// The transaction once it is decided how it ends.
    fn decided(
        &self,
        marker: Marker,
        version: Version,
        now_ms: i64,
        new_id: NewId<'_>,
    ) -> Result<Self, ResponseError> {
        let phase = match marker {
            Marker::Commit => Phase::PrepareCommit,
            Marker::Abort => Phase::PrepareAbort,
        };
        let mut next = Self { version, ..self.at(phase, now_ms) };
        if version == Version::Two {
            if self.epoch >= LAST_EPOCH {
                next.next_producer_id = Some(new_id()?);
            }
            // It is the last there is if it cannot be higher, and nobody was ever given that.
            next.epoch = self.epoch.saturating_add(1);
            next.last_epoch = Some(self.epoch);
        }
        if self.phase != Phase::Ongoing {
            next.started_ms = now_ms;
        }
        Ok(next)
    }

    /// The transaction once everyone knows how it ended.
    pub(crate) fn completed(&self, marker: Marker, now_ms: i64) -> Self {
        let phase = match marker {
            Marker::Commit => Phase::CompleteCommit,
            Marker::Abort => Phase::CompleteAbort,
        };
        let ProducerKey { id: producer_id, epoch } = self.key();
        let last_producer_id = self.next_producer_id.map(|_| self.producer_id);
        let mut next = Self { producer_id, epoch, last_producer_id, ..self.at(phase, now_ms) };
        next.next_producer_id = None;
        next.partitions.clear();
        next.groups.clear();
        next
    }
}
