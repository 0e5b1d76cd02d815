//! Reading a partition: batches from an offset on, and the offset of a time.
//!
//! The lock is held for finding the place; the bytes are read without it.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use crate::log::batch::{BatchHeader, HEADER_LEN, walk};
use crate::log::partition::{Bounds, Isolation, Log, Partition, storage_error};
use crate::log::producers::AbortedTransaction;
use crate::log::records::{TimedOffset, first_at_or_after};
use crate::log::segment::{Extent, MARK_EVERY, Segment};

/// What a read found.
#[derive(Debug)]
pub(crate) struct Read {
    /// Whole batches; the first may begin before the offset asked for.
    pub(crate) records: Bytes,
    pub(crate) bounds: Bounds,
    /// For [`Isolation::ReadCommitted`] only.
    pub(crate) aborted: Vec<AbortedTransaction>,
}

/// A place in the log.
#[derive(Debug)]
struct Located {
    extent: Extent,
    /// Whether it goes on to the end of the segment.
    whole: bool,
    /// Where the following segment begins.
    next: Option<i64>,
}

impl Partition {
    /// Reads whole batches from the one that holds `offset` on: as many as fit into `max_bytes`, or else one if
    /// `at_least_one`.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<Read, ResponseError> {
        loop {
            let log = self.log();
            let (bounds, generation, deleted) = (log.bounds(), log.generation, log.deleted);
            drop(log);
            if deleted {
                return Err(ResponseError::UnknownTopicOrPartition);
            }
            if offset < bounds.start || offset > bounds.end {
                return Err(ResponseError::OffsetOutOfRange);
            }
            let end = bounds.visible_end(isolation);
            if offset >= end || (max_bytes == 0 && !at_least_one) {
                return Ok(Read { records: Bytes::new(), bounds, aborted: Vec::new() });
            }
            let records = self.load(offset, end, max_bytes, at_least_one).map_err(storage_error)?;
            let (Isolation::ReadCommitted, Some((last, _))) = (isolation, walk(&records).last()) else {
                return Ok(Read { records, bounds, aborted: Vec::new() });
            };
            let log = self.log();
            if log.generation == generation {
                let aborted = log.producers.aborted_in(offset, last.last_offset() + 1);
                return Ok(Read { records, bounds, aborted });
            }
            // Records were removed meanwhile, and with them it was forgotten which of those read here were aborted.
        }
    }

    /// The bytes of whole batches from the one that holds `offset` to the last that begins before `end`.
    fn load(&self, offset: i64, end: i64, max_bytes: usize, at_least_one: bool) -> io::Result<Bytes> {
        let mut from = offset;
        let mut first_len = 0;
        loop {
            let len = max_bytes.max(first_len) + MARK_EVERY as usize;
            let Located { extent, whole, next } = self.log().locate(from, len)?;
            match select(&extent.load()?, whole, offset..end, max_bytes, at_least_one) {
                Selection::Found(records) => return Ok(records),
                Selection::Longer(len) => first_len = len,
                Selection::Nothing => match next {
                    Some(next) if next < end => (from, first_len) = (next, 0),
                    _ => return Ok(Bytes::new()),
                },
            }
        }
    }

    /// The first record whose timestamp is at least `timestamp`, among those a reader may see.
    pub(crate) fn offset_of_time(
        &self,
        timestamp: i64,
        isolation: Isolation,
    ) -> Result<Option<TimedOffset>, ResponseError> {
        let bounds = self.bounds();
        let found = self.search(timestamp, |header, batch| {
            if header.is_control() || header.last_offset() < bounds.start {
                return None;
            }
            first_at_or_after(batch, header, timestamp, bounds.start)
        })?;
        Ok(found.filter(|found| found.offset < bounds.visible_end(isolation)))
    }

    /// The first of the newest records.
    pub(crate) fn newest(&self) -> Result<Option<TimedOffset>, ResponseError> {
        let start = self.bounds().start;
        let (first, mut max) = {
            let log = self.log();
            let whole = usize::from(log.segments[0].base_offset() < start);
            let max = log.segments[whole..].iter().map(Segment::max_timestamp).max();
            let first = if whole == 1 { log.since(start, -1).map_err(storage_error)?.0 } else { None };
            (first, max.unwrap_or(-1))
        };
        // The newest records of the first segment may be before the start.
        if let Some(first) = first {
            let mut batches = first.batches();
            while let Some((header, batch)) = batches.next().map_err(storage_error)? {
                if header.max_timestamp > max && first_at_or_after(&batch, &header, -1, start).is_some() {
                    max = header.max_timestamp;
                }
            }
        }
        if max < 0 {
            return Ok(None);
        }
        self.search(max, |header, batch| first_at_or_after(batch, header, max, start))
    }

    /// Offers the batches of every stretch that reaches `timestamp` to `pick`, until it takes one.
    fn search(
        &self,
        timestamp: i64,
        pick: impl Fn(&BatchHeader, &[u8]) -> Option<TimedOffset>,
    ) -> Result<Option<TimedOffset>, ResponseError> {
        let first = self.log().segments[0].base_offset();
        let mut next = Some(first);
        while let Some(base) = next {
            // One by one, since each takes a file descriptor.
            let (extent, following) = self.log().since(base, timestamp).map_err(storage_error)?;
            next = following;
            let Some(extent) = extent else { continue };
            let mut batches = extent.batches();
            while let Some((header, batch)) = batches.next().map_err(storage_error)? {
                if let Some(found) = pick(&header, &batch) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }
}

impl Log {
    /// About `len` bytes from the index mark before `offset` on.
    fn locate(&self, offset: i64, len: usize) -> io::Result<Located> {
        let n = self.segment_of(offset);
        let segment = &self.segments[n];
        let position = segment.position_before(offset);
        Ok(Located {
            extent: segment.extent(position, len)?,
            whole: segment.size() - position <= len as u64,
            next: self.segments.get(n + 1).map(Segment::base_offset),
        })
    }

    /// What the segment of `offset` has from `timestamp` on, and where the following one begins.
    fn since(&self, offset: i64, timestamp: i64) -> io::Result<(Option<Extent>, Option<i64>)> {
        let n = self.segment_of(offset);
        let next = self.segments.get(n + 1).map(Segment::base_offset);
        Ok((self.segments[n].since(timestamp)?, next))
    }

    /// The segment that has `offset`, or would have it.
    fn segment_of(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset() <= offset).max(1) - 1
    }
}

/// What was found in loaded bytes.
#[derive(Debug, PartialEq, Eq)]
enum Selection {
    Found(Bytes),
    /// The first batch wanted is not whole; this many bytes are needed.
    Longer(usize),
    Nothing,
}

/// Picks the batches that have something of `wanted` and fit. `whole` says that nothing comes after `bytes`.
fn select(bytes: &Bytes, whole: bool, wanted: Range<i64>, max_bytes: usize, at_least_one: bool) -> Selection {
    let mut at = 0;
    let mut picked = 0..0;
    while let Ok(header) = BatchHeader::parse(&bytes[at..]) {
        let end = at + header.len;
        if header.base_offset >= wanted.end {
            return found(bytes, picked);
        }
        if header.last_offset() >= wanted.start {
            let first = picked.is_empty();
            let start = if first { at } else { picked.start };
            if end - start > max_bytes && !(first && at_least_one) {
                return found(bytes, picked);
            }
            if end > bytes.len() {
                return if first { Selection::Longer(end) } else { found(bytes, picked) };
            }
            picked = start..end;
        } else if end > bytes.len() {
            return Selection::Longer(end + MARK_EVERY as usize);
        }
        at = end;
    }
    if picked.is_empty() && !whole {
        // What is wanted may begin right behind these bytes.
        return Selection::Longer(at + HEADER_LEN + MARK_EVERY as usize);
    }
    found(bytes, picked)
}

fn found(bytes: &Bytes, picked: Range<usize>) -> Selection {
    if picked.is_empty() { Selection::Nothing } else { Selection::Found(bytes.slice(picked)) }
}
