//! Looking into a batch: for the record of a time, and for keys.

use std::borrow::Cow;
use std::io;

use crate::log::batch::{BatchHeader, put_varint, varint, varint_len};
use crate::log::codec::expand;
use crate::log::scan::Scan;

/// A record's place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimedOffset {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) attributes: u8,
    pub(crate) key: Option<&'a [u8]>,
    /// Whether it has a value, so that it does not say that its key is deleted.
    pub(crate) has_value: bool,
    /// Everything after the attributes and the timestamp.
    pub(crate) rest: &'a [u8],
}

impl Record<'_> {
    /// Writes it behind others of a batch with that base timestamp, and the base offset that it has been read with.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>, base_timestamp: i64) {
        let delta = self.timestamp.wrapping_sub(base_timestamp);
        put_varint(bytes, (1 + varint_len(delta) + self.rest.len()) as i64);
        bytes.push(self.attributes);
        put_varint(bytes, delta);
        bytes.extend_from_slice(self.rest);
    }
}

/// The records of a batch, expanded.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    header: BatchHeader,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Records<'a> {
    /// Expands the records of `batch`, if they are compressed.
    pub(crate) fn open(batch: &'a [u8], header: &BatchHeader) -> io::Result<Self> {
        Ok(Self { header: *header, bytes: expand(batch, header)? })
    }

    /// One after the other. Nobody has checked what a producer wrote: the first that is none ends them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record<'_>> + Clone {
        let mut at = &self.bytes[..];
        let header = self.header;
        std::iter::from_fn(move || {
            let len = usize::try_from(varint(&mut at)?).ok()?;
            let (record, rest) = at.split_at_checked(len)?;
            at = rest;
            parse(record, &header)
        })
    }

    /// Whether there are as many as the header says.
    pub(crate) fn are_whole(&self) -> bool {
        i32::try_from(self.iter().count()) == Ok(self.header.record_count)
    }
}

fn parse<'a>(record: &'a [u8], header: &BatchHeader) -> Option<Record<'a>> {
    let (&attributes, mut at) = record.split_first()?;
    let timestamp = header.base_timestamp.checked_add(varint(&mut at)?)?;
    let rest = at;
    let offset = header.base_offset.checked_add(varint(&mut at)?)?;
    let key = bytes(&mut at)?;
    let has_value = bytes(&mut at)?.is_some();
    let timestamp = if header.is_append_time() { header.max_timestamp } else { timestamp };
    Some(Record { offset, timestamp, attributes, key, has_value, rest })
}

/// Bytes with their length before them; none if that is negative.
fn bytes<'a>(at: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Ok(len) = usize::try_from(varint(at)?) else { return Some(None) };
    let (bytes, rest) = at.split_at_checked(len)?;
    *at = rest;
    Some(Some(bytes))
}

/// The first record of `batch`, from offset `start` on, whose timestamp is at least `timestamp`.
pub(crate) fn first_at_or_after(
    batch: &[u8],
    header: &BatchHeader,
    timestamp: i64,
    start: i64,
) -> Option<TimedOffset> {
    if header.max_timestamp < timestamp || header.record_count == 0 {
        return None;
    }
    let mut found = None;
    let scanned = Scan::open(batch, header).and_then(|mut scan| {
        scan.some(u64::MAX, |shape| {
            let offset = header.base_offset.saturating_add(shape.offset_delta);
            let at = if header.is_append_time() { header.max_timestamp } else { shape.timestamp };
            if at >= timestamp && offset >= start {
                found = Some(TimedOffset { offset, timestamp: at });
            }
            found.is_none()
        })
    });
    match scanned {
        Ok(_) => found,
        // What only its producer can read begins here, as far as anybody can tell.
        Err(_) => found
            .or(Some(TimedOffset { offset: header.base_offset.max(start), timestamp: header.max_timestamp })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::{HEADER_LEN, tests::plain_batch};
    use crate::log::codec::compress;

    #[test]
    fn finds_the_record_of_a_time_whatever_the_codec() {
        let plain = plain_batch(5, 100, (-1, -1, -1), false);
        let plain_header = BatchHeader::parse(&plain).unwrap();
        for codec in 0..=4 {
            let header = BatchHeader { attributes: codec, ..plain_header };
            let mut batch = plain[..HEADER_LEN].to_vec();
            batch.extend_from_slice(&compress(&plain[HEADER_LEN..], &header, None).unwrap());
            let header = BatchHeader { len: batch.len(), ..header };
            let find = |timestamp, start| first_at_or_after(&batch, &header, timestamp, start);
            assert_eq!(find(103, 0), Some(TimedOffset { offset: 3, timestamp: 103 }));
            assert_eq!(find(0, 0), Some(TimedOffset { offset: 0, timestamp: 100 }));
            assert_eq!(find(0, 2), Some(TimedOffset { offset: 2, timestamp: 102 }));
            assert_eq!(find(105, 0), None);
        }
    }

    #[test]
    fn records_of_the_time_of_appending_all_have_that() {
        let batch = plain_batch(3, 100, (-1, -1, -1), false);
        let mut header = BatchHeader::parse(&batch).unwrap();
        (header.attributes, header.max_timestamp) = (1 << 3, 500);
        let found = first_at_or_after(&batch, &header, 200, 1);
        assert_eq!(found, Some(TimedOffset { offset: 1, timestamp: 500 }));
    }

    #[test]
    fn garbage_ends_the_records() {
        let batch = plain_batch(3, 0, (-1, -1, -1), false);
        let header = BatchHeader::parse(&batch).unwrap();
        for at in HEADER_LEN..batch.len() {
            let mut damaged = batch.clone();
            damaged[at] = 0xff;
            assert!(Records::open(&damaged, &header).unwrap().iter().count() <= 3);
        }
    }
}
