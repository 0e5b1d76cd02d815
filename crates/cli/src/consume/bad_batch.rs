//! Passing over batches that cannot be read.
//!
//! librdkafka says that there is one, and neither in which partition nor where it ends. So the batches that are next are asked
//! for and looked into.

use anyhow::{Context as _, bail};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{InspectedBatch, inspect_batch};

use crate::client::Connection;
use crate::wire::Wire;

/// The oldest version that today's brokers know; it has names of topics.
const VERSION: i16 = 4;

/// The batch of a partition that holds an offset, or the next one; none if there is none.
pub(super) fn at(
    connection: &Connection,
    topic: &str,
    partition: i32,
    offset: i64,
) -> anyhow::Result<Option<InspectedBatch>> {
    let action = || format!("cannot look for the batch that cannot be read, in {topic} [{partition}]");
    let wanted = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        // A whole batch comes, however long it is.
        .with_partition_max_bytes(1);
    let topics = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partitions(vec![wanted]);
    let request = FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(0)
        .with_max_bytes(1)
        .with_topics(vec![topics]);
    let answer = Wire::to_leader(connection, topic, partition)
        .and_then(|mut wire| wire.call(VERSION, &request))
        .with_context(action)?;
    let Some(found) = answer.responses.into_iter().flat_map(|topic| topic.partitions).next() else {
        return Ok(None);
    };
    if let Some(error) = ResponseError::try_from_code(found.error_code) {
        bail!("{}: {error}", action());
    }
    let records = found.records.unwrap_or_default();
    if records.is_empty() {
        return Ok(None);
    }
    inspect_batch(&records).map(Some).map_err(|error| anyhow::anyhow!("{}: {error}", action()))
}
