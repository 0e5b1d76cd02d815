//! Metadata: the broker's address, and topics with their partitions. Asking for a topic may create it.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};

use crate::api::proportion::{MAX_NEW_PARTITIONS, OF_WHAT_IS_THERE, Room, once};
use crate::api::{Call, operations};
use crate::blocking::blocking;
use crate::error::Refusal;
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
    let mut room = Room::of(OF_WHAT_IS_THERE);
    let topics = if all {
        call.state.topics.list().iter().map(|topic| describe(topic, of_topics, &mut room)).collect()
    } else {
        let mut wanted = request.topics.unwrap_or_default();
        // With an id, the name does not count.
        once(&mut wanted, |topic| {
            let name = topic.name.clone().filter(|_| topic.topic_id.is_nil());
            (topic.topic_id, name)
        });
        let mut created = if create { create_missing(call, &wanted) } else { HashMap::new() };
        let found = wanted.into_iter().map(|topic| {
            let created = topic.name.as_ref().and_then(|name| created.remove(name.as_str()));
            find(call, topic, created, of_topics, &mut room)
        });
        found.collect()
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

/// Creates the topics that are not there and may have their names, all at once.
fn create_missing(
    call: &Call<'_>,
    wanted: &[MetadataRequestTopic],
) -> HashMap<String, Result<Arc<Topic>, Refusal>> {
    let partitions = call.state.settings.broker().num_partitions;
    let names = wanted.iter().filter(|topic| topic.topic_id.is_nil()).filter_map(|topic| topic.name.as_ref());
    let missing = names.filter(|name| call.state.topics.get(name).is_none());
    let missing: Vec<String> = missing.map(|name| name.to_string()).collect();
    if missing.is_empty() {
        return HashMap::new();
    }
    let mut left = MAX_NEW_PARTITIONS;
    let (some, too_many): (Vec<_>, Vec<_>) = missing.into_iter().partition(|name| {
        let may_be = check_name(name).is_ok();
        left -= if may_be { i64::from(partitions) } else { 0 };
        left >= 0 || !may_be
    });
    let refused = |name| {
        let message = "Excessively large number of partitions per request.".to_owned();
        (name, Err((ResponseError::PolicyViolation, message)))
    };
    let created = blocking(|| {
        call.state.create_topics(some.iter().map(|name| (name.clone(), partitions, Given::new())).collect())
    });
    some.into_iter().zip(created).chain(too_many.into_iter().map(refused)).collect()
}

fn find(
    call: &Call<'_>,
    wanted: MetadataRequestTopic,
    created: Option<Result<Arc<Topic>, Refusal>>,
    operations_asked: bool,
    room: &mut Room,
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
            Some(topic) => describe(&topic, operations_asked, room),
            // The name may be null from version 12 on.
            None => {
                failed(ResponseError::UnknownTopicId).with_name((call.version < 12).then(TopicName::default))
            }
        };
    };
    let created = match (topics.get(name), created) {
        (Some(topic), _) => return describe(&topic, operations_asked, room),
        (None, Some(created)) => created,
        (None, None) => {
            let unknown = ResponseError::UnknownTopicOrPartition;
            check_name(name).and_then(|()| Err((unknown, unknown.to_string())))
        }
    };
    match created {
        Ok(topic) => describe(&topic, operations_asked, room),
        // Someone else was faster, and then deleted it.
        Err((ResponseError::TopicAlreadyExists, _)) => {
            failed(ResponseError::LeaderNotAvailable).with_name(wanted.name)
        }
        Err((error, _)) => failed(error).with_name(wanted.name),
    }
}

fn describe(topic: &Topic, operations_asked: bool, room: &mut Room) -> MetadataResponseTopic {
    /// Bytes that a partition takes: six numbers, and two lists of one.
    const PARTITION: usize = 40;
    let count = topic.partition_count();
    let described = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id)
        .with_topic_authorized_operations(operations::topic(operations_asked));
    if let Err((error, _)) = room.take(64 + topic.name.len() + PARTITION * count as usize) {
        return described.with_error_code(error.code());
    }
    let partitions = (0..count).map(|index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(NODE_ID))
            .with_leader_epoch(0)
            .with_replica_nodes(vec![BrokerId(NODE_ID)])
            .with_isr_nodes(vec![BrokerId(NODE_ID)])
    });
    described.with_partitions(partitions.collect())
}
