//! What a record looks like to a deserializer and from a serializer, and what becomes of one that cannot be read.

mod codec;
mod consumer_record;
mod producer_record;

pub use codec::{Bytes, Json, JsonValues, KeyValues, Values, json, key_values, values};
pub use consumer_record::{ConsumerRecord, KafkaDeserializer};
pub use producer_record::{KafkaSerializer, ProducerRecordBuf};

/// What becomes of a record that the deserializer cannot read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BadRecordPolicy {
    /// The job fails, with the record's place. Nothing is lost.
    #[default]
    Fail,
    /// The record is dropped and counted.
    Skip,
    /// The record goes to this topic as it is, with headers that say where it came from and why, and is counted.
    DeadLetter(String),
}
