//! AddPartitionsToTxn: names the partitions that a transaction is going to write to. All or none are added.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use crate::api::Call;
use crate::api::init_producer_id::for_version;
use crate::txn::transaction::ProducerKey;

pub(super) fn handle(call: &Call<'_>, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let topics = request.v3_and_below_topics;
    let exists = |topic: &str, partition| call.state.topics.partition(topic, partition).is_some();
    let places = || {
        topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.to_string(), *partition)))
    };
    let all_exist = places().all(|(topic, partition)| exists(&topic, partition));
    let producer =
        ProducerKey { id: request.v3_and_below_producer_id.0, epoch: request.v3_and_below_producer_epoch };
    let added = if all_exist {
        let id = &request.v3_and_below_transactional_id;
        call.state.transactions.add(call.state, id, producer, places(), None)
    } else {
        Err(ResponseError::OperationNotAttempted)
    };
    let added = added.map_err(|error| for_version(error, call.version >= 2));
    let results = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let error = if exists(&topic.name, *partition) {
                added.err()
            } else {
                Some(ResponseError::UnknownTopicOrPartition)
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(error.map_or(0, |error| error.code()))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}
