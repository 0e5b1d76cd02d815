//! CreatePartitions: gives topics more partitions. `count` is the number there shall be.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::api::{Call, code, text};

pub(super) fn handle(call: &Call<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|wanted| {
        let grown = grow(call, &wanted, request.validate_only);
        CreatePartitionsTopicResult::default()
            .with_error_code(code(&grown))
            .with_error_message(grown.err().map(|error| text(&error.to_string())))
            .with_name(wanted.name)
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn grow(call: &Call<'_>, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), ResponseError> {
    let topic = call.state.topics.get(&wanted.name).ok_or(ResponseError::UnknownTopicOrPartition)?;
    if wanted.count <= topic.partition_count() {
        return Err(ResponseError::InvalidPartitions);
    }
    if validate_only { Ok(()) } else { call.state.topics.grow(&topic, wanted.count) }
}
