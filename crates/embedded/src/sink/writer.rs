//! The writers of the sink, one a subtask.

use std::sync::Arc;

use thalweg_broker::{LocalProducer, LocalRecord, ProducerOptions};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Record};
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::BrokerSink;
use super::committer::BrokerCommitterFactory;
use super::transactions::Transactions;
use crate::error::EmbeddedError;
use crate::record::{RecordBuf, Serialize};

/// What Kafka calls "no timestamp": the record gets the time of its batch.
const KAFKA_NONE: i64 = -1;

/// A serializer whose own type is forgotten. What is called virtually is the loop over a batch, not each record.
pub(super) trait WriteRecords<T>: Send + Sync {
    /// Writes some records, and leaves none. Returns the number of bytes of their keys and values.
    fn write(
        &self,
        topic: &str,
        buffer: &mut RecordBuf,
        producer: &mut LocalProducer,
        records: &mut Vec<Record<T>>,
    ) -> Result<u64, EmbeddedError>;
}

impl<T, S: Serialize<T>> WriteRecords<T> for S {
    fn write(
        &self,
        topic: &str,
        buffer: &mut RecordBuf,
        producer: &mut LocalProducer,
        records: &mut Vec<Record<T>>,
    ) -> Result<u64, EmbeddedError> {
        let mut bytes = 0;
        for Record { value, timestamp } in records.drain(..) {
            buffer.clear();
            self.serialize(&value, buffer)
                .map_err(|reason| EmbeddedError::Encode { topic: topic.to_owned(), reason })?;
            let mut record = LocalRecord::to(topic);
            if let Some(key) = buffer.get_key() {
                record = record.key(key);
                bytes += key.len() as u64;
            }
            if let Some(value) = buffer.get_value() {
                record = record.value(value);
                bytes += value.len() as u64;
            }
            if let Some(partition) = buffer.partition {
                record = record.partition(partition);
            }
            if timestamp != NO_TIMESTAMP && timestamp != KAFKA_NONE {
                if timestamp < 0 {
                    let reason = format!(
                        "its time is {timestamp} ms, before 1970, and Kafka takes no negative timestamps"
                    );
                    return Err(EmbeddedError::Encode { topic: topic.to_owned(), reason: reason.into() });
                }
                record = record.timestamp(timestamp);
            }
            producer.send(record).map_err(EmbeddedError::broker("write a record"))?;
        }
        Ok(bytes)
    }
}

/// The writer of a sink that is not exactly-once. What it was handed is appended when it returns.
pub(super) struct Writer<T> {
    sink: BrokerSink<T>,
    opened: Option<(LocalProducer, OperatorContext)>,
    buffer: RecordBuf,
}

impl<T> Writer<T> {
    pub(super) fn new(sink: BrokerSink<T>) -> Self {
        Self { sink, opened: None, buffer: RecordBuf::default() }
    }
}

impl<T: Send + 'static> Operator for Writer<T> {
    type In = T;
    type Out = ();

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let settings = &self.sink.settings;
        settings.check_topic().map_err(EmbeddedError::boxed)?;
        let producer = settings.client.producer(ProducerOptions::default());
        let producer = producer.map_err(|error| EmbeddedError::broker("begin to write")(error).boxed())?;
        self.opened = Some((producer, context.clone()));
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let Some((producer, context)) = &mut self.opened else { return Ok(()) };
        let topic = &self.sink.settings.topic;
        let written = self.sink.serializer.write(topic, &mut self.buffer, producer, &mut batch.records);
        context.metrics.bytes.add(written.map_err(EmbeddedError::boxed)?);
        producer.flush().map_err(|error| EmbeddedError::broker("write")(error).boxed())
    }
}

/// The writer of an exactly-once sink.
///
/// - **Barriers**: what comes behind a checkpoint's barrier goes into the next transaction.
/// - **State**: none. What is not committed is read again after a crash.
pub(super) struct TransactionalWriter<T> {
    sink: BrokerSink<T>,
    factory: Arc<BrokerCommitterFactory>,
    opened: Option<(Arc<Transactions>, OperatorContext)>,
    /// How many epochs have ended since the attempt began.
    ended: usize,
    buffer: RecordBuf,
}

impl<T> TransactionalWriter<T> {
    pub(super) fn new(sink: BrokerSink<T>, factory: Arc<BrokerCommitterFactory>) -> Self {
        Self { sink, factory, opened: None, ended: 0, buffer: RecordBuf::default() }
    }
}

impl<T: Send + 'static> Operator for TransactionalWriter<T> {
    type In = T;
    type Out = ();

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let transactions = self.factory.transactions().ok_or("no transactions have been begun")?;
        self.opened = Some((transactions, context.clone()));
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let Some((transactions, context)) = &mut self.opened else { return Ok(()) };
        let (serializer, topic) = (&self.sink.serializer, &self.sink.settings.topic);
        let buffer = &mut self.buffer;
        let written = transactions
            .within(self.ended, |producer| serializer.write(topic, buffer, producer, &mut batch.records));
        context.metrics.bytes.add(written.map_err(EmbeddedError::boxed)?);
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        if let (Some((transactions, _)), true) = (&self.opened, barrier.checkpoint) {
            // The next transaction must not overtake what is still here.
            transactions.flush(self.ended).map_err(EmbeddedError::boxed)?;
            self.ended += 1;
        }
        Ok(())
    }
}
