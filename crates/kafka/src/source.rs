//! The Kafka source.
//!
//! Each subtask has one librdkafka consumer and reads the partitions that fall to it; there is no consumer
//! group to rebalance. Each partition has a queue of its own, so that one can be read at a limited rate, or
//! have ended, while others go on. When all queues are empty the subtask sleeps, and librdkafka wakes it.
//!
//! A split is a partition, by the name `topic-partition`. Its position is the offset of the next record, and
//! where a bounded source ends, so that it still ends there after a restart. It is kept with the topic's id; what is done
//! when it does not fit the log any more is in `positions.rs`, and `watch.rs` sees that topics stay the same while they are read.

mod beginning;
mod builder;
mod commits;
mod context;
mod dead_letter;
mod deserializer;
mod discovery;
mod lag;
mod offset_ranges;
mod partition;
mod positions;
mod prefetch;
mod rate;
mod reader;
mod trouble;
mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use builder::KafkaSourceBuilder;
pub(crate) use commits::SourceOffsets;
pub use deserializer::Deserializer;
pub use lag::Lag;
pub use offset_ranges::{OffsetRange, OffsetRanges};
pub use reader::KafkaSourceReader;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Source, SourceContext};
use thalweg_dataflow::time::millis;

use crate::config::KafkaProperties;
use crate::offsets::{OffsetResetStrategy, OffsetsInitializer};
use crate::record::BadRecordPolicy;
use crate::subscription::Subscription;

/// Reads records from Kafka. A record's event time is its timestamp. One whose timestamp is negative has none (Kafka writes −1 for
/// it): a job that goes by event time needs a timestamp assigner for such records, and fails without one.
///
/// ```
/// use thalweg_kafka::record::values;
/// use thalweg_kafka::{KafkaSource, OffsetsInitializer};
///
/// let source = KafkaSource::builder("localhost:9092")
///     .set_topics(["orders"])
///     .set_starting_offsets(OffsetsInitializer::latest())
///     .set_deserializer(values::<String>())
///     .build()?;
/// # Ok::<(), thalweg_kafka::KafkaError>(())
/// ```
pub struct KafkaSource<T> {
    settings: Arc<Settings>,
    deserializer: Deserializer<T>,
    lag: Lag,
    offset_ranges: OffsetRanges,
}

struct Settings {
    properties: KafkaProperties,
    subscription: Subscription,
    group: Option<String>,
    starting: OffsetsInitializer,
    stopping: Option<OffsetsInitializer>,
    reset: OffsetResetStrategy,
    bad_records: BadRecordPolicy,
    discovery: Option<Duration>,
    max_rate: Option<u64>,
    commits: bool,
}

impl<T> Clone for KafkaSource<T> {
    fn clone(&self) -> Self {
        let Self { settings, deserializer, lag, offset_ranges } = self;
        let (settings, deserializer) = (settings.clone(), deserializer.clone());
        Self { settings, deserializer, lag: lag.clone(), offset_ranges: offset_ranges.clone() }
    }
}

impl<T> KafkaSource<T> {
    /// Shows how far the source is behind, while it runs.
    pub fn lag(&self) -> Lag {
        self.lag.clone()
    }

    /// Shows what each batch has read, for a stream with this batch interval.
    pub fn offset_ranges(&self, batch_interval: Duration) -> OffsetRanges {
        self.offset_ranges.record_batches_of(millis(batch_interval));
        self.offset_ranges.clone()
    }
}

impl<T: Send + 'static> Source for KafkaSource<T> {
    type Item = T;
    type Reader = KafkaSourceReader<T>;

    fn identity(&self) -> String {
        self.settings.subscription.identity()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        KafkaSourceReader::new(self.clone(), context.clone()).map_err(crate::error::KafkaError::boxed)
    }
}
