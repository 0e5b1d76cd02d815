//! A deserializer at work on the records of one partition.

use std::sync::Arc;

use thalweg_dataflow::source::SourceOutput;
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::dead_letter::BadRecords;
use super::partition::Partition;
use crate::error::KafkaError;
use crate::record::{ConsumerRecord, KafkaDeserializer};

/// A deserializer whose own type is forgotten. What is called virtually is the whole loop over what is at hand,
/// not each record.
pub struct Deserializer<T>(Arc<dyn ReadRecords<T>>);

impl<T> Clone for Deserializer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deserializer<T> {
    pub(super) fn new(deserializer: impl KafkaDeserializer<T> + 'static) -> Self {
        Self(Arc::new(deserializer))
    }

    /// Reads up to `most` records that are at hand.
    pub(super) fn read(
        &self,
        partition: &mut Partition,
        most: usize,
        output: &mut SourceOutput<T>,
        bad_records: &mut BadRecords,
    ) -> Result<Read, KafkaError> {
        self.0.read(partition, most, output, bad_records)
    }
}

/// What was read.
#[derive(Clone, Copy, Default)]
pub(super) struct Read {
    /// The records, bad ones included.
    pub(super) count: usize,
    /// The bytes of their keys and values.
    pub(super) bytes: u64,
    /// Those that the deserializer refused.
    pub(super) bad: u64,
}

/// The loop over what is at hand, for one type of deserializer.
trait ReadRecords<T>: Send + Sync {
    fn read(
        &self,
        partition: &mut Partition,
        most: usize,
        output: &mut SourceOutput<T>,
        bad_records: &mut BadRecords,
    ) -> Result<Read, KafkaError>;
}

impl<T, D: KafkaDeserializer<T>> ReadRecords<T> for D {
    fn read(
        &self,
        partition: &mut Partition,
        most: usize,
        output: &mut SourceOutput<T>,
        bad_records: &mut BadRecords,
    ) -> Result<Read, KafkaError> {
        let mut read = Read::default();
        read.count = partition.read(most, |message, topic| {
            let record = ConsumerRecord::from_message(message, topic);
            let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            read.bytes += bytes as u64;
            output.weigh(bytes);
            match self.deserialize(&record) {
                Ok(value) => output.push(value, record.timestamp.unwrap_or(NO_TIMESTAMP)),
                Err(reason) => {
                    bad_records.take(&record, reason)?;
                    read.bad += 1;
                }
            }
            Ok(output.room() > 0)
        })?;
        Ok(read)
    }
}
