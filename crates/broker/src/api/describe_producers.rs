//! DescribeProducers: who has written to a partition, and which transactions are open there.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState as Described, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use crate::api::{Call, text};
use crate::log::producers::ProducerState;

pub(super) fn handle(call: &Call<'_>, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = call.state.topics.get(&wanted.name);
        let partitions = wanted.partition_indexes.iter().map(|index| {
            let response = PartitionResponse::default().with_partition_index(*index);
            match topic.as_ref().and_then(|topic| topic.partition(*index)) {
                Some(partition) => {
                    response.with_active_producers(partition.producers().into_iter().map(describe).collect())
                }
                None => {
                    // Kafka explains only what concerns the topic.
                    let message = "This server does not host this topic-partition.";
                    response
                        .with_error_code(ResponseError::UnknownTopicOrPartition.code())
                        .with_error_message(topic.is_none().then(|| text(message)))
                }
            }
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_name(wanted.name).with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
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
