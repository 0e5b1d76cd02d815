//! What clients are told of topics, and what they can do to them.

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, DescribeLogDirsRequest,
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, MetadataRequest,
    OffsetForLeaderEpochRequest,
};
use thalweg_broker::{Broker, BrokerConfig, Storage};
use uuid::Uuid;

/// Name and partitions of the topics of a page.
fn page(response: &DescribeTopicPartitionsResponse) -> Vec<(String, Vec<i32>)> {
    let partitions = |topic: &kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic| {
        topic.partitions.iter().map(|partition| partition.partition_index).collect()
    };
    let topics = response.topics.iter();
    topics.map(|topic| (topic.name.as_ref().unwrap().to_string(), partitions(topic))).collect()
}

#[test]
fn partitions_are_described_page_by_page() {
    let broker = memory();
    for (topic, partitions) in [("b", 3), ("a", 2), ("c", 1)] {
        broker.create_topic(topic, partitions).unwrap();
    }
    let mut wire = Wire::connect(&broker);
    let mut request =
        DescribeTopicPartitionsRequest::default().with_response_partition_limit(2).with_cursor(None);
    let mut pages = Vec::new();
    loop {
        let response = wire.call(0, &request);
        pages.push(page(&response));
        let Some(next) = response.next_cursor else { break };
        let cursor =
            Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index);
        request.cursor = Some(cursor);
    }
    let topic = |name: &str, partitions: &[i32]| (name.to_owned(), partitions.to_vec());
    let expected =
        [vec![topic("a", &[0, 1])], vec![topic("b", &[0, 1])], vec![topic("b", &[2]), topic("c", &[0])]];
    assert_eq!(pages, expected);

    let wanted = ["none", "c", "c"].map(|topic| TopicRequest::default().with_name(name(topic)));
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(wanted.to_vec())
        .with_response_partition_limit(2_000)
        .with_cursor(None);
    let response = wire.call(0, &request);
    assert_eq!(page(&response), [topic("c", &[0]), topic("none", &[])]);
    assert_eq!(response.topics[1].error_code, ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn the_only_epoch_ends_where_the_log_does() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    wire.produce("t", batch(&["a", "b"], NO_PRODUCER, false), None);
    let mut end = |current: i32, epoch: i32| {
        let partition =
            OffsetForLeaderPartition::default().with_current_leader_epoch(current).with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
        let request =
            OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        let found = wire.call(4, &request).topics.remove(0).partitions.remove(0);
        (found.error_code, found.leader_epoch, found.end_offset)
    };
    assert_eq!(end(-1, 0), (0, 0, 2));
    assert_eq!(end(0, 0), (0, 0, 2));
    assert_eq!(end(0, 1), (0, -1, -1));
    assert_eq!(end(1, 0), (ResponseError::UnknownLeaderEpoch.code(), -1, -1));
}

#[test]
fn the_bytes_of_partitions_are_told() {
    let data = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(data.path().to_owned());
    let on_disk = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    for broker in [memory(), on_disk] {
        broker.create_topic("t", 2).unwrap();
        let mut wire = Wire::connect(&broker);
        let records = batch(&["a", "b"], NO_PRODUCER, false);
        wire.produce("t", records.clone(), None);
        let result = wire.call(4, &DescribeLogDirsRequest::default().with_topics(None)).results.remove(0);
        let sizes: Vec<i64> =
            result.topics[0].partitions.iter().map(|partition| partition.partition_size).collect();
        assert_eq!(sizes, [records.len() as i64, 0]);
        if result.log_dir.as_str() != "memory" {
            assert!(result.usable_bytes > 0 && result.usable_bytes <= result.total_bytes);
        }
    }
}

fn create(wire: &mut Wire, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
    wire.call(7, &CreateTopicsRequest::default().with_topics(topics)).topics
}

#[test]
fn topics_that_cannot_be_are_refused_in_the_words_of_kafka() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    let plain = |topic: &str, partitions, replication| {
        CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(replication)
    };
    let assigned = |brokers: &[&[i32]]| {
        let assignment = |(index, brokers): (usize, &&[i32])| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index as i32)
                .with_broker_ids(brokers.iter().map(|id| BrokerId(*id)).collect())
        };
        plain("t", -1, -1).with_assignments(brokers.iter().enumerate().map(assignment).collect())
    };
    for (topic, error, message) in [
        (
            plain("a:b", 1, 1),
            ResponseError::InvalidTopicException,
            "Topic name is invalid: 'a:b' contains one or more characters other than ASCII alphanumerics, '.', \
             '_' and '-'",
        ),
        (
            plain("t", 0, 1),
            ResponseError::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            plain("t", 1, 0),
            ResponseError::InvalidReplicationFactor,
            "Replication factor was set to an invalid non-positive value.",
        ),
        (
            assigned(&[&[1], &[2]]),
            ResponseError::InvalidReplicaAssignment,
            "The manual partition assignment includes broker 2, but no such broker is registered.",
        ),
        (
            assigned(&[&[1]]).with_num_partitions(1),
            ResponseError::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
    ] {
        let result = create(&mut wire, vec![topic]).remove(0);
        assert_eq!((result.error_code, result.error_message.unwrap().as_str()), (error.code(), message));
    }
    let twice = create(&mut wire, vec![plain("t", 1, 1), plain("t", 2, 1), plain("u", 1, 1)]);
    let codes: Vec<i16> = twice.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [ResponseError::InvalidRequest.code(), 0]);
    let result = create(&mut wire, vec![assigned(&[&[1], &[1]])]).remove(0);
    assert_eq!((result.error_code, result.num_partitions), (0, 2));
}

#[test]
fn topics_are_deleted_by_id_unless_nobody_may() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let topic = MetadataRequestTopic::default().with_name(Some(name("t")));
    let id = wire.call(12, &MetadataRequest::default().with_topics(Some(vec![topic]))).topics[0].topic_id;
    let mut delete = |topic: Option<&str>, id: Uuid| {
        let topic = DeleteTopicState::default().with_name(topic.map(name)).with_topic_id(id);
        wire.call(6, &DeleteTopicsRequest::default().with_topics(vec![topic])).responses.remove(0)
    };
    assert_eq!(delete(Some("t"), id).error_code, ResponseError::InvalidRequest.code());
    assert_eq!(delete(None, Uuid::nil()).error_code, ResponseError::InvalidRequest.code());
    let deleted = delete(None, id);
    assert_eq!((deleted.error_code, deleted.name), (0, Some(name("t"))));
    assert_eq!(delete(None, id).error_code, ResponseError::UnknownTopicId.code());

    let properties = [("delete.topic.enable".to_owned(), "false".to_owned())].into();
    let broker = Broker::start(BrokerConfig { properties, ..BrokerConfig::default() }).unwrap();
    broker.create_topic("t", 1).unwrap();
    let topic = DeleteTopicState::default().with_name(Some(name("t")));
    let request = DeleteTopicsRequest::default().with_topics(vec![topic]);
    let refused = Wire::connect(&broker).call(6, &request).responses.remove(0);
    assert_eq!(refused.error_code, ResponseError::TopicDeletionDisabled.code());
}
