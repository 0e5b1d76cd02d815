//! Records, as the API has them in its requests and answers. There are many: so they are read and written as they are, without a tree of values between.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

/// The answer of a read, or an event of a subscription.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Answer {
    pub(super) records: Option<Vec<OfAnswer>>,
    /// Of a read: where to go on, if not at the end of the shard.
    pub(super) next_shard_iterator: Option<String>,
    /// Of a subscription: the same.
    pub(super) continuation_sequence_number: Option<String>,
    /// Of a subscription: the shards that come after this one.
    pub(super) child_shards: Option<Vec<de::IgnoredAny>>,
    pub(super) millis_behind_latest: Option<f64>,
}

/// A record that was read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct OfAnswer {
    #[serde(deserialize_with = "of_base64")]
    pub(super) data: Vec<u8>,
    pub(super) partition_key: Option<String>,
    pub(super) sequence_number: Option<String>,
    pub(super) approximate_arrival_timestamp: Option<f64>,
}

fn of_base64<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    struct Base64;

    impl de::Visitor<'_> for Base64 {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("data in Base64")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
            BASE64_STANDARD.decode(text).map_err(E::custom)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Vec<u8>, E> {
            Ok(Vec::new())
        }
    }

    from.deserialize_any(Base64)
}

/// A request to take records.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecords<'a> {
    /// Which stream it is about; see [`of_stream`](super::client::of_stream).
    #[serde(flatten)]
    pub(super) stream: Value,
    pub(super) records: &'a [Put],
}

/// A record to be taken.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    pub(super) partition_key: String,
    /// In Base64.
    pub(super) data: String,
}

impl Put {
    pub(super) fn new(partition_key: String, data: &[u8]) -> Self {
        Self { partition_key, data: BASE64_STANDARD.encode(data) }
    }
}

/// What has become of the records of a request, in their order.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Taken {
    pub(super) records: Option<Vec<Outcome>>,
}

/// What has become of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Outcome {
    /// Why it was refused, if it was.
    pub(super) error_code: Option<String>,
    pub(super) error_message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::super::client::of_stream;
    use super::*;

    #[test]
    fn an_answer_is_read_whatever_is_left_out_or_null() {
        let text = r#"{"Records": [
            {"Data": "ZGVlcA==", "PartitionKey": "a\u0062", "SequenceNumber": "49", "ApproximateArrivalTimestamp": 1.5e9, "EncryptionType": "NONE"},
            {"Data": null}], "NextShardIterator": null, "MillisBehindLatest": 7, "ChildShards": [{"ShardId": "s"}], "Unknown": {}}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        let records = answer.records.unwrap();
        assert_eq!(
            (records[0].data.as_slice(), records[0].partition_key.as_deref()),
            (&b"deep"[..], Some("ab"))
        );
        assert_eq!(records[0].approximate_arrival_timestamp, Some(1.5e9));
        assert!(records[1].data.is_empty() && records[1].sequence_number.is_none());
        assert_eq!((answer.next_shard_iterator, answer.millis_behind_latest), (None, Some(7.0)));
        assert_eq!(answer.child_shards.map(|shards| shards.len()), Some(1));
        assert!(serde_json::from_str::<Answer>("{}").unwrap().records.is_none());
        let error =
            serde_json::from_str::<Answer>(r#"{"Records": [{"Data": "?"}]}"#).unwrap_err().to_string();
        assert!(error.contains("Invalid symbol"), "{error}");
    }

    #[test]
    fn a_request_names_its_stream_one_way() {
        let records = [Put::new("key".to_owned(), b"deep")];
        let request = PutRecords { stream: of_stream("words"), records: &records };
        let expected = r#"{"StreamName":"words","Records":[{"PartitionKey":"key","Data":"ZGVlcA=="}]}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), expected);
    }
}
