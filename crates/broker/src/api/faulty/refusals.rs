//! The answer of each API in which everything that was asked for has failed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, EndTxnRequest, EndTxnResponse, FetchRequest,
    FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    InitProducerIdRequest, InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse, ProducerId, SyncGroupRequest,
    SyncGroupResponse, TopicName, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Request, StrBytes};
use uuid::Uuid;

use crate::api::{Call, metadata, newest};
use crate::faults::Asked;
use crate::metrics::outcome::Outcome;
use crate::protocol::text;

/// A request that can be failed on purpose.
pub(super) trait Refusable: Request<Response: Outcome> {
    /// Adds what the request names.
    fn describe(&self, call: &Call<'_>, asked: &mut Asked);

    /// The answer in which all of it has failed.
    fn refusal(&self, call: &Call<'_>, code: i16) -> Self::Response;

    /// Whether there is an answer at all.
    fn wants_answer(&self) -> bool {
        true
    }
}

impl Refusable for ProduceRequest {
    fn describe(&self, call: &Call<'_>, asked: &mut Asked) {
        asked.topics = self.topic_data.iter().map(|topic| named(call, &topic.name, topic.topic_id)).collect();
        asked.transactional_id = optional(self.transactional_id.as_ref());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> ProduceResponse {
        let topics = self.topic_data.iter().map(|topic| {
            let partitions = topic.partition_data.iter().map(|partition| {
                PartitionProduceResponse::default()
                    .with_index(partition.index)
                    .with_error_code(code)
                    .with_base_offset(-1)
                    .with_log_append_time_ms(-1)
                    .with_log_start_offset(-1)
            });
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions.collect())
        });
        ProduceResponse::default().with_responses(topics.collect())
    }

    fn wants_answer(&self) -> bool {
        self.acks != 0
    }
}

impl Refusable for FetchRequest {
    fn describe(&self, call: &Call<'_>, asked: &mut Asked) {
        asked.topics = self.topics.iter().map(|topic| named(call, &topic.topic, topic.topic_id)).collect();
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> FetchResponse {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                PartitionData::default()
                    .with_partition_index(partition.partition)
                    .with_error_code(code)
                    .with_high_watermark(-1)
                    .with_last_stable_offset(-1)
                    .with_log_start_offset(-1)
                    .with_preferred_read_replica(BrokerId(-1))
                    .with_records(Some(bytes::Bytes::new()))
            });
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions.collect())
        });
        let response = FetchResponse::default().with_session_id(self.session_id);
        // A fetch of a session that names no partition can only fail as a whole.
        if self.topics.is_empty() {
            return response.with_error_code(code);
        }
        response.with_responses(topics.collect())
    }
}

impl Refusable for ListOffsetsRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.topics = self.topics.iter().map(|topic| topic.name.to_string()).collect();
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> ListOffsetsResponse {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
                    .with_timestamp(-1)
                    .with_offset(-1)
                    .with_leader_epoch(-1)
            });
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

impl Refusable for MetadataRequest {
    fn describe(&self, call: &Call<'_>, asked: &mut Asked) {
        asked.topics = wanted(self, call).into_iter().map(|(name, _)| name.to_string()).collect();
    }

    /// With the node in it, which is not what fails.
    fn refusal(&self, call: &Call<'_>, code: i16) -> MetadataResponse {
        let topics = wanted(self, call).into_iter().map(|(name, id)| {
            MetadataResponseTopic::default().with_error_code(code).with_name(Some(name)).with_topic_id(id)
        });
        let nothing = MetadataRequest::default().with_topics(Some(Vec::new()));
        metadata::handle(call, nothing).with_topics(topics.collect())
    }
}

/// The topics that a metadata request asks for, which may be all there are.
fn wanted(request: &MetadataRequest, call: &Call<'_>) -> Vec<(TopicName, Uuid)> {
    let all = request.topics.is_none() || (call.version == 0 && request.topics == Some(Vec::new()));
    match &request.topics {
        Some(topics) if !all => {
            let resolve = |id, name: Option<&TopicName>| {
                let name = name.cloned().unwrap_or_default();
                TopicName(text(&named(call, &name, id)))
            };
            topics
                .iter()
                .map(|topic| (resolve(topic.topic_id, topic.name.as_ref()), topic.topic_id))
                .collect()
        }
        _ => {
            let topics = call.state.topics.list();
            topics.iter().map(|topic| (TopicName(text(&topic.name)), topic.id)).collect()
        }
    }
}

impl Refusable for OffsetCommitRequest {
    fn describe(&self, call: &Call<'_>, asked: &mut Asked) {
        let name = |topic: &OffsetCommitRequestTopic| newest::topic_name(call, &topic.name);
        asked.topics = self.topics.iter().filter_map(name).collect();
        asked.group = Some(self.group_id.to_string());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> OffsetCommitResponse {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions.collect())
        });
        OffsetCommitResponse::default().with_topics(topics.collect())
    }
}

impl Refusable for OffsetFetchRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        let group = self.groups.first().map_or(&self.group_id, |group| &group.group_id);
        asked.group = Some(group.to_string());
    }

    /// An offset that may still change is a matter of its partition, like everything before version 2.
    fn refusal(&self, call: &Call<'_>, code: i16) -> OffsetFetchResponse {
        let unstable = code == ResponseError::UnstableOffsetCommit.code();
        let (whole, each) = if unstable || call.version < 2 { (0, code) } else { (code, 0) };
        let groups = self.groups.iter().map(|group| {
            let topics = group.topics.iter().flatten().filter(|_| each != 0).map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|index| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(*index)
                        .with_committed_offset(-1)
                        .with_committed_leader_epoch(-1)
                        .with_metadata(Some(StrBytes::new()))
                        .with_error_code(each)
                });
                OffsetFetchResponseTopics::default()
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions.collect())
            });
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id.clone())
                .with_topics(topics.collect())
                .with_error_code(whole)
        });
        let topics = self.topics.iter().flatten().filter(|_| each != 0).map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(*index)
                    .with_committed_offset(-1)
                    .with_committed_leader_epoch(-1)
                    .with_metadata(Some(StrBytes::new()))
                    .with_error_code(each)
            });
            OffsetFetchResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        OffsetFetchResponse::default()
            .with_error_code(whole)
            .with_topics(topics.collect())
            .with_groups(groups.collect())
    }
}

impl Refusable for FindCoordinatorRequest {
    /// Says neither group nor transactional id: one request may ask for many.
    fn describe(&self, _: &Call<'_>, _: &mut Asked) {}

    fn refusal(&self, call: &Call<'_>, code: i16) -> FindCoordinatorResponse {
        let coordinators = self.coordinator_keys.iter().map(|key| {
            Coordinator::default()
                .with_key(key.clone())
                .with_node_id(BrokerId(-1))
                .with_port(-1)
                .with_error_code(code)
        });
        let response = FindCoordinatorResponse::default();
        if call.version >= 4 {
            return response.with_coordinators(coordinators.collect());
        }
        response.with_error_code(code).with_node_id(BrokerId(-1)).with_port(-1)
    }
}

impl Refusable for JoinGroupRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.group = Some(self.group_id.to_string());
    }

    fn refusal(&self, call: &Call<'_>, code: i16) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_error_code(code)
            .with_generation_id(-1)
            // The name may be null from version 7 on.
            .with_protocol_name((call.version < 7).then(StrBytes::new))
            .with_member_id(self.member_id.clone())
    }
}

impl Refusable for HeartbeatRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.group = Some(self.group_id.to_string());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> HeartbeatResponse {
        HeartbeatResponse::default().with_error_code(code)
    }
}

impl Refusable for SyncGroupRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.group = Some(self.group_id.to_string());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> SyncGroupResponse {
        SyncGroupResponse::default().with_error_code(code)
    }
}

impl Refusable for CreateTopicsRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.topics = self.topics.iter().map(|topic| topic.name.to_string()).collect();
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> CreateTopicsResponse {
        let topics = self.topics.iter().map(|topic| {
            CreatableTopicResult::default()
                .with_name(topic.name.clone())
                .with_error_code(code)
                .with_num_partitions(-1)
                .with_replication_factor(-1)
        });
        CreateTopicsResponse::default().with_topics(topics.collect())
    }
}

impl Refusable for InitProducerIdRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.transactional_id = optional(self.transactional_id.as_ref());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> InitProducerIdResponse {
        InitProducerIdResponse::default()
            .with_error_code(code)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    }
}

impl Refusable for AddPartitionsToTxnRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        let first = self.transactions.first();
        let topics = first.map_or(&self.v3_and_below_topics, |transaction| &transaction.topics);
        asked.topics = topics.iter().map(|topic| topic.name.to_string()).collect();
        let id = first.map_or(&self.v3_and_below_transactional_id, |first| &first.transactional_id);
        asked.transactional_id = Some(id.to_string());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> AddPartitionsToTxnResponse {
        let fail = |topics: &[AddPartitionsToTxnTopic]| {
            let topics = topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    AddPartitionsToTxnPartitionResult::default()
                        .with_partition_index(*partition)
                        .with_partition_error_code(code)
                });
                AddPartitionsToTxnTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_results_by_partition(partitions.collect())
            });
            topics.collect::<Vec<_>>()
        };
        let transactions = self.transactions.iter().map(|transaction| {
            AddPartitionsToTxnResult::default()
                .with_transactional_id(transaction.transactional_id.clone())
                .with_topic_results(fail(&transaction.topics))
        });
        AddPartitionsToTxnResponse::default()
            .with_results_by_transaction(transactions.collect())
            .with_results_by_topic_v3_and_below(fail(&self.v3_and_below_topics))
    }
}

impl Refusable for AddOffsetsToTxnRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.transactional_id = Some(self.transactional_id.to_string());
        asked.group = Some(self.group_id.to_string());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> AddOffsetsToTxnResponse {
        AddOffsetsToTxnResponse::default().with_error_code(code)
    }
}

impl Refusable for EndTxnRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.transactional_id = Some(self.transactional_id.to_string());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> EndTxnResponse {
        EndTxnResponse::default().with_error_code(code)
    }
}

impl Refusable for TxnOffsetCommitRequest {
    fn describe(&self, _: &Call<'_>, asked: &mut Asked) {
        asked.topics = self.topics.iter().map(|topic| topic.name.to_string()).collect();
        asked.transactional_id = Some(self.transactional_id.to_string());
        asked.group = Some(self.group_id.to_string());
    }

    fn refusal(&self, _: &Call<'_>, code: i16) -> TxnOffsetCommitResponse {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            TxnOffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }
}

/// The name of a topic that newer versions give by its id.
fn named(call: &Call<'_>, name: &TopicName, id: Uuid) -> String {
    if !id.is_nil()
        && let Some(topic) = call.state.topics.get_by_id(id)
    {
        return topic.name.clone();
    }
    name.to_string()
}

fn optional(id: Option<&TransactionalId>) -> Option<String> {
    id.map(|id| id.to_string())
}
