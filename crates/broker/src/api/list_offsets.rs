//! ListOffsets: first, last, and by time.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};

use crate::api::Call;
use crate::api::leader_epoch::{EPOCH, NONE, check};
use crate::log::partition::Isolation;
use crate::log::records::TimedOffset;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The first offset on local disk, and the last one in remote storage, of which there is none.
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

pub(super) fn handle(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = Isolation::from_wire(request.isolation_level);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let found = find(call, &topic.name, wanted, isolation);
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

fn find(
    call: &Call<'_>,
    topic: &TopicName,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<TimedOffset>, ResponseError> {
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
        LATEST_TIERED => Ok(None),
        MAX_TIMESTAMP => partition.newest(),
        timestamp => partition.offset_of_time(timestamp, isolation),
    }
}
