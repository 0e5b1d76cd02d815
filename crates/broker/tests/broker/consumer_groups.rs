//! Groups of the new protocol (KIP-848): as librdkafka forms them, and word by word.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::common::wire::{Wire, name};
use crate::common::{PATIENCE, config, memory, poll_values, producer, send};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use thalweg_broker::Broker;

fn member(broker: &Broker, topics: &[&str], set: &[(&str, &str)]) -> BaseConsumer {
    let mut config = config(broker);
    config.set("group.id", "g").set("group.protocol", "consumer");
    config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    for (name, value) in set {
        config.set(*name, *value);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(topics).unwrap();
    consumer
}

fn assigned(consumer: &BaseConsumer) -> BTreeSet<(String, i32)> {
    let list = consumer.assignment().unwrap();
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}

/// Polls all consumers until together they have so many partitions, as evenly as can be, and none is shared.
fn settle(consumers: &[&BaseConsumer], partitions: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shares: Vec<_> = consumers.iter().map(|consumer| assigned(consumer)).collect();
        let all: BTreeSet<_> = shares.iter().flatten().collect();
        let sizes: Vec<usize> = shares.iter().map(BTreeSet::len).collect();
        let even = sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1;
        if all.len() == partitions && sizes.iter().sum::<usize>() == partitions && even {
            return;
        }
        assert!(Instant::now() < deadline, "{shares:?}");
        for consumer in consumers {
            consumer.poll(Duration::from_millis(20));
        }
    }
}

/// A broker whose members of consumer groups beat often.
fn quick() -> Broker {
    use thalweg_broker::BrokerConfig;
    let set = [
        ("group.consumer.min.heartbeat.interval.ms", "100"),
        ("group.consumer.heartbeat.interval.ms", "100"),
    ];
    let properties = set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Broker::start(BrokerConfig { properties, ..BrokerConfig::default() }).unwrap()
}

#[test]
fn members_share_and_take_over_and_go_on_where_they_committed() {
    let broker = quick();
    broker.create_topic("t", 4).unwrap();
    let first = member(&broker, &["t"], &[]);
    settle(&[&first], 4);
    let second = member(&broker, &["t"], &[]);
    settle(&[&first, &second], 4);
    drop(first);
    settle(&[&second], 4);
    let values: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    send(&producer(&broker, |_| {}), "t", &values);
    let mut came = poll_values(&second, 10);
    came.sort();
    assert_eq!(came, values);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(0)).unwrap();
    second.commit(&list, CommitMode::Sync).unwrap();
    drop(second);
    let third = member(&broker, &["t"], &[]);
    settle(&[&third], 4);
    let committed = third.committed(PATIENCE).unwrap();
    assert_eq!(committed.find_partition("t", 0).unwrap().offset(), Offset::Offset(0));
}

#[test]
fn new_partitions_and_topics_come_to_those_who_wait_for_them() {
    let broker = quick();
    broker.create_topic("t-1", 1).unwrap();
    let first = member(&broker, &["^t-.*"], &[]);
    settle(&[&first], 1);
    broker.create_topic("u", 1).unwrap();
    broker.create_topic("t-2", 2).unwrap();
    settle(&[&first], 3);
    let all: BTreeSet<String> = assigned(&first).into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(all, ["t-1".to_owned(), "t-2".to_owned()].into());
}

fn group(id: &str) -> GroupId {
    GroupId(StrBytes::from_string(id.to_owned()))
}

fn join(id: &str, member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group(id))
        .with_member_id(StrBytes::from_string(member.to_owned()))
        .with_rebalance_timeout_ms(1_000)
        .with_subscribed_topic_names(Some(vec![name("t")]))
        .with_topic_partitions(Some(Vec::new()))
}

#[test]
fn requests_that_make_no_sense_are_refused_with_a_reason() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let text = StrBytes::from_static_str;
    let cases = [
        (join("", "m"), ResponseError::InvalidRequest, "GroupId can't be empty."),
        (join("g", ""), ResponseError::InvalidRequest, "MemberId can't be empty."),
        (join("g", "m").with_instance_id(Some(text(""))), ResponseError::InvalidRequest, "InstanceId"),
        (join("g", "m").with_topic_partitions(None), ResponseError::InvalidRequest, "TopicPartitions"),
        (join("g", "m").with_rebalance_timeout_ms(-1), ResponseError::InvalidRequest, "RebalanceTimeoutMs"),
        (join("g", "m").with_subscribed_topic_names(None), ResponseError::InvalidRequest, "SubscribedTopic"),
        (join("g", "m").with_member_epoch(-2), ResponseError::InvalidRequest, "InstanceId can't be null."),
        (join("g", "m").with_member_epoch(-3), ResponseError::InvalidRequest, "MemberEpoch is invalid."),
        (join("g", "m").with_member_epoch(5), ResponseError::GroupIdNotFound, "g not found"),
        (
            join("g", "m").with_server_assignor(Some(text("fair"))),
            ResponseError::UnsupportedAssignor,
            "uniform, range",
        ),
        (
            join("g", "m").with_subscribed_topic_regex(Some(text("a("))),
            ResponseError::InvalidRegularExpression,
            "`a(`",
        ),
    ];
    for (request, error, reason) in cases {
        let response = wire.call(1, &request);
        let message = response.error_message.unwrap();
        assert_eq!(response.error_code, error.code(), "{message}");
        assert!(message.contains(reason), "{message}");
    }
    let listed = wire.call(5, &ListGroupsRequest::default());
    assert!(listed.groups.is_empty(), "{listed:?}");
    let made = wire.call(0, &join("g", ""));
    assert_eq!(
        (made.error_code, made.member_id.unwrap().len()),
        (0, 22),
        "in version 0 the broker makes the id"
    );
}

#[test]
fn a_group_is_of_the_protocol_that_its_members_speak() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let joined = wire.call(1, &join("g", "m"));
    assert_eq!((joined.error_code, joined.member_epoch, joined.heartbeat_interval_ms), (0, 2, 5_000));
    assert_eq!(joined.assignment.unwrap().topic_partitions[0].partitions, [0]);

    let listed = |wire: &mut Wire, kind: &'static str| {
        let filter = vec![StrBytes::from_static_str(kind)];
        let groups = wire.call(5, &ListGroupsRequest::default().with_types_filter(filter)).groups;
        groups
            .iter()
            .map(|group| (group.group_id.to_string(), group.group_state.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&mut wire, "consumer"), [("g".to_owned(), "Stable".to_owned())]);
    assert_eq!(listed(&mut wire, "classic"), []);
    let described = wire.call(6, &DescribeGroupsRequest::default().with_groups(vec![group("g")]));
    let described = &described.groups[0];
    assert_eq!(described.error_code, ResponseError::GroupIdNotFound.code());
    assert_eq!(described.group_state.as_str(), "Dead");
    let described = wire.call(1, &ConsumerGroupDescribeRequest::default().with_group_ids(vec![group("g")]));
    let described = &described.groups[0];
    let one = &described.members[0];
    assert_eq!((described.group_epoch, described.assignment_epoch, one.member_epoch), (2, 2, 2));
    assert_eq!((one.member_type, described.assignor_name.as_str()), (1, "uniform"));
    assert_eq!(one.assignment, one.target_assignment);
    let deleted = |wire: &mut Wire| {
        wire.call(2, &DeleteGroupsRequest::default().with_groups_names(vec![group("g")])).results[0]
            .error_code
    };
    assert_eq!(deleted(&mut wire), ResponseError::NonEmptyGroup.code());

    let commit = |wire: &mut Wire, version, member: &str, epoch| {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
        let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group("g"))
            .with_generation_id_or_member_epoch(epoch)
            .with_member_id(StrBytes::from_string(member.to_owned()))
            .with_topics(vec![topic]);
        wire.call(version, &request).topics[0].partitions[0].error_code
    };
    assert_eq!(commit(&mut wire, 9, "m", 2), 0);
    assert_eq!(commit(&mut wire, 8, "m", 2), ResponseError::UnsupportedVersion.code());
    assert_eq!(commit(&mut wire, 9, "m", 1), ResponseError::StaleMemberEpoch.code());
    assert_eq!(commit(&mut wire, 9, "n", 1), ResponseError::UnknownMemberId.code());
    let fetch = |wire: &mut Wire, member: &str, epoch| {
        let wanted = OffsetFetchRequestGroup::default()
            .with_group_id(group("g"))
            .with_member_id(Some(StrBytes::from_string(member.to_owned())))
            .with_member_epoch(epoch)
            .with_topics(None);
        let response = wire.call(9, &OffsetFetchRequest::default().with_groups(vec![wanted]));
        (response.groups[0].error_code, response.groups[0].topics.len())
    };
    assert_eq!(fetch(&mut wire, "m", 2), (0, 1));
    assert_eq!(fetch(&mut wire, "m", 0), (ResponseError::StaleMemberEpoch.code(), 0));
    assert_eq!(fetch(&mut wire, "n", 1), (ResponseError::UnknownMemberId.code(), 0));

    let unknown = wire.call(1, &join("g", "n").with_member_epoch(2));
    assert_eq!(unknown.error_code, ResponseError::UnknownMemberId.code());
    assert_eq!(unknown.error_message.unwrap().as_str(), "Member n is not a member of group g.");
    let left = wire.call(1, &join("g", "m").with_member_epoch(-1));
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
    assert_eq!(listed(&mut wire, "consumer"), [("g".to_owned(), "Empty".to_owned())]);
    assert_eq!(deleted(&mut wire), 0);
    assert_eq!(listed(&mut wire, "consumer"), []);
}

/// So asks Java's consumer for the names of what a pattern has brought it.
#[test]
fn a_topic_is_found_by_its_id_whatever_name_is_given() {
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let named = MetadataRequestTopic::default().with_name(Some(name("t")));
    let ask = |wire: &mut Wire, topic| {
        wire.call(12, &MetadataRequest::default().with_topics(Some(vec![topic]))).topics.remove(0)
    };
    let id = ask(&mut wire, named).topic_id;
    for given in [None, Some(name(""))] {
        let wanted = MetadataRequestTopic::default().with_topic_id(id).with_name(given);
        let found = ask(&mut wire, wanted);
        assert_eq!((found.error_code, found.name), (0, Some(name("t"))));
    }
}
