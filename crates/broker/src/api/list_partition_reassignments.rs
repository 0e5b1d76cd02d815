//! ListPartitionReassignments: what is moving from one node to another. Nothing ever is, and Kafka's tools ask.

use kafka_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::api::Call;

pub(super) fn handle(
    _: &Call<'_>,
    _: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default().with_error_message(None)
}
