//! Serializes records and hands them to the producer.

use std::sync::Arc;

use rdkafka::message::{Header, OwnedHeaders};
use thalweg_dataflow::record::Record;
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::Serializer;
use crate::error::KafkaError;
use crate::producer::{GiveUp, Producer, ProducerRecord};
use crate::record::ProducerRecordBuf;

/// Writes records of one subtask.
pub(super) struct RecordWriter<T> {
    topic: Arc<str>,
    serializer: Serializer<T>,
    /// Used again for each record.
    buffer: ProducerRecordBuf,
}

impl<T> RecordWriter<T> {
    pub(super) fn new(topic: Arc<str>, serializer: Serializer<T>) -> Self {
        Self { topic, serializer, buffer: ProducerRecordBuf::default() }
    }

    /// Writes some records. Returns the number of bytes of their keys and values.
    pub(super) fn write(
        &mut self,
        producer: &Producer,
        records: impl Iterator<Item = Record<T>>,
        give_up: GiveUp<'_>,
    ) -> Result<u64, KafkaError> {
        let mut bytes = 0;
        for Record { value, timestamp } in records {
            let Self { topic, serializer, buffer } = self;
            buffer.clear();
            serializer
                .serialize(&value, buffer)
                .map_err(|reason| KafkaError::Encode { topic: topic.to_string(), reason })?;
            let mut record = ProducerRecord::to(buffer.get_topic().unwrap_or(topic));
            record.key = buffer.get_key();
            record.payload = buffer.get_value();
            record.partition = buffer.get_partition();
            let event_time = (timestamp != NO_TIMESTAMP).then_some(timestamp);
            record.timestamp = buffer.get_timestamp().or(event_time);
            if buffer.headers().next().is_some() {
                let headers = buffer.headers().map(|(key, value)| Header { key, value: Some(value) });
                record.headers = Some(headers.fold(OwnedHeaders::new(), OwnedHeaders::insert));
            }
            bytes += (record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len)) as u64;
            producer.send(record, give_up)?;
        }
        Ok(bytes)
    }
}
