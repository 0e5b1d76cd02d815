//! DescribeProducers: who has written to a partition, and which transactions are open there.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState as Described, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use crate::api::Call;
use crate::api::proportion::parts_once;
use crate::error::Refusal;
use crate::log::producers::ProducerState;
use crate::protocol::text;
use crate::topics::{Topic, check_name};

pub(super) fn handle(call: &Call<'_>, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let mut topics = request.topics;
    parts_once(&mut topics, |topic| topic.name.clone(), |topic| &mut topic.partition_indexes, |index| *index);
    let topics = topics.into_iter().map(|wanted| {
        let topic = find(call, &wanted.name);
        let partitions = wanted.partition_indexes.iter().map(|index| {
            let response = PartitionResponse::default().with_partition_index(*index);
            let found = match &topic {
                Ok(topic) => topic.partition(*index),
                Err((error, message)) => {
                    return response.with_error_code(error.code()).with_error_message(Some(text(message)));
                }
            };
            match found {
                Some(partition) => {
                    response.with_active_producers(partition.producers().into_iter().map(describe).collect())
                }
                // Kafka explains only what concerns the topic.
                None => response.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
            }
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_name(wanted.name).with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn find(call: &Call<'_>, name: &str) -> Result<Arc<Topic>, Refusal> {
    check_name(name)?;
    let unknown = || "This server does not host this topic-partition.".to_owned();
    call.state.topics.get(name).ok_or_else(|| (ResponseError::UnknownTopicOrPartition, unknown()))
}

fn describe(producer: ProducerState) -> Described {
    Described::default()
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch.into())
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.open_since.unwrap_or(-1))
}
