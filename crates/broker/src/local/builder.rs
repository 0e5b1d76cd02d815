//! A batch in the making, in the format in which it is stored.

use bytes::BufMut;

use crate::log::batch::{self, HEADER_LEN, put_varint, varint_len};
use crate::txn::transaction::ProducerKey;

/// See the module. Reused from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// Room for the header, and the records behind it.
    bytes: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Builder {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn count(&self) -> i32 {
        self.count
    }

    /// Bytes with the header, once there is a record.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// When the first record was, which later ones may take over.
    pub(super) fn base_timestamp(&self) -> Option<i64> {
        (self.count > 0).then_some(self.base_timestamp)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Adds a record.
    pub(super) fn push(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
        timestamp: i64,
    ) {
        if self.count == 0 {
            self.bytes.resize(HEADER_LEN, 0);
            (self.base_timestamp, self.max_timestamp) = (timestamp, timestamp);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let delta = timestamp.wrapping_sub(self.base_timestamp);
        let (offset_delta, header_count) = (i64::from(self.count), headers.len() as i64);
        let headers_len: usize =
            headers.iter().map(|(name, value)| field_len(Some(name.as_bytes())) + field_len(*value)).sum();
        let len = 1
            + varint_len(delta)
            + varint_len(offset_delta)
            + field_len(key)
            + field_len(value)
            + varint_len(header_count)
            + headers_len;
        let bytes = &mut self.bytes;
        put_varint(bytes, len as i64);
        bytes.push(0);
        put_varint(bytes, delta);
        put_varint(bytes, offset_delta);
        put_field(bytes, key);
        put_field(bytes, value);
        put_varint(bytes, header_count);
        for (name, value) in headers {
            put_field(bytes, Some(name.as_bytes()));
            put_field(bytes, *value);
        }
        self.count += 1;
    }

    /// The batch. It may be finished again, under another sequence number.
    pub(super) fn finish(&mut self, producer: ProducerKey, sequence: i32, transactional: bool) -> &[u8] {
        let header = batch::NewBatch {
            attributes: if transactional { batch::TRANSACTIONAL } else { 0 },
            count: self.count,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: sequence,
        };
        batch::seal(&mut self.bytes, &header);
        &self.bytes
    }
}

fn put_field(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(field) => {
            put_varint(bytes, field.len() as i64);
            bytes.put_slice(field);
        }
        None => put_varint(bytes, -1),
    }
}

fn field_len(field: Option<&[u8]>) -> usize {
    field.map_or(1, |field| varint_len(field.len() as i64) + field.len())
}
