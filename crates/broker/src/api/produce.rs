//! Produce: appends one batch to each of some partitions.
//!
//! Batches that fail do not keep others from being appended. `acks` 1 and all mean the same with one copy; with
//! 0 there is no answer, and an error closes the connection, so that the client finds out.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::api::{Call, Refused};
use crate::log::batch::BatchHeader;
use crate::log::partition::{Appended, Origin};
use crate::log::validate::{Rejection, check};
use crate::protocol::text;
use crate::topics::Topic;
use crate::txn::transaction::{Part, ProducerKey, Version};

/// From this version on, clients speak the second version of transactions.
const ADDS_PARTITIONS: i16 = 12;
/// From this version on, topics have ids instead of names.
const TOPIC_IDS: i16 = 13;

pub(super) fn handle(call: &Call<'_>, request: ProduceRequest) -> Result<Option<ProduceResponse>, Refused> {
    let mut failure = None;
    let version = if call.version >= ADDS_PARTITIONS { Version::Two } else { Version::One };
    let allowed = allow(call, &request, version);
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str());
    let now_ms = call.state.clock.now_ms();
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic = topic_of(call, &data);
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        for partition in data.partition_data {
            let index = partition.index;
            let records = partition.records.unwrap_or_default();
            let appended = allowed
                .whole
                .and_then(|()| topic.as_ref().map_err(|error| *error))
                .and_then(|topic| {
                    if is_transactional(&records) {
                        allowed.transactional?;
                    }
                    let records = (Origin::Client, &records[..]);
                    call.state.append(topic, index, records, transactional_id, version, now_ms)
                })
                .map_err(|error| for_producer(error, call.version));
            // Once more, for the words: the log says no more than the code.
            let rejection = match (&appended, &topic, BatchHeader::parse(&records)) {
                (
                    Err(
                        ResponseError::InvalidRecord
                        | ResponseError::InvalidTimestamp
                        | ResponseError::MessageTooLarge,
                    ),
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
        let response = TopicProduceResponse::default().with_name(data.name).with_topic_id(data.topic_id);
        responses.push(response.with_partition_responses(partitions));
    }
    match (request.acks, failure) {
        (0, Some(error)) => Err(Refused::Unacknowledged(error)),
        (0, None) => Ok(None),
        _ => Ok(Some(ProduceResponse::default().with_responses(responses))),
    }
}

fn topic_of(call: &Call<'_>, data: &TopicProduceData) -> Result<Arc<Topic>, ResponseError> {
    if call.version >= TOPIC_IDS {
        return call.state.topics.get_by_id(data.topic_id).ok_or(ResponseError::UnknownTopicId);
    }
    call.state.topics.get(&data.name).ok_or(ResponseError::UnknownTopicOrPartition)
}

/// What may be carried out of a request.
struct Allowed {
    whole: Result<(), ResponseError>,
    /// Batches that belong to a transaction.
    transactional: Result<(), ResponseError>,
}

/// Looks whether a request makes sense. In the second version of transactions, its partitions are added to the one of
/// its producer, which may begin with that.
fn allow(call: &Call<'_>, request: &ProduceRequest, version: Version) -> Allowed {
    let mut producer = None;
    let mut whole = Ok(());
    if !(-1..=1).contains(&request.acks) {
        whole = Err(ResponseError::InvalidRequiredAcks);
    }
    let mut places = Vec::new();
    for data in &request.topic_data {
        for partition in &data.partition_data {
            let records = partition.records.as_deref().unwrap_or_default();
            let Ok(header) = BatchHeader::parse(records) else { continue };
            if !header.is_transactional() {
                continue;
            }
            if request.transactional_id.is_none() {
                whole = whole.and(Err(ResponseError::TransactionalIdAuthorizationFailed));
            }
            let writer = ProducerKey { id: header.producer_id, epoch: header.producer_epoch };
            if *producer.get_or_insert(writer) != writer {
                whole = whole.and(Err(ResponseError::InvalidProducerIdMapping));
            }
            if version == Version::Two
                && let Ok(topic) = topic_of(call, data)
                && topic.partition(partition.index).is_some()
            {
                places.push((topic.name.clone(), partition.index));
            }
        }
    }
    let mut transactional = Ok(());
    if let (Ok(()), Some(id), Some(producer), false) =
        (whole, &request.transactional_id, producer, places.is_empty())
    {
        let parts = places.iter().map(Part::Partition);
        transactional = call.state.transactions.add(call.state, id, producer, parts);
    }
    Allowed { whole, transactional }
}

fn is_transactional(records: &[u8]) -> bool {
    BatchHeader::parse(records).is_ok_and(|header| header.is_transactional())
}

/// What a producer of that version understands.
fn for_producer(error: ResponseError, version: i16) -> ResponseError {
    match error {
        // "Another has taken over".
        ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
        ResponseError::TransactionAbortable if version < 11 => ResponseError::InvalidTxnState,
        // "Ask again".
        ResponseError::ConcurrentTransactions if version < ADDS_PARTITIONS => {
            ResponseError::NotEnoughReplicas
        }
        ResponseError::CoordinatorNotAvailable => ResponseError::NotEnoughReplicas,
        other => other,
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
