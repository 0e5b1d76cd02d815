//! One partition: appends, markers, reads.
//!
//! Everything that changes happens under one lock. A read takes it to find its place, and reads the bytes without it.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;

use crate::log::batch::{self, BadBatch, BatchHeader, Marker, marker_batch, walk};
use crate::log::producers::{AbortedTransaction, Producers, Verdict};
use crate::log::records::{TimedOffset, first_at_or_after, newest};
use crate::log::recover::recover;
use crate::log::segment::{Extent, MARK_EVERY, Segment};
use crate::log::start_offset;
use crate::log::waiters::{Waiter, Waiters};

/// Bytes of memory a partition keeps for the next batch.
const SCRATCH_KEPT: usize = 256 * 1024;

/// What a reader wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn from_wire(level: i8) -> Self {
        if level == 1 { Self::ReadCommitted } else { Self::ReadUncommitted }
    }
}

/// Settings of a partition that an append needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendRules {
    pub(crate) max_batch_bytes: usize,
    pub(crate) segment_bytes: u64,
    /// Whether records get the time of their appending instead of the producer's.
    pub(crate) append_time: bool,
}

/// Where an append went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// Milliseconds since 1970, with [`AppendRules::append_time`].
    pub(crate) append_time_ms: Option<i64>,
    pub(crate) start_offset: i64,
}

/// First and end offsets of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: i64,
    /// High watermark: one past the last offset.
    pub(crate) end: i64,
    /// Everything before it belongs to no open transaction.
    pub(crate) last_stable: i64,
}

impl Bounds {
    /// One past the last offset a reader may see.
    pub(crate) fn visible_end(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadUncommitted => self.end,
            Isolation::ReadCommitted => self.last_stable,
        }
    }
}

/// What a read found.
#[derive(Debug)]
pub(crate) struct Read {
    /// Whole batches; the first may begin before the offset asked for.
    pub(crate) records: Bytes,
    pub(crate) bounds: Bounds,
    /// For [`Isolation::ReadCommitted`] only.
    pub(crate) aborted: Vec<AbortedTransaction>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Partition {
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    directory: Option<PathBuf>,
    /// In order of offsets; never empty, the last is appended to.
    segments: Vec<Segment>,
    producers: Producers,
    start_offset: i64,
    next_offset: i64,
    waiters: Waiters,
    scratch: BytesMut,
    /// Whoever still holds the partition must not believe that it keeps anything.
    deleted: bool,
    /// A test wants writes to fail for want of space.
    full: bool,
}

impl Partition {
    /// An empty partition in memory.
    pub(crate) fn in_memory() -> Self {
        Self::new(None, vec![Segment::in_memory(0)], Producers::default(), 0, 0)
    }

    /// An empty partition in `directory`. What a crash has left there of an earlier one is removed.
    pub(crate) fn create(directory: &Path) -> io::Result<Self> {
        if directory.exists() {
            std::fs::remove_dir_all(directory)?;
        }
        Self::open(directory)
    }

    /// The partition in `directory`, which is created where there is none.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let recovered = recover(directory)?;
        if recovered.cut > 0 {
            tracing::warn!(
                directory = %directory.display(), bytes = recovered.cut, next_offset = recovered.next_offset,
                "cut off an incomplete end of the log; it was never acknowledged"
            );
        }
        Ok(Self::new(
            Some(directory.to_owned()),
            recovered.segments,
            recovered.producers,
            recovered.start_offset,
            recovered.next_offset,
        ))
    }

    fn new(
        directory: Option<PathBuf>,
        segments: Vec<Segment>,
        producers: Producers,
        start_offset: i64,
        next_offset: i64,
    ) -> Self {
        let first = segments.first().map_or(0, Segment::base_offset);
        let start_offset = start_offset.clamp(first, next_offset.max(first));
        let (waiters, scratch) = (Waiters::default(), BytesMut::new());
        Self {
            log: Mutex::new(Log {
                directory,
                segments,
                producers,
                start_offset,
                next_offset,
                waiters,
                scratch,
                deleted: false,
                full: false,
            }),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // A panic under the lock is a bug of ours, but no reason to take the partition away from everyone else.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one batch that a client sent, after checking it.
    pub(crate) fn append(
        &self,
        bytes: &[u8],
        rules: &AppendRules,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        let mut header = check_batch(bytes, rules)?;
        let mut log = self.log();
        if header.has_producer()
            && let Verdict::Duplicate(base_offset) = log.producers.check(&header)?
        {
            return Ok(Appended { base_offset, append_time_ms: None, start_offset: log.start_offset });
        }
        let base_offset = log.write(&mut header, bytes, rules, rules.append_time.then_some(now_ms))?;
        if header.has_producer() {
            log.producers.appended(&header);
        }
        log.waiters.wake();
        let append_time_ms = rules.append_time.then_some(now_ms);
        Ok(Appended { base_offset, append_time_ms, start_offset: log.start_offset })
    }

    /// Ends a producer's transaction here.
    pub(crate) fn append_marker(
        &self,
        marker: Marker,
        producer_id: i64,
        epoch: i16,
        rules: &AppendRules,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let bytes = marker_batch(marker, producer_id, epoch, now_ms);
        let mut header = BatchHeader::parse(&bytes).map_err(|_| ResponseError::UnknownServerError)?;
        let mut log = self.log();
        if log.producers.is_fenced(producer_id, epoch) {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        log.write(&mut header, &bytes, rules, None)?;
        log.producers.ended(marker, &header);
        log.waiters.wake();
        Ok(())
    }

    /// Whether this producer has records here that neither commit nor abort has reached.
    pub(crate) fn has_open_transaction(&self, producer_id: i64) -> bool {
        self.log().producers.is_open(producer_id)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.log().bounds()
    }

    /// Lets every write fail as on a full disk, or no longer.
    pub(crate) fn set_full(&self, full: bool) {
        self.log().full = full;
    }

    /// Has `waiter` woken by the next append.
    pub(crate) fn hang(&self, waiter: &Arc<Waiter>) {
        self.log().waiters.hang(waiter);
    }

    /// Reads whole batches from the one that holds `offset` on: as many as fit into `max_bytes`, or else one if
    /// `at_least_one`.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<Read, ResponseError> {
        let log = self.log();
        let bounds = log.bounds();
        if offset < bounds.start || offset > bounds.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let end = bounds.visible_end(isolation);
        if offset >= end || (max_bytes == 0 && !at_least_one) {
            return Ok(Read { records: Bytes::new(), bounds, aborted: Vec::new() });
        }
        drop(log);
        let records = self.load(offset, end, max_bytes, at_least_one).map_err(storage_error)?;
        let aborted = match (isolation, walk(&records).last()) {
            (Isolation::ReadCommitted, Some((last, _))) => {
                self.log().producers.aborted_in(offset, last.last_offset() + 1)
            }
            _ => Vec::new(),
        };
        Ok(Read { records, bounds, aborted })
    }

    /// The bytes of whole batches from the one that holds `offset` to the last that begins before `end`.
    fn load(&self, offset: i64, end: i64, max_bytes: usize, at_least_one: bool) -> io::Result<Bytes> {
        let mut from = offset;
        let mut first_len = 0;
        loop {
            let (extent, next) = self.log().locate(from, max_bytes.max(first_len) + MARK_EVERY as usize);
            match select(&extent.load()?, offset..end, max_bytes, at_least_one) {
                Selection::Found(records) => return Ok(records),
                Selection::Longer(len) => first_len = len,
                Selection::Nothing => match next {
                    Some(next) if next < end => from = next,
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
        let max = self.log().segments.iter().map(Segment::max_timestamp).max().filter(|max| *max >= 0);
        let Some(max) = max else { return Ok(None) };
        self.search(max, |header, batch| (header.max_timestamp == max).then(|| newest(batch, header)))
    }

    /// Offers the batches of every stretch that reaches `timestamp` to `pick`, until it takes one.
    fn search(
        &self,
        timestamp: i64,
        pick: impl Fn(&BatchHeader, &[u8]) -> Option<TimedOffset>,
    ) -> Result<Option<TimedOffset>, ResponseError> {
        let extents: Vec<Extent> =
            self.log().segments.iter().filter_map(|segment| segment.since(timestamp)).collect();
        for extent in extents {
            let mut batches = extent.batches();
            while let Some((header, batch)) = batches.next().map_err(storage_error)? {
                if let Some(found) = pick(&header, &batch) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Forgets the records before `offset`, or all there are now if it is -1; returns the first offset left.
    pub(crate) fn delete_records(&self, offset: i64) -> Result<i64, ResponseError> {
        let mut log = self.log();
        if log.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        let before = if offset == -1 { log.next_offset } else { offset };
        if !(0..=log.next_offset).contains(&before) {
            return Err(ResponseError::OffsetOutOfRange);
        }
        log.raise_start(before).map_err(storage_error)?;
        Ok(log.start_offset)
    }

    /// Removes the files. Nothing can be appended any more.
    pub(crate) fn delete(&self) -> io::Result<()> {
        let mut log = self.log();
        log.deleted = true;
        log.waiters.wake();
        match &log.directory {
            Some(directory) => std::fs::remove_dir_all(directory),
            None => Ok(()),
        }
    }
}

impl Log {
    fn bounds(&self) -> Bounds {
        let last_stable = self.producers.first_open().unwrap_or(self.next_offset).max(self.start_offset);
        Bounds { start: self.start_offset, end: self.next_offset, last_stable }
    }

    /// Writes a batch behind the others and returns its offset.
    fn write(
        &mut self,
        header: &mut BatchHeader,
        bytes: &[u8],
        rules: &AppendRules,
        append_time_ms: Option<i64>,
    ) -> Result<i64, ResponseError> {
        if self.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        if self.full {
            return Err(storage_error(io::ErrorKind::StorageFull.into()));
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(bytes);
        header.base_offset = self.next_offset;
        batch::place(&mut self.scratch, header.base_offset);
        if let Some(now_ms) = append_time_ms {
            batch::stamp(&mut self.scratch, header, now_ms);
        }
        self.roll_if_full(header.len as u64, rules).map_err(storage_error)?;
        let Some(segment) = self.segments.last_mut() else { return Err(ResponseError::KafkaStorageError) };
        segment.append(header, &self.scratch).map_err(storage_error)?;
        self.next_offset = header.last_offset() + 1;
        if self.scratch.capacity() > SCRATCH_KEPT {
            self.scratch = BytesMut::new();
        }
        Ok(header.base_offset)
    }

    /// Begins another segment if the last one has no room for `len` bytes.
    fn roll_if_full(&mut self, len: u64, rules: &AppendRules) -> io::Result<()> {
        let size = self.segments.last().map_or(0, Segment::size);
        if size == 0 || size + len <= rules.segment_bytes {
            return Ok(());
        }
        self.segments.push(match &self.directory {
            Some(directory) => Segment::in_file(directory, self.next_offset)?,
            None => Segment::in_memory(self.next_offset),
        });
        Ok(())
    }

    /// Makes `offset` the first one that can be read, if it is not before that already. Segments that have nothing else
    /// are removed.
    fn raise_start(&mut self, offset: i64) -> io::Result<()> {
        if offset <= self.start_offset {
            return Ok(());
        }
        if let Some(directory) = &self.directory {
            start_offset::store(directory, offset)?;
        }
        self.start_offset = offset;
        self.drop_front();
        Ok(())
    }

    /// Removes the segments at the front that have nothing at or after the start.
    fn drop_front(&mut self) {
        let gone = self.segments[1..].partition_point(|next| next.base_offset() <= self.start_offset);
        for segment in self.segments.drain(..gone) {
            if let Some(directory) = &self.directory
                && let Err(error) = segment.remove_file(directory)
            {
                // It is below the start, so nobody reads it, and the next start of the broker tries again.
                tracing::warn!(directory = %directory.display(), %error, "a segment could not be removed");
            }
        }
        self.producers.forget_aborted_before(self.start_offset);
    }

    /// About `len` bytes from the index mark before `offset` on, and where the following segment begins.
    fn locate(&self, offset: i64, len: usize) -> (Extent, Option<i64>) {
        let n = self.segments.partition_point(|segment| segment.base_offset() <= offset).max(1) - 1;
        let segment = &self.segments[n];
        let extent = segment.extent(segment.position_before(offset), len);
        (extent, self.segments.get(n + 1).map(Segment::base_offset))
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

/// Picks the batches that have something of `wanted` and fit.
fn select(bytes: &Bytes, wanted: Range<i64>, max_bytes: usize, at_least_one: bool) -> Selection {
    let mut at = 0;
    let mut picked = 0..0;
    while let Ok(header) = BatchHeader::parse(&bytes[at..]) {
        let end = at + header.len;
        if header.base_offset >= wanted.end {
            break;
        }
        if header.last_offset() >= wanted.start {
            let first = picked.is_empty();
            let start = if first { at } else { picked.start };
            if end - start > max_bytes && !(first && at_least_one) {
                break;
            }
            if end > bytes.len() {
                return if first { Selection::Longer(end) } else { Selection::Found(bytes.slice(picked)) };
            }
            picked = start..end;
        } else if end >= bytes.len() {
            return Selection::Longer(end + MARK_EVERY as usize);
        }
        at = end;
    }
    if picked.is_empty() { Selection::Nothing } else { Selection::Found(bytes.slice(picked)) }
}

/// Checks what a client sent: exactly one unharmed batch of records, not too long.
fn check_batch(bytes: &[u8], rules: &AppendRules) -> Result<BatchHeader, ResponseError> {
    let header = BatchHeader::verify(bytes).map_err(|bad| match bad {
        BadBatch::OldFormat => ResponseError::UnsupportedForMessageFormat,
        BadBatch::Corrupt | BadBatch::Short => ResponseError::CorruptMessage,
        BadBatch::Malformed => ResponseError::InvalidRecord,
    })?;
    if header.len > rules.max_batch_bytes {
        return Err(ResponseError::MessageTooLarge);
    }
    let whole = header.len == bytes.len() && header.record_count == header.last_offset_delta + 1;
    let producer = header.producer_id == -1 || (header.producer_epoch >= 0 && header.base_sequence >= 0);
    if !whole || !producer || header.is_control() || (header.is_transactional() && !header.has_producer()) {
        return Err(ResponseError::InvalidRecord);
    }
    Ok(header)
}

fn storage_error(error: io::Error) -> ResponseError {
    tracing::error!(%error, "the log cannot be read or written");
    ResponseError::KafkaStorageError
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;

    const RULES: AppendRules =
        AppendRules { max_batch_bytes: 1 << 20, segment_bytes: 300, append_time: false };

    fn offsets(records: &Bytes) -> Vec<i64> {
        walk(records).map(|(header, _)| header.base_offset).collect()
    }

    fn filled(partition: Partition) -> Partition {
        for n in 0..20 {
            partition.append(&plain_batch(3, 10 * n, (-1, -1, -1), false), &RULES, 0).unwrap();
        }
        partition
    }

    #[test]
    fn reads_are_the_same_in_memory_and_from_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p-0");
        drop(filled(Partition::open(&path).unwrap()));
        assert!(std::fs::read_dir(&path).unwrap().count() > 3);
        for partition in [filled(Partition::in_memory()), Partition::open(&path).unwrap()] {
            assert_eq!(partition.bounds(), Bounds { start: 0, end: 60, last_stable: 60 });
            let mut next = 4;
            let mut seen = Vec::new();
            while next < 60 {
                let read = partition.read(next, 200, true, Isolation::ReadUncommitted).unwrap();
                assert!(!read.records.is_empty());
                next = walk(&read.records).last().unwrap().0.last_offset() + 1;
                seen.extend(offsets(&read.records));
            }
            assert_eq!(seen, (1..20).map(|n| 3 * n).collect::<Vec<_>>());
            let tiny = partition.read(0, 10, false, Isolation::ReadUncommitted).unwrap();
            assert!(tiny.records.is_empty());
            let tiny = partition.read(0, 10, true, Isolation::ReadUncommitted).unwrap();
            assert_eq!(offsets(&tiny.records), [0]);
            let beyond = partition.read(61, 10, true, Isolation::ReadUncommitted);
            assert_eq!(beyond.unwrap_err(), ResponseError::OffsetOutOfRange);
            let found = partition.offset_of_time(52, Isolation::ReadUncommitted).unwrap();
            assert_eq!(found, Some(TimedOffset { offset: 17, timestamp: 52 }));
            assert_eq!(partition.newest().unwrap(), Some(TimedOffset { offset: 59, timestamp: 192 }));
        }
    }

    /// `/dev/full` stands for a full disk: it can be opened, and every write to it fails.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_reported_and_costs_nothing_that_was_acknowledged() {
        let directory = tempfile::tempdir().unwrap();
        let partition = Partition::open(directory.path()).unwrap();
        let rules = AppendRules { segment_bytes: 200, ..RULES };
        let batch = |sequence| plain_batch(1, 0, (7, 0, sequence), false);
        partition.append(&batch(0), &rules, 0).unwrap();
        partition.append(&batch(1), &rules, 0).unwrap();
        std::os::unix::fs::symlink("/dev/full", directory.path().join("00000000000000000002.log")).unwrap();
        for _ in 0..2 {
            let refused = partition.append(&batch(2), &rules, 0);
            assert_eq!(refused.unwrap_err(), ResponseError::KafkaStorageError);
        }
        assert_eq!(partition.bounds(), Bounds { start: 0, end: 2, last_stable: 2 });
        let read = partition.read(0, 1 << 20, true, Isolation::ReadUncommitted).unwrap();
        assert_eq!(offsets(&read.records), [0, 1]);
        // There is space again, and the producer, which was not acknowledged, tries once more.
        drop(partition);
        std::fs::remove_file(directory.path().join("00000000000000000002.log")).unwrap();
        let partition = Partition::open(directory.path()).unwrap();
        assert_eq!(partition.append(&batch(2), &rules, 0).unwrap().base_offset, 2);
    }

    #[test]
    fn a_batch_longer_than_a_read_is_found_behind_short_ones() {
        let directory = tempfile::tempdir().unwrap();
        let partition = Partition::open(directory.path()).unwrap();
        let rules = AppendRules { segment_bytes: 1 << 30, ..RULES };
        partition.append(&plain_batch(1, 0, (-1, -1, -1), false), &rules, 0).unwrap();
        let long = plain_batch(100, 0, (-1, -1, -1), false);
        partition.append(&long, &rules, 0).unwrap();
        let read = partition.read(50, 1, true, Isolation::ReadUncommitted).unwrap();
        assert_eq!(read.records.len(), long.len());
    }

    #[test]
    fn committed_readers_stop_at_an_open_transaction_and_learn_of_aborted_ones() {
        let partition = Partition::in_memory();
        let rules = &AppendRules { segment_bytes: 1 << 30, ..RULES };
        partition.append(&plain_batch(2, 0, (-1, -1, -1), false), rules, 0).unwrap();
        partition.append(&plain_batch(2, 0, (7, 0, 0), true), rules, 0).unwrap();
        partition.append(&plain_batch(2, 0, (-1, -1, -1), false), rules, 0).unwrap();
        assert_eq!(partition.bounds(), Bounds { start: 0, end: 6, last_stable: 2 });
        let read = partition.read(0, 1 << 20, true, Isolation::ReadCommitted).unwrap();
        assert_eq!(offsets(&read.records), [0]);
        partition.append_marker(Marker::Abort, 7, 0, rules, 0).unwrap();
        let read = partition.read(0, 1 << 20, true, Isolation::ReadCommitted).unwrap();
        assert_eq!(offsets(&read.records), [0, 2, 4, 6]);
        let aborted = AbortedTransaction { producer_id: 7, first_offset: 2, last_offset: 6 };
        assert_eq!(read.aborted, [aborted]);
    }
}
