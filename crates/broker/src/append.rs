//! Appending a batch on behalf of a producer, whichever way it has come.

use kafka_protocol::ResponseError;

use crate::log::batch::BatchHeader;
use crate::log::partition::Appended;
use crate::state::State;
use crate::topics::Topic;
use crate::txn::transaction::ProducerKey;

impl State {
    /// Appends one batch. A transactional one must belong to the open transaction of `transactional_id`, which stays
    /// locked meanwhile.
    pub(crate) fn append(
        &self,
        topic: &Topic,
        index: i32,
        records: &[u8],
        transactional_id: Option<&str>,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        let partition = topic.partition(index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let config = topic.config();
        let append = || {
            let appended = partition.append(records, config.rules(), now_ms)?;
            topic.traffic.produced(records);
            Ok(appended)
        };
        let header = match BatchHeader::parse(records) {
            Ok(header) if header.is_transactional() => header,
            // Also if it is no batch at all: the append knows what to say then.
            _ => return append(),
        };
        let id = transactional_id.ok_or(ResponseError::InvalidRecord)?;
        let producer = ProducerKey { id: header.producer_id, epoch: header.producer_epoch };
        let place = (topic.name.clone(), index);
        self.transactions.within(id, producer, |open| open.partitions.contains(&place), append)
    }
}
