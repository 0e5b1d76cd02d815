//! Batches as they were stored, and their records without a copy.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use crate::local::LocalError;
use crate::log::batch::{BatchHeader, varint};

/// Some records of one partition, in the order of their offsets.
#[derive(Debug, Clone)]
pub struct Batch {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) header: BatchHeader,
    /// Everything behind the header, unpacked.
    pub(super) records: Bytes,
    /// What lies before was not asked for.
    pub(super) from: i64,
}

impl Batch {
    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Where to go on reading behind it.
    pub fn next_offset(&self) -> i64 {
        self.header.last_offset() + 1
    }

    /// The records, from the offset on that was asked for.
    pub fn records(&self) -> Records<'_> {
        Records { header: &self.header, from: self.from, rest: &self.records }
    }

    /// A part of a record for keeping: it shares the batch's memory.
    ///
    /// # Panics
    ///
    /// If it is no part of a record of this batch.
    pub fn keep(&self, part: &[u8]) -> Bytes {
        self.records.slice_ref(part)
    }
}

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// The headers, in order.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }
}

/// Names and values of a record's headers. It ends early where they are no headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: i64,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1).filter(|left| *left >= 0)?;
        let name = std::str::from_utf8(take(&mut self.rest)??).ok()?;
        Some((name, take(&mut self.rest)?))
    }
}

/// The records of a [`Batch`]. It ends behind the first error.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    header: &'a BatchHeader,
    from: i64,
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, LocalError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let Some(record) = self.read() else {
                self.rest = &[];
                let what = format!("the batch at offset {}", self.header.base_offset);
                return Some(Err(LocalError::new(ResponseError::CorruptMessage, what)));
            };
            if record.offset >= self.from {
                return Some(Ok(record));
            }
        }
        None
    }
}

impl<'a> Records<'a> {
    /// Takes a record off the front. Nobody has checked what a producer wrote here.
    #[inline]
    fn read(&mut self) -> Option<Record<'a>> {
        let len = usize::try_from(short(&mut self.rest)?).ok()?;
        let (record, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        let (_attributes, mut at) = record.split_first()?;
        let timestamp = short(&mut at)?;
        let offset = self.header.base_offset.checked_add(short(&mut at)?)?;
        let timestamp = if self.header.is_append_time() {
            self.header.max_timestamp
        } else {
            self.header.base_timestamp.checked_add(timestamp)?
        };
        let (key, value) = (take(&mut at)?, take(&mut at)?);
        let headers = Headers { left: short(&mut at)?, rest: at };
        Some(Record { offset, timestamp, key, value, headers })
    }
}

/// A length and that many bytes; -1 stands for null.
#[inline]
fn take<'a>(at: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match short(at)? {
        -1 => Some(None),
        len => {
            let (bytes, rest) = at.split_at_checked(usize::try_from(len).ok()?)?;
            *at = rest;
            Some(Some(bytes))
        }
    }
}

/// A varint, which is mostly of one or two bytes.
#[inline]
fn short(at: &mut &[u8]) -> Option<i64> {
    match **at {
        [first, ref rest @ ..] if first & 0x80 == 0 => {
            *at = rest;
            Some(zigzag(first.into()))
        }
        [first, second, ref rest @ ..] if second & 0x80 == 0 => {
            *at = rest;
            Some(zigzag(u64::from(first & 0x7f) | u64::from(second) << 7))
        }
        _ => varint(at),
    }
}

fn zigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::local::builder::Builder;
    use crate::log::batch::HEADER_LEN;
    use crate::txn::transaction::ProducerKey;

    type Parts = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>, i64);

    fn parts() -> impl Strategy<Value = Vec<Parts>> {
        let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
        let headers = prop::collection::vec((".{0,5}", bytes()), 0..3);
        prop::collection::vec((bytes(), bytes(), headers, 0i64..1 << 41), 1..20)
    }

    fn batch(parts: &[Parts]) -> Batch {
        let mut builder = Builder::default();
        for (key, value, headers, timestamp) in parts {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            builder.push(key.as_deref(), value.as_deref(), &headers, *timestamp);
        }
        let bytes = Bytes::copy_from_slice(builder.finish(ProducerKey { id: 7, epoch: 1 }, 5, true));
        let header = BatchHeader::verify(&bytes).unwrap();
        assert_eq!(header.record_count as usize, parts.len());
        assert_eq!(header.max_timestamp, parts.iter().map(|(.., timestamp)| *timestamp).max().unwrap());
        Batch { topic: "t".into(), partition: 0, header, records: bytes.slice(HEADER_LEN..), from: 0 }
    }

    proptest! {
        #[test]
        fn what_was_built_is_read(parts in parts()) {
            let batch = batch(&parts);
            let read: Vec<Parts> = batch
                .records()
                .map(|record| {
                    let record = record.unwrap();
                    let headers = record.headers().map(|(name, value)| {
                        (name.to_owned(), value.map(<[u8]>::to_vec))
                    });
                    let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
                    (key, value, headers.collect(), record.timestamp)
                })
                .collect();
            prop_assert_eq!(read, parts);
        }

        #[test]
        fn whatever_the_bytes_are_reading_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut batch = batch(&[(None, None, Vec::new(), 0)]);
            batch.records = bytes.into();
            let read: Vec<_> = batch.records().collect();
            for record in read.iter().flatten() {
                record.headers().count();
            }
            prop_assert!(read.iter().rev().skip(1).all(Result::is_ok), "it goes on behind an error");
        }
    }
}
