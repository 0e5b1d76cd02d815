//! ConsumerGroupDescribe: a group of the new protocol, what its members have and what they shall have.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId, TopicName,
};

use crate::api::proportion::once;
use crate::api::{Call, operations};
use crate::group::consumer::member::Member;
use crate::group::consumer::{Consumer, Partitions};
use crate::group::{Group, Members};
use crate::protocol::text;

/// The types of members, by the protocol that they speak.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

pub(super) fn handle(
    call: &Call<'_>,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let asked = request.include_authorized_operations;
    let mut groups = request.group_ids;
    once(&mut groups, GroupId::clone);
    let inner = call.state.groups.lock();
    let groups = groups.into_iter().map(|id| match inner.by_id.get(id.as_str()) {
        _ if id.is_empty() => DescribedGroup::default()
            .with_authorized_operations(operations::group(false))
            .with_error_code(ResponseError::InvalidGroupId.code()),
        Some(Group { members: Members::Consumer(consumer), .. }) => describe(call, id, consumer, asked),
        Some(_) => none(&id, "is not a consumer group"),
        None => none(&id, "not found"),
    });
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
}

fn none(id: &GroupId, why: &str) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(id.clone())
        .with_authorized_operations(operations::group(false))
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(text(&format!("Group {} {why}.", id.as_str()))))
}

fn describe(call: &Call<'_>, id: GroupId, group: &Consumer, operations_asked: bool) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(text(group.state()))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(text(group.assignor().name()))
        .with_members(group.members().map(|member| describe_member(call, member)).collect())
        .with_authorized_operations(operations::group(operations_asked))
}

fn describe_member(call: &Call<'_>, member: &Member) -> DescribedMember {
    let mut held = Partitions::new();
    for (topic, partition) in member.held() {
        held.entry(topic).or_default().insert(partition);
    }
    let names = member.subscription.names.iter().map(|name| TopicName(text(name)));
    DescribedMember::default()
        .with_member_id(text(&member.id))
        .with_instance_id(member.instance_id.as_deref().map(text))
        .with_rack_id(member.rack_id.as_deref().map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(&member.client_id))
        .with_client_host(text(&member.client_host))
        .with_subscribed_topic_names(names.collect())
        .with_subscribed_topic_regex(Some(text(member.subscription.pattern.text())))
        .with_assignment(assignment(call, &held))
        .with_target_assignment(assignment(call, &member.target))
        .with_member_type(if member.classic.is_some() { CLASSIC } else { CONSUMER })
}

/// Topics that have been deleted since are left out, because they have no name.
fn assignment(call: &Call<'_>, partitions: &Partitions) -> Assignment {
    let topics = partitions.iter().filter_map(|(id, partitions)| {
        let topic = call.state.topics.get_by_id(*id)?;
        let described = TopicPartitions::default()
            .with_topic_id(*id)
            .with_topic_name(TopicName(text(&topic.name)))
            .with_partitions(partitions.iter().copied().collect());
        Some(described)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
