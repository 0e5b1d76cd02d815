//! What a record looks like to a deserializer and from a serializer.

use thalweg_broker::Record;
use thalweg_dataflow::error::BoxError;

/// Makes a `T` of a record. A closure will do: `|record: &Record<'_>| -> Result<T, BoxError> { … }`.
pub trait Deserialize<T>: Send + Sync + 'static {
    /// Reads one record.
    ///
    /// # Errors
    /// What is wrong with it; the job fails then.
    fn deserialize(&self, record: &Record<'_>) -> Result<T, BoxError>;
}

impl<T, F> Deserialize<T> for F
where
    F: Fn(&Record<'_>) -> Result<T, BoxError> + Send + Sync + 'static,
{
    fn deserialize(&self, record: &Record<'_>) -> Result<T, BoxError> {
        self(record)
    }
}

/// Writes a `T` as a record. A closure will do: `|value: &T, record: &mut RecordBuf| -> Result<(), BoxError> { … }`.
pub trait Serialize<T>: Send + Sync + 'static {
    /// Fills an empty record.
    ///
    /// # Errors
    /// Why it cannot be written; the job fails then.
    fn serialize(&self, value: &T, record: &mut RecordBuf) -> Result<(), BoxError>;
}

impl<T, F> Serialize<T> for F
where
    F: Fn(&T, &mut RecordBuf) -> Result<(), BoxError> + Send + Sync + 'static,
{
    fn serialize(&self, value: &T, record: &mut RecordBuf) -> Result<(), BoxError> {
        self(value, record)
    }
}

/// A record to be written, made of buffers that are used again for the next one.
#[derive(Debug, Default)]
pub struct RecordBuf {
    key: Vec<u8>,
    value: Vec<u8>,
    has_key: bool,
    has_value: bool,
    pub(crate) partition: Option<i32>,
}

impl RecordBuf {
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

    /// Sends the record to this partition instead of one chosen by its key.
    pub fn set_partition(&mut self, partition: i32) {
        self.partition = Some(partition);
    }

    pub(crate) fn clear(&mut self) {
        self.key.clear();
        self.value.clear();
        (self.has_key, self.has_value, self.partition) = (false, false, None);
    }

    pub(crate) fn get_key(&self) -> Option<&[u8]> {
        self.has_key.then_some(&self.key)
    }

    pub(crate) fn get_value(&self) -> Option<&[u8]> {
        self.has_value.then_some(&self.value)
    }
}
