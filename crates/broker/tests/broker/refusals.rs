//! A request that is failed on purpose is answered in its version, with the error where clients look for it.

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name, patient_fetch, transactional_id};
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Request, StrBytes};
use thalweg_broker::{Broker, Fault, ResponseError};
use uuid::Uuid;

const ERROR: ResponseError = ResponseError::BrokerNotAvailable;

/// Fails every advertised version of a request, and looks for the error with `found`.
fn each<Q: Request>(
    broker: &Broker,
    request: impl Fn(i16) -> Q,
    found: impl Fn(i16, &Q::Response) -> Option<i16>,
) where
    Q::Response: std::fmt::Debug,
{
    let mut wire = Wire::connect(broker);
    let versions = wire.call(0, &ApiVersionsRequest::default());
    let mine = versions.api_keys.iter().find(|api| api.api_key == Q::KEY).unwrap();
    let key = ApiKey::try_from(Q::KEY).unwrap();
    // Produce is advertised from 0 on for the sake of old librdkafka, which does not send it. What is newer than
    // `kafka_protocol` is in `tests/newest.rs`.
    let min = mine.min_version.max(if key == ApiKey::Produce { 3 } else { 0 });
    for version in min..=mine.max_version.min(Q::VERSIONS.max) {
        let met = broker.faults().on(key, move |asked| asked.version == version, Fault::Fail(ERROR), 1);
        let response = wire.call(version, &request(version));
        assert_eq!(found(version, &response), Some(ERROR.code()), "{key:?} {version}: {response:?}");
        assert_eq!(met.unwrap().hits(), 1, "{key:?} {version}");
    }
}

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str("g"))
}

#[test]
fn requests_for_records() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let topic = MetadataRequestTopic::default().with_name(Some(name("t")));
    let id: Uuid =
        wire.call(12, &MetadataRequest::default().with_topics(Some(vec![topic.clone()]))).topics[0].topic_id;
    each(
        &broker,
        |version| {
            let data = PartitionProduceData::default().with_records(Some(batch(&["v"], NO_PRODUCER, false)));
            let topic = TopicProduceData::default().with_partition_data(vec![data]);
            let topic = if version >= 13 { topic.with_topic_id(id) } else { topic.with_name(name("t")) };
            ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic])
        },
        |_, response| Some(response.responses.first()?.partition_responses.first()?.error_code),
    );
    each(
        &broker,
        |version| {
            let mut request = patient_fetch("t", 0, true);
            if version >= 13 {
                request.topics[0].topic = TopicName::default();
                request.topics[0].topic_id = id;
            }
            request
        },
        |_, response| Some(response.responses.first()?.partitions.first()?.error_code),
    );
    each(
        &broker,
        |_| {
            let partition = ListOffsetsPartition::default().with_timestamp(-1);
            let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
            ListOffsetsRequest::default().with_topics(vec![topic])
        },
        |_, response| Some(response.topics.first()?.partitions.first()?.error_code),
    );
    each(
        &broker,
        |_| MetadataRequest::default().with_topics(Some(vec![topic.clone()])),
        |_, response| (response.brokers.len() == 1).then_some(response.topics.first()?.error_code),
    );
    each(
        &broker,
        |_| {
            let topic = CreatableTopic::default().with_name(name("u")).with_num_partitions(1);
            CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)])
        },
        |_, response| Some(response.topics.first()?.error_code),
    );
    assert!(broker.create_topic("u", 1).is_ok(), "what was failed was not carried out");
    let bounds = wire.call(11, &patient_fetch("t", 0, false).with_max_wait_ms(0));
    assert_eq!(bounds.responses[0].partitions[0].high_watermark, 0);
}

#[test]
fn requests_of_transactions() {
    let broker = memory();
    let id = || transactional_id("x");
    let topic = || AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![0]);
    each(
        &broker,
        |_| InitProducerIdRequest::default().with_transactional_id(Some(id())),
        |_, response| Some(response.error_code),
    );
    each(
        &broker,
        |version| {
            if version >= 4 {
                let transaction = AddPartitionsToTxnTransaction::default().with_transactional_id(id());
                let transactions = vec![transaction.with_topics(vec![topic()])];
                return AddPartitionsToTxnRequest::default().with_transactions(transactions);
            }
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(id())
                .with_v3_and_below_topics(vec![topic()])
        },
        |version, response| {
            let results = if version >= 4 {
                &response.results_by_transaction.first()?.topic_results
            } else {
                &response.results_by_topic_v3_and_below
            };
            Some(results.first()?.results_by_partition.first()?.partition_error_code)
        },
    );
    each(
        &broker,
        |_| AddOffsetsToTxnRequest::default().with_transactional_id(id()).with_group_id(group()),
        |_, response| Some(response.error_code),
    );
    each(
        &broker,
        |_| EndTxnRequest::default().with_transactional_id(id()),
        |_, response| Some(response.error_code),
    );
    each(
        &broker,
        |_| {
            let topic = TxnOffsetCommitRequestTopic::default()
                .with_name(name("t"))
                .with_partitions(vec![TxnOffsetCommitRequestPartition::default()]);
            TxnOffsetCommitRequest::default()
                .with_transactional_id(id())
                .with_group_id(group())
                .with_topics(vec![topic])
        },
        |_, response| Some(response.topics.first()?.partitions.first()?.error_code),
    );
}

#[test]
fn requests_of_groups() {
    let broker = memory();
    each(
        &broker,
        |version| {
            let request = FindCoordinatorRequest::default();
            let key = StrBytes::from_static_str("g");
            if version >= 4 { request.with_coordinator_keys(vec![key]) } else { request.with_key(key) }
        },
        |version, response| {
            if version < 4 {
                return Some(response.error_code);
            }
            Some(response.coordinators.first()?.error_code)
        },
    );
    each(
        &broker,
        |_| JoinGroupRequest::default().with_group_id(group()),
        |_, response| Some(response.error_code),
    );
    each(
        &broker,
        |_| SyncGroupRequest::default().with_group_id(group()),
        |_, response| Some(response.error_code),
    );
    each(
        &broker,
        |_| HeartbeatRequest::default().with_group_id(group()),
        |_, response| Some(response.error_code),
    );
    each(
        &broker,
        |_| {
            let topic = OffsetCommitRequestTopic::default()
                .with_name(name("t"))
                .with_partitions(vec![OffsetCommitRequestPartition::default()]);
            OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![topic])
        },
        |_, response| Some(response.topics.first()?.partitions.first()?.error_code),
    );
    each(
        &broker,
        |version| {
            if version >= 8 {
                let topic = OffsetFetchRequestTopics::default().with_name(name("t"));
                let group = OffsetFetchRequestGroup::default().with_group_id(group());
                let topics = Some(vec![topic.with_partition_indexes(vec![0])]);
                return OffsetFetchRequest::default().with_groups(vec![group.with_topics(topics)]);
            }
            let topic = OffsetFetchRequestTopic::default().with_name(name("t"));
            let topics = Some(vec![topic.with_partition_indexes(vec![0])]);
            OffsetFetchRequest::default().with_group_id(group()).with_topics(topics)
        },
        |version, response| match version {
            ..2 => Some(response.topics.first()?.partitions.first()?.error_code),
            2..8 => Some(response.error_code),
            _ => Some(response.groups.first()?.error_code),
        },
    );
}
