//! Serializes records and hands them to the producer.

use std::sync::{Arc, Once};

use rdkafka::message::{Header, OwnedHeaders};
use thalweg_dataflow::record::Record;
use thalweg_dataflow::tell;
use thalweg_dataflow::time::NO_TIMESTAMP;

use crate::error::KafkaError;
use crate::producer::{GiveUp, Producer, ProducerRecord};
use crate::record::{KafkaSerializer, ProducerRecordBuf};

/// A serializer whose own type is forgotten. What is called virtually is the whole loop over a batch, not each record.
pub struct Serializer<T>(Arc<dyn WriteRecords<T>>);

impl<T> Clone for Serializer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Serializer<T> {
    pub(super) fn new(serializer: impl KafkaSerializer<T> + 'static) -> Self {
        Self(Arc::new(serializer))
    }
}

/// Where records go that do not say so themselves.
pub(super) struct Place {
    pub(super) topic: Arc<str>,
    /// Of that topic; without it Kafka's own partitioner chooses.
    pub(super) partition: Option<i32>,
}

/// Writes records of one subtask.
pub(super) struct RecordWriter<T> {
    place: Place,
    serializer: Serializer<T>,
    /// Used again for each record.
    buffer: ProducerRecordBuf,
}

impl<T> RecordWriter<T> {
    pub(super) fn new(place: Place, serializer: Serializer<T>) -> Self {
        Self { place, serializer, buffer: ProducerRecordBuf::default() }
    }

    /// Writes some records, and leaves none. Returns the number of bytes of their keys and values.
    pub(super) fn write(
        &mut self,
        producer: &Producer,
        records: &mut Vec<Record<T>>,
        give_up: GiveUp<'_>,
    ) -> Result<u64, KafkaError> {
        self.serializer.0.write(&self.place, &mut self.buffer, producer, records, give_up)
    }
}

/// The loop over a batch, for one type of serializer.
trait WriteRecords<T>: Send + Sync {
    fn write(
        &self,
        place: &Place,
        buffer: &mut ProducerRecordBuf,
        producer: &Producer,
        records: &mut Vec<Record<T>>,
        give_up: GiveUp<'_>,
    ) -> Result<u64, KafkaError>;
}

impl<T, S: KafkaSerializer<T>> WriteRecords<T> for S {
    fn write(
        &self,
        place: &Place,
        buffer: &mut ProducerRecordBuf,
        producer: &Producer,
        records: &mut Vec<Record<T>>,
        give_up: GiveUp<'_>,
    ) -> Result<u64, KafkaError> {
        let mut bytes = 0;
        for Record { value, timestamp } in records.drain(..) {
            buffer.clear();
            self.serialize(&value, buffer)
                .map_err(|reason| KafkaError::Encode { topic: place.topic.to_string(), reason })?;
            let mut record = ProducerRecord::to(buffer.get_topic().unwrap_or(&place.topic));
            record.key = buffer.get_key();
            record.payload = buffer.get_value();
            let own = if buffer.get_topic().is_none() { place.partition } else { None };
            record.partition = buffer.get_partition().or(own);
            let event_time = (timestamp != NO_TIMESTAMP).then_some(timestamp);
            record.timestamp = sent_timestamp(buffer.get_timestamp().or(event_time)).map_err(|reason| {
                KafkaError::Encode { topic: record.topic.to_owned(), reason: reason.into() }
            })?;
            if buffer.headers().next().is_some() {
                let headers = buffer.headers().map(|(key, value)| Header { key, value });
                record.headers = Some(headers.fold(OwnedHeaders::new(), OwnedHeaders::insert));
            }
            bytes += (record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len)) as u64;
            producer.send(record, give_up)?;
        }
        Ok(bytes)
    }
}

/// The timestamp that a record is sent with; none is the time of sending. See [`set_timestamp`](ProducerRecordBuf::set_timestamp).
fn sent_timestamp(timestamp: Option<i64>) -> Result<Option<i64>, String> {
    match timestamp {
        None | Some(KAFKA_NONE) => Ok(None),
        Some(0) => {
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                tell::warn(
                    "a record's time is 0 (1970-01-01 at midnight), which librdkafka takes for \"now\": such records are sent as of 1 ms",
                );
            });
            Ok(Some(1))
        }
        Some(negative @ ..0) => Err(format!(
            "its time is {negative} ms, before 1970, and Kafka takes no negative timestamps; give it another with \
             ProducerRecordBuf::set_timestamp, or -1 for the time of sending"
        )),
        Some(timestamp) => Ok(Some(timestamp)),
    }
}

/// What Kafka calls "no timestamp".
const KAFKA_NONE: i64 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kafka_cannot_take_is_refused_and_its_none_is_none() {
        assert_eq!(sent_timestamp(None), Ok(None));
        assert_eq!(sent_timestamp(Some(-1)), Ok(None));
        assert_eq!(sent_timestamp(Some(1)), Ok(Some(1)));
        assert_eq!(sent_timestamp(Some(0)), Ok(Some(1)), "the nearest that librdkafka can send");
        assert!(sent_timestamp(Some(-5)).unwrap_err().contains("-5 ms, before 1970"));
    }
}
