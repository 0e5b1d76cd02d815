use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;
use crate::record::{ConsumerRecord, KafkaDeserializer, KafkaSerializer, ProducerRecordBuf};

/// A key or value as bytes, in the formats of Kafka's own serializers: text in UTF-8, numbers in big-endian order (`short` is `i16`, `int` is `i32`,
/// `long` is `i64`), a `bool` as one byte that is 0 or 1. What has no serializer there is written alike. [`Json`] is text.
///
/// `thalweg consume` prints all of them: `-s value=q` an `i64`, and so on (`thalweg consume --help`).
pub trait Bytes: Sized {
    /// Reads it; `None` is a record without key, or a tombstone.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError>;

    /// Appends it to the buffer that `buffer` gives; never calling it writes none.
    ///
    /// # Errors
    /// Why it cannot be written.
    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) -> Result<(), BoxError>;
}

fn present(bytes: Option<&[u8]>) -> Result<&[u8], BoxError> {
    bytes.ok_or_else(|| "there is none; read it as an Option if that may be".into())
}

impl Bytes for String {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        Ok(std::str::from_utf8(present(bytes)?)?.to_owned())
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) -> Result<(), BoxError> {
        buffer().extend_from_slice(self.as_bytes());
        Ok(())
    }
}

impl Bytes for Vec<u8> {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        Ok(present(bytes)?.to_owned())
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) -> Result<(), BoxError> {
        buffer().extend_from_slice(self);
        Ok(())
    }
}

/// Numbers as the bytes that they consist of, the highest first.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Bytes for $number {
            fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
                let bytes = present(bytes)?;
                let exact = bytes.try_into().map_err(|_| {
                    let expected = size_of::<$number>();
                    let plural = if expected == 1 { "" } else { "s" };
                    format!("{expected} byte{plural} expected, not {}", bytes.len())
                })?;
                Ok(Self::from_be_bytes(exact))
            }

            fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) -> Result<(), BoxError> {
                buffer().extend_from_slice(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}

numbers!(i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64);

impl Bytes for bool {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        match present(bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("0 or 1 expected, not {other}").into()),
            bytes => Err(format!("1 byte expected, not {}", bytes.len()).into()),
        }
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) -> Result<(), BoxError> {
        buffer().push(u8::from(*self));
        Ok(())
    }
}

/// A key or value as JSON, of anything that serde knows: `key_values::<String, Json<Order>>()`. For a value alone there is [`json`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Bytes for Json<T> {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        Ok(Self(serde_json::from_slice(present(bytes)?)?))
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) -> Result<(), BoxError> {
        Ok(serde_json::to_writer(buffer(), &self.0)?)
    }
}

impl<T: Bytes> Bytes for Option<T> {
    fn read(bytes: Option<&[u8]>) -> Result<Self, BoxError> {
        bytes.map(|bytes| T::read(Some(bytes))).transpose()
    }

    fn write<'a>(&self, buffer: impl FnOnce() -> &'a mut Vec<u8>) -> Result<(), BoxError> {
        self.as_ref().map_or(Ok(()), |value| value.write(buffer))
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

/// Reads and writes records whose value is JSON; see [`json`].
#[derive(Debug, Clone, Copy)]
pub struct JsonValues<T>(PhantomData<fn() -> T>);

/// Serializer and deserializer of records without key whose value is JSON. A tombstone is no value: to be read as an `Option` it takes
/// `values::<Option<Json<T>>>()`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use thalweg_kafka::record::{ConsumerRecord, KafkaDeserializer, json};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Click {
///     user: String,
///     at: i64,
/// }
///
/// let click: Click = json().deserialize(&ConsumerRecord::of_value(br#"{"user": "ada", "at": 7}"#))?;
/// assert_eq!(click, Click { user: "ada".to_owned(), at: 7 });
/// # Ok::<(), thalweg_kafka::error::BoxError>(())
/// ```
pub fn json<T: Serialize + DeserializeOwned>() -> JsonValues<T> {
    JsonValues(PhantomData)
}

impl<T: DeserializeOwned> KafkaDeserializer<T> for JsonValues<T> {
    fn deserialize(&self, record: &ConsumerRecord<'_>) -> Result<T, BoxError> {
        let value = present(record.value).map_err(|error| format!("value: {error}"))?;
        serde_json::from_slice(value).map_err(|error| format!("value: {error}").into())
    }
}

impl<T: Serialize> KafkaSerializer<T> for JsonValues<T> {
    fn serialize(&self, value: &T, record: &mut ProducerRecordBuf) -> Result<(), BoxError> {
        serde_json::to_writer(record.value(), value).map_err(|error| format!("value: {error}").into())
    }
}

impl<V: Bytes> KafkaDeserializer<V> for Values<V> {
    fn deserialize(&self, record: &ConsumerRecord<'_>) -> Result<V, BoxError> {
        V::read(record.value).map_err(|error| format!("value: {error}").into())
    }
}

impl<V: Bytes> KafkaSerializer<V> for Values<V> {
    fn serialize(&self, value: &V, record: &mut ProducerRecordBuf) -> Result<(), BoxError> {
        value.write(|| record.value()).map_err(|error| format!("value: {error}").into())
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
        key.write(|| record.key()).map_err(|error| format!("key: {error}"))?;
        value.write(|| record.value()).map_err(|error| format!("value: {error}").into())
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
    fn numbers_are_written_as_kafka_writes_them() {
        fn bytes(value: &impl Bytes) -> Vec<u8> {
            let mut buffer = Vec::new();
            value.write(|| &mut buffer).unwrap();
            buffer
        }
        assert_eq!(bytes(&-2_i32), [0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(bytes(&1.5_f64), [0x3f, 0xf8, 0, 0, 0, 0, 0, 0]);
        assert_eq!((bytes(&true), bytes(&7_u16)), (vec![1], vec![0, 7]));
        assert_eq!(round_trip((i8::MIN, u64::MAX)), (i8::MIN, u64::MAX));
        assert_eq!(round_trip((-0.25_f32, false)), (-0.25, false));
        assert_eq!(round_trip((i128::MIN, Some(Json(vec![1, 2])))), (i128::MIN, Some(Json(vec![1, 2]))));
        assert_eq!(bytes(&Json(("deep".to_owned(), 2))), b"[\"deep\",2]");
        assert_eq!(u8::read(Some(b"12")).unwrap_err().to_string(), "1 byte expected, not 2");
        assert_eq!(bool::read(Some(&[3])).unwrap_err().to_string(), "0 or 1 expected, not 3");
    }

    #[test]
    fn json_that_is_none_says_where() {
        let error =
            KafkaDeserializer::<u8>::deserialize(&json(), &ConsumerRecord::of_value(b"{")).unwrap_err();
        assert_eq!(error.to_string(), "value: invalid type: map, expected u8 at line 1 column 0");
        let bad = std::collections::HashMap::from([(vec![1], 1)]);
        let error = json().serialize(&bad, &mut ProducerRecordBuf::default()).unwrap_err();
        assert_eq!(error.to_string(), "value: key must be a string");
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
