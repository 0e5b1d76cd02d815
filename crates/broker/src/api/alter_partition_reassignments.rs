//! AlterPartitionReassignments: a partition may be assigned to the node that it is on, and to no other.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

use crate::api::{Call, assignments};
use crate::error::Refusal;
use crate::protocol::text;

pub(super) fn handle(
    call: &Call<'_>,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let response =
                ReassignablePartitionResponse::default().with_partition_index(partition.partition_index);
            match reassign(call, &topic.name, partition) {
                Ok(()) => response.with_error_message(None),
                Err((error, message)) => {
                    response.with_error_code(error.code()).with_error_message(Some(text(&message)))
                }
            }
        });
        ReassignableTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(request.allow_replication_factor_change)
        .with_error_message(None)
        .with_responses(topics.collect())
}

fn reassign(call: &Call<'_>, topic: &str, partition: &ReassignablePartition) -> Result<(), Refusal> {
    let unknown = |message: String| (ResponseError::UnknownTopicOrPartition, message);
    let found = call.state.topics.get(topic);
    let found = found.ok_or_else(|| unknown(format!("Unable to find a topic named {topic}.")))?;
    let index = partition.partition_index;
    found.partition(index).ok_or_else(|| unknown(format!("Unable to find partition {topic}:{index}.")))?;
    match &partition.replicas {
        Some(replicas) => assignments::check(replicas),
        // To be cancelled.
        None => {
            let message = "No partition reassignment is in progress.";
            Err((ResponseError::NoReassignmentInProgress, message.to_owned()))
        }
    }
}
