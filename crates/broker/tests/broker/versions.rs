//! Every version of every request that the broker says it knows is answered, in that version, without an error.
//! (Those that `kafka_protocol` does not know: `tests/newest.rs`.)

use std::collections::BTreeMap;

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name, patient_fetch, transactional_id};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Request, StrBytes};
use thalweg_broker::Broker;

/// Calls every version that was advertised for this request, and has what `check` finds be 0.
struct Caller {
    wire: Wire,
    versions: BTreeMap<i16, (i16, i16)>,
}

impl Caller {
    fn new(broker: &Broker) -> Self {
        let mut wire = Wire::connect(broker);
        let response = wire.call(0, &ApiVersionsRequest::default());
        let versions =
            response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Self { wire, versions }
    }

    fn each<Q: Request>(
        &mut self,
        request: impl Fn(i16) -> Q,
        check: impl Fn(i16, &Q::Response) -> i16,
    ) -> Vec<Q::Response>
    where
        Q::Response: std::fmt::Debug,
    {
        let (min, max) = self.versions.remove(&Q::KEY).unwrap();
        // Produce is advertised from 0 on for the sake of old librdkafka, which does not send it.
        let min = if Q::KEY == ApiKey::Produce as i16 { 3 } else { min };
        // What is newer than `kafka_protocol` is in `tests/newest.rs`.
        let max = max.min(Q::VERSIONS.max);
        let wire = &mut self.wire;
        let call = |version| {
            let response = wire.call(version, &request(version));
            assert_eq!(check(version, &response), 0, "version {version}: {response:?}");
            response
        };
        (min..=max).map(call).collect()
    }
}

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group(id: &str) -> GroupId {
    GroupId(string(id))
}

#[test]
fn every_advertised_version_is_answered() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut caller = Caller::new(&broker);
    records(&mut caller);
    topics(&mut caller);
    transactions(&mut caller);
    groups(&mut caller);
    consumer_groups(&mut caller);
    security(&mut caller);
    let software = || {
        ApiVersionsRequest::default()
            .with_client_software_name(string("wire"))
            .with_client_software_version(string("1"))
    };
    let plain = |version| if version >= 3 { software() } else { ApiVersionsRequest::default() };
    caller.each(plain, |_, response| response.error_code);
    assert_eq!(caller.versions, BTreeMap::new(), "requests that this test forgets");
}

/// Where nobody has to prove who it is, nobody can.
fn security(caller: &mut Caller) {
    let illegal = ResponseError::IllegalSaslState.code();
    caller.each(|_| SaslHandshakeRequest::default(), |_, response| response.error_code - illegal);
    caller.each(|_| SaslAuthenticateRequest::default(), |_, response| response.error_code - illegal);
    caller.each(|_| DescribeClientQuotasRequest::default(), |_, response| response.error_code);
    caller.each(|_| AlterClientQuotasRequest::default(), |_, response| response.entries.len() as i16);
    let disabled = ResponseError::SecurityDisabled.code();
    caller.each(|_| DescribeAclsRequest::default(), |_, response| response.error_code - disabled);
    caller.each(|_| CreateAclsRequest::default(), |_, response| response.results.len() as i16);
    caller.each(|_| DeleteAclsRequest::default(), |_, response| response.filter_results.len() as i16);
    caller.each(|_| ElectLeadersRequest::default(), |_, response| response.error_code);
    caller.each(|_| AlterPartitionReassignmentsRequest::default(), |_, response| response.error_code);
    caller.each(|_| AlterUserScramCredentialsRequest::default(), |_, _| 0);
    caller.each(|_| DescribeUserScramCredentialsRequest::default(), |_, response| response.error_code);
}

fn records(caller: &mut Caller) {
    let id = caller.wire.topic_id("t");
    let produced = caller.each(
        |version| {
            let data = PartitionProduceData::default().with_records(Some(batch(&["v"], NO_PRODUCER, false)));
            let topic = TopicProduceData::default().with_partition_data(vec![data]);
            let topic = if version >= 13 { topic.with_topic_id(id) } else { topic.with_name(name("t")) };
            ProduceRequest::default().with_acks(-1).with_timeout_ms(100).with_topic_data(vec![topic])
        },
        |_, response| response.responses[0].partition_responses[0].error_code,
    );
    let offsets: Vec<i64> =
        produced.iter().map(|response| response.responses[0].partition_responses[0].base_offset).collect();
    let count = produced.len() as i64;
    assert_eq!(offsets, (0..count).collect::<Vec<_>>());
    let metadata = caller.each(
        |_| {
            let topic = MetadataRequestTopic::default().with_name(Some(name("t")));
            MetadataRequest::default().with_topics(Some(vec![topic]))
        },
        |_, response| response.topics[0].error_code,
    );
    assert_eq!(metadata.last().unwrap().topics[0].topic_id, id);
    let fetched = caller.each(
        |version| {
            let mut request = patient_fetch("t", 2, true);
            if version >= 13 {
                request.topics[0] =
                    request.topics[0].clone().with_topic(TopicName::default()).with_topic_id(id);
            }
            request
        },
        |_, response| response.responses[0].partitions[0].error_code,
    );
    for response in fetched {
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.high_watermark, partition.last_stable_offset), (count, count));
        assert!(partition.records.as_ref().is_some_and(|records| !records.is_empty()));
    }
    let deleted = caller.each(
        |version| {
            let partition = DeleteRecordsPartition::default().with_offset(version.into());
            let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
            DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000)
        },
        |_, response| response.topics[0].partitions[0].error_code,
    );
    assert_eq!(deleted.last().unwrap().topics[0].partitions[0].low_watermark, 2);
    let listed = caller.each(
        |_| {
            let partition =
                ListOffsetsPartition::default().with_timestamp(1_000).with_current_leader_epoch(-1);
            let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
            ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic])
        },
        |_, response| response.topics[0].partitions[0].error_code,
    );
    let ends = caller.each(
        |_| {
            let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default()
                .with_current_leader_epoch(-1)
                .with_leader_epoch(0);
            let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
                .with_topic(name("t"))
                .with_partitions(vec![partition]);
            OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-2)).with_topics(vec![topic])
        },
        |_, response| response.topics[0].partitions[0].error_code,
    );
    assert!(ends.iter().all(|response| response.topics[0].partitions[0].end_offset == count));
    assert!(listed.iter().all(|response| response.topics[0].partitions[0].offset == 2));
}

fn topics(caller: &mut Caller) {
    let topic_of = |version: i16| name(&format!("version-{version}"));
    caller.each(
        |version| {
            let topic = CreatableTopic::default()
                .with_name(topic_of(version))
                .with_num_partitions(1)
                .with_replication_factor(1);
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(100)
        },
        |_, response| response.topics[0].error_code,
    );
    caller.each(
        |version| {
            let topic = CreatePartitionsTopic::default()
                .with_name(topic_of(2))
                .with_count(2 + i32::from(version))
                .with_assignments(None);
            CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(100)
        },
        |_, response| response.results[0].error_code,
    );
    caller.each(
        |_| {
            let topic =
                DescribeConfigsResource::default().with_resource_type(2).with_resource_name(string("t"));
            let broker =
                DescribeConfigsResource::default().with_resource_type(4).with_resource_name(string("1"));
            DescribeConfigsRequest::default().with_resources(vec![topic, broker])
        },
        |_, response| response.results.iter().map(|result| result.error_code).sum(),
    );
    caller.each(
        |_| {
            let config = alter_configs_request::AlterableConfig::default()
                .with_name(string("retention.ms"))
                .with_value(Some(string("1000")));
            let topic = alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(string("t"))
                .with_configs(vec![config]);
            AlterConfigsRequest::default().with_resources(vec![topic])
        },
        |_, response| response.responses[0].error_code,
    );
    caller.each(
        |_| {
            let config = incremental_alter_configs_request::AlterableConfig::default()
                .with_name(string("retention.ms"))
                .with_config_operation(1);
            let topic = incremental_alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(string("t"))
                .with_configs(vec![config]);
            IncrementalAlterConfigsRequest::default().with_resources(vec![topic])
        },
        |_, response| response.responses[0].error_code,
    );
    caller.each(|_| ListConfigResourcesRequest::default(), |_, response| response.error_code);
    caller.each(|_| ListPartitionReassignmentsRequest::default(), |_, response| response.error_code);
    caller.each(
        |_| DescribeTopicPartitionsRequest::default().with_response_partition_limit(10),
        |_, response| response.topics[0].error_code,
    );
    let described = caller.each(
        |_| DescribeLogDirsRequest::default().with_topics(None),
        |_, response| response.results[0].error_code,
    );
    assert!(described.iter().all(|response| response.results[0].log_dir.as_str() == "memory"));
    caller.each(
        |version| {
            if version >= 6 {
                let topic = DeleteTopicState::default().with_name(Some(topic_of(version)));
                DeleteTopicsRequest::default().with_topics(vec![topic])
            } else {
                // Versions 2 to 7 of CreateTopics have made the topics; here there are 1 to 6.
                DeleteTopicsRequest::default().with_topic_names(vec![topic_of(if version == 1 {
                    7
                } else {
                    version
                })])
            }
        },
        |_, response| response.responses[0].error_code,
    );
    caller.each(|_| DescribeClusterRequest::default(), |_, response| response.error_code);
}

fn transactions(caller: &mut Caller) {
    let (producer, epoch) = caller.wire.init("x");
    let producer = ProducerId(producer);
    caller.each(
        |version| {
            let topic = AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![0]);
            if version >= 4 {
                let transaction = AddPartitionsToTxnTransaction::default()
                    .with_transactional_id(transactional_id("x"))
                    .with_producer_id(producer)
                    .with_producer_epoch(epoch)
                    .with_topics(vec![topic]);
                return AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
            }
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(transactional_id("x"))
                .with_v3_and_below_producer_id(producer)
                .with_v3_and_below_producer_epoch(epoch)
                .with_v3_and_below_topics(vec![topic])
        },
        |version, response| {
            let topics = match version {
                4.. => &response.results_by_transaction[0].topic_results,
                _ => &response.results_by_topic_v3_and_below,
            };
            topics[0].results_by_partition[0].partition_error_code
        },
    );
    caller.each(
        |_| {
            AddOffsetsToTxnRequest::default()
                .with_transactional_id(transactional_id("x"))
                .with_producer_id(producer)
                .with_producer_epoch(epoch)
                .with_group_id(group("transactional"))
        },
        |_, response| response.error_code,
    );
    caller.each(
        |version| {
            let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(version.into());
            let topic =
                TxnOffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
            TxnOffsetCommitRequest::default()
                .with_transactional_id(transactional_id("x"))
                .with_group_id(group("transactional"))
                .with_producer_id(producer)
                .with_producer_epoch(epoch)
                .with_topics(vec![topic])
        },
        |_, response| response.topics[0].partitions[0].error_code,
    );
    // The second and later ones are repetitions of the first, whose answer might have been lost; in version 5, where
    // every transaction has an epoch of its own, it is an abort of one that was not begun.
    let ended = caller.each(
        |version| {
            EndTxnRequest::default()
                .with_transactional_id(transactional_id("x"))
                .with_producer_id(producer)
                .with_producer_epoch(epoch)
                .with_committed(version < 5)
        },
        |_, response| response.error_code,
    );
    assert_eq!(ended.last().unwrap().producer_epoch, epoch + 1);
    caller.each(
        |_| {
            let topic =
                WritableTxnMarkerTopic::default().with_name(name("t")).with_partition_indexes(vec![0]);
            let marker =
                WritableTxnMarker::default().with_producer_id(ProducerId(77)).with_topics(vec![topic]);
            WriteTxnMarkersRequest::default().with_markers(vec![marker])
        },
        |_, response| response.markers[0].topics[0].partitions[0].error_code,
    );
    let described = caller.each(
        |_| {
            let topic = TopicRequest::default().with_name(name("t")).with_partition_indexes(vec![0]);
            DescribeProducersRequest::default().with_topics(vec![topic])
        },
        |_, response| response.topics[0].partitions[0].error_code,
    );
    assert!(!described[0].topics[0].partitions[0].active_producers.is_empty());
    caller.each(
        |_| DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id("x")]),
        |_, response| response.transaction_states[0].error_code,
    );
    let listed = caller.each(|_| ListTransactionsRequest::default(), |_, response| response.error_code);
    assert!(listed.iter().all(|response| response.transaction_states.len() == 1));
    caller.each(
        |_| {
            InitProducerIdRequest::default()
                .with_transactional_id(Some(transactional_id("x")))
                .with_transaction_timeout_ms(1_000)
        },
        |_, response| response.error_code,
    );
}

fn groups(caller: &mut Caller) {
    caller.each(
        |version| {
            if version >= 4 {
                return FindCoordinatorRequest::default().with_coordinator_keys(vec![string("g")]);
            }
            FindCoordinatorRequest::default().with_key(string("g"))
        },
        |_, response| {
            response.error_code + response.coordinators.iter().map(|one| one.error_code).sum::<i16>()
        },
    );
    let join = |id: &str, member: StrBytes| {
        let protocol = JoinGroupRequestProtocol::default().with_name(string("range"));
        JoinGroupRequest::default()
            .with_group_id(group(id))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(30_000)
            .with_member_id(member)
            .with_protocol_type(string("consumer"))
            .with_protocols(vec![protocol])
    };
    // The only member of "g", in generation 1.
    let member = caller.wire.call(3, &join("g", string(""))).member_id;
    caller.each(
        |version| join(&format!("join-{version}"), string("")),
        // From version 4 on, the first request only gets an id.
        |version, response| if version >= 4 { response.error_code - 79 } else { response.error_code },
    );
    caller.each(
        |_| {
            let share = SyncGroupRequestAssignment::default().with_member_id(member.clone());
            SyncGroupRequest::default()
                .with_group_id(group("g"))
                .with_generation_id(1)
                .with_member_id(member.clone())
                .with_protocol_type(Some(string("consumer")))
                .with_protocol_name(Some(string("range")))
                .with_assignments(vec![share])
        },
        |_, response| response.error_code,
    );
    caller.each(
        |_| {
            HeartbeatRequest::default()
                .with_group_id(group("g"))
                .with_generation_id(1)
                .with_member_id(member.clone())
        },
        |_, response| response.error_code,
    );
    caller.each(
        |_| {
            let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
            let topic =
                OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
            OffsetCommitRequest::default()
                .with_group_id(group("g"))
                .with_generation_id_or_member_epoch(1)
                .with_member_id(member.clone())
                .with_topics(vec![topic])
        },
        |_, response| response.topics[0].partitions[0].error_code,
    );
    let fetched = caller.each(
        |version| {
            if version >= 8 {
                let topic =
                    OffsetFetchRequestTopics::default().with_name(name("t")).with_partition_indexes(vec![0]);
                let wanted = OffsetFetchRequestGroup::default()
                    .with_group_id(group("g"))
                    .with_topics(Some(vec![topic]));
                return OffsetFetchRequest::default().with_groups(vec![wanted]);
            }
            let topic =
                OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![0]);
            OffsetFetchRequest::default().with_group_id(group("g")).with_topics(Some(vec![topic]))
        },
        |_, response| response.error_code,
    );
    for (n, response) in fetched.into_iter().enumerate() {
        let offset = match response.groups.first() {
            Some(group) => group.topics[0].partitions[0].committed_offset,
            None => response.topics[0].partitions[0].committed_offset,
        };
        assert_eq!(offset, 7, "version {}", n + 1);
    }
    caller.each(
        |_| DescribeGroupsRequest::default().with_groups(vec![group("g")]),
        |_, response| response.groups[0].error_code,
    );
    caller.each(|_| ListGroupsRequest::default(), |_, response| response.error_code);
    caller.each(
        |_| {
            let partition = OffsetDeleteRequestPartition::default();
            let topic =
                OffsetDeleteRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
            OffsetDeleteRequest::default().with_group_id(group("transactional")).with_topics(vec![topic])
        },
        |_, response| response.error_code + response.topics[0].partitions[0].error_code,
    );
    // Each version has a member of its own to let go.
    let members: Vec<StrBytes> = (0..=5)
        .map(|version| caller.wire.call(4, &join(&format!("leave-{version}"), string(""))).member_id)
        .collect();
    caller.each(
        |version| {
            let member = members[version as usize].clone();
            let request = LeaveGroupRequest::default().with_group_id(group(&format!("leave-{version}")));
            if version >= 3 {
                return request.with_members(vec![MemberIdentity::default().with_member_id(member)]);
            }
            request.with_member_id(member)
        },
        |_, response| response.error_code + response.members.iter().map(|one| one.error_code).sum::<i16>(),
    );
    caller.each(
        |version| DeleteGroupsRequest::default().with_groups_names(vec![group(&format!("delete-{version}"))]),
        // There is none of that name.
        |_, response| response.results[0].error_code - 69,
    );
}

fn consumer_groups(caller: &mut Caller) {
    let id = |version: i16| group(&format!("consumer-{version}"));
    caller.each(
        |version| {
            ConsumerGroupHeartbeatRequest::default()
                .with_group_id(id(version))
                .with_member_id(string("m"))
                .with_rebalance_timeout_ms(1_000)
                .with_subscribed_topic_names(Some(vec![name("t")]))
                .with_topic_partitions(Some(Vec::new()))
        },
        |_, response| response.error_code,
    );
    let described = caller.each(
        |version| ConsumerGroupDescribeRequest::default().with_group_ids(vec![id(version)]),
        |_, response| response.groups[0].error_code,
    );
    assert!(described.iter().all(|response| response.groups[0].members.len() == 1));
}
