//! The source: each subtask reads the partitions that fall to it, in whole batches.
//!
//! A split is a partition, by the name `topic-partition`. Its position is the offset of the next record, and where a
//! bounded source ends, so that it still ends there after a restart. It is kept with the topic's id; what is done when it does not
//! fit the log any more is in `positions.rs`.

mod offsets;
mod positions;
mod reader;

use std::sync::Arc;

pub use offsets::{OffsetResetStrategy, OffsetsInitializer};
pub use reader::BrokerSourceReader;
pub(crate) use reader::SourceOffsets;
use thalweg_broker::LocalClient;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Source, SourceContext};

use crate::error::EmbeddedError;
use crate::record::Deserialize;

/// What becomes of a record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadRecordPolicy {
    /// The job fails, with the record's place. Nothing is lost.
    #[default]
    Fail,
    /// The record is dropped and counted. So is the rest of a batch in which it cannot be told where the next record begins.
    Skip,
}

/// Reads records of an embedded broker. A record's event time is its timestamp; one whose timestamp is negative has none (Kafka
/// writes −1 for it).
pub struct BrokerSource<T> {
    settings: Arc<Settings<T>>,
}

struct Settings<T> {
    client: LocalClient,
    topics: Vec<String>,
    group: Option<String>,
    starting: OffsetsInitializer,
    stopping: Option<OffsetsInitializer>,
    reset: OffsetResetStrategy,
    bad_records: BadRecordPolicy,
    deserializer: Arc<dyn reader::ReadBatch<T>>,
}

impl<T> Clone for BrokerSource<T> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings) }
    }
}

impl BrokerSource<()> {
    /// Begins a source that reads from this broker.
    pub fn builder(client: LocalClient) -> BrokerSourceBuilder {
        BrokerSourceBuilder {
            client,
            topics: Vec::new(),
            group: None,
            starting: OffsetsInitializer::Earliest,
            stopping: None,
            reset: OffsetResetStrategy::None,
            bad_records: BadRecordPolicy::Fail,
        }
    }
}

impl<T: Send + 'static> Source for BrokerSource<T> {
    type Item = T;
    type Reader = BrokerSourceReader<T>;

    fn identity(&self) -> String {
        let topics: std::collections::BTreeSet<&str> =
            self.settings.topics.iter().map(String::as_str).collect();
        format!("topics {}", topics.into_iter().collect::<Vec<_>>().join(", "))
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        Ok(BrokerSourceReader::new(self.clone(), context.clone()))
    }
}

/// Builds a [`BrokerSource`]. What must be set are the topics.
#[must_use = "a builder does nothing by itself"]
#[derive(Debug)]
pub struct BrokerSourceBuilder {
    client: LocalClient,
    topics: Vec<String>,
    group: Option<String>,
    starting: OffsetsInitializer,
    stopping: Option<OffsetsInitializer>,
    reset: OffsetResetStrategy,
    bad_records: BadRecordPolicy,
}

impl BrokerSourceBuilder {
    /// Reads all partitions of these topics, as they are when the job starts. One that is not there is an error.
    pub fn set_topics<S: Into<String>>(mut self, topics: impl IntoIterator<Item = S>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// The consumer group under which offsets are committed. Default: the job's id.
    pub fn set_group_id(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Where a job begins that has no checkpoint; one that has resumes from it. Default: at the oldest record.
    pub fn set_starting_offsets(mut self, starting: OffsetsInitializer) -> Self {
        self.starting = starting;
        self
    }

    /// Ends the source at these offsets, which are looked up when the job starts for the first time, and again when
    /// it is started after it has reached them. Default: it never ends.
    ///
    /// An offset that the log has not reached yet is waited for. Offsets by partition must name every partition that is read.
    pub fn set_bounded(mut self, stopping: OffsetsInitializer) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// Where to go on in a partition whose position is not in the log any more, with a checkpoint and without, at the start and
    /// while the job runs: its records were deleted before they were read, the log is shorter than it was, or the topic was deleted
    /// and made anew, which its id tells. Kafka's `auto.offset.reset`, Flink's `OffsetResetStrategy`.
    ///
    /// Default: [`OffsetResetStrategy::None`], so that the job fails and says what is lost. `Earliest` goes on at the oldest record
    /// that is there, `Latest` behind the newest; both are logged as warnings. Offsets of the group go on as
    /// [`OffsetsInitializer::Committed`] says, if it says earliest or latest.
    pub fn set_offset_reset_strategy(mut self, strategy: OffsetResetStrategy) -> Self {
        self.reset = strategy;
        self
    }

    /// The same in Spark's word: `true` fails, which is the default; `false` goes on at the oldest record that is there, as
    /// [`OffsetResetStrategy::Earliest`].
    pub fn set_fail_on_data_loss(self, fails: bool) -> Self {
        self.set_offset_reset_strategy(if fails {
            OffsetResetStrategy::None
        } else {
            OffsetResetStrategy::Earliest
        })
    }

    /// What becomes of records that cannot be read. Default: the job fails.
    pub fn set_bad_record_policy(mut self, policy: BadRecordPolicy) -> Self {
        self.bad_records = policy;
        self
    }

    /// The source, reading records so. It asks the broker nothing before the job starts.
    ///
    /// # Errors
    /// If no topics were set.
    pub fn build<T: 'static>(
        self,
        deserializer: impl Deserialize<T>,
    ) -> Result<BrokerSource<T>, EmbeddedError> {
        let Self { client, topics, group, starting, stopping, reset, bad_records } = self;
        if topics.is_empty() {
            return Err(EmbeddedError::Missing("say what to read, with set_topics"));
        }
        let deserializer = Arc::new(deserializer);
        let settings =
            Settings { client, topics, group, starting, stopping, reset, bad_records, deserializer };
        Ok(BrokerSource { settings: Arc::new(settings) })
    }
}
