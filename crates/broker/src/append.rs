//! Appending a batch on behalf of a producer, whichever way it has come.

use kafka_protocol::ResponseError;

use crate::log::batch::BatchHeader;
use crate::log::partition::{Appended, Origin};
use crate::log::producers::First;
use crate::state::State;
use crate::topics::Topic;
use crate::txn::transaction::{Part, ProducerKey, Version};

impl State {
    /// Appends one batch. A transactional one must belong to the open transaction of `transactional_id`, which stays
    /// locked meanwhile.
    pub(crate) fn append(
        &self,
        topic: &Topic,
        index: i32,
        (origin, records): (Origin, &[u8]),
        transactional_id: Option<&str>,
        version: Version,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        let partition = topic.partition(index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let config = topic.config();
        let append = |first| {
            let appended = partition.append_with(first, origin, records, config.rules(), now_ms)?;
            topic.traffic.produced(records);
            Ok(appended)
        };
        let header = match BatchHeader::parse(records) {
            Ok(header) if header.is_transactional() => header,
            // Also if it is no batch at all: the append knows what to say then.
            _ => return append(First::Any),
        };
        let id = transactional_id.ok_or(ResponseError::TransactionalIdAuthorizationFailed)?;
        let producer = ProducerKey { id: header.producer_id, epoch: header.producer_epoch };
        let place = (topic.name.clone(), index);
        let first = match version {
            // Whoever turns this off lets transactions hang of which nobody knows.
            Version::One if !self.settings.broker().transaction_partition_verification => {
                return append(First::Any);
            }
            Version::One => First::Any,
            Version::Two => First::Zero,
        };
        self.transactions.within(id, producer, Part::Partition(&place), || append(first))
    }
}
