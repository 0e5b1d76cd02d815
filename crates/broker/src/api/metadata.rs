//! Metadata: the broker's address, and topics with their partitions. Asking for a topic may create it.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};

use crate::api::{Call, operations};
use crate::protocol::{NODE_ID, text};
use crate::settings::Given;
use crate::topics::{Topic, check_name};

pub(super) fn handle(call: &Call<'_>, request: MetadataRequest) -> MetadataResponse {
    let all = match &request.topics {
        None => true,
        // Version 0 could not say null.
        Some(topics) => topics.is_empty() && call.version == 0,
    };
    let of_cluster = request.include_cluster_authorized_operations;
    let of_topics = request.include_topic_authorized_operations;
    let create = call.state.settings.broker().auto_create_topics
        && (call.version < 4 || request.allow_auto_topic_creation);
    let topics = if all {
        call.state.topics.list().iter().map(|topic| describe(topic, of_topics)).collect()
    } else {
        request
            .topics
            .unwrap_or_default()
            .into_iter()
            .map(|topic| find(call, topic, create, of_topics))
            .collect()
    };
    let (host, port) = call.endpoint();
    let broker =
        MetadataResponseBroker::default().with_node_id(BrokerId(NODE_ID)).with_host(host).with_port(port);
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(call.state.cluster_id.clone()))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics)
        .with_cluster_authorized_operations(operations::cluster(of_cluster))
}

fn find(
    call: &Call<'_>,
    wanted: MetadataRequestTopic,
    create: bool,
    operations_asked: bool,
) -> MetadataResponseTopic {
    let topics = &call.state.topics;
    let failed = |error: ResponseError| {
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_topic_id(wanted.topic_id)
            .with_topic_authorized_operations(operations::topic(false))
    };
    // Java's consumer of a pattern asks by id and leaves the name empty.
    let Some(name) = wanted.name.as_ref().filter(|_| wanted.topic_id.is_nil()) else {
        return match topics.get_by_id(wanted.topic_id) {
            Some(topic) => describe(&topic, operations_asked),
            // The name may be null from version 12 on.
            None => {
                failed(ResponseError::UnknownTopicId).with_name((call.version < 12).then(TopicName::default))
            }
        };
    };
    if let Some(topic) = topics.get(name) {
        return describe(&topic, operations_asked);
    }
    let created = if create {
        call.state.create_topic(name, call.state.settings.broker().num_partitions, Given::new())
    } else {
        let unknown = ResponseError::UnknownTopicOrPartition;
        check_name(name).and_then(|()| Err((unknown, unknown.to_string())))
    };
    match created {
        Ok(topic) => describe(&topic, operations_asked),
        // Someone else was faster.
        Err((ResponseError::TopicAlreadyExists, _)) => match topics.get(name) {
            Some(topic) => describe(&topic, operations_asked),
            None => failed(ResponseError::LeaderNotAvailable).with_name(wanted.name),
        },
        Err((error, _)) => failed(error).with_name(wanted.name),
    }
}

fn describe(topic: &Topic, operations_asked: bool) -> MetadataResponseTopic {
    let partitions = (0..topic.partition_count()).map(|index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(NODE_ID))
            .with_leader_epoch(0)
            .with_replica_nodes(vec![BrokerId(NODE_ID)])
            .with_isr_nodes(vec![BrokerId(NODE_ID)])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations::topic(operations_asked))
}
