use std::marker::PhantomData;

use crate::error::BoxError;
use crate::record::{ConsumerRecord, KafkaDeserializer, KafkaSerializer, ProducerRecordBuf};

/// A key or value as bytes, in the formats of Kafka's own serializers: text in UTF-8, numbers in big-endian order.
pub trait Bytes: Sized {
    /// Reads it; `None` is a record without key, or a tombstone.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError>;

    /// Appends it to the buffer that `buffer` gives; never calling it writes none.
    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>);
}

fn present(bytes: Option<&[u8]>) -> Result<&[u8], BoxError> {
    bytes.ok_or_else(|| "there is none; read it as an Option if that may be".into())
}

impl Bytes for String {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        Ok(std::str::from_utf8(present(bytes)?)?.to_owned())
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) {
        buffer().extend_from_slice(self.as_bytes());
    }
}

impl Bytes for Vec<u8> {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        Ok(present(bytes)?.to_owned())
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) {
        buffer().extend_from_slice(self);
    }
}

impl Bytes for i64 {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        let bytes = present(bytes)?;
        let exact = bytes.try_into().map_err(|_| format!("8 bytes expected, not {}", bytes.len()))?;
        Ok(Self::from_be_bytes(exact))
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) {
        buffer().extend_from_slice(&self.to_be_bytes());
    }
}

impl<T: Bytes> Bytes for Option<T> {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        bytes.map(|bytes| T::read(Some(bytes))).transpose()
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) {
        if let Some(value) = self {
            value.write(buffer);
        }
    }
}

/// Reads and writes records that are a value only; see [`values`].
#[derive(Debug, Clone, Copy)]
pub struct Values<V>(PhantomData<fn() -> V>);

/// Reads and writes records as pairs; see [`key_values`].
#[derive(Debug, Clone, Copy)]
pub struct KeyValues<K, V>(PhantomData<fn() -> (K, V)>);

/// Serializer and deserializer of records without key: `values::<String>()`, `values::<Vec<u8>>()`.
pub fn values<V: Bytes>() -> Values<V> {
    Values(PhantomData)
}

/// Serializer and deserializer of pairs: `key_values::<String, i64>()`, `key_values::<Option<String>, String>()`.
pub fn key_values<K: Bytes, V: Bytes>() -> KeyValues<K, V> {
    KeyValues(PhantomData)
}

impl<V: Bytes> KafkaDeserializer<V> for Values<V> {
    fn deserialize(&self, record: &ConsumerRecord<'_>) -> Result<V, BoxError> {
        V::read(record.value).map_err(|error| format!("value: {error}").into())
    }
}

impl<V: Bytes> KafkaSerializer<V> for Values<V> {
    fn serialize(&self, value: &V, record: &mut ProducerRecordBuf) -> Result<(), BoxError> {
        value.write(|| record.value());
        Ok(())
    }
}

impl<K: Bytes, V: Bytes> KafkaDeserializer<(K, V)> for KeyValues<K, V> {
    fn deserialize(&self, record: &ConsumerRecord<'_>) -> Result<(K, V), BoxError> {
        let key = K::read(record.key).map_err(|error| format!("key: {error}"))?;
        let value = V::read(record.value).map_err(|error| format!("value: {error}"))?;
        Ok((key, value))
    }
}

impl<K: Bytes, V: Bytes> KafkaSerializer<(K, V)> for KeyValues<K, V> {
    fn serialize(&self, (key, value): &(K, V), record: &mut ProducerRecordBuf) -> Result<(), BoxError> {
        key.write(|| record.key());
        value.write(|| record.value());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<K: Bytes, V: Bytes>(pair: (K, V)) -> (K, V) {
        let mut buf = ProducerRecordBuf::default();
        key_values().serialize(&pair, &mut buf).unwrap();
        let mut record = ConsumerRecord::of_value(b"");
        (record.key, record.value) = (buf.get_key(), buf.get_value());
        key_values().deserialize(&record).unwrap()
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(round_trip(("wörd".to_owned(), -3_i64)), ("wörd".to_owned(), -3));
        let tombstone: (Option<String>, Option<Vec<u8>>) = (Some(String::new()), None);
        assert_eq!(round_trip(tombstone.clone()), tombstone);
    }

    #[test]
    fn errors_say_which_part_is_wrong() {
        let mut bad = ConsumerRecord::of_value(b"12345678");
        bad.key = Some(b"\xff");
        let error = KafkaDeserializer::<(String, i64)>::deserialize(&key_values(), &bad).unwrap_err();
        assert!(error.to_string().starts_with("key: invalid utf-8"), "{error}");
        let short = ConsumerRecord::of_value(b"123");
        let error = KafkaDeserializer::<i64>::deserialize(&values(), &short).unwrap_err();
        assert_eq!(error.to_string(), "value: 8 bytes expected, not 3");
    }
}
