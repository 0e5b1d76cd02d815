//! ElectLeaders: the only node leads every partition, so no election is ever needed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::api::Call;
use crate::protocol::text;

pub(super) fn handle(call: &Call<'_>, request: ElectLeadersRequest) -> ElectLeadersResponse {
    // Asked for all partitions, Kafka speaks only of those where there was something to elect.
    let Some(topics) = request.topic_partitions else { return ElectLeadersResponse::default() };
    let results = topics.into_iter().map(|wanted| {
        let topic = call.state.topics.get(&wanted.topic);
        let elect = |index: i32| {
            let is_there = topic.as_ref().is_some_and(|topic| topic.partition(index).is_some());
            let (error, message) = if is_there {
                (
                    ResponseError::ElectionNotNeeded,
                    "Leader election not needed for topic partition.".to_owned(),
                )
            } else if topic.is_some() {
                let message = format!("No such partition as {}-{index}", wanted.topic.as_str());
                (ResponseError::UnknownTopicOrPartition, message)
            } else {
                let message = format!("No such topic as {}", wanted.topic.as_str());
                (ResponseError::UnknownTopicOrPartition, message)
            };
            PartitionResult::default()
                .with_partition_id(index)
                .with_error_code(error.code())
                .with_error_message(Some(text(&message)))
        };
        let partitions = wanted.partitions.iter().copied().map(elect).collect();
        ReplicaElectionResult::default().with_topic(wanted.topic.clone()).with_partition_result(partitions)
    });
    ElectLeadersResponse::default().with_replica_election_results(results.collect())
}
