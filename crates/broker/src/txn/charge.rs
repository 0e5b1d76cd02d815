//! How a producer is put in charge of a transactional id (InitProducerId).

use kafka_protocol::ResponseError;

use crate::txn::ending::{LAST_EPOCH, NewId};
use crate::txn::transaction::{Phase, ProducerKey, Transaction};

impl Transaction {
    /// Whether a producer that says who it was may ask at all. Of which epoch it may be is looked at later: until
    /// then it may have to be fenced, which changes that.
    pub(crate) fn may_ask(&self, known: Option<ProducerKey>) -> Result<(), ResponseError> {
        let Some(known) = known.filter(|_| self.is_owned()) else { return Ok(()) };
        let ran_out = self.last_producer_id == Some(known.id) && known.epoch >= LAST_EPOCH;
        if self.producer_id == known.id || ran_out { Ok(()) } else { Err(ResponseError::ProducerFenced) }
    }

    /// The transactional id with a producer in charge that is new, or was it in another epoch and says so.
    ///
    /// Nothing may be open.
    pub(crate) fn in_charge(
        &self,
        known: Option<ProducerKey>,
        timeout_ms: i64,
        now_ms: i64,
        new_id: NewId<'_>,
    ) -> Result<Self, ResponseError> {
        let mut next = Self { timeout_ms, started_ms: -1, ..self.at(Phase::Empty, now_ms) };
        if !self.is_owned() {
            (next.producer_id, next.epoch) = (new_id()?, 0);
            return Ok(next);
        }
        match known {
            Some(known) if known.epoch == self.epoch => next.last_epoch = Some(self.epoch),
            // It has not heard the answer.
            Some(known) if Some(known.epoch) == self.last_epoch => {
                next.last_producer_id = self.last_producer_id;
                return Ok(next);
            }
            Some(_) => return Err(ResponseError::ProducerFenced),
            None => next.last_epoch = None,
        }
        if self.epoch >= LAST_EPOCH {
            (next.producer_id, next.epoch) = (new_id()?, 0);
            next.last_producer_id = Some(self.producer_id);
        } else {
            next.epoch += 1;
        }
        Ok(next)
    }
}
