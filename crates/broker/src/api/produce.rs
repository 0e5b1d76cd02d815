//! Produce: appends one batch to each of some partitions.
//!
//! Batches that fail do not keep others from being appended. `acks` 1 and all mean the same with one copy; with
//! 0 there is no answer, and an error closes the connection, so that the client finds out.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::api::{Call, Refused};
use crate::log::partition::Appended;

pub(super) fn handle(call: &Call<'_>, request: ProduceRequest) -> Result<Option<ProduceResponse>, Refused> {
    let mut failure = None;
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str());
    let acks =
        if (-1..=1).contains(&request.acks) { Ok(()) } else { Err(ResponseError::InvalidRequiredAcks) };
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic = call.state.topics.get(&data.name).ok_or(ResponseError::UnknownTopicOrPartition);
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        for partition in data.partition_data {
            let index = partition.index;
            let appended = acks
                .and_then(|()| topic.as_ref().map_err(|error| *error))
                .and_then(|topic| {
                    let records = partition.records.unwrap_or_default();
                    call.state.append(topic, index, &records, transactional_id)
                })
                .map_err(|error| match error {
                    // What a client understands as "another has taken over".
                    ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
                    other => other,
                });
            failure = failure.or(appended.as_ref().err().copied());
            partitions.push(describe(index, appended));
        }
        responses
            .push(TopicProduceResponse::default().with_name(data.name).with_partition_responses(partitions));
    }
    match (request.acks, failure) {
        (0, Some(error)) => Err(Refused::Unacknowledged(error)),
        (0, None) => Ok(None),
        _ => Ok(Some(ProduceResponse::default().with_responses(responses))),
    }
}

fn describe(index: i32, appended: Result<Appended, ResponseError>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index).with_log_append_time_ms(-1);
    match appended {
        Ok(appended) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.append_time_ms.unwrap_or(-1))
            .with_log_start_offset(appended.start_offset),
        Err(error) => response.with_error_code(error.code()).with_base_offset(-1).with_log_start_offset(-1),
    }
}
