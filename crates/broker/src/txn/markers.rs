//! Tells partitions and groups how a transaction has ended.

use kafka_protocol::ResponseError;

use crate::log::batch::{End, Marker};
use crate::state::State;
use crate::txn::coordinator::Transactions;
use crate::txn::transaction::{Transaction, Version};

/// Milliseconds until a transaction that could not be ended is tried again.
pub(super) const RETRY_MS: i64 = 1_000;
/// There is one coordinator, and no other has ever been.
const COORDINATOR_EPOCH: i32 = 0;

impl Transactions {
    /// Makes sure that whatever was decided is everywhere known.
    pub(super) fn finish(&self, state: &State, transaction: &mut Transaction) -> Result<(), ResponseError> {
        match transaction.undelivered() {
            Some(marker) => self.deliver(state, transaction, marker, true),
            None => Ok(()),
        }
    }

    /// Tells everyone how a transaction has ended; if that fails, the alarm will see to it.
    pub(super) fn deliver(
        &self,
        state: &State,
        transaction: &mut Transaction,
        marker: Marker,
        again: bool,
    ) -> Result<(), ResponseError> {
        self.tell(state, transaction, marker, again).map_err(|error| {
            if error == ResponseError::ConcurrentTransactions {
                return error;
            }
            tracing::error!(id = transaction.id, %error, "a decided transaction cannot be finished now");
            state.alarm.by(state.clock.now_ms() + RETRY_MS);
            // What clients understand as "ask again".
            ResponseError::CoordinatorNotAvailable
        })
    }

    /// Tells partitions and groups, in this order. A second attempt leaves out the partitions that know.
    /// Where a test holds markers back, the transaction stays unfinished.
    fn tell(
        &self,
        state: &State,
        transaction: &mut Transaction,
        marker: Marker,
        again: bool,
    ) -> Result<(), ResponseError> {
        let Transaction { producer_id, epoch, version, .. } = *transaction;
        let end = End {
            marker,
            producer_id,
            epoch,
            coordinator_epoch: COORDINATOR_EPOCH,
            is_bumped: version == Version::Two,
        };
        let mut held = false;
        for place in &transaction.partitions {
            if state.faults.holds(&transaction.id, Some(place)) {
                held = true;
                continue;
            }
            let (name, index) = place;
            // A topic that was deleted meanwhile has nothing to be told.
            let Some((topic, partition)) = state.topics.partition(name, *index) else { continue };
            if again && partition.has_ended(&end) {
                continue;
            }
            let config = topic.config();
            match partition.append_marker(&end, config.rules(), state.clock.now_ms()) {
                // A later epoch has been there, or the topic has gone since: there is nothing left to end.
                Ok(())
                | Err(ResponseError::InvalidProducerEpoch | ResponseError::UnknownTopicOrPartition) => {}
                // Somebody has ended it by hand, and claimed to be a later coordinator.
                Err(ResponseError::TransactionCoordinatorFenced) => {}
                Err(error) => return Err(error),
            }
        }
        for group in &transaction.groups {
            if state.faults.holds(&transaction.id, None) {
                held = true;
                continue;
            }
            state.groups.end_transaction(group, producer_id, marker == Marker::Commit)?;
        }
        if held {
            return Err(ResponseError::ConcurrentTransactions);
        }
        let next = transaction.completed(marker, state.clock.now_ms());
        self.store(transaction, next)
    }
}
