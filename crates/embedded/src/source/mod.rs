//! The source: each subtask reads the partitions that fall to it, in whole batches.
//!
//! A split is a partition, by the name `topic-partition`. Its position is the offset of the next record, and where a
//! bounded source ends, so that it still ends there after a restart.

mod reader;

use std::sync::Arc;

pub use reader::BrokerSourceReader;
pub(crate) use reader::SourceOffsets;
use thalweg_broker::{Isolation, LocalClient, OffsetOf};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Source, SourceContext};

use crate::error::EmbeddedError;
use crate::record::Deserialize;

/// Where to begin, or to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffsetsInitializer {
    /// At the oldest record.
    #[default]
    Earliest,
    /// Behind the newest record that is committed.
    Latest,
    /// At the first record of this time or later, in milliseconds since 1970, or behind the newest.
    Timestamp(i64),
    /// Where the source's group has committed, or at the oldest record.
    Committed,
}

impl OffsetsInitializer {
    fn resolve(
        self,
        client: &LocalClient,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<i64, EmbeddedError> {
        let look =
            |of| client.offset(topic, partition, of).map_err(EmbeddedError::broker("look up an offset"));
        let end = OffsetOf::End(Isolation::ReadCommitted);
        let found = match self {
            Self::Earliest => look(OffsetOf::Start)?,
            Self::Latest => look(end)?,
            Self::Timestamp(time) => match look(OffsetOf::Time(time, Isolation::ReadCommitted))? {
                Some(found) => Some(found),
                None => look(end)?,
            },
            Self::Committed => {
                let committed = client.committed(group, topic, partition);
                match committed.map_err(EmbeddedError::broker("look up a committed offset"))? {
                    Some(committed) => Some(committed.offset),
                    None => look(OffsetOf::Start)?,
                }
            }
        };
        Ok(found.unwrap_or(0))
    }
}

/// Reads records of an embedded broker. A record's event time is its timestamp.
pub struct BrokerSource<T> {
    settings: Arc<Settings<T>>,
}

struct Settings<T> {
    client: LocalClient,
    topics: Vec<String>,
    group: Option<String>,
    starting: OffsetsInitializer,
    stopping: Option<OffsetsInitializer>,
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
    pub fn set_bounded(mut self, stopping: OffsetsInitializer) -> Self {
        self.stopping = Some(stopping);
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
        let Self { client, topics, group, starting, stopping } = self;
        if topics.is_empty() {
            return Err(EmbeddedError::Missing("say what to read, with set_topics"));
        }
        let deserializer = Arc::new(deserializer);
        let settings = Settings { client, topics, group, starting, stopping, deserializer };
        Ok(BrokerSource { settings: Arc::new(settings) })
    }
}
