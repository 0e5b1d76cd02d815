use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};

use crate::error::BoxError;

/// A record as it lies in the fetched batch: nothing is copied.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since 1970, by the producer's clock or the broker's, as the topic is configured. None if it is negative: Kafka
    /// writes −1 for "no timestamp", and other negative times are none either.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    headers: HeaderSource<'a>,
}

/// Headers are parsed when somebody asks for them: hardly any record has some.
#[derive(Clone, Copy)]
enum HeaderSource<'a> {
    Message(&'a BorrowedMessage<'a>),
    List(&'a [(&'a str, Option<&'a [u8]>)]),
}

impl std::fmt::Debug for HeaderSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> HeaderSource<'a> {
    fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        let (fetched, listed): (Option<&BorrowedHeaders>, &[_]) = match self {
            Self::Message(message) => (message.headers(), &[]),
            Self::List(list) => (None, list),
        };
        let fetched = fetched.into_iter().flat_map(|headers| headers.iter().map(|h| (h.key, h.value)));
        fetched.chain(listed.iter().copied())
    }
}

impl<'a> ConsumerRecord<'a> {
    /// A record with a value and nothing else, for tests of deserializers.
    pub fn of_value(value: &'a [u8]) -> Self {
        Self {
            topic: "",
            partition: 0,
            offset: 0,
            timestamp: None,
            key: None,
            value: Some(value),
            headers: HeaderSource::List(&[]),
        }
    }

    /// The same record with these headers, for tests of deserializers.
    #[must_use]
    pub fn with_headers(self, headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Self {
        Self { headers: HeaderSource::List(headers), ..self }
    }

    /// `topic` is the source's copy of the name, which spares looking it up for each record.
    pub(crate) fn from_message(message: &'a BorrowedMessage<'a>, topic: &'a str) -> Self {
        Self {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().filter(|timestamp| *timestamp >= 0),
            key: message.key(),
            value: message.payload(),
            headers: HeaderSource::Message(message),
        }
    }

    /// The headers in order; a name may come more than once.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        self.headers.iter()
    }
}

/// Makes a `T` of a Kafka record.
///
/// A closure will do: `|record: &ConsumerRecord<'_>| -> Result<T, BoxError> { … }`.
/// (or [`set_deserializer_fn`](crate::KafkaSourceBuilder::set_deserializer_fn), which knows the types).
/// Ready-made ones: [`values`](super::values), [`key_values`](super::key_values), [`json`](super::json).
pub trait KafkaDeserializer<T>: Send + Sync {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with the record; a [`BadRecordPolicy`](super::BadRecordPolicy) decides what follows.
    fn deserialize(&self, record: &ConsumerRecord<'_>) -> Result<T, BoxError>;
}

impl<T, F> KafkaDeserializer<T> for F
where
    F: Fn(&ConsumerRecord<'_>) -> Result<T, BoxError> + Send + Sync,
{
    fn deserialize(&self, record: &ConsumerRecord<'_>) -> Result<T, BoxError> {
        self(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_is_a_deserializer() {
        fn read<T>(
            deserializer: impl KafkaDeserializer<T>,
            record: &ConsumerRecord<'_>,
        ) -> Result<T, BoxError> {
            deserializer.deserialize(record)
        }
        let length = |record: &ConsumerRecord<'_>| -> Result<usize, BoxError> {
            record.value.map(<[u8]>::len).ok_or_else(|| "a tombstone".into())
        };
        assert_eq!(read(length, &ConsumerRecord::of_value(b"abc")).unwrap(), 3);
        let tombstone = ConsumerRecord { value: None, ..ConsumerRecord::of_value(b"") };
        assert_eq!(read(length, &tombstone).unwrap_err().to_string(), "a tombstone");
    }

    #[test]
    fn headers_keep_their_order_and_repetitions() {
        let headers = [("trace", Some(&b"1"[..])), ("gone", None), ("trace", Some(&b"2"[..]))];
        let record = ConsumerRecord::of_value(b"").with_headers(&headers);
        assert!(record.headers().eq(headers));
    }
}
