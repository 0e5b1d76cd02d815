//! What records of a batch look like, without their keys and values: read piece by piece, whatever the batch is.
//!
//! It takes no more memory than a piece, so a batch that expands to very much, or has very many records, costs time only.
//! What it takes for a record is one to the last byte: lengths fit into each other and nothing is left over.

use std::io::{self, BufRead};

use crate::log::batch::{BatchHeader, varint};
use crate::log::codec::reader;

/// A record without its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) attributes: u8,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    /// Its place in the batch, as it says itself.
    pub(crate) offset_delta: i64,
    pub(crate) has_key: bool,
}

/// Goes through the records of one batch.
pub(crate) struct Scan<'a> {
    records: Box<dyn BufRead + 'a>,
    base_timestamp: i64,
    /// Bytes that were read.
    bytes: u64,
}

impl<'a> Scan<'a> {
    /// Begins at the first record.
    pub(crate) fn open(batch: &'a [u8], header: &BatchHeader) -> io::Result<Self> {
        Ok(Self { records: reader(batch, header)?, base_timestamp: header.base_timestamp, bytes: 0 })
    }

    /// Hands the next record and those behind it to `see`, until it has seen enough, there are no more, or so many bytes
    /// were read: then there may be more. In between nothing is called virtually.
    pub(crate) fn some(&mut self, bytes: u64, mut see: impl FnMut(Shape) -> bool) -> io::Result<Progress> {
        let until = self.bytes.saturating_add(bytes);
        while self.bytes < until {
            let buffered = self.records.fill_buf()?;
            if buffered.is_empty() {
                return Ok(Progress::End);
            }
            // Plain records are there all at once.
            let piece = usize::try_from(until - self.bytes)
                .map_or(buffered, |left| buffered.get(..left).unwrap_or(buffered));
            let mut rest = piece;
            let mut seen = false;
            while let Some((shape, behind)) = whole(rest, self.base_timestamp)? {
                rest = behind;
                if !see(shape) {
                    seen = true;
                    break;
                }
            }
            let count = piece.len() - rest.len();
            self.records.consume(count);
            self.bytes += count as u64;
            if seen {
                return Ok(Progress::Enough);
            }
            if count == 0 {
                // It is cut by the end of the piece, or longer than one.
                let shape = self.torn()?;
                if !see(shape) {
                    return Ok(Progress::Enough);
                }
            }
        }
        Ok(Progress::More)
    }

    /// Reads a record that is not in one piece.
    fn torn(&mut self) -> io::Result<Shape> {
        let mut left = u64::MAX;
        let len = u64::try_from(self.varint(&mut left)?).map_err(|_| malformed())?;
        let mut left = len;
        let attributes = self.byte(&mut left)?;
        let timestamp = self.base_timestamp.checked_add(self.varint(&mut left)?).ok_or_else(malformed)?;
        let offset_delta = self.varint(&mut left)?;
        let has_key = self.pass(&mut left, -1)?;
        self.pass(&mut left, -1)?;
        let headers = self.varint(&mut left)?;
        if !(0..=len as i64).contains(&headers) {
            return Err(malformed());
        }
        for _ in 0..headers {
            self.pass(&mut left, 0)?;
            self.pass(&mut left, -1)?;
        }
        if left > 0 { Err(malformed()) } else { Ok(Shape { attributes, timestamp, offset_delta, has_key }) }
    }

    fn byte(&mut self, left: &mut u64) -> io::Result<u8> {
        *left = left.checked_sub(1).ok_or_else(malformed)?;
        let byte = *self.records.fill_buf()?.first().ok_or_else(malformed)?;
        self.records.consume(1);
        self.bytes += 1;
        Ok(byte)
    }

    fn varint(&mut self, left: &mut u64) -> io::Result<i64> {
        let mut raw = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(left)?;
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
            }
        }
        Err(malformed())
    }

    /// Passes over bytes with their length before them, which is at least `least`; -1 stands for null. Whether there are any.
    fn pass(&mut self, left: &mut u64, least: i64) -> io::Result<bool> {
        let len = self.varint(left)?;
        let Ok(mut wanted) = u64::try_from(len) else {
            return if len < least { Err(malformed()) } else { Ok(false) };
        };
        *left = left.checked_sub(wanted).ok_or_else(malformed)?;
        while wanted > 0 {
            let there = self.records.fill_buf()?.len();
            if there == 0 {
                return Err(malformed());
            }
            let some = wanted.min(there as u64);
            self.records.consume(some as usize);
            self.bytes += some;
            wanted -= some;
        }
        Ok(true)
    }
}

/// How far [`Scan::some`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    End,
    Enough,
    More,
}

/// The record at the front, and what is behind it; `None` if not all of it is there.
#[inline]
fn whole(mut at: &[u8], base_timestamp: i64) -> io::Result<Option<(Shape, &[u8])>> {
    let Some(len) = short(&mut at) else {
        // Ten bytes hold any number.
        return if at.len() < 10 { Ok(None) } else { Err(malformed()) };
    };
    let len = usize::try_from(len).map_err(|_| malformed())?;
    let Some((record, behind)) = at.split_at_checked(len) else { return Ok(None) };
    let shape = shape(record, base_timestamp).ok_or_else(malformed)?;
    Ok(Some((shape, behind)))
}

#[inline]
fn shape(record: &[u8], base_timestamp: i64) -> Option<Shape> {
    let (&attributes, mut at) = record.split_first()?;
    let timestamp = base_timestamp.checked_add(short(&mut at)?)?;
    let offset_delta = short(&mut at)?;
    let has_key = pass(&mut at, -1)?;
    pass(&mut at, -1)?;
    let headers = short(&mut at)?;
    if headers != 0 {
        // None is shorter than two bytes.
        if !(0..=record.len() as i64).contains(&headers) {
            return None;
        }
        for _ in 0..headers {
            pass(&mut at, 0)?;
            pass(&mut at, -1)?;
        }
    }
    at.is_empty().then_some(Shape { attributes, timestamp, offset_delta, has_key })
}

/// Passes over bytes with their length before them, which is at least `least`; -1 stands for null. Whether there are any.
#[inline]
fn pass(at: &mut &[u8], least: i64) -> Option<bool> {
    let len = short(at)?;
    let Ok(wanted) = usize::try_from(len) else { return (len >= least).then_some(false) };
    *at = at.get(wanted..)?;
    Some(true)
}

/// A varint, which is mostly of one or two bytes. What is cut off is left as it is.
#[inline]
fn short(at: &mut &[u8]) -> Option<i64> {
    match **at {
        [first, ref rest @ ..] if first & 0x80 == 0 => {
            *at = rest;
            Some(i64::from(first >> 1) ^ -i64::from(first & 1))
        }
        [first, second, ref rest @ ..] if second & 0x80 == 0 => {
            *at = rest;
            let raw = u64::from(first & 0x7f) | u64::from(second) << 7;
            Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
        }
        _ => {
            let mut rest = *at;
            let value = varint(&mut rest)?;
            *at = rest;
            Some(value)
        }
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what should be a record is none")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::batch::{HEADER_LEN, put_varint, tests::plain_batch};
    use crate::log::codec::compress;

    type Parts = (u8, i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

    fn field(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
        put_varint(bytes, field.map_or(-1, |field| field.len() as i64));
        bytes.extend_from_slice(field.unwrap_or_default());
    }

    fn encode((attributes, time, offset, key, value, headers): &Parts) -> Vec<u8> {
        let mut record = vec![*attributes];
        put_varint(&mut record, *time);
        put_varint(&mut record, *offset);
        field(&mut record, key.as_deref());
        field(&mut record, value.as_deref());
        put_varint(&mut record, headers.len() as i64);
        for (name, value) in headers {
            field(&mut record, Some(name));
            field(&mut record, value.as_deref());
        }
        let mut whole = Vec::new();
        put_varint(&mut whole, record.len() as i64);
        whole.extend(record);
        whole
    }

    fn parts() -> impl Strategy<Value = Parts> {
        // Long enough now and then for more than a piece.
        let bytes = || {
            prop::option::of(prop_oneof![
                9 => prop::collection::vec(any::<u8>(), 0..300),
                1 => (0usize..200_000).prop_map(|len| vec![7; len]),
            ])
        };
        let headers = prop::collection::vec((prop::collection::vec(any::<u8>(), 0..5), bytes()), 0..3);
        (any::<u8>(), -5i64..1 << 41, any::<i32>().prop_map(i64::from), bytes(), bytes(), headers)
    }

    fn scan(records: &[u8], codec: i16) -> (Vec<Shape>, bool) {
        let mut header = BatchHeader::parse(&plain_batch(1, 0, (-1, -1, -1), false)).unwrap();
        header.attributes = codec;
        let mut batch = vec![0; HEADER_LEN];
        batch.extend_from_slice(&compress(records, &header, None).unwrap());
        header.len = batch.len();
        let (mut shapes, mut scan) = (Vec::new(), Scan::open(&batch, &header).unwrap());
        loop {
            match scan.some(1_000, |shape| {
                shapes.push(shape);
                true
            }) {
                Ok(Progress::More) => {}
                Ok(Progress::End) => return (shapes, true),
                Ok(Progress::Enough) => unreachable!("it has never enough"),
                Err(_) => return (shapes, false),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_record_is_seen_whatever_the_codec(all in prop::collection::vec(parts(), 0..20), codec in 0i16..=4) {
            let records: Vec<u8> = all.iter().flat_map(encode).collect();
            let expected: Vec<Shape> = all.iter().map(|(attributes, time, offset, key, ..)| Shape {
                attributes: *attributes,
                timestamp: *time,
                offset_delta: *offset,
                has_key: key.is_some(),
            }).collect();
            prop_assert_eq!(scan(&records, codec), (expected, true));
        }

        #[test]
        fn a_record_of_another_length_is_none(parts in parts(), by in -3i64..=3, codec in 0i16..=4) {
            prop_assume!(by != 0);
            let whole = encode(&parts);
            let mut at = &whole[..];
            let len = varint(&mut at).unwrap() + by;
            let mut wrong = Vec::new();
            put_varint(&mut wrong, len);
            wrong.extend_from_slice(at);
            prop_assert!(!scan(&wrong, codec).1, "it is taken for a record");
        }

        #[test]
        fn whatever_the_bytes_are_it_ends(bytes in prop::collection::vec(any::<u8>(), 0..200), codec in 0i16..=4) {
            scan(&bytes, codec);
        }
    }
}
