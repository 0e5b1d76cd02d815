//! A source over a channel: other threads of the program send records into the job.
//!
//! One subtask reads it, in the order of sending. When it is empty the task sleeps until something is sent. A channel that is full
//! makes its senders wait, which is the back-pressure of the job.
//!
//! - **End**: when all senders are gone.
//! - **Delivery**: at most once. What was taken out before a failure, and not committed, is not there any more after the restart: a
//!   channel keeps nothing. Use a [`Receiver`](super::Receiver) that waits for commits, or Kafka, where that matters.
//!
//! ```
//! use thalweg_dataflow::source::channel;
//!
//! let (sender, source) = channel::<String>(1_000);
//! std::thread::spawn(move || sender.send("hello".to_owned()));
//! # let _ = source;
//! ```

use std::fmt;
use std::sync::Arc;

use super::handoff::Handoff;
use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use crate::barrier::{Barrier, Epoch};
use crate::error::BoxError;
use crate::record::Data;
use crate::time::{NO_TIMESTAMP, Timestamp};

/// A channel into a job, in which so many records may wait.
pub fn channel<T: Data>(capacity: usize) -> (SourceSender<T>, ChannelSource<T>) {
    let handoff = Arc::new(Handoff::new(capacity));
    let sender = SourceSender(Arc::new(Sending(handoff.clone())));
    (sender, ChannelSource(Arc::new(Taking(handoff))))
}

/// Sends records into a job. Clones send into the same; when the last is dropped, the source ends.
pub struct SourceSender<T>(Arc<Sending<T>>);

struct Sending<T>(Arc<Handoff<T>>);

impl<T> Drop for Sending<T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<T> Clone for SourceSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// There is no job any more that would take the record, or, from [`try_send`](SourceSender::try_send), no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is full, or its job is over")
    }
}

impl<T: fmt::Debug> std::error::Error for SendError<T> {}

impl<T> SourceSender<T> {
    /// Sends a record; waits as long as the channel is full.
    ///
    /// # Errors
    /// When nothing will take it: the job is over, and its program (the graph with the source) is gone.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.send_at(item, NO_TIMESTAMP)
    }

    /// Sends a record with its event time, in milliseconds.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_at(&self, item: T, timestamp: Timestamp) -> Result<(), SendError<T>> {
        self.0.0.put(item, timestamp).map(drop).map_err(SendError)
    }

    /// Sends a record if there is room for it.
    ///
    /// # Errors
    /// When there is none, or nothing will take it.
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        self.0.0.try_put(item).map_err(SendError)
    }
}

/// The end of a channel that the job reads.
pub struct ChannelSource<T>(Arc<Taking<T>>);

struct Taking<T>(Arc<Handoff<T>>);

impl<T> Drop for Taking<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> Clone for ChannelSource<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Data> Source for ChannelSource<T> {
    type Item = T;
    type Reader = ChannelReader<T>;

    fn identity(&self) -> String {
        super::items::<T>()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        Ok(ChannelReader {
            // It keeps the channel open for as long as the job runs.
            source: context.owns(0).then(|| self.clone()),
            context: context.clone(),
            split: None,
        })
    }
}

/// Reads all of it, or nothing.
pub struct ChannelReader<T> {
    /// `None` where another subtask reads it.
    source: Option<ChannelSource<T>>,
    context: SourceContext,
    split: Option<SplitId>,
}

impl<T: Data> SourceReader for ChannelReader<T> {
    type Item = T;
    /// How many have been read. Nothing can be read again, so it is of use to people only.
    type Position = u64;

    fn open(&mut self, _: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, BoxError> {
        let Some(ChannelSource(taking)) = &self.source else { return Ok(SourceStatus::End) };
        Ok(taking.0.poll(output, &mut self.split, "channel", &self.context.waker))
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.source.iter().map(|source| ("channel".to_owned(), source.0.0.taken())).collect()
    }

    fn barrier(&mut self, barrier: &Barrier) {
        if let Some(source) = &self.source {
            source.0.0.barrier(barrier.epoch);
        }
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        if let Some(source) = &self.source {
            source.0.0.committed(epoch);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::{context, drain_into};

    #[test]
    fn what_is_sent_is_read_in_order_and_the_last_sender_ends_it() {
        let (sender, source) = channel(3);
        let mut reader = source.reader(&context(0, 2)).unwrap();
        let mut other = source.reader(&context(1, 2)).unwrap();
        assert_eq!(other.poll(&mut SourceOutput::new()).unwrap(), SourceStatus::End);
        let output = &mut SourceOutput::new();
        assert_eq!(reader.poll(output).unwrap(), SourceStatus::Idle { until: None });
        let second = sender.clone();
        (0..3).for_each(|n| sender.send(n).unwrap());
        assert_eq!(second.try_send(3), Err(SendError(3)));
        assert_eq!(drain_into(&mut reader, output, usize::MAX), [0, 1, 2]);
        // A channel that is full makes its sender wait, and somebody who reads lets it go on.
        let thread = std::thread::spawn(move || (3..100).try_for_each(|n| second.send(n)));
        let mut all = Vec::new();
        while all.len() < 97 {
            all.extend(drain_into(&mut reader, output, usize::MAX));
        }
        thread.join().unwrap().unwrap();
        assert_eq!(all, (3..100).collect::<Vec<_>>());
        drop(sender);
        assert_eq!(reader.poll(output).unwrap(), SourceStatus::End);
    }

    #[test]
    fn a_sender_learns_that_nobody_is_there() {
        let (sender, source) = channel(1);
        sender.send(1).unwrap();
        let waiting = std::thread::spawn(move || sender.send(2));
        drop(source);
        assert_eq!(waiting.join().unwrap(), Err(SendError(2)));
    }

    #[test]
    fn a_task_that_sleeps_is_woken() {
        let (sender, source) = channel(10);
        let (woken, wakes) = std::sync::mpsc::channel();
        let waker = super::super::Waker::new(move || woken.send(()).unwrap());
        let mut reader = source.reader(&SourceContext { waker, ..context(0, 1) }).unwrap();
        let output = &mut SourceOutput::new();
        sender.send(1).unwrap();
        assert!(wakes.try_recv().is_err(), "it is awake");
        assert_eq!(drain_into(&mut reader, output, usize::MAX), [1]);
        sender.send(2).unwrap();
        wakes.try_recv().unwrap();
        drop(sender);
        assert_eq!(drain_into(&mut reader, output, usize::MAX), [2]);
    }
}
