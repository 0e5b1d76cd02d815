//! DescribeTopicPartitions: topics and their partitions, page by page. A cursor says where the next page begins.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_request::Cursor as From;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};

use crate::api::{Call, operations};
use crate::protocol::{NODE_ID, text};
use crate::topics::check_name;

/// Partitions in one answer, whatever the client would take.
const MAX_PARTITIONS: i32 = 2_000;

pub(super) fn handle(
    call: &Call<'_>,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let state = call.state;
    let all = request.topics.is_empty();
    let mut names: Vec<TopicName> = match all {
        true => state.topics.list().iter().map(|topic| TopicName(text(&topic.name))).collect(),
        false => request.topics.into_iter().map(|topic| topic.name).collect(),
    };
    names.sort_unstable();
    names.dedup();
    if let Some(from) = &request.cursor {
        names.retain(|name| *name >= from.topic_name);
    }
    let mut left = request.response_partition_limit.clamp(1, MAX_PARTITIONS);
    let mut topics = Vec::new();
    let mut next = None;
    for name in names {
        if left == 0 {
            next = Some(Cursor::default().with_topic_name(name));
            break;
        }
        let Some(topic) = state.topics.get(&name) else {
            // Gone since it was listed.
            if !all {
                topics.push(missing(name));
            }
            continue;
        };
        let first = request.cursor.as_ref().map_or(0, |from| first(from, &name));
        let count = topic.partition_count();
        let end = count.min(first.saturating_add(left));
        left -= (end - first).max(0);
        let described = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(name.clone()))
            .with_topic_id(topic.id)
            .with_partitions((first..end).map(partition).collect())
            .with_topic_authorized_operations(operations::topic(true));
        topics.push(described);
        if end < count {
            next = Some(Cursor::default().with_topic_name(name).with_partition_index(end));
            break;
        }
    }
    DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(next)
}

/// The partition to begin a topic with.
fn first(from: &From, name: &TopicName) -> i32 {
    if from.topic_name == *name { from.partition_index.max(0) } else { 0 }
}

fn missing(name: TopicName) -> DescribeTopicPartitionsResponseTopic {
    let error = match check_name(&name) {
        Ok(()) => ResponseError::UnknownTopicOrPartition,
        Err((error, _)) => error,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(name))
        .with_topic_authorized_operations(operations::topic(true))
}

fn partition(index: i32) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(NODE_ID))
        .with_replica_nodes(vec![BrokerId(NODE_ID)])
        .with_isr_nodes(vec![BrokerId(NODE_ID)])
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}
