//! A source over a queue of batches that can be fed while the job runs (Spark's `queueStream`).
//!
//! One subtask reads it. At the beginning of each batch it takes the next entry of the queue, or all that there are; what is pushed
//! later in the batch is taken into it as long as it has none. It never ends by itself, but when the queue is [closed](RddQueue::close).
//!
//! - **Delivery**: at most once. As in Spark the queue keeps nothing: what was taken, and not committed before a failure, is lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId, Waker};
use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::record::Data;
use crate::time::NO_TIMESTAMP;

/// The queue. Clones are the same queue.
///
/// ```
/// use thalweg_dataflow::source::RddQueue;
///
/// let queue = RddQueue::new();
/// queue.push(vec![1, 2, 3]);
/// queue.close();
/// ```
#[derive(Debug)]
pub struct RddQueue<T>(Arc<Mutex<Queue<T>>>);

struct Queue<T> {
    batches: VecDeque<Vec<T>>,
    closed: bool,
    waiting: Option<Waker>,
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("batches", &self.batches.len()).field("closed", &self.closed).finish()
    }
}

impl<T> Clone for RddQueue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for RddQueue<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Queue { batches: VecDeque::new(), closed: false, waiting: None })))
    }
}

impl<T> RddQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // Nothing of a user's runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one batch.
    pub fn push(&self, batch: Vec<T>) {
        let mut queue = self.lock();
        queue.batches.push_back(batch);
        Self::wake(queue);
    }

    /// There will be no more: the stream ends when those that are there have been read.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        Self::wake(queue);
    }

    fn wake(mut queue: MutexGuard<'_, Queue<T>>) {
        let waiting = queue.waiting.take();
        drop(queue);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// How many batches wait to be read.
    pub fn len(&self) -> usize {
        self.lock().batches.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> FromIterator<Vec<T>> for RddQueue<T> {
    fn from_iter<I: IntoIterator<Item = Vec<T>>>(batches: I) -> Self {
        let queue = Self::default();
        queue.lock().batches.extend(batches);
        queue
    }
}

/// Reads a queue.
#[derive(Clone, Debug)]
pub struct RddQueueSource<T> {
    queue: RddQueue<T>,
    interval: i64,
    one_at_a_time: bool,
    default: Vec<T>,
}

impl<T> RddQueueSource<T> {
    /// For a stream with a batch interval of `interval` milliseconds: a batch is one entry of the queue if `one_at_a_time`, else all
    /// that are in it; and `default` when there is none.
    pub fn new(queue: &RddQueue<T>, interval: i64, one_at_a_time: bool, default: Vec<T>) -> Self {
        Self { queue: queue.clone(), interval, one_at_a_time, default }
    }
}

impl<T: Data + Sync> Source for RddQueueSource<T> {
    type Item = T;
    type Reader = RddQueueReader<T>;

    fn identity(&self) -> String {
        super::items::<T>()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        let source = context.owns(0).then(|| self.clone());
        Ok(RddQueueReader { source, waker: context.waker.clone(), split: None, batch: 0, has_read: false })
    }
}

/// Reads all of it, or nothing.
pub struct RddQueueReader<T> {
    /// `None` where another subtask reads it.
    source: Option<RddQueueSource<T>>,
    waker: Waker,
    split: Option<SplitId>,
    batch: u64,
    /// Whether this batch has what it gets.
    has_read: bool,
}

impl<T: Data + Sync> SourceReader for RddQueueReader<T> {
    type Item = T;
    /// The number of batches so far: of use to people only.
    type Position = u64;

    fn open(&mut self, _: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, BoxError> {
        let Some(source) = &self.source else { return Ok(SourceStatus::End) };
        let split = *self.split.get_or_insert_with(|| output.add_split("queue"));
        if self.has_read {
            return Ok(SourceStatus::Idle { until: None });
        }
        let mut queue = source.queue.lock();
        let batch: Vec<T> = match (queue.batches.pop_front(), source.one_at_a_time) {
            (Some(batch), true) => batch,
            (Some(batch), false) => batch.into_iter().chain(queue.batches.drain(..).flatten()).collect(),
            (None, _) if queue.closed => {
                output.finish_split(split);
                return Ok(SourceStatus::End);
            }
            (None, _) if source.default.is_empty() => {
                queue.waiting = Some(self.waker.clone());
                return Ok(SourceStatus::Idle { until: None });
            }
            (None, _) => source.default.clone(),
        };
        drop(queue);
        self.has_read = true;
        batch.into_iter().for_each(|item| output.push(item, NO_TIMESTAMP));
        output.origin(split, self.batch, self.batch);
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.source.iter().map(|_| ("queue".to_owned(), self.batch)).collect()
    }

    fn barrier(&mut self, barrier: &Barrier) {
        if barrier.closes_batch(self.source.as_ref().map_or(1, |source| source.interval)) {
            self.batch += 1;
            self.has_read = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::Then;
    use crate::source::testing::{context, drain_into};

    fn batches(one_at_a_time: bool, default: Vec<i32>) -> Vec<Vec<i32>> {
        let queue: RddQueue<i32> = [vec![1, 2], vec![3]].into_iter().collect();
        let mut reader =
            RddQueueSource::new(&queue, 10, one_at_a_time, default).reader(&context(0, 1)).unwrap();
        let (mut batches, output) = (Vec::new(), &mut SourceOutput::new());
        for epoch in 1..=4 {
            let mut batch = drain_into(&mut reader, output, 10);
            if epoch == 4 {
                queue.push(vec![7]);
                queue.close();
                batch.extend(drain_into(&mut reader, output, 10));
            }
            batches.push(batch);
            reader.barrier(&Barrier {
                epoch,
                time: epoch as i64 * 10,
                checkpoint: false,
                then: Then::Continue,
            });
        }
        batches
    }

    #[test]
    fn one_entry_or_all_a_batch_and_a_default_when_there_is_none() {
        assert_eq!(batches(true, vec![]), [vec![1, 2], vec![3], vec![], vec![7]]);
        assert_eq!(batches(false, vec![]), [vec![1, 2, 3], vec![], vec![], vec![7]]);
        // The fourth batch has its default already when the last is pushed.
        assert_eq!(batches(true, vec![0]), [vec![1, 2], vec![3], vec![0], vec![0]]);
    }
}
