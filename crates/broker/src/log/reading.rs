//! Reading a partition: batches from an offset on, and the offset of a time.
//!
//! The lock is held for finding the place; the bytes are read without it.

use std::io;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use crate::log::batch::BatchHeader;
use crate::log::partition::{Bounds, Isolation, Log, Partition, storage_error};
use crate::log::producers::AbortedTransaction;
use crate::log::records::{TimedOffset, first_at_or_after};
use crate::log::segment::{Extent, Segment};
use crate::log::selection::{Candidates, Selected, Wanted};

/// What a read found.
#[derive(Debug)]
pub(crate) struct Read<R = Bytes> {
    /// Whole batches; the first may begin before the offset asked for.
    pub(crate) records: R,
    pub(crate) bounds: Bounds,
    /// For [`Isolation::ReadCommitted`] only.
    pub(crate) aborted: Vec<AbortedTransaction>,
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
        let Read { records, bounds, aborted } = self.find(offset, max_bytes, at_least_one, isolation)?;
        Ok(Read { records: records.load().map_err(storage_error)?, bounds, aborted })
    }

    /// Finds what [`read`](Self::read) reads.
    pub(crate) fn find(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<Read<Extent>, ResponseError> {
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
            let mut read = Read { records: Extent::default(), bounds, aborted: Vec::new() };
            if offset >= end || (max_bytes == 0 && !at_least_one) {
                return Ok(read);
            }
            let wanted = Wanted { from: offset, end, max_bytes, at_least_one };
            let Some(selected) = self.select(&wanted).map_err(storage_error)? else { return Ok(read) };
            read.records = selected.extent;
            if isolation == Isolation::ReadUncommitted || read.records.len() == 0 {
                return Ok(read);
            }
            let log = self.log();
            if log.generation == generation {
                read.aborted = log.producers.aborted_in(offset, selected.end);
                return Ok(read);
            }
            // Records were removed meanwhile, and with them it was forgotten which of those found were aborted.
        }
    }

    /// Looks in one segment after the other.
    fn select(&self, wanted: &Wanted) -> io::Result<Option<Selected>> {
        let mut next = Some(wanted.from);
        while let Some(from) = next.filter(|from| *from < wanted.end) {
            let candidates;
            (candidates, next) = self.log().candidates(from, wanted)?;
            let selected = candidates.select(wanted)?;
            if selected.is_some() {
                return Ok(selected);
            }
        }
        Ok(None)
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
    /// What the segment of `from` has of what is wanted, and where the following one begins.
    fn candidates(&self, from: i64, wanted: &Wanted) -> io::Result<(Candidates, Option<i64>)> {
        let n = self.segment_of(from);
        let next = self.segments.get(n + 1).map(Segment::base_offset);
        Ok((Candidates::of(&self.segments[n], wanted)?, next))
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
