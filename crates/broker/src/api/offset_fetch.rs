//! OffsetFetch: where groups are. With `require_stable`, offsets that an open transaction may still change are
//! not told.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::api::proportion::{once, parts_once};
use crate::api::{Call, newest};
use crate::group::offsets::{Committed, Offsets, Place};
use crate::group::{Group, Members};
use crate::protocol::text;

pub(super) fn handle(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if call.version >= 8 {
        let mut groups = request.groups;
        once(&mut groups, |group| group.group_id.clone());
        let groups = groups.into_iter().map(|wanted| group(call, wanted, stable));
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    // Until version 7 there was one group, and the same answer had other types.
    let topics = request.topics.map(|topics| {
        let convert = |topic: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic| {
            kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics::default()
                .with_name(topic.name)
                .with_partition_indexes(topic.partition_indexes)
        };
        topics.into_iter().map(convert).collect()
    });
    let wanted = OffsetFetchRequestGroup::default().with_group_id(request.group_id).with_topics(topics);
    let topics = group(call, wanted, stable).topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(partition.committed_leader_epoch)
                .with_metadata(partition.metadata)
                .with_error_code(partition.error_code)
        });
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn group(call: &Call<'_>, wanted: OffsetFetchRequestGroup, stable: bool) -> OffsetFetchResponseGroup {
    let inner = call.state.groups.lock();
    let none = Offsets::default();
    let found = inner.by_id.get(wanted.group_id.as_str());
    // Members of the new protocol say who they are, so that one that was removed learns it here.
    if let (Some(Group { members: Members::Consumer(consumer), .. }), Some(member)) =
        (found, &wanted.member_id)
        && let Err(error) = consumer.may_fetch(member, wanted.member_epoch)
    {
        return OffsetFetchResponseGroup::default()
            .with_group_id(wanted.group_id)
            .with_error_code(error.code());
    }
    let offsets = found.map_or(&none, |group| &group.offsets);
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    match wanted.topics {
        Some(mut wanted) => {
            parts_once(
                &mut wanted,
                |topic| (topic.topic_id, topic.name.clone()),
                |topic| &mut topic.partition_indexes,
                |index| *index,
            );
            for topic in wanted {
                let name = newest::topic_name(call, &topic.name);
                let partitions = topic.partition_indexes.iter().map(|index| {
                    let Some(name) = &name else {
                        return describe(*index, None, false)
                            .with_error_code(ResponseError::UnknownTopicId.code());
                    };
                    let place = (name.clone(), *index);
                    describe(*index, offsets.get(&place), stable && offsets.is_unstable(&place))
                });
                let partitions = partitions.collect();
                topics.push(
                    OffsetFetchResponseTopics::default().with_name(topic.name).with_partitions(partitions),
                );
            }
        }
        None => {
            let by_topic: Vec<(&Place, &Committed)> = offsets.iter().collect();
            for places in by_topic.chunk_by(|one, next| one.0.0 == next.0.0) {
                let Some(name) = newest::name_shown(call, &places[0].0.0) else { continue };
                let partitions = places.iter().map(|(place, committed)| {
                    describe(place.1, Some(committed), stable && offsets.is_unstable(place))
                });
                let partitions = partitions.collect();
                topics.push(OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions));
            }
        }
    }
    drop(inner);
    OffsetFetchResponseGroup::default().with_group_id(wanted.group_id).with_topics(topics)
}

fn describe(index: i32, committed: Option<&Committed>, unstable: bool) -> OffsetFetchResponsePartitions {
    let response = OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(-1)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(text("")));
    match committed {
        _ if unstable => response.with_error_code(ResponseError::UnstableOffsetCommit.code()),
        Some(committed) => response
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(&committed.metadata))),
        None => response,
    }
}
