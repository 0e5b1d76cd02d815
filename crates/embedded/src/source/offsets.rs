//! Where a source begins, and where a bounded one ends.

use std::collections::BTreeMap;

use thalweg_broker::{Isolation, LocalClient, OffsetOf};

use crate::error::EmbeddedError;

/// Where to go on in a partition whose place is not there, as Kafka's `auto.offset.reset` and Flink's `OffsetResetStrategy`: a
/// group has committed no offset, or the place that was kept lies outside of the log, as records were deleted before they were
/// read, or the topic was made anew. See
/// [`set_offset_reset_strategy`](crate::BrokerSourceBuilder::set_offset_reset_strategy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffsetResetStrategy {
    /// At the oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// Nowhere: it is an error.
    #[default]
    None,
}

/// Where to begin, or to end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OffsetsInitializer {
    /// At the oldest record.
    #[default]
    Earliest,
    /// Behind the newest record that is committed.
    Latest,
    /// At the first record of this time or later, in milliseconds since 1970, or behind the newest.
    Timestamp(i64),
    /// Where the source's group has committed; where it has not, or what it has committed is not in the log any more, as said.
    Committed(OffsetResetStrategy),
    /// At these offsets, by topic and partition. For partitions not mentioned, at the oldest record.
    Offsets(BTreeMap<(String, i32), i64>),
}

/// What there is of a log: the offset of its oldest record, and the one behind its newest that is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogRange {
    pub(super) start: i64,
    pub(super) end: i64,
}

pub(super) fn log_range(
    client: &LocalClient,
    topic: &str,
    partition: i32,
) -> Result<LogRange, EmbeddedError> {
    let look = |of| client.offset(topic, partition, of).map_err(EmbeddedError::broker("look up an offset"));
    let end = look(OffsetOf::End(Isolation::ReadCommitted))?.unwrap_or(0);
    let start = look(OffsetOf::Start)?.unwrap_or(0);
    // The start may have moved on in between.
    Ok(LogRange { start, end: end.max(start) })
}

impl OffsetsInitializer {
    /// At these offsets, by topic and partition.
    pub fn offsets<S: Into<String>>(offsets: impl IntoIterator<Item = ((S, i32), i64)>) -> Self {
        let offsets = offsets.into_iter();
        Self::Offsets(
            offsets.map(|((topic, partition), offset)| ((topic.into(), partition), offset)).collect(),
        )
    }

    pub(super) fn resolve(
        &self,
        client: &LocalClient,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<i64, EmbeddedError> {
        let range = log_range(client, topic, partition)?;
        Ok(match self {
            Self::Earliest => range.start,
            Self::Latest => range.end,
            Self::Timestamp(time) => {
                let found = client.offset(topic, partition, OffsetOf::Time(*time, Isolation::ReadCommitted));
                found.map_err(EmbeddedError::broker("look up a time"))?.unwrap_or(range.end)
            }
            Self::Offsets(given) => given.get(&(topic.to_owned(), partition)).copied().unwrap_or(range.start),
            Self::Committed(fallback) => {
                let committed = client.committed(group, topic, partition);
                match (committed.map_err(EmbeddedError::broker("look up a committed offset"))?, fallback) {
                    (Some(committed), _) => committed.offset,
                    (None, OffsetResetStrategy::Earliest) => range.start,
                    (None, OffsetResetStrategy::Latest) => range.end,
                    (None, OffsetResetStrategy::None) => {
                        let (group, topic) = (group.to_owned(), topic.to_owned());
                        return Err(EmbeddedError::NoCommittedOffset { group, topic, partition });
                    }
                }
            }
        })
    }

    /// What is to become of an offset that it names and that is not in the log: what goes for any other (`otherwise`), unless it
    /// says more.
    pub(super) fn reset(&self, otherwise: OffsetResetStrategy) -> OffsetResetStrategy {
        match self {
            Self::Committed(fallback @ (OffsetResetStrategy::Earliest | OffsetResetStrategy::Latest)) => {
                *fallback
            }
            _ => otherwise,
        }
    }
}
