//! What members of group "g" say, word by word. They read topic "t".

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::wire::{Wire, name};

pub(crate) fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn group() -> GroupId {
    GroupId(string("g"))
}

/// The type and state of the group, as it is listed, or no more.
pub(crate) fn listed(wire: &mut Wire) -> String {
    let listed = wire.call(5, &ListGroupsRequest::default());
    listed.groups.iter().map(|group| format!("{} {}", group.group_type, group.group_state)).collect()
}

/// The ids of the members with the types of protocol that they speak.
pub(crate) fn types(wire: &mut Wire) -> Vec<(String, i8)> {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]);
    let described = wire.call(1, &request).groups.remove(0);
    assert_eq!(described.error_code, 0, "{:?}", described.error_message);
    let kind = |member: &consumer_group_describe_response::Member| {
        (member.member_id.to_string(), member.member_type)
    };
    let mut types: Vec<(String, i8)> = described.members.iter().map(kind).collect();
    types.sort_by_key(|(_, kind)| std::cmp::Reverse(*kind));
    types
}

/// What a consumer of "t" says when it joins.
pub(crate) fn metadata() -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    let subscription = ConsumerProtocolSubscription::default().with_topics(vec![string("t")]);
    subscription.encode(&mut bytes, 0).unwrap();
    bytes.freeze()
}

pub(crate) fn join(member: &str, instance: Option<&str>) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(string("range")).with_metadata(metadata());
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_member_id(string(member))
        .with_group_instance_id(instance.map(string))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(string("consumer"))
        .with_protocols(vec![protocol])
}

pub(crate) fn sync(
    member: &StrBytes,
    generation: i32,
    instance: Option<&str>,
    share: &[u8],
) -> SyncGroupRequest {
    let share = SyncGroupRequestAssignment::default()
        .with_member_id(member.clone())
        .with_assignment(Bytes::copy_from_slice(share));
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_member_id(member.clone())
        .with_group_instance_id(instance.map(string))
        .with_generation_id(generation)
        .with_assignments(vec![share])
}

/// Partition 0 of "t", with so many bytes of something else.
pub(crate) fn share(more: u8) -> Vec<u8> {
    [b"\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0".as_slice(), &[more], &vec![7; more.into()]].concat()
}

/// A classic group whose only member has partition 0; returns its id.
pub(crate) fn classic(wire: &mut Wire, instance: Option<&str>, share: &[u8]) -> StrBytes {
    let first = wire.call(5, &join("", instance));
    let joined = match first.error_code {
        0 => first,
        _ => wire.call(5, &join(&first.member_id, instance)),
    };
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    let synced = wire.call(4, &sync(&joined.member_id, 1, instance, share));
    assert_eq!(synced.error_code, 0);
    joined.member_id
}

pub(crate) fn beat(member: &str, epoch: i32, instance: Option<&str>) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(string(member))
        .with_member_epoch(epoch)
        .with_instance_id(instance.map(string))
        .with_rebalance_timeout_ms(1_000)
        .with_subscribed_topic_names(Some(vec![name("t")]))
        .with_topic_partitions(Some(Vec::new()))
}

pub(crate) fn heartbeat(wire: &mut Wire, member: &StrBytes, generation: i32) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(member.clone())
        .with_generation_id(generation);
    wire.call(4, &request).error_code
}

pub(crate) fn commit(wire: &mut Wire, version: i16, member: &str, generation: i32) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(string(member))
        .with_topics(vec![topic]);
    wire.call(version, &request).topics[0].partitions[0].error_code
}

pub(crate) fn partitions(share: &Bytes) -> Vec<i32> {
    let decoded = ConsumerProtocolAssignment::decode(&mut share.slice(2..), 0).unwrap();
    decoded.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// The offset of partition 0 that the group has committed; -1 if none.
pub(crate) fn fetch(wire: &mut Wire) -> i64 {
    let topic = OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic]));
    wire.call(7, &request).topics[0].partitions[0].committed_offset
}
