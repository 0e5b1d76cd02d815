//! DeleteRecords: moves the first offset of some partitions forward.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::api::Call;

pub(super) fn handle(call: &Call<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = call.state.topics.get(&wanted.name).ok_or(ResponseError::UnknownTopicOrPartition);
        let partitions = wanted.partitions.iter().map(|wanted| {
            let deleted = topic.as_ref().map_err(|error| *error).and_then(|topic| {
                let partition = topic.partition(wanted.partition_index);
                partition.ok_or(ResponseError::UnknownTopicOrPartition)?.delete_records(wanted.offset)
            });
            let result = DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
            match deleted {
                Ok(start) => result.with_low_watermark(start),
                Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
            }
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default().with_name(wanted.name).with_partitions(partitions)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}
