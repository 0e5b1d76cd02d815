//! What librdkafka calls back with, for the consumer of a source.

use std::sync::Arc;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::{ClientContext, Statistics, TopicPartitionList};

use thalweg_dataflow::metrics::OperatorMetrics;

use super::lag::Lag;
use crate::client;

/// The consumer of one subtask.
pub(super) type SourceConsumer = BaseConsumer<SourceConsumerContext>;

/// Its callbacks. They run when the consumer is polled.
#[derive(Debug)]
pub(crate) struct SourceConsumerContext {
    pub(super) lag: Lag,
    pub(super) metrics: Arc<OperatorMetrics>,
}

impl ClientContext for SourceConsumerContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        client::log_error(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let behind = self.lag.update(&statistics);
        self.metrics.set_gauge("lag", behind as f64);
    }
}

impl ConsumerContext for SourceConsumerContext {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            // For monitoring only: the job resumes from its checkpoints.
            tracing::warn!(%error, "offsets could not be committed; the next commit makes up for it");
        }
    }
}
