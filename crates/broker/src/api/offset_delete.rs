//! OffsetDelete: forgets a group's offsets, but not those of partitions that its members are reading.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::api::Call;
use crate::group::Members;
use crate::group::events::Event;
use crate::group::offsets::Place;
use crate::protocol::code;

pub(super) fn handle(call: &Call<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    if request.group_id.is_empty() {
        return OffsetDeleteResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
    }
    let mut inner = call.state.groups.lock();
    let Some(group) = inner.by_id.get(request.group_id.as_str()) else {
        return OffsetDeleteResponse::default().with_error_code(ResponseError::GroupIdNotFound.code());
    };
    if let Members::Classic(classic) = &group.members
        && !classic.members.is_empty()
        && classic.protocol_type.as_str() != "consumer"
    {
        // Nobody but its members knows what they read.
        return OffsetDeleteResponse::default().with_error_code(ResponseError::NonEmptyGroup.code());
    }
    let mut places: BTreeSet<Place> = BTreeSet::new();
    let topics = request.topics.into_iter().map(|topic| {
        let is_subscribed = group.members.is_subscribed(&topic.name);
        let partitions = topic.partitions.iter().map(|wanted| {
            let index = wanted.partition_index;
            let checked = if call.state.topics.partition(&topic.name, index).is_none() {
                Err(ResponseError::UnknownTopicOrPartition)
            } else if is_subscribed {
                Err(ResponseError::GroupSubscribedToTopic)
            } else {
                places.insert((topic.name.to_string(), index));
                Ok(())
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code(&checked))
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    let topics = topics.collect();
    let places = places.into_iter().collect();
    let forgotten = inner.record(Event::Forget { group: request.group_id.to_string(), places });
    OffsetDeleteResponse::default().with_topics(topics).with_error_code(code(&forgotten))
}
