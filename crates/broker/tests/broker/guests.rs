//! Guests that mean no good: little that is asked for must not make much work, and no more than so much of an answer.

use std::time::{Duration, Instant};

use crate::common::wire::{Wire, api_versions, name, transactional_id};
use crate::common::{PATIENCE, memory};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialDeletion;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource as IncrementalResource;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterUserScramCredentialsRequest, ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteTopicsRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeTransactionsRequest, DescribeUserScramCredentialsRequest,
    FindCoordinatorRequest, GroupId, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest,
    MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProducerId,
    WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{Broker, BrokerConfig, Storage};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn metadata(names: impl IntoIterator<Item = String>) -> MetadataRequest {
    let topic = |topic: String| MetadataRequestTopic::default().with_name(Some(name(&topic)));
    MetadataRequest::default()
        .with_topics(Some(names.into_iter().map(topic).collect()))
        .with_allow_auto_topic_creation(true)
}

fn creatable(topic: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(1_000)
}

fn described(kind: i8, name: &str) -> DescribeConfigsResource {
    DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(text(name))
}

/// What is named again and again is answered once, whichever the question.
#[test]
fn names_count_once() {
    const TIMES: usize = 50;
    let broker = memory();
    broker.create_topic("t", 3).unwrap();
    let mut wire = Wire::connect(&broker);
    let id = wire.topic_id("t");

    let response = wire.call(12, &metadata(vec!["t".to_owned(); TIMES]));
    assert_eq!(response.topics.len(), 1, "Metadata by name");
    let by_id = MetadataRequestTopic::default().with_topic_id(id).with_name(None);
    let response = wire.call(12, &MetadataRequest::default().with_topics(Some(vec![by_id; TIMES])));
    assert_eq!(response.topics.len(), 1, "Metadata by id");
    let response = wire.call(12, &metadata(vec!["no such, topic".to_owned(); TIMES]));
    assert_eq!(response.topics.len(), 1, "Metadata of what is not there");

    for (kind, name) in [(TOPIC, "t"), (BROKER, "1"), (BROKER, ""), (GROUP, "g"), (TOPIC, "none")] {
        let request = DescribeConfigsRequest::default().with_resources(vec![described(kind, name); TIMES]);
        assert_eq!(wire.call(4, &request).results.len(), 1, "DescribeConfigs of {kind} {name:?}");
    }
    let keys = vec![text("retention.ms"); TIMES];
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![described(TOPIC, "t").with_configuration_keys(Some(keys))]);
    assert_eq!(wire.call(4, &request).results[0].configs.len(), 1, "DescribeConfigs of one setting");

    let groups = vec![GroupId(text("g")); TIMES];
    let request = DescribeGroupsRequest::default().with_groups(groups.clone());
    assert_eq!(wire.call(5, &request).groups.len(), 1, "DescribeGroups");
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(groups.clone());
    assert_eq!(wire.call(0, &request).groups.len(), 1, "ConsumerGroupDescribe");
    let request = DeleteGroupsRequest::default().with_groups_names(groups);
    assert_eq!(wire.call(2, &request).results.len(), 1, "DeleteGroups");
    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g"))).with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![group; TIMES]);
    assert_eq!(wire.call(8, &request).groups.len(), 1, "OffsetFetch");
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g"); TIMES]);
    assert_eq!(wire.call(4, &request).coordinators.len(), 1, "FindCoordinator");
    let request =
        DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id("x"); TIMES]);
    assert_eq!(wire.call(0, &request).transaction_states.len(), 1, "DescribeTransactions");

    let topic = TopicRequest::default().with_name(name("t")).with_partition_indexes(vec![1; TIMES]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic; TIMES]);
    let response = wire.call(0, &request);
    assert_eq!((response.topics.len(), response.topics[0].partitions.len()), (1, 1), "DescribeProducers");
    let topic = DescribableLogDirTopic::default().with_topic(name("t")).with_partitions(vec![1; TIMES]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![topic; TIMES]));
    let response = wire.call(4, &request).results.remove(0);
    assert_eq!((response.topics.len(), response.topics[0].partitions.len()), (1, 1), "DescribeLogDirs");
    let partition = OffsetForLeaderPartition::default().with_partition(1).with_current_leader_epoch(-1);
    let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition; TIMES]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic; TIMES]);
    let response = wire.call(4, &request);
    let count: usize = response.topics.iter().map(|topic| topic.partitions.len()).sum();
    assert_eq!(count, 1, "OffsetForLeaderEpoch");
}

/// One of the names of a topic whose every partition takes its place in the answer.
#[test]
fn many_repetitions_of_a_large_topic_make_one_small_answer() {
    let broker = memory();
    broker.create_topic("t", 10_000).unwrap();
    let mut wire = Wire::connect(&broker);
    let response = wire.call(12, &metadata(vec!["t".to_owned(); 1_000]));
    assert_eq!(response.topics.len(), 1);
    assert_eq!(response.topics[0].partitions.len(), 10_000);
}

/// There are as many names for something as a guest likes: of groups that are not there, of the one broker.
#[test]
fn an_answer_is_no_longer_than_it_may_be_whatever_is_asked_for() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    let count = 60_000;
    let too_much = ResponseError::InvalidRequest.code();

    let groups = (0..count).map(|n| described(GROUP, &format!("g{n}"))).collect();
    let request = DescribeConfigsRequest::default()
        .with_resources(groups)
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let response = wire.call(4, &request);
    assert_eq!(response.results.len(), count);
    assert!(!response.results[0].configs.is_empty(), "the first ones are answered");
    let last = response.results.last().unwrap();
    assert_eq!((last.error_code, last.configs.len()), (too_much, 0));
    assert!(last.error_message.as_ref().unwrap().contains("fewer at once"), "{:?}", last.error_message);

    // "1", "01", "001" and so on are the broker.
    let names = (0..2_000).map(|zeros| described(BROKER, &format!("{}1", "0".repeat(zeros)))).collect();
    let request = DescribeConfigsRequest::default().with_resources(names).with_include_documentation(true);
    assert_eq!(wire.call(4, &request).results.last().unwrap().error_code, too_much);
}

/// Names given twice are found without comparing each with each, and while somebody is busy with that, others are served.
#[test]
fn forty_thousand_names_given_twice_hold_nobody_up() {
    let broker = memory();
    let names: Vec<String> = (0..20_000).flat_map(|n| [format!("t{n}"), format!("t{n}")]).collect();
    let began = Instant::now();
    let mut wire = Wire::connect(&broker);
    wire.stream.set_read_timeout(Some(Duration::from_secs(600))).unwrap();
    let twice = ResponseError::InvalidRequest.code();

    let topics = names.iter().map(|topic| creatable(topic, 1)).collect();
    let response = wire.call(7, &create(topics));
    assert!(response.topics.len() == 20_000 && response.topics.iter().all(|topic| topic.error_code == twice));
    let topics =
        names.iter().map(|topic| CreatePartitionsTopic::default().with_name(name(topic)).with_count(2));
    let response = wire.call(3, &CreatePartitionsRequest::default().with_topics(topics.collect()));
    assert!(
        response.results.len() == 20_000 && response.results.iter().all(|topic| topic.error_code == twice)
    );
    let topics = names.iter().map(|topic| DeleteTopicState::default().with_name(Some(name(topic))));
    let response = wire.call(6, &DeleteTopicsRequest::default().with_topics(topics.collect()));
    assert!(
        response.responses.len() == 20_000
            && response.responses.iter().all(|topic| topic.error_code == twice)
    );

    let resources = names.iter().map(|topic| {
        AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text(topic))
    });
    let response = wire.call(2, &AlterConfigsRequest::default().with_resources(resources.collect()));
    assert!(response.responses.iter().all(|resource| resource.error_code == twice));
    let resources = names.iter().map(|topic| {
        IncrementalResource::default().with_resource_type(TOPIC).with_resource_name(text(topic))
    });
    let response =
        wire.call(1, &IncrementalAlterConfigsRequest::default().with_resources(resources.collect()));
    assert!(response.responses.iter().all(|resource| resource.error_code == twice));
    let users = names.iter().map(|user| UserName::default().with_name(text(user)));
    let response =
        wire.call(0, &DescribeUserScramCredentialsRequest::default().with_users(Some(users.collect())));
    assert_eq!(response.results.len(), 20_000);
    let deletions =
        names.iter().map(|user| ScramCredentialDeletion::default().with_name(text(user)).with_mechanism(1));
    let request = AlterUserScramCredentialsRequest::default().with_deletions(deletions.collect());
    assert_eq!(wire.call(0, &request).results.len(), 20_000);

    broker.create_topic("large", 10_000).unwrap();
    let topic = DescribableLogDirTopic::default()
        .with_topic(name("large"))
        .with_partitions((10_000..1_000_000).collect());
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![topic]));
    assert!(wire.call(4, &request).results[0].topics.is_empty());
    // Each with each takes minutes, all of this a second or two.
    assert!(began.elapsed() < 2 * PATIENCE, "it took {:?}", began.elapsed());
}

#[test]
fn a_request_creates_at_most_ten_thousand_partitions() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    let refused = ResponseError::PolicyViolation.code();
    let all_are = |response: &kafka_protocol::messages::CreateTopicsResponse, code: i16| {
        response.topics.iter().all(|topic| topic.error_code == code)
    };
    for validate_only in [true, false] {
        let topics = vec![creatable("a", 5_000), creatable("b", 5_000), creatable("c", 1)];
        let response = wire.call(7, &create(topics).with_validate_only(validate_only));
        assert!(response.topics.len() == 3 && all_are(&response, refused), "{response:?}");
        let message = response.topics[0].error_message.as_ref().unwrap();
        assert_eq!(message.as_str(), "Excessively large number of partitions per request.");
    }
    assert!(all_are(&wire.call(7, &create(vec![creatable("a", 5_000), creatable("b", 5_000)])), 0));
    let grow = |topic: &str, count| {
        CreatePartitionsTopic::default().with_name(name(topic)).with_count(count).with_assignments(None)
    };
    let request = CreatePartitionsRequest::default().with_topics(vec![grow("a", 10_000), grow("b", 10_000)]);
    let grown = wire.call(3, &request).results;
    assert!(grown.iter().all(|topic| topic.error_code == 0), "{grown:?}");
    broker.create_topic("c", 1).unwrap();
    broker.create_topic("d", 1).unwrap();
    let request = CreatePartitionsRequest::default().with_topics(vec![grow("c", 6_000), grow("d", 6_000)]);
    let refused_all = wire.call(3, &request).results;
    assert!(refused_all.iter().all(|topic| topic.error_code == refused), "{refused_all:?}");
}

#[test]
fn topics_that_come_into_being_by_themselves_count_as_well() {
    let properties = [("num.partitions".to_owned(), "4000".to_owned())];
    let broker =
        Broker::start(BrokerConfig { properties: properties.into(), ..BrokerConfig::default() }).unwrap();
    let mut wire = Wire::connect(&broker);
    let response = wire.call(12, &metadata(["a", "b", "c"].map(str::to_owned)));
    let codes: Vec<i16> = response.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, 0, ResponseError::PolicyViolation.code()]);
}

/// The small file that says which topics there are is written once for all topics of a request.
#[test]
fn topics_that_come_into_being_together_are_written_down_together() {
    let data = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(data.path().to_owned());
    let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    let mut wire = Wire::connect(&broker);
    let response = wire.call(12, &metadata((0..300).map(|n| format!("t{n}"))));
    assert!(response.topics.iter().all(|topic| topic.error_code == 0 && topic.partitions.len() == 1));
    drop(broker);
    let storage = Storage::Directory(data.path().to_owned());
    let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    let response = Wire::connect(&broker).call(12, &MetadataRequest::default().with_topics(None));
    assert_eq!(response.topics.len(), 300);
}

#[test]
fn a_marker_is_written_once_to_a_partition() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let topic = WritableTxnMarkerTopic::default().with_name(name("t")).with_partition_indexes(vec![0; 100]);
    let marker = WritableTxnMarker::default().with_producer_id(ProducerId(7)).with_topics(vec![topic; 10]);
    let response = wire.call(1, &WriteTxnMarkersRequest::default().with_markers(vec![marker]));
    assert_eq!(response.markers[0].topics[0].partitions[0].error_code, 0);
    let client = broker.client();
    let end =
        client.offset("t", 0, thalweg_broker::OffsetOf::End(thalweg_broker::Isolation::ReadUncommitted));
    assert_eq!(end.unwrap(), Some(1));
}

#[test]
fn names_and_metadata_of_more_than_a_megabyte_are_refused() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let (long, fits) = ("x".repeat((1 << 20) + 1), "x".repeat(100_000));
    let commit = |group: &str| {
        let partition =
            OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(0);
        let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic])
    };
    let code = |wire: &mut Wire, group: &str| wire.call(8, &commit(group)).topics[0].partitions[0].error_code;
    assert_eq!(code(&mut wire, &long), ResponseError::InvalidGroupId.code());
    assert_eq!(code(&mut wire, &fits), 0);

    let protocol = |bytes: usize| {
        JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from(vec![0; bytes]))
    };
    let join = |group: &str, bytes: usize| {
        JoinGroupRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_protocol_type(text("consumer"))
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(10_000)
            .with_protocols(vec![protocol(bytes)])
    };
    assert_eq!(wire.call(9, &join(&long, 10)).error_code, ResponseError::InvalidGroupId.code());
    assert_eq!(wire.call(9, &join("g", 1 << 20)).error_code, ResponseError::InvalidRequest.code());
    // One that fits is told its name before it joins.
    assert_eq!(wire.call(9, &join("g", 100_000)).error_code, ResponseError::MemberIdRequired.code());
    let instance = join("g", 10).with_group_instance_id(Some(text(&long)));
    assert_eq!(wire.call(9, &instance).error_code, ResponseError::InvalidRequest.code());

    let heartbeat = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("new")))
        .with_member_id(text(&long))
        .with_rebalance_timeout_ms(10_000)
        .with_subscribed_topic_names(Some(vec![name("t")]))
        .with_topic_partitions(Some(Vec::new()));
    assert_eq!(wire.call(1, &heartbeat).error_code, ResponseError::InvalidRequest.code());

    let init = |id: &str| {
        InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional_id(id)))
            .with_transaction_timeout_ms(60_000)
    };
    assert_eq!(wire.call(4, &init(&long)).error_code, ResponseError::InvalidRequest.code());
    assert_eq!(wire.call(4, &init(&fits)).error_code, 0);
    assert_eq!(wire.call(3, &api_versions()).error_code, 0);
}
