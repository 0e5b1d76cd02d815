//! The writer of a sink that is not exactly-once.
//!
//! - **Barriers**: with at-least-once, a checkpoint waits until all records before it are delivered.
//! - **State**: none.

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;

use super::record_writer::{Place, RecordWriter};
use super::{DeliveryGuarantee, KafkaSink};
use crate::config::Confirmation;
use crate::error::KafkaError;
use crate::producer::Producer;

/// One subtask.
pub(super) struct KafkaWriter<T> {
    sink: KafkaSink<T>,
    opened: Option<Opened<T>>,
}

struct Opened<T> {
    producer: Producer,
    records: RecordWriter<T>,
    context: OperatorContext,
}

impl<T> KafkaWriter<T> {
    pub(super) fn new(sink: KafkaSink<T>) -> Self {
        Self { sink, opened: None }
    }

    fn connect(&self, context: &OperatorContext) -> Result<Opened<T>, KafkaError> {
        let KafkaSink { properties, topic, serializer, guarantee, partitioner, .. } = &self.sink;
        let confirmation = match guarantee {
            DeliveryGuarantee::None => Confirmation::None,
            _ => Confirmation::Idempotent,
        };
        let producer = Producer::create(&properties.holding(context.queued_bytes), confirmation)?;
        let partition = partitioner.partition(context.operator.subtask, producer.check_topic(topic)?);
        let place = Place { topic: topic.clone(), partition };
        let records = RecordWriter::new(place, serializer.clone());
        Ok(Opened { producer, records, context: context.clone() })
    }

    /// Waits until everything is delivered; at the end of the job not for ever.
    fn deliver(&self, ends: bool) -> Result<(), BoxError> {
        let Some(Opened { producer, context, .. }) = &self.opened else { return Ok(()) };
        let give_up = || context.cancelled.is_set();
        let delivered = if ends { producer.flush_at_end(&give_up) } else { producer.flush(&give_up) };
        delivered.map_err(KafkaError::boxed)
    }
}

impl<T: Send + 'static> Operator for KafkaWriter<T> {
    type In = T;
    type Out = ();

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.opened = Some(self.connect(context).map_err(KafkaError::boxed)?);
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let Some(Opened { producer, records, context }) = &mut self.opened else { return Ok(()) };
        let written = records.write(producer, &mut batch.records, &|| context.cancelled.is_set());
        context.metrics.bytes.add(written.map_err(KafkaError::boxed)?);
        producer.poll().map_err(KafkaError::boxed)
    }

    fn flush(&mut self, _: &mut Output<()>) -> Result<(), BoxError> {
        self.opened.as_ref().map_or(Ok(()), |opened| opened.producer.idle().map_err(KafkaError::boxed))
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        let owed = barrier.checkpoint && self.sink.guarantee == DeliveryGuarantee::AtLeastOnce;
        if owed || barrier.is_last() { self.deliver(barrier.is_last()) } else { Ok(()) }
    }

    fn end(&mut self, _: &mut Output<()>) -> Result<(), BoxError> {
        self.deliver(true)
    }
}
