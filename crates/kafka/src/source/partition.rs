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

/// One partition: its queue of fetched records, and how far it has been read.
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    /// The split, once it has been announced.
    pub(super) split: Option<SplitId>,
    /// The offset of the next record.
    pub(super) next: i64,
    /// Where a bounded source ends: the first offset that is not read.
    pub(super) end: Option<i64>,
    pub(super) rate: Option<RateLimit>,
    /// Where the present batch began.
    batch_start: i64,
    /// None when it has been read to its end.
    queue: Option<PartitionQueue<SourceConsumerContext>>,
    /// Whether there may be something in the queue.
    ready: Arc<AtomicBool>,
    /// The cluster, for errors.
    bootstrap: Arc<str>,
}

impl Partition {
    /// Takes the partition's records out of the consumer's common queue into one of its own. This comes before
    /// the partition is assigned: what has been fetched before would stay in the common queue.
    pub(super) fn new(
        consumer: &Arc<SourceConsumer>,
        bootstrap: &Arc<str>,
        name: TopicPartition,
        (next, end): (i64, Option<i64>),
        waker: &Waker,
    ) -> Result<Self, KafkaError> {
        let ready = Arc::new(AtomicBool::new(true));
        let (mut queue, bootstrap) = (None, bootstrap.clone());
        if end.is_none_or(|end| next < end) {
            let mut own = consumer.split_partition_queue(&name.topic, name.partition).ok_or_else(|| {
                KafkaError::Client { action: format!("read {name}"), source: ClientError::Canceled }
            })?;
            let (ready, waker) = (ready.clone(), waker.clone());
            own.set_nonempty_callback(move || {
                ready.store(true, Ordering::Release);
                waker.wake();
            });
            queue = Some(own);
        }
        Ok(Self { name, split: None, next, end, rate: None, batch_start: next, queue, ready, bootstrap })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.queue.is_none()
    }

    /// Nothing more is to be read.
    fn finish(&mut self) {
        self.queue = None;
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

    /// Hands up to `most` records that are at hand to `take`, with the topic's name. The number of them.
    pub(super) fn read(
        &mut self,
        most: usize,
        mut take: impl FnMut(&BorrowedMessage<'_>, &str) -> Result<(), KafkaError>,
    ) -> Result<usize, KafkaError> {
        // Said before looking: what comes in between says it anew.
        self.ready.store(false, Ordering::Release);
        let (mut count, mut end_reached) = (0, false);
        while let Some(queue) = &self.queue {
            if count == most {
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
                    take(&message, &self.name.topic)?;
                    self.next = offset + 1;
                    count += 1;
                }
                // Only asked for by a bounded source, whose end was there when it was looked up.
                Some(Err(ClientError::PartitionEOF(_))) => {
                    end_reached = true;
                    break;
                }
                Some(Err(error)) => self.on_error(error)?,
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

    fn on_error(&self, error: ClientError) -> Result<(), KafkaError> {
        let TopicPartition { topic, partition } = self.name.clone();
        let error = match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                KafkaError::OffsetOutOfRange { topic, partition, offset: self.next }
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                KafkaError::UnknownTopic { topic, bootstrap: self.bootstrap.to_string() }
            }
            _ => {
                let action = format!("read {}", self.name);
                KafkaError::from_client(&action, &self.bootstrap, Duration::ZERO, error)
            }
        };
        if error.is_retriable() {
            tracing::warn!(%error, "librdkafka tries again");
            return Ok(());
        }
        Err(error)
    }

    /// What has been read since this was last asked.
    pub(super) fn take_range(&mut self) -> OffsetRange {
        let TopicPartition { topic, partition } = self.name.clone();
        let from_offset = std::mem::replace(&mut self.batch_start, self.next);
        OffsetRange { topic, partition, from_offset, until_offset: self.next }
    }
}
