//! ListOffsets: first, last, and by time.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};

use crate::api::Call;
use crate::api::leader_epoch::{EPOCH, NONE, check};
use crate::blocking::blocking;
use crate::log::partition::Isolation;
use crate::log::records::TimedOffset;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first offset on local disk, the last one in remote storage, and the first that is not there yet. There is no
/// remote storage.
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

pub(super) fn handle(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = Isolation::from_wire(request.isolation_level);
    let twice = asked_twice(&request.topics);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let found = if twice.contains(&(topic.name.clone(), wanted.partition_index)) {
                Err(ResponseError::InvalidRequest)
            } else {
                find(call, &topic.name, wanted, isolation)
            };
            let response = ListOffsetsPartitionResponse::default()
                .with_partition_index(wanted.partition_index)
                .with_timestamp(-1)
                .with_offset(-1)
                .with_leader_epoch(NONE);
            match found {
                Ok(Some(at)) => {
                    let epoch = if call.version >= 4 { EPOCH } else { NONE };
                    response.with_timestamp(at.timestamp).with_offset(at.offset).with_leader_epoch(epoch)
                }
                Ok(None) => response,
                Err(error) => response.with_error_code(error.code()),
            }
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Of these it is not clear which answer would be for which question.
fn asked_twice(topics: &[ListOffsetsTopic]) -> HashSet<(TopicName, i32)> {
    let mut once = HashSet::new();
    let places = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (topic.name.clone(), partition.partition_index))
    });
    places.filter(|place| !once.insert(place.clone())).collect()
}

/// From which version on a client may ask for a time that is none; `None` for times.
fn since_version(timestamp: i64) -> Option<i16> {
    match timestamp {
        LATEST | EARLIEST => Some(1),
        MAX_TIMESTAMP => Some(7),
        EARLIEST_LOCAL => Some(8),
        LATEST_TIERED => Some(9),
        EARLIEST_PENDING_UPLOAD => Some(11),
        ..0 => Some(i16::MAX),
        0.. => None,
    }
}

fn find(
    call: &Call<'_>,
    topic: &TopicName,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<TimedOffset>, ResponseError> {
    if since_version(wanted.timestamp).is_some_and(|since| call.version < since) {
        return Err(ResponseError::UnsupportedVersion);
    }
    let (_, partition) = call
        .state
        .topics
        .partition(topic, wanted.partition_index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    check(wanted.current_leader_epoch)?;
    let bounds = partition.bounds();
    let at = |offset| Ok(Some(TimedOffset { offset, timestamp: -1 }));
    match wanted.timestamp {
        LATEST => at(bounds.visible_end(isolation)),
        EARLIEST | EARLIEST_LOCAL => at(bounds.start),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(None),
        MAX_TIMESTAMP => {
            Ok(blocking(|| partition.newest())?
                .filter(|newest| newest.offset < bounds.visible_end(isolation)))
        }
        // Batches are looked into, which may be large.
        timestamp => blocking(|| partition.offset_of_time(timestamp, isolation)),
    }
}
