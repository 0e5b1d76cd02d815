//! The Kafka sink.
//!
//! | guarantee | a record that was written is in the topic |
//! |---|---|
//! | `None` | perhaps |
//! | `AtLeastOnce` | once, or more often after a failure |
//! | `ExactlyOnce` | once, for those who read with `isolation.level=read_committed`, when its checkpoint is committed |
//!
//! How exactly-once works is in `sink/commit_protocol.rs`. It needs checkpoints, and a consumer's rights on the
//! topic: *read* on the topic and on the group `<transactional id>-thalweg`, where the number of the last
//! committed checkpoint is kept.

mod builder;
mod commit_protocol;
mod committer;
mod marker;
mod record_writer;
mod transactional_writer;
mod transactions;
mod writer;

use std::sync::Arc;

pub use builder::KafkaSinkBuilder;
use committer::KafkaCommitterFactory;
pub use record_writer::Serializer;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operator::OperatorContext;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::sink::Sink;
use transactional_writer::TransactionalWriter;
use writer::KafkaWriter;

use crate::config::KafkaProperties;

/// Which partition a record goes to that does not say so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KafkaPartitioner {
    /// That which Kafka's own clients choose: by the key, and without one any.
    #[default]
    ByKey,
    /// One for each subtask of the sink (Flink's `FlinkFixedPartitioner`): that of its number, and if there are fewer partitions, they are
    /// shared; if there are more, the others stay empty.
    Fixed,
}

impl KafkaPartitioner {
    fn partition(self, subtask: usize, partitions: i32) -> Option<i32> {
        let count = usize::try_from(partitions).ok().filter(|_| self == Self::Fixed)?;
        i32::try_from(subtask.checked_rem(count)?).ok()
    }
}

/// What a sink promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryGuarantee {
    /// Nothing: records are sent and forgotten.
    None,
    /// Every record is there when its checkpoint is complete; after a failure some are there twice.
    #[default]
    AtLeastOnce,
    /// Every record is there once, whatever fails.
    ExactlyOnce,
}

/// Writes records to a Kafka topic.
///
/// ```
/// use thalweg_kafka::record::key_values;
/// use thalweg_kafka::{DeliveryGuarantee, KafkaSink};
///
/// let sink = KafkaSink::builder("localhost:9092")
///     .set_topic("counts")
///     .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
///     .set_serializer(key_values::<String, i64>())
///     .build()?;
/// # Ok::<(), thalweg_kafka::KafkaError>(())
/// ```
pub struct KafkaSink<T> {
    properties: KafkaProperties,
    partitioner: KafkaPartitioner,
    topic: Arc<str>,
    guarantee: DeliveryGuarantee,
    transactional_id_prefix: Option<String>,
    serializer: Serializer<T>,
}

impl<T> Clone for KafkaSink<T> {
    fn clone(&self) -> Self {
        let Self { properties, partitioner, topic, guarantee, transactional_id_prefix, serializer } = self;
        Self {
            properties: properties.clone(),
            partitioner: *partitioner,
            topic: topic.clone(),
            guarantee: *guarantee,
            transactional_id_prefix: transactional_id_prefix.clone(),
            serializer: serializer.clone(),
        }
    }
}

impl<T: Data> Sink<T> for KafkaSink<T> {
    fn add_to(self, stream: &Stream<T>) -> Stream<()> {
        let topic = self.topic.clone();
        if self.guarantee != DeliveryGuarantee::ExactlyOnce {
            let sink = stream.apply_with("kafka-sink", move |_| Ok(KafkaWriter::new(self.clone())));
            return sink.described(&topic);
        }
        let (graph, prefix) = (stream.graph(), self.transactional_id_prefix.as_deref());
        let key = format!("kafka at {}", self.properties.bootstrap());
        let factory = graph.committer(&key, || KafkaCommitterFactory::new(&self.properties, prefix));
        if !factory.join(&self.properties, prefix, &self.topic) {
            graph.refuse(
                "exactly-once Kafka sinks with different properties or transactional ids: they share one producer; \
                 give all of them the same",
            );
        }
        let write = move |_: &OperatorContext| Ok(TransactionalWriter::new(self.clone(), factory.clone()));
        stream.apply_with("kafka-sink", write).described(&topic)
    }
}
