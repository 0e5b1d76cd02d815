//! The writer of an exactly-once sink.
//!
//! - **Barriers**: records behind a checkpoint barrier wait, up to a bound, until the epoch before is committed; see
//!   [`commit_protocol`](super::commit_protocol).
//! - **State**: none. What waits is behind the barrier, and is read again after a crash.

use std::sync::Arc;

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Record};

use super::commit_protocol::Admission;
use super::committer::KafkaCommitterFactory;
use super::record_writer::{Place, RecordWriter};
use super::transactions::Transactions;
use super::{KafkaPartitioner, KafkaSink};
use crate::error::KafkaError;

/// A record of so many bytes takes one place in the waiting room: all of them together are 20 MB then.
const PLACE_BYTES: u64 = 1024;

/// One subtask. All subtasks of all sinks write into the same transaction.
pub(super) struct TransactionalWriter<T> {
    sink: KafkaSink<T>,
    factory: Arc<KafkaCommitterFactory>,
    opened: Option<Opened<T>>,
}

struct Opened<T> {
    transactions: Arc<Transactions>,
    /// Our number among its writers.
    writer: usize,
    records: RecordWriter<T>,
    /// How long a record was in the last batch that was written, in bytes.
    record_bytes: u64,
    /// What waits for a commit.
    held: Vec<Record<T>>,
    context: OperatorContext,
}

impl<T> TransactionalWriter<T> {
    pub(super) fn new(sink: KafkaSink<T>, factory: Arc<KafkaCommitterFactory>) -> Self {
        Self { sink, factory, opened: None }
    }
}

impl<T> Opened<T> {
    /// Writes what has been held back, then `records`.
    fn write(&mut self, records: &mut Vec<Record<T>>) -> Result<(), BoxError> {
        let Self { transactions, records: writer, record_bytes, held, context, .. } = self;
        let (producer, give_up) = (transactions.producer(), &|| context.cancelled.is_set());
        for records in [held, records] {
            let count = records.len() as u64;
            let written = writer.write(producer, records, give_up).map_err(KafkaError::boxed)?;
            *record_bytes = written.checked_div(count).unwrap_or(*record_bytes);
            context.metrics.bytes.add(written);
        }
        producer.poll().map_err(KafkaError::boxed)
    }

    /// How many places so many records take in the waiting room, which is bounded in records: long ones take several. How long they
    /// are shows only when they are written, so those written before stand for them.
    fn places(&self, records: usize) -> usize {
        let each = usize::try_from(self.record_bytes / PLACE_BYTES).unwrap_or(usize::MAX).max(1);
        records.saturating_mul(each)
    }

    /// Writes what has been held back, if that is possible now.
    fn release(&mut self) -> Result<(), BoxError> {
        let admitted = self.transactions.admit(self.writer, 0) == Admission::Send;
        if admitted && !self.held.is_empty() { self.write(&mut Vec::new()) } else { Ok(()) }
    }
}

impl<T: Send + 'static> Operator for TransactionalWriter<T> {
    type In = T;
    type Out = ();

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let transactions = self.factory.transactions().ok_or("no transactions have been begun")?;
        let writer = transactions.add_writer();
        let KafkaSink { topic, serializer, partitioner, .. } = &self.sink;
        let partition = match partitioner {
            KafkaPartitioner::ByKey => None,
            KafkaPartitioner::Fixed => {
                let partitions = transactions.producer().check_topic(topic).map_err(KafkaError::boxed)?;
                partitioner.partition(context.operator.subtask, partitions)
            }
        };
        let records = RecordWriter::new(Place { topic: topic.clone(), partition }, serializer.clone());
        let (record_bytes, held, context) = (0, Vec::new(), context.clone());
        self.opened = Some(Opened { transactions, writer, records, record_bytes, held, context });
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        let places = opened.places(batch.len());
        match opened.transactions.wait(opened.writer, places, &opened.context.cancelled)? {
            Admission::Send => opened.write(&mut batch.records),
            _ => {
                opened.held.append(&mut batch.records);
                Ok(())
            }
        }
    }

    fn flush(&mut self, _: &mut Output<()>) -> Result<(), BoxError> {
        let Some(opened) = &self.opened else { return Ok(()) };
        opened.transactions.producer().idle().map_err(KafkaError::boxed)
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        let Some(opened) = self.opened.as_mut().filter(|_| barrier.checkpoint) else { return Ok(()) };
        // The epoch before is committed by now.
        opened.release()?;
        Ok(opened.transactions.reach(opened.writer, barrier.epoch)?)
    }

    fn committed(&mut self, _: Epoch) -> Result<(), BoxError> {
        self.opened.as_mut().map_or(Ok(()), Opened::release)
    }
}
