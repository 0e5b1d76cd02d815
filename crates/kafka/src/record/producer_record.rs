use std::ops::Range;

use crate::error::{BoxError, Fallible};

/// A record to be written, made of buffers that are used again for the next one.
///
/// ```
/// use thalweg_kafka::record::{KafkaSerializer, ProducerRecordBuf};
///
/// let serializer = |count: &(String, i64), record: &mut ProducerRecordBuf| {
///     record.key().extend_from_slice(count.0.as_bytes());
///     record.value().extend_from_slice(&count.1.to_be_bytes());
/// };
/// let mut record = ProducerRecordBuf::default();
/// serializer.serialize(&("word".into(), 3), &mut record)?;
/// assert_eq!(record.get_key(), Some(&b"word"[..]));
/// # Ok::<(), thalweg_kafka::error::BoxError>(())
/// ```
#[derive(Debug, Default)]
pub struct ProducerRecordBuf {
    key: Vec<u8>,
    value: Vec<u8>,
    topic: String,
    /// Names and values of the headers, one behind the other.
    header_bytes: Vec<u8>,
    headers: Vec<(Range<usize>, Option<Range<usize>>)>,
    has_key: bool,
    has_value: bool,
    partition: Option<i32>,
    timestamp: Option<i64>,
}

impl ProducerRecordBuf {
    /// The key, to be appended to. Never called: the record has no key.
    pub fn key(&mut self) -> &mut Vec<u8> {
        self.has_key = true;
        &mut self.key
    }

    /// The value, to be appended to. Never called: the record is a tombstone.
    pub fn value(&mut self) -> &mut Vec<u8> {
        self.has_value = true;
        &mut self.value
    }

    /// Sends the record to this topic instead of the sink's.
    pub fn set_topic(&mut self, topic: &str) {
        self.topic.clear();
        self.topic.push_str(topic);
    }

    /// Sends the record to this partition instead of one chosen by its key.
    pub fn set_partition(&mut self, partition: i32) {
        self.partition = Some(partition);
    }

    /// Milliseconds since 1970, instead of the record's event time or, if it has none, the time of sending. −1 is what Kafka
    /// calls "no timestamp": the time of sending. Other negative times the sink refuses. 0 is sent as 1, as librdkafka takes it
    /// for "now"; it is logged once.
    pub fn set_timestamp(&mut self, timestamp_ms: i64) {
        self.timestamp = Some(timestamp_ms);
    }

    /// Adds a header.
    pub fn add_header(&mut self, name: &str, value: &[u8]) {
        let name = self.add_header_bytes(name.as_bytes());
        let value = self.add_header_bytes(value);
        self.headers.push((name, Some(value)));
    }

    /// Adds a header whose value is null, which is not the same as an empty one.
    pub fn add_null_header(&mut self, name: &str) {
        let name = self.add_header_bytes(name.as_bytes());
        self.headers.push((name, None));
    }

    fn add_header_bytes(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.header_bytes.len();
        self.header_bytes.extend_from_slice(bytes);
        start..self.header_bytes.len()
    }

    /// Empties the record, and keeps its memory.
    pub fn clear(&mut self) {
        self.key.clear();
        self.value.clear();
        self.topic.clear();
        self.header_bytes.clear();
        self.headers.clear();
        self.has_key = false;
        self.has_value = false;
        self.partition = None;
        self.timestamp = None;
    }

    /// The key, if one was written.
    pub fn get_key(&self) -> Option<&[u8]> {
        self.has_key.then_some(&self.key)
    }

    /// The value, if one was written.
    pub fn get_value(&self) -> Option<&[u8]> {
        self.has_value.then_some(&self.value)
    }

    /// The topic, if it is not the sink's.
    pub fn get_topic(&self) -> Option<&str> {
        (!self.topic.is_empty()).then_some(&self.topic)
    }

    /// The partition, if it was chosen.
    pub fn get_partition(&self) -> Option<i32> {
        self.partition
    }

    /// The timestamp, if it was set.
    pub fn get_timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    /// The headers in order, name and value; a value may be null.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.headers.iter().filter_map(|(name, value)| {
            // A name is a whole `&str`, so it always is UTF-8.
            let name = std::str::from_utf8(&self.header_bytes[name.clone()]).ok()?;
            Some((name, value.clone().map(|value| &self.header_bytes[value])))
        })
    }
}

/// Writes a `T` as a Kafka record.
///
/// A closure will do: `|value: &T, record: &mut ProducerRecordBuf| { … }`; it may return a `Result`. Where the type of the record is to be told by
/// what is around it, see [`set_serializer_fn`](crate::KafkaSinkBuilder::set_serializer_fn).
/// Ready-made ones: [`values`](super::values), [`key_values`](super::key_values).
pub trait KafkaSerializer<T>: Send + Sync {
    /// Writes `value` into `record`, which is empty.
    ///
    /// # Errors
    /// Why it cannot be written; the job fails.
    fn serialize(&self, value: &T, record: &mut ProducerRecordBuf) -> Result<(), BoxError>;
}

impl<T, F, R> KafkaSerializer<T> for F
where
    F: Fn(&T, &mut ProducerRecordBuf) -> R + Send + Sync,
    R: Fallible,
{
    fn serialize(&self, value: &T, record: &mut ProducerRecordBuf) -> Result<(), BoxError> {
        self(value, record).into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_record_has_nothing_of_the_one_before() {
        let mut record = ProducerRecordBuf::default();
        record.key().extend_from_slice(b"key");
        record.value().extend_from_slice(b"value");
        record.set_topic("other");
        record.set_partition(3);
        record.set_timestamp(9);
        record.add_header("a", b"1");
        record.add_header("b", b"");
        record.add_null_header("c");
        assert!(record.headers().eq([("a", Some(&b"1"[..])), ("b", Some(&b""[..])), ("c", None)]));
        record.clear();
        assert_eq!((record.get_key(), record.get_value(), record.get_topic()), (None, None, None));
        assert_eq!((record.get_partition(), record.get_timestamp()), (None, None));
        assert_eq!(record.headers().count(), 0);
    }

    #[test]
    fn a_closure_that_may_fail_is_a_serializer() {
        fn write<T>(serializer: impl KafkaSerializer<T>, value: &T) -> Result<(), BoxError> {
            serializer.serialize(value, &mut ProducerRecordBuf::default())
        }
        let even = |n: &u8, record: &mut ProducerRecordBuf| -> Result<(), String> {
            record.value().push(*n);
            if n.is_multiple_of(2) { Ok(()) } else { Err(format!("{n} is odd")) }
        };
        assert!(write(even, &2).is_ok());
        assert_eq!(write(even, &3).unwrap_err().to_string(), "3 is odd");
    }

    #[test]
    fn an_empty_key_is_a_key() {
        let mut record = ProducerRecordBuf::default();
        record.key();
        assert_eq!(record.get_key(), Some(&b""[..]));
    }
}
