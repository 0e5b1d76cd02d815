//! A source whose batches are known beforehand: batch n is what it was told, whatever the time (Spark's `queueStream`).
//!
//! Each subtask reads its share of each batch: the first the first items, and so on, so that the partitions of a batch, one after
//! the other, are the batch as it was given. The position is the number of batches
//! that have been cut off, and of those that have been read, the same in every subtask; so a checkpoint can be restored at
//! any parallelism, also one in the middle of a batch.

use std::sync::Arc;

use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::record::Data;
use crate::time::{NO_TIMESTAMP, Timestamp};

/// Reads one collection a batch, then ends.
#[derive(Clone, Debug)]
pub struct QueueSource<T> {
    batches: Arc<Vec<Vec<(T, Timestamp)>>>,
    interval: i64,
}

impl<T> QueueSource<T> {
    /// Items without event times, for a stream with a batch interval of `interval` milliseconds.
    pub fn new(batches: Vec<Vec<T>>, interval: i64) -> Self {
        let untimed = |batch: Vec<T>| batch.into_iter().map(|item| (item, NO_TIMESTAMP)).collect();
        Self::with_timestamps(batches.into_iter().map(untimed).collect(), interval)
    }

    /// Items with event times, in milliseconds.
    pub fn with_timestamps(batches: Vec<Vec<(T, Timestamp)>>, interval: i64) -> Self {
        Self { batches: Arc::new(batches), interval }
    }
}

impl<T: Data + Sync> Source for QueueSource<T> {
    type Item = T;
    type Reader = QueueReader<T>;

    fn identity(&self) -> String {
        super::items::<T>()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        let (queue, context) = (self.clone(), context.clone());
        Ok(QueueReader { queue, context, cut: 0, read: 0, split: None })
    }
}

/// Reads the share of one subtask.
pub struct QueueReader<T> {
    queue: QueueSource<T>,
    context: SourceContext,
    /// Batches cut off.
    cut: usize,
    /// Batches read: `cut`, or one more.
    read: usize,
    split: Option<SplitId>,
}

impl<T> QueueReader<T> {
    fn name(&self) -> String {
        format!("queue, share {} of {}", self.context.operator.subtask, self.context.parallelism)
    }
}

impl<T: Data + Sync> SourceReader for QueueReader<T> {
    type Item = T;
    /// Batches cut off, and batches read.
    type Position = (u64, u64);

    fn open(&mut self, restored: Option<Vec<(String, (u64, u64))>>) -> Result<(), BoxError> {
        let (cut, read) = restored.unwrap_or_default().first().map_or((0, 0), |(_, position)| *position);
        (self.cut, self.read) = (cut as usize, read as usize);
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, BoxError> {
        let split = match self.split {
            Some(split) => split,
            None => *self.split.insert(output.add_split(&self.name())),
        };
        if self.read > self.cut {
            return Ok(SourceStatus::Idle { until: None });
        }
        let Some(batch) = self.queue.batches.get(self.read) else { return Ok(SourceStatus::End) };
        let (subtask, parallelism) = (self.context.operator.subtask, self.context.parallelism);
        let begin = |subtask: usize| batch.len() * subtask / parallelism;
        let share = batch[begin(subtask)..begin(subtask + 1)].iter();
        share.for_each(|(item, timestamp)| output.push(item.clone(), *timestamp));
        output.origin(split, self.read as u64, self.read as u64);
        self.read += 1;
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, (u64, u64))> {
        vec![(self.name(), (self.cut as u64, self.read as u64))]
    }

    fn barrier(&mut self, barrier: &Barrier) {
        if barrier.closes_batch(self.queue.interval) {
            self.cut = self.read;
        }
    }
}
