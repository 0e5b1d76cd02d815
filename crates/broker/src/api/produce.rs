//! Produce: appends one batch to each of some partitions.
//!
//! Batches that fail do not keep others from being appended. `acks` 1 and all mean the same with one copy; with
//! 0 there is no answer, and an error closes the connection, so that the client finds out.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::api::{Call, Refused, text};
use crate::log::batch::BatchHeader;
use crate::log::partition::Appended;
use crate::log::validate::{Rejection, check};

pub(super) fn handle(call: &Call<'_>, request: ProduceRequest) -> Result<Option<ProduceResponse>, Refused> {
    let mut failure = None;
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str());
    let acks =
        if (-1..=1).contains(&request.acks) { Ok(()) } else { Err(ResponseError::InvalidRequiredAcks) };
    let now_ms = call.state.clock.now_ms();
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic = call.state.topics.get(&data.name).ok_or(ResponseError::UnknownTopicOrPartition);
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        for partition in data.partition_data {
            let index = partition.index;
            let records = partition.records.unwrap_or_default();
            let appended = acks
                .and_then(|()| topic.as_ref().map_err(|error| *error))
                .and_then(|topic| call.state.append(topic, index, &records, transactional_id, now_ms))
                .map_err(|error| match error {
                    // What a client understands as "another has taken over".
                    ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
                    other => other,
                });
            // Once more, for the words: the log says no more than the code.
            let rejection = match (&appended, &topic, BatchHeader::parse(&records)) {
                (
                    Err(ResponseError::InvalidRecord | ResponseError::InvalidTimestamp),
                    Ok(topic),
                    Ok(header),
                ) => {
                    let place = || format!("{}-{index}", topic.name);
                    check(&records, &header, topic.config().rules(), now_ms, place).err()
                }
                _ => None,
            };
            failure = failure.or(appended.as_ref().err().copied());
            partitions.push(describe(index, appended, rejection));
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

fn describe(
    index: i32,
    appended: Result<Appended, ResponseError>,
    rejection: Option<Rejection>,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index).with_log_append_time_ms(-1);
    let error = match appended {
        Ok(appended) => {
            return response
                .with_base_offset(appended.base_offset)
                .with_log_append_time_ms(appended.append_time_ms.unwrap_or(-1))
                .with_log_start_offset(appended.start_offset);
        }
        Err(error) => error,
    };
    let response = response.with_error_code(error.code()).with_base_offset(-1).with_log_start_offset(-1);
    let Some(rejection) = rejection else { return response };
    let records = rejection.records.iter().map(|(n, message)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(*n)
            .with_batch_index_error_message(Some(text(message)))
    });
    response.with_record_errors(records.collect()).with_error_message(Some(text(&rejection.message)))
}
