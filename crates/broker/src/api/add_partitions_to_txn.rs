//! AddPartitionsToTxn: names the partitions that a transaction is going to write to. All or none are added.
//!
//! From version 4 on it is brokers of a cluster that ask each other, for several transactions at a time, and perhaps
//! only whether partitions belong to them.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TransactionalId};

use crate::api::Call;
use crate::api::init_producer_id::for_version;
use crate::protocol::code;
use crate::txn::transaction::{Part, ProducerKey};

pub(super) fn handle(call: &Call<'_>, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if call.version < 4 {
        let asked = Asked {
            id: &request.v3_and_below_transactional_id,
            producer: ProducerKey {
                id: request.v3_and_below_producer_id.0,
                epoch: request.v3_and_below_producer_epoch,
            },
            topics: &request.v3_and_below_topics,
            verify_only: false,
        };
        return AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(asked.answer(call));
    }
    let results = request.transactions.iter().map(|transaction| {
        let asked = Asked {
            id: &transaction.transactional_id,
            producer: ProducerKey { id: transaction.producer_id.0, epoch: transaction.producer_epoch },
            topics: &transaction.topics,
            verify_only: transaction.verify_only,
        };
        AddPartitionsToTxnResult::default()
            .with_transactional_id(transaction.transactional_id.clone())
            .with_topic_results(asked.answer(call))
    });
    AddPartitionsToTxnResponse::default().with_results_by_transaction(results.collect())
}

/// What is asked about one transaction.
struct Asked<'a> {
    id: &'a TransactionalId,
    producer: ProducerKey,
    topics: &'a [AddPartitionsToTxnTopic],
    verify_only: bool,
}

impl Asked<'_> {
    fn answer(&self, call: &Call<'_>) -> Vec<AddPartitionsToTxnTopicResult> {
        let exists = |place: &(String, i32)| call.state.topics.partition(&place.0, place.1).is_some();
        let places: Vec<(String, i32)> = self
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.to_string(), *partition)))
            .collect();
        let all_exist = places.iter().all(exists);
        let added = if !all_exist {
            Err(ResponseError::OperationNotAttempted)
        } else if self.verify_only {
            Ok(())
        } else {
            let parts = places.iter().map(Part::Partition);
            call.state.transactions.add(call.state, self.id, self.producer, parts)
        };
        let outcome = |place: &(String, i32)| {
            if !exists(place) {
                return Err(ResponseError::UnknownTopicOrPartition);
            }
            added.map_err(|error| for_version(error, call.version >= 2))?;
            if self.verify_only {
                let part = Part::Partition(place);
                return call.state.transactions.within(self.id, self.producer, part, || Ok(()));
            }
            Ok(())
        };
        let results = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let outcome = outcome(&(topic.name.to_string(), *partition));
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(*partition)
                    .with_partition_error_code(code(&outcome))
            });
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name.clone())
                .with_results_by_partition(partitions.collect())
        });
        results.collect()
    }
}
