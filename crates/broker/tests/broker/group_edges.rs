//! What groups answer where one does not look often; each of these is what Apache Kafka answers.

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name, transactional_id};
use kafka_protocol::ResponseError::{
    GroupIdNotFound, IllegalGeneration, InvalidGroupId, OffsetMetadataTooLarge, UnknownMemberId,
};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{Broker, BrokerConfig, Storage};

fn group(id: &str) -> GroupId {
    GroupId(StrBytes::from_string(id.to_owned()))
}

/// Commits offset 7 for partition 0 of "t".
fn commit(wire: &mut Wire, version: i16, id: &str, generation: i32, metadata: &str) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(7)
        .with_committed_metadata(Some(StrBytes::from_string(metadata.to_owned())));
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic]);
    wire.call(version, &request).topics[0].partitions[0].error_code
}

/// Offset and metadata of partition 0 of "t".
fn fetch(wire: &mut Wire, id: &str) -> (i64, String) {
    let topic = OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default().with_group_id(group(id)).with_topics(Some(vec![topic]));
    let found = wire.call(7, &request).topics.remove(0).partitions.remove(0);
    (found.committed_offset, found.metadata.unwrap().to_string())
}

#[test]
fn a_group_without_a_name_may_have_offsets_and_no_members() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    assert_eq!(commit(&mut wire, 8, "", 1, ""), IllegalGeneration.code());
    assert_eq!(commit(&mut wire, 9, "", 1, ""), GroupIdNotFound.code());
    assert_eq!(commit(&mut wire, 9, "", -1, ""), 0);
    assert_eq!(commit(&mut wire, 9, "", 1, ""), UnknownMemberId.code());
    assert_eq!(fetch(&mut wire, "").0, 7);
    let invalid = InvalidGroupId.code();
    assert_eq!(wire.call(4, &HeartbeatRequest::default()).error_code, invalid);
    assert_eq!(wire.call(2, &LeaveGroupRequest::default()).error_code, invalid);
    assert_eq!(wire.call(4, &SyncGroupRequest::default()).error_code, invalid);
    assert_eq!(wire.call(4, &JoinGroupRequest::default()).error_code, invalid);
    assert_eq!(wire.call(0, &OffsetDeleteRequest::default()).error_code, invalid);
    let describe = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group("")]);
    assert_eq!(wire.call(1, &describe).groups[0].error_code, invalid);
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("")]);
    assert_eq!(wire.call(2, &delete).results[0].error_code, 0);
}

#[test]
fn names_and_metadata_are_any_text_and_its_length_is_counted_as_java_does() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let id = "тест-\u{1f600} \"\\\n";
    for (character, max) in [("x", 4096), ("é", 4096), ("\u{1f600}", 2048)] {
        let longest = character.repeat(max);
        assert_eq!(commit(&mut wire, 9, id, -1, &longest), 0);
        let longer = format!("{longest}{character}");
        assert_eq!(commit(&mut wire, 9, id, -1, &longer), OffsetMetadataTooLarge.code());
        assert_eq!(fetch(&mut wire, id), (7, longest));
    }
}

#[test]
fn a_thousand_groups_outlive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let open = || {
        let storage = Storage::Directory(data.path().to_owned());
        Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap()
    };
    let broker = open();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    for n in 0..1_000 {
        assert_eq!(commit(&mut wire, 9, &format!("group-{n}"), -1, "é"), 0);
    }
    drop(broker);
    let broker = open();
    let mut wire = Wire::connect(&broker);
    assert_eq!(wire.call(5, &ListGroupsRequest::default()).groups.len(), 1_000);
    assert_eq!(fetch(&mut wire, "group-999"), (7, "é".to_owned()));
    let names = (0..1_000).map(|n| group(&format!("group-{n}"))).collect();
    let deleted = wire.call(2, &DeleteGroupsRequest::default().with_groups_names(names));
    assert!(deleted.results.iter().all(|result| result.error_code == 0));
    assert_eq!(wire.call(5, &ListGroupsRequest::default()).groups.len(), 0);
}

#[test]
fn a_deleted_group_does_not_come_back_with_what_a_transaction_was_about_to_commit() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    wire.produce("t", batch(&["v"], NO_PRODUCER, false), None);
    let (producer, epoch) = wire.init("x");
    let add = AddOffsetsToTxnRequest::default()
        .with_transactional_id(transactional_id("x"))
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_group_id(group("g"));
    assert_eq!(wire.call(3, &add).error_code, 0);
    let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = TxnOffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let offsets = TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional_id("x"))
        .with_group_id(group("g"))
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_topics(vec![topic]);
    assert_eq!(wire.call(3, &offsets).topics[0].partitions[0].error_code, 0);
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g")]);
    assert_eq!(wire.call(2, &delete).results[0].error_code, 0);
    let end = EndTxnRequest::default()
        .with_transactional_id(transactional_id("x"))
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_committed(true);
    assert_eq!(wire.call(3, &end).error_code, 0);
    assert_eq!(fetch(&mut wire, "g").0, -1);
    assert_eq!(wire.call(5, &ListGroupsRequest::default()).groups.len(), 0);
}
