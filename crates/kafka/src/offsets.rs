//! Where a source begins, and where a bounded one ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::patiently;
use crate::error::KafkaError;
use crate::subscription::TopicPartition;

/// Where to go on in a partition whose place is not there, as Kafka's `auto.offset.reset` and Flink's `OffsetResetStrategy`: a
/// group has committed no offset, or the place that was kept lies outside of the log, as records were deleted before they were
/// read, or the topic was made anew. See
/// [`set_offset_reset_strategy`](crate::KafkaSourceBuilder::set_offset_reset_strategy).
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

/// Where a source begins; for bounded sources also where it ends. A checkpoint takes precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffsetsInitializer {
    /// At the oldest record.
    Earliest,
    /// Behind the newest record (of a committed transaction, if only those are read).
    Latest,
    /// Where the source's consumer group has committed; where it has not, or what it has committed is not in the log any more, as
    /// said.
    Committed(OffsetResetStrategy),
    /// At the first record with this timestamp or a later one, in milliseconds since 1970; if there is none,
    /// behind the newest.
    Timestamp(i64),
    /// At these offsets. For partitions not mentioned, at the oldest record.
    Offsets(BTreeMap<TopicPartition, i64>),
}

impl OffsetsInitializer {
    /// At the oldest record.
    pub fn earliest() -> Self {
        Self::Earliest
    }

    /// Behind the newest record.
    pub fn latest() -> Self {
        Self::Latest
    }

    /// Where the group has committed, else as `fallback` says.
    pub fn committed_offsets(fallback: OffsetResetStrategy) -> Self {
        Self::Committed(fallback)
    }

    /// At the first record with this timestamp (milliseconds since 1970) or a later one.
    pub fn timestamp(timestamp_ms: i64) -> Self {
        Self::Timestamp(timestamp_ms)
    }

    /// At these offsets; partitions not mentioned begin at the oldest record.
    pub fn offsets(offsets: impl IntoIterator<Item = (TopicPartition, i64)>) -> Self {
        Self::Offsets(offsets.into_iter().collect())
    }

    /// Turns the wish into one offset per partition, with as few questions to the broker as there can be.
    ///
    /// # Errors
    /// An unreachable cluster, or no committed offset where there must be one.
    pub(crate) fn resolve<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        group: &str,
        bootstrap: &str,
        partitions: &BTreeSet<TopicPartition>,
        timeout: Duration,
    ) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        let broker = Broker { consumer, bootstrap, timeout };
        match self {
            Self::Earliest => broker.list(partitions, Offset::Beginning),
            Self::Latest => broker.list(partitions, Offset::End),
            Self::Timestamp(timestamp) => broker.at_timestamp(partitions, *timestamp),
            Self::Offsets(given) => {
                let (mut found, missing) = split(partitions, given);
                found.extend(broker.list(&missing, Offset::Beginning)?);
                Ok(found)
            }
            Self::Committed(fallback) => {
                let (mut found, missing) = split(partitions, &broker.committed(partitions)?);
                let position = match (fallback, missing.first()) {
                    (_, None) => return Ok(found),
                    (OffsetResetStrategy::None, Some(first)) => {
                        return Err(KafkaError::NoCommittedOffset {
                            group: group.to_owned(),
                            topic: first.topic.clone(),
                            partition: first.partition,
                        });
                    }
                    (OffsetResetStrategy::Earliest, _) => Offset::Beginning,
                    (OffsetResetStrategy::Latest, _) => Offset::End,
                };
                found.extend(broker.list(&missing, position)?);
                Ok(found)
            }
        }
    }
}

impl OffsetsInitializer {
    /// What is to become of an offset that it names and that is not in the log: what goes for any other (`otherwise`), unless it
    /// says more.
    pub(crate) fn reset(&self, otherwise: OffsetResetStrategy) -> OffsetResetStrategy {
        match self {
            Self::Committed(fallback @ (OffsetResetStrategy::Earliest | OffsetResetStrategy::Latest)) => {
                *fallback
            }
            _ => otherwise,
        }
    }

    /// Whether the offsets are found in the log as it is, and so cannot lie outside of it.
    pub(crate) fn is_found_in_log(&self) -> bool {
        matches!(self, Self::Earliest | Self::Latest | Self::Timestamp(_))
    }
}

/// What there is of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogRange {
    /// The offset of the oldest record.
    pub(crate) start: i64,
    /// Behind the newest one that this consumer may see.
    pub(crate) end: i64,
}

/// What there is of each partition now.
///
/// # Errors
/// An unreachable cluster, or unknown partitions.
pub(crate) fn log_ranges<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    bootstrap: &str,
    partitions: &BTreeSet<TopicPartition>,
    timeout: Duration,
) -> Result<BTreeMap<TopicPartition, LogRange>, KafkaError> {
    let broker = Broker { consumer, bootstrap, timeout };
    let ends = broker.list(partitions, Offset::End)?;
    let starts = broker.list(partitions, Offset::Beginning)?;
    let range = |(partition, start): (TopicPartition, i64)| {
        // The start may have moved on in between.
        let end = ends.get(&partition).copied().unwrap_or(start).max(start);
        (partition, LogRange { start, end })
    };
    Ok(starts.into_iter().map(range).collect())
}

type Offsets = BTreeMap<TopicPartition, i64>;

/// The partitions that have an offset, with it, and those that have none.
fn split(partitions: &BTreeSet<TopicPartition>, offsets: &Offsets) -> (Offsets, BTreeSet<TopicPartition>) {
    let missing = partitions.iter().filter(|partition| !offsets.contains_key(*partition)).cloned().collect();
    let found = partitions.iter().filter_map(|partition| Some((partition.clone(), *offsets.get(partition)?)));
    (found.collect(), missing)
}

struct Broker<'a, C: ConsumerContext> {
    consumer: &'a BaseConsumer<C>,
    bootstrap: &'a str,
    timeout: Duration,
}

impl<C: ConsumerContext> Broker<'_, C> {
    fn error(&self, source: rdkafka::error::KafkaError) -> KafkaError {
        KafkaError::from_client("look up offsets", self.bootstrap, self.timeout, source)
    }

    fn list(&self, partitions: &BTreeSet<TopicPartition>, position: Offset) -> Result<Offsets, KafkaError> {
        let (found, missing) = split(partitions, &self.list_offsets(partitions, position)?);
        match missing.first() {
            None => Ok(found),
            Some(TopicPartition { topic, .. }) => {
                Err(KafkaError::UnknownTopic { topic: topic.clone(), bootstrap: self.bootstrap.to_owned() })
            }
        }
    }

    fn at_timestamp(
        &self,
        partitions: &BTreeSet<TopicPartition>,
        timestamp: i64,
    ) -> Result<Offsets, KafkaError> {
        let (mut found, later) =
            split(partitions, &self.list_offsets(partitions, Offset::Offset(timestamp))?);
        found.extend(self.list(&later, Offset::End)?);
        Ok(found)
    }

    /// Kafka's `ListOffsets`, one request for each broker. It takes a timestamp, and has two special ones for
    /// the beginning and the end; the end is that of committed transactions, if only those are read.
    fn list_offsets(
        &self,
        partitions: &BTreeSet<TopicPartition>,
        position: Offset,
    ) -> Result<Offsets, KafkaError> {
        if partitions.is_empty() {
            return Ok(Offsets::new());
        }
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            asked.add_partition_offset(topic, *partition, position).map_err(|error| self.error(error))?;
        }
        patiently(self.timeout, |left| {
            let answer = self.consumer.offsets_for_times(asked.clone(), left);
            self.offsets_in(&answer.map_err(|error| self.error(error))?)
        })
    }

    fn committed(&self, partitions: &BTreeSet<TopicPartition>) -> Result<Offsets, KafkaError> {
        if partitions.is_empty() {
            return Ok(Offsets::new());
        }
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            asked.add_partition(topic, *partition);
        }
        patiently(self.timeout, |left| {
            let answer = self.consumer.committed_offsets(asked.clone(), left);
            self.offsets_in(&answer.map_err(|error| self.error(error))?)
        })
    }

    fn offsets_in(&self, list: &TopicPartitionList) -> Result<Offsets, KafkaError> {
        let mut offsets = Offsets::new();
        for element in list.elements() {
            element.error().map_err(|error| self.error(error))?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(TopicPartition::new(element.topic(), element.partition()), offset);
            }
        }
        Ok(offsets)
    }
}

/// Partitions with offsets, as librdkafka wants them.
pub(crate) fn partition_list(
    offsets: impl IntoIterator<Item = (TopicPartition, i64)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (TopicPartition { topic, partition }, offset) in offsets {
        list.add_partition_offset(&topic, partition, Offset::Offset(offset))?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_without_an_offset_are_told_apart() {
        let partitions: BTreeSet<_> = (0..3).map(|partition| TopicPartition::new("t", partition)).collect();
        let given = Offsets::from([(TopicPartition::new("t", 1), 7), (TopicPartition::new("other", 0), 9)]);
        let (found, missing) = split(&partitions, &given);
        assert_eq!(found, Offsets::from([(TopicPartition::new("t", 1), 7)]));
        assert_eq!(missing, BTreeSet::from([TopicPartition::new("t", 0), TopicPartition::new("t", 2)]));
    }
}
