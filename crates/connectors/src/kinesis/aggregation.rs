//! Records that the Kinesis Producer Library has put into one.
//!
//! ```text
//! F3 89 9A C2 | AggregatedRecord, as protobuf | MD5 of that
//! ```
//!
//! | message | fields |
//! |---|---|
//! | `AggregatedRecord` | 1: partition keys, 2: explicit hash keys, 3: records |
//! | `Record` | 1: which partition key, 2: which explicit hash key (if any), 3: the data, 4: tags, which nobody reads |
//!
//! What does not look like this, to the last byte, is a record as it is: somebody's data may begin with these four bytes. So it is, too, if a record names a key that is not in the
//! table, or if a key is longer than Kinesis allows.
//!
//! **Of another shard.** A producer decides by its own list of shards what it puts together; when that was not up to date, it notices, and sends the records again. So an aggregated
//! record in which the hash key of one record (the explicit one, or the MD5 of its partition key) is not of the shard that it came in is dropped, with all that is in it, as
//! Amazon's library does.

use std::ops::{Range, RangeInclusive};

use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// The length of an MD5.
const DIGEST: usize = 16;

/// Kinesis allows no longer keys.
const LONGEST_KEY: usize = 256;

/// What was found in the data of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: it is a record as it is.
    Plain,
    /// Records that were put together.
    Aggregated(Aggregated),
    /// Records that were put together for another shard, by a producer that sends them again.
    Foreign,
}

/// Records that were put together. They stay in one piece until they are handed on, so that none takes more room than it did on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Aggregated {
    /// Where the keys are, and the data, in the data of the whole.
    keys: Vec<Range<u32>>,
    hash_keys: Vec<Range<u32>>,
    records: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
struct Part {
    key: u32,
    hash_key: Option<u32>,
    data: Range<u32>,
}

impl Aggregated {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The partition key, the explicit hash key and the data of one, out of the data of the whole.
    pub(super) fn get<'a>(&self, whole: &'a [u8], at: usize) -> Option<(&'a str, Option<&'a str>, &'a [u8])> {
        let part = self.records.get(at)?;
        let key = |keys: &[Range<u32>], at: u32| text(whole, keys.get(at as usize)?);
        let hash_key = part.hash_key.and_then(|at| key(&self.hash_keys, at));
        Some((key(&self.keys, part.key)?, hash_key, bytes(whole, &part.data)?))
    }
}

fn bytes<'a>(whole: &'a [u8], range: &Range<u32>) -> Option<&'a [u8]> {
    whole.get(range.start as usize..range.end as usize)
}

fn text<'a>(whole: &'a [u8], range: &Range<u32>) -> Option<&'a str> {
    std::str::from_utf8(bytes(whole, range)?).ok()
}

/// What is in the data of a record that came in a shard with these hash keys.
pub(super) fn find(data: &[u8], shard: &RangeInclusive<u128>) -> Found {
    let Some(message) = message(data) else { return Found::Plain };
    let Some(aggregated) = parse(message) else { return Found::Plain };
    let (mut by_key, mut by_hash_key) = (Vec::new(), Vec::new());
    for key in &aggregated.keys {
        match text(data, key).filter(|key| key.chars().count() <= LONGEST_KEY) {
            Some(key) => by_key.push(shard.contains(&hash_key(key))),
            None => return Found::Plain,
        }
    }
    for explicit in &aggregated.hash_keys {
        match text(data, explicit).and_then(|explicit| explicit.parse().ok()) {
            Some(hash_key) => by_hash_key.push(shard.contains::<u128>(&hash_key)),
            None => return Found::Plain,
        }
    }
    let mut is_own = true;
    for part in &aggregated.records {
        let own = match part.hash_key {
            Some(at) => by_hash_key.get(at as usize).filter(|_| (part.key as usize) < by_key.len()),
            None => by_key.get(part.key as usize),
        };
        match own {
            Some(own) => is_own &= own,
            None => return Found::Plain,
        }
    }
    if is_own { Found::Aggregated(aggregated) } else { Found::Foreign }
}

/// By which Kinesis chooses the shard of a record that has no explicit hash key.
pub(super) fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// The message, if there is one that is whole.
fn message(data: &[u8]) -> Option<&[u8]> {
    let rest = data.strip_prefix(&MAGIC)?;
    let (message, digest) = rest.split_at_checked(rest.len().checked_sub(DIGEST)?)?;
    (!message.is_empty() && Md5::digest(message).as_slice() == digest).then_some(message)
}

fn parse(message: &[u8]) -> Option<Aggregated> {
    let mut aggregated = Aggregated { keys: Vec::new(), hash_keys: Vec::new(), records: Vec::new() };
    let mut reader = Reader { bytes: message, at: 0 };
    while !reader.is_at_end() {
        match reader.field()? {
            (1, Value::Bytes(range)) => aggregated.keys.push(in_whole(&range)?),
            (2, Value::Bytes(range)) => aggregated.hash_keys.push(in_whole(&range)?),
            (3, Value::Bytes(range)) => aggregated.records.push(part(message, range)?),
            // Of a later version.
            _ => {}
        }
    }
    Some(aggregated)
}

/// One record of the message.
fn part(message: &[u8], range: Range<usize>) -> Option<Part> {
    let (mut key, mut hash_key, mut data) = (None, None, None);
    let mut reader = Reader { bytes: &message[..range.end], at: range.start };
    while !reader.is_at_end() {
        match reader.field()? {
            (1, Value::Number(at)) => key = Some(u32::try_from(at).ok()?),
            (2, Value::Number(at)) => hash_key = Some(u32::try_from(at).ok()?),
            (3, Value::Bytes(range)) => data = Some(range),
            _ => {}
        }
    }
    Some(Part { key: key?, hash_key, data: in_whole(&data?)? })
}

/// Where something of the message is in the data, which begin with the magic bytes.
fn in_whole(range: &Range<usize>) -> Option<Range<u32>> {
    let after_magic = |at: usize| u32::try_from(at + MAGIC.len()).ok();
    Some(after_magic(range.start)?..after_magic(range.end)?)
}

/// Reads protobuf: fields one after the other.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The value of a field.
enum Value {
    Number(u64),
    /// Where they are.
    Bytes(Range<usize>),
    /// Of a kind that nothing here is.
    Other,
}

impl Reader<'_> {
    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// A field: its number and its value. `None` if there is none that is whole.
    fn field(&mut self) -> Option<(u64, Value)> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                let start = self.at;
                self.skip(length)?;
                Value::Bytes(start..self.at)
            }
            5 => self.skip(4)?,
            // Groups, which nobody writes any more, and what there is not.
            _ => return None,
        };
        (tag >> 3 > 0).then_some((tag >> 3, value))
    }

    fn skip(&mut self, length: usize) -> Option<Value> {
        self.at = self.at.checked_add(length).filter(|at| *at <= self.bytes.len())?;
        Some(Value::Other)
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
