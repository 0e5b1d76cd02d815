//! OffsetForLeaderEpoch: where the records of a leader's epoch end. There has never been another leader, so it is epoch
//! 0 and ends where the log does.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName};

use crate::api::Call;
use crate::api::leader_epoch::{EPOCH, check};
use crate::api::proportion::parts_once;

pub(super) fn handle(call: &Call<'_>, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let mut topics = request.topics;
    parts_once(
        &mut topics,
        |topic| topic.topic.clone(),
        |topic| &mut topic.partitions,
        |wanted| wanted.partition,
    );
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let found = EpochEndOffset::default().with_partition(wanted.partition);
            match end(call, &topic.topic, wanted) {
                Ok(Some(end)) => found.with_leader_epoch(EPOCH).with_end_offset(end),
                Ok(None) => found.with_leader_epoch(-1).with_end_offset(-1),
                Err(error) => found.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1),
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn end(
    call: &Call<'_>,
    topic: &TopicName,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<i64>, ResponseError> {
    let (_, partition) =
        call.state.topics.partition(topic, wanted.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    check(wanted.current_leader_epoch)?;
    Ok((wanted.leader_epoch == EPOCH).then(|| partition.bounds().end))
}
