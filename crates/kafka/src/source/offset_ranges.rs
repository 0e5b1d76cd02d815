//! Which offsets each micro-batch has read (Spark's `OffsetRange`), to be stored or committed by the user.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::time::Timestamp;

use super::context::SourceConsumerContext;
use crate::offsets::partition_list;
use crate::subscription::TopicPartition;

/// How many batches are remembered.
const REMEMBERED: usize = 100;

/// The offsets of one partition that one batch has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from_offset: i64,
    /// The offset behind the last one.
    pub until_offset: i64,
}

/// The offsets that each batch of a source has read; see
/// [`KafkaSource::offset_ranges`](super::KafkaSource::offset_ranges). Clones are of the same source.
#[derive(Clone, Default)]
pub struct OffsetRanges(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Milliseconds; 0 when nobody asks.
    batch_interval: AtomicI64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: BTreeMap<Timestamp, Vec<OffsetRange>>,
    /// Of one of the subtasks: any can commit for all.
    consumer: Weak<BaseConsumer<SourceConsumerContext>>,
}

impl OffsetRanges {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the batch with this time has read, sorted by topic and partition. Partitions of which it has read
    /// nothing are included, with an empty range. Nothing is known of a batch that has not been closed, or that
    /// is more than 100 batches old.
    pub fn at(&self, batch_time: Timestamp) -> Vec<OffsetRange> {
        let mut ranges = self.lock().batches.get(&batch_time).cloned().unwrap_or_default();
        ranges.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        ranges
    }

    /// Commits the ends of these ranges under the source's group, without waiting for it. A commit that fails
    /// is logged; the next one makes up for it. Nothing happens if the job does not run.
    pub fn commit_async(&self, ranges: &[OffsetRange]) {
        let Some(consumer) = self.lock().consumer.upgrade() else { return };
        let ends = ranges
            .iter()
            .map(|range| (TopicPartition::new(range.topic.clone(), range.partition), range.until_offset));
        let committed = partition_list(ends).and_then(|list| consumer.commit(&list, CommitMode::Async));
        if let Err(error) = committed {
            tracing::warn!(%error, "offsets of a batch could not be committed");
        }
    }

    pub(super) fn record_batches_of(&self, batch_interval: i64) {
        self.0.batch_interval.store(batch_interval, Ordering::Relaxed);
    }

    pub(super) fn commit_with(&self, consumer: &Arc<BaseConsumer<SourceConsumerContext>>) {
        self.lock().consumer = Arc::downgrade(consumer);
    }

    /// Whether somebody wants to know what was read before this barrier.
    pub(super) fn wants(&self, barrier: &Barrier) -> bool {
        let interval = self.0.batch_interval.load(Ordering::Relaxed);
        interval > 0 && barrier.closes_batch(interval)
    }

    /// Remembers what one subtask has read for a batch.
    pub(super) fn record(&self, batch_time: Timestamp, ranges: impl Iterator<Item = OffsetRange>) {
        let batches = &mut self.lock().batches;
        let batch = batches.entry(batch_time).or_default();
        for range in ranges {
            // After a restart a batch may be read again, perhaps by another subtask.
            batch.retain(|known| (&known.topic, known.partition) != (&range.topic, range.partition));
            batch.push(range);
        }
        while batches.len() > REMEMBERED {
            batches.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(topic: &str, from_offset: i64, until_offset: i64) -> OffsetRange {
        OffsetRange { topic: topic.to_owned(), partition: 0, from_offset, until_offset }
    }

    #[test]
    fn ranges_of_all_subtasks_are_put_together_and_old_batches_forgotten() {
        let ranges = OffsetRanges::default();
        ranges.record(1000, [range("b", 0, 5)].into_iter());
        ranges.record(1000, [range("a", 3, 9)].into_iter());
        ranges.record(1000, [range("b", 0, 7)].into_iter());
        assert_eq!(ranges.at(1000), [range("a", 3, 9), range("b", 0, 7)]);
        (2..=101).for_each(|second| ranges.record(second * 1000, std::iter::empty()));
        assert_eq!(ranges.at(1000), []);
    }
}
