//! How long groups last: over restarts, and until nobody has asked for them in a long time.

use std::path::Path;
use std::time::Duration;

use crate::common::memory;
use crate::common::wire::{Wire, name};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{Broker, BrokerConfig, Storage};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn open(data: &Path) -> Broker {
    let storage = Storage::Directory(data.to_owned());
    Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap()
}

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group(id: &str) -> GroupId {
    GroupId(string(id))
}

/// Makes a classic group with one member, who reads topic "t"; returns its id. It is in generation 1.
fn classic(wire: &mut Wire, id: &str, instance: Option<&str>) -> StrBytes {
    let metadata = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
    let protocol = JoinGroupRequestProtocol::default().with_name(string("range")).with_metadata(metadata);
    let join = JoinGroupRequest::default()
        .with_group_id(group(id))
        .with_group_instance_id(instance.map(string))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(string("consumer"))
        .with_protocols(vec![protocol]);
    let first = wire.call(5, &join);
    let joined = match first.error_code {
        0 => first,
        _ => wire.call(5, &join.with_member_id(first.member_id)),
    };
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    let share = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(b"share"));
    let sync = sync(id, &joined.member_id, instance).with_assignments(vec![share]);
    assert_eq!(wire.call(4, &sync).assignment, "share");
    joined.member_id
}

fn sync(id: &str, member: &StrBytes, instance: Option<&str>) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(group(id))
        .with_generation_id(1)
        .with_member_id(member.clone())
        .with_group_instance_id(instance.map(string))
}

fn beat(wire: &mut Wire, id: &str, member: &StrBytes) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group(id))
        .with_generation_id(1)
        .with_member_id(member.clone());
    wire.call(4, &request).error_code
}

fn state(wire: &mut Wire, id: &str) -> String {
    let listed = wire.call(5, &ListGroupsRequest::default());
    let found = listed.groups.iter().find(|listed| listed.group_id.as_str() == id);
    found.map_or_else(|| "none".to_owned(), |listed| format!("{} {}", listed.group_type, listed.group_state))
}

fn leave(wire: &mut Wire, id: &str, member: &StrBytes) {
    let member = MemberIdentity::default().with_member_id(member.clone());
    let left =
        wire.call(5, &LeaveGroupRequest::default().with_group_id(group(id)).with_members(vec![member]));
    assert_eq!(left.members[0].error_code, 0);
}

fn commit(wire: &mut Wire, version: i16, id: &str, topic: &str, retention_ms: i64) {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(retention_ms)
        .with_topics(vec![topic]);
    assert_eq!(wire.call(version, &request).topics[0].partitions[0].error_code, 0);
}

#[test]
fn members_of_a_classic_group_go_on_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let (one, fixed, gone) = {
        let broker = open(data.path());
        let mut wire = Wire::connect(&broker);
        let gone = classic(&mut wire, "gone", None);
        leave(&mut wire, "gone", &gone);
        (classic(&mut wire, "g", None), classic(&mut wire, "static", Some("i")), gone)
    };
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    assert_eq!(beat(&mut wire, "g", &one), 0);
    assert_eq!(wire.call(4, &sync("g", &one, None)).assignment, "share");
    assert_eq!(wire.call(4, &sync("static", &fixed, Some("i"))).assignment, "share");
    assert_eq!(state(&mut wire, "gone"), "classic Empty");
    assert_eq!(beat(&mut wire, "gone", &gone), ResponseError::UnknownMemberId.code());
    broker.faults().advance_clock(Duration::from_secs(11));
    assert_eq!(state(&mut wire, "g"), "classic Empty", "whoever does not come back is noticed");
}

#[test]
fn members_of_a_consumer_group_go_on_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let request = |epoch: i32| {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group("g"))
            .with_member_id(string("m"))
            .with_member_epoch(epoch)
            .with_rebalance_timeout_ms(1_000)
            .with_subscribed_topic_names(Some(vec![name("t")]))
            .with_topic_partitions(Some(Vec::new()))
    };
    let topic = {
        let broker = open(data.path());
        broker.create_topic("t", 2).unwrap();
        let joined = Wire::connect(&broker).call(1, &request(0));
        assert_eq!((joined.error_code, joined.member_epoch), (0, 2));
        joined.assignment.unwrap().topic_partitions[0].topic_id
    };
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    let owned = TopicPartitions::default().with_topic_id(topic).with_partitions(vec![0, 1]);
    let beaten = wire.call(1, &request(2).with_topic_partitions(Some(vec![owned])));
    assert_eq!((beaten.error_code, beaten.member_epoch), (0, 2), "in the same epoch");
    assert_eq!(beaten.assignment.unwrap().topic_partitions[0].partitions, [0, 1]);
    broker.faults().advance_clock(Duration::from_secs(46));
    assert_eq!(state(&mut wire, "g"), "consumer Empty");
}

#[test]
fn offsets_that_nobody_needs_are_forgotten_and_so_are_empty_groups() {
    let broker = memory();
    for topic in ["t", "u"] {
        broker.create_topic(topic, 1).unwrap();
    }
    let mut wire = Wire::connect(&broker);
    commit(&mut wire, 9, "simple", "t", -1);
    commit(&mut wire, 3, "short", "t", 3_600_000);
    commit(&mut wire, 3, "short", "u", 30 * 24 * 3_600_000);
    for topic in ["t", "u"] {
        commit(&mut wire, 9, "g", topic, -1);
    }
    let member = classic(&mut wire, "g", None);
    let committed = |wire: &mut Wire, id: &str| {
        let response =
            wire.call(7, &OffsetFetchRequest::default().with_group_id(group(id)).with_topics(None));
        response.topics.iter().map(|topic| topic.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(committed(&mut wire, "g"), ["t", "u"]);
    leave(&mut wire, "g", &member);
    broker.faults().advance_clock(DAY * 6);
    let states = |wire: &mut Wire| [state(wire, "simple"), state(wire, "g")];
    assert_eq!(states(&mut wire), ["classic Empty", "classic Empty"]);
    assert_eq!(committed(&mut wire, "short"), ["u"], "the client said how long it wants them");
    broker.faults().advance_clock(DAY * 2);
    assert_eq!(states(&mut wire), ["none", "none"]);
    assert_eq!(committed(&mut wire, "short"), ["u"]);
}

#[test]
fn what_members_read_is_kept() {
    let set = [("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "1000")];
    let properties = set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let broker = Broker::start(BrokerConfig { properties, ..BrokerConfig::default() }).unwrap();
    let mut wire = Wire::connect(&broker);
    for topic in ["t", "u"] {
        broker.create_topic(topic, 1).unwrap();
        for id in ["new", "old"] {
            commit(&mut wire, 9, id, topic, -1);
        }
    }
    let mut request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group("new"))
        .with_member_id(string("m"))
        .with_rebalance_timeout_ms(1_000)
        .with_subscribed_topic_names(Some(vec![name("t")]))
        .with_topic_partitions(Some(Vec::new()));
    let member = classic(&mut wire, "old", None);
    for _ in 0..14 {
        let beaten = wire.call(1, &request);
        assert_eq!((beaten.error_code, beat(&mut wire, "old", &member)), (0, 0));
        request.member_epoch = beaten.member_epoch;
        broker.faults().advance_clock(Duration::from_secs(5));
    }
    for id in ["new", "old"] {
        let fetched = wire.call(7, &OffsetFetchRequest::default().with_group_id(group(id)).with_topics(None));
        let topics: Vec<String> = fetched.topics.iter().map(|topic| topic.name.to_string()).collect();
        assert_eq!(topics, ["t"], "{id}");
    }
}

#[test]
fn a_group_without_anything_stays_until_it_is_looked_for_or_deleted() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    let join = |id: &str| {
        JoinGroupRequest::default()
            .with_group_id(group(id))
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(10_000)
            .with_protocol_type(string("consumer"))
            .with_protocols(vec![JoinGroupRequestProtocol::default().with_name(string("range"))])
    };
    for id in ["g", "h"] {
        let response = wire.call(5, &join(id));
        assert_eq!(response.error_code, ResponseError::MemberIdRequired.code());
        assert_eq!(state(&mut wire, id), "classic Empty", "whoever has but an id is no member");
    }
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g")]);
    assert_eq!(wire.call(2, &delete).results[0].error_code, 0);
    assert_eq!(state(&mut wire, "g"), "none");
    broker.faults().advance_clock(Duration::from_secs(11));
    assert_eq!(state(&mut wire, "h"), "classic Empty");
    broker.faults().advance_clock(Duration::from_secs(600));
    assert_eq!(state(&mut wire, "h"), "none", "offsets.retention.check.interval.ms");
}
