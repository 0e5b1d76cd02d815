//! One partition, as one subtask reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode as Code;
use thalweg_dataflow::source::{SplitId, Waker};
use thalweg_dataflow::time::Timestamp;

use super::context::{SourceConsumer, SourceConsumerContext};
use super::offset_ranges::OffsetRange;
use super::rate::RateLimit;
use crate::error::KafkaError;
use crate::subscription::TopicPartition;
use crate::topic_ids::TopicId;

/// One partition: its queue of fetched records, and how far it has been read.
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    /// Of its topic, if the cluster gives it one.
    pub(super) id: Option<TopicId>,
    /// The split, once it has been announced.
    pub(super) split: Option<SplitId>,
    /// The split of the topic that had this name before.
    pub(super) former_split: Option<SplitId>,
    /// The offset of the next record.
    pub(super) next: i64,
    /// Where a bounded source ends: the first offset that is not read.
    pub(super) end: Option<i64>,
    /// Whether the log has reached that end, though perhaps with what nobody sees.
    pub(super) end_is_there: bool,
    /// Whether its topic is not there at present, and may be made anew.
    pub(super) is_away: bool,
    pub(super) rate: Option<RateLimit>,
    /// What the reader has to see to.
    pub(super) trouble: Option<Trouble>,
    /// Where the present batch began.
    batch_start: i64,
    /// None when nothing is read of it: it has been read to its end, or is not attached.
    queue: Option<PartitionQueue<SourceConsumerContext>>,
    finished: bool,
    /// Whether there may be something in the queue.
    ready: Arc<AtomicBool>,
    /// The cluster, for errors.
    bootstrap: Arc<str>,
}

/// What a partition cannot see to by itself.
#[derive(Debug)]
pub(super) enum Trouble {
    /// All that is in the log has been read, and it may end before the bound.
    EndOfLog,
    /// The next offset is not in the log.
    OutOfRange,
    /// The topic is not there any more.
    Gone,
    /// What comes next cannot be decoded by the client.
    BadBatch(ClientError),
}

impl Partition {
    pub(super) fn new(
        bootstrap: &Arc<str>,
        name: TopicPartition,
        id: Option<TopicId>,
        next: i64,
        end: Option<i64>,
    ) -> Self {
        let (ready, bootstrap) = (Arc::new(AtomicBool::new(true)), bootstrap.clone());
        let finished = end.is_some_and(|end| next >= end);
        let (end_is_there, is_away) = (false, false);
        let (split, former_split, rate, trouble, queue) = (None, None, None, None, None);
        let batch_start = next;
        Self {
            name,
            id,
            split,
            former_split,
            next,
            end,
            end_is_there,
            is_away,
            rate,
            trouble,
            batch_start,
            queue,
            finished,
            ready,
            bootstrap,
        }
    }

    /// Takes the partition's records out of the consumer's common queue into one of its own. This comes before
    /// the partition is assigned: what has been fetched before would stay in the common queue.
    pub(super) fn attach(&mut self, consumer: &Arc<SourceConsumer>, waker: &Waker) -> Result<(), KafkaError> {
        let name = &self.name;
        let mut own = consumer.split_partition_queue(&name.topic, name.partition).ok_or_else(|| {
            KafkaError::Client { action: format!("read {name}"), source: ClientError::Canceled }
        })?;
        self.ready = Arc::new(AtomicBool::new(true));
        let (ready, waker) = (self.ready.clone(), waker.clone());
        own.set_nonempty_callback(move || {
            ready.store(true, Ordering::Release);
            waker.wake();
        });
        self.queue = Some(own);
        Ok(())
    }

    /// Nothing is read any more, until it is attached again.
    pub(super) fn detach(&mut self) {
        self.queue = None;
    }

    /// Goes on somewhere else; not attached.
    pub(super) fn move_to(&mut self, next: i64) {
        (self.next, self.batch_start) = (next, next);
        self.detach();
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Everything before the end has been seen.
    fn finish(&mut self) {
        (self.finished, self.queue) = (true, None);
        self.next = self.next.max(self.end.unwrap_or(self.next));
    }

    /// The consumer has come to `position`, perhaps past transaction markers and aborted records, which nobody sees.
    pub(super) fn consumed_to(&mut self, position: i64) {
        self.next = self.next.max(position);
        if self.end.is_some_and(|end| self.next >= end) {
            self.finish();
        }
    }

    /// How many records may be read now, at the most.
    pub(super) fn allowed(&mut self, most: usize, now: Timestamp) -> usize {
        if self.is_finished() || !self.ready.load(Ordering::Acquire) {
            return 0;
        }
        self.rate.as_mut().map_or(most, |rate| rate.allowed(now).min(most))
    }

    /// When the next record may be read, if there is one and only the rate forbids it now.
    pub(super) fn allowed_at(&self) -> Option<Timestamp> {
        let waits = !self.is_finished() && self.ready.load(Ordering::Acquire);
        self.rate.as_ref().filter(|_| waits).map(RateLimit::next_at)
    }

    /// Hands up to `most` records that are at hand to `take`, with the topic's name, as long as it says to go on. The number of them.
    pub(super) fn read(
        &mut self,
        most: usize,
        mut take: impl FnMut(&BorrowedMessage<'_>, &str) -> Result<bool, KafkaError>,
    ) -> Result<usize, KafkaError> {
        // Said before looking: what comes in between says it anew.
        self.ready.store(false, Ordering::Release);
        let (mut count, mut goes_on, mut end_reached) = (0, true, false);
        while let Some(queue) = &self.queue {
            if count == most || !goes_on {
                self.ready.store(true, Ordering::Release);
                break;
            }
            match queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    let offset = message.offset();
                    if self.end.is_some_and(|end| offset >= end) {
                        end_reached = true;
                        break;
                    }
                    goes_on = take(&message, &self.name.topic)?;
                    self.next = offset + 1;
                    count += 1;
                }
                // Only asked for by a bounded source. It is its end if the log had come so far when this was said.
                Some(Err(ClientError::PartitionEOF(_))) if self.end_is_there => {
                    end_reached = true;
                    break;
                }
                Some(Err(ClientError::PartitionEOF(_))) => {
                    self.ready.store(true, Ordering::Release);
                    self.trouble = Some(Trouble::EndOfLog);
                    break;
                }
                Some(Err(error)) => {
                    self.trouble = self.on_error(error)?;
                    if self.trouble.is_some() {
                        break;
                    }
                }
            }
        }
        if let Some(rate) = &mut self.rate {
            rate.used(count);
        }
        if end_reached || self.end.is_some_and(|end| self.next >= end) {
            self.finish();
        }
        Ok(count)
    }

    fn on_error(&self, error: ClientError) -> Result<Option<Trouble>, KafkaError> {
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Ok(Some(Trouble::OutOfRange)),
            Some(Code::BadCompression | Code::BadMessage | Code::InvalidMessage | Code::NotImplemented) => {
                Ok(Some(Trouble::BadBatch(error)))
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                Ok(Some(Trouble::Gone))
            }
            _ => {
                let action = format!("read {}", self.name);
                let error = KafkaError::from_client(&action, &self.bootstrap, None, error);
                if error.is_retriable() {
                    tracing::warn!(%error, "librdkafka tries again");
                    return Ok(None);
                }
                Err(error)
            }
        }
    }

    /// What has been read since this was last asked.
    pub(super) fn take_range(&mut self) -> OffsetRange {
        let TopicPartition { topic, partition } = self.name.clone();
        let from_offset = std::mem::replace(&mut self.batch_start, self.next);
        OffsetRange { topic, partition, from_offset, until_offset: self.next }
    }
}
