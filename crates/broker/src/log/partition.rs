//! One partition: appends and markers. Reads are in `reading`.
//!
//! Everything that changes happens under one lock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;

use crate::blocking::blocking;
use crate::log::batch::{BadBatch, BatchHeader, End, Placed, marker_batch};
use crate::log::pending::Pending;
use crate::log::producers::{First, ProducerState, Producers, Verdict};
use crate::log::recompress::{Compression, recompress};
use crate::log::recover::{Recovered, recover};
use crate::log::segment::Segment;
use crate::log::upkeep::Upkeep;
use crate::log::validate::check;
use crate::log::waiters::{Waiter, Waiters};

/// What a reader wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All records, also those of transactions that are open or aborted.
    ReadUncommitted,
    /// Records of committed transactions, and those of none.
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
    /// The span of time that a segment has at most.
    pub(crate) segment_ms: i64,
    /// Unflushed records at which the log is forced to disk before the append is acknowledged.
    pub(crate) flush_messages: Option<i64>,
    /// How long records stay unflushed at most.
    pub(crate) flush_ms: Option<i64>,
    /// Whether records get the time of their appending instead of the producer's.
    pub(crate) append_time: bool,
    /// How far the producer's time may be behind and ahead of the broker's.
    pub(crate) timestamp_before_max_ms: i64,
    pub(crate) timestamp_after_max_ms: i64,
    /// Whether records without keys are refused, since the topic is compacted.
    pub(crate) keys_needed: bool,
    /// How batches are compressed; none if as their producer has done it.
    pub(crate) compression: Option<Compression>,
}

#[cfg(test)]
impl AppendRules {
    pub(crate) const DEFAULT: Self = Self {
        max_batch_bytes: 1_048_588,
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        flush_messages: None,
        flush_ms: None,
        append_time: false,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        keys_needed: false,
        compression: None,
    };
}

impl AppendRules {
    /// Whether what the header says is not enough, even if it is true.
    fn look_into_records(&self, header: &BatchHeader, now_ms: i64) -> bool {
        let late = header.max_timestamp > now_ms.saturating_add(self.timestamp_after_max_ms);
        let maybe_old = self.timestamp_before_max_ms != i64::MAX;
        self.keys_needed || !self.append_time && (late || maybe_old)
    }
}

/// Who has made a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody else, so nobody knows what is in it.
    Client,
    /// The producer in this process, so its records are records.
    Process,
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

/// How much a partition keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) bounds: Bounds,
    pub(crate) bytes: u64,
    /// Producers that are remembered.
    pub(crate) producers: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Partition {
    log: Mutex<Log>,
    /// Held by whoever works on closed segments and on checkpoints, which takes long. Taken before the lock of the log.
    upkeep: Mutex<()>,
    /// Held during a round of compaction. Taken before the others.
    cleaning: Mutex<()>,
}

/// What the lock of a partition protects.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) directory: Option<PathBuf>,
    /// In order of offsets; never empty, the last is appended to and all others are closed.
    pub(super) segments: Vec<Segment>,
    pub(super) producers: Producers,
    pub(super) start_offset: i64,
    pub(super) next_offset: i64,
    /// Everything before it is compacted.
    pub(super) clean_offset: i64,
    /// A compaction has failed, so none is tried before the next start.
    pub(super) uncleanable: bool,
    /// Changes when records or aborted transactions go away, so that a reader notices that they do not fit together.
    pub(super) generation: u64,
    pub(super) pending: Pending,
    pub(super) upkeep: Arc<Upkeep>,
    waiters: Waiters,
    /// Whoever still holds the partition must not believe that it keeps anything.
    pub(super) deleted: bool,
    /// A test wants writes to fail for want of space.
    full: bool,
}

impl Partition {
    /// An empty partition in memory.
    pub(crate) fn in_memory(upkeep: &Arc<Upkeep>) -> Self {
        let recovered = Recovered { segments: vec![Segment::in_memory(0)], ..Recovered::default() };
        Self::new(None, recovered, upkeep)
    }

    /// An empty partition in `directory`. What a crash has left there of an earlier one is removed.
    pub(crate) fn create(directory: &Path, upkeep: &Arc<Upkeep>) -> io::Result<Self> {
        if directory.exists() {
            std::fs::remove_dir_all(directory)?;
        }
        Self::open(directory, upkeep)
    }

    /// The partition in `directory`, which is created where there is none.
    pub(crate) fn open(directory: &Path, upkeep: &Arc<Upkeep>) -> io::Result<Self> {
        Ok(Self::new(Some(directory.to_owned()), recover(directory)?, upkeep))
    }

    fn new(directory: Option<PathBuf>, recovered: Recovered, upkeep: &Arc<Upkeep>) -> Self {
        let Recovered { segments, producers, start_offset, clean_offset, next_offset, checkpointed, .. } =
            recovered;
        let log = Log {
            directory,
            segments,
            producers,
            start_offset: start_offset.min(next_offset),
            next_offset,
            clean_offset,
            uncleanable: false,
            generation: 0,
            pending: Pending::new(checkpointed, next_offset),
            upkeep: Arc::clone(upkeep),
            waiters: Waiters::default(),
            deleted: false,
            full: false,
        };
        Self { log: Mutex::new(log), upkeep: Mutex::default(), cleaning: Mutex::default() }
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        // A panic under the lock is a bug of ours, but no reason to take the partition away from everyone else.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps others from working on what is closed.
    pub(super) fn upkeep(&self) -> MutexGuard<'_, ()> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps others from compacting, and the folder where it is.
    pub(super) fn cleaning(&self) -> MutexGuard<'_, ()> {
        self.cleaning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn append(
        &self,
        bytes: &[u8],
        rules: &AppendRules,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        self.append_with(First::Any, Origin::Client, bytes, rules, now_ms)
    }

    /// Appends one batch that a producer sent, after checking it.
    pub(crate) fn append_with(
        &self,
        first: First,
        origin: Origin,
        bytes: &[u8],
        rules: &AppendRules,
        now_ms: i64,
    ) -> Result<Appended, ResponseError> {
        let mut header = check_batch(bytes, rules)?;
        let checked = match origin {
            Origin::Client => check(bytes, &header, rules, now_ms, String::new).map(Some),
            Origin::Process if rules.look_into_records(&header, now_ms) => {
                check(bytes, &header, rules, now_ms, String::new).map(Some)
            }
            Origin::Process => Ok(None),
        };
        if let Some(newest) = checked.map_err(|rejection| rejection.error)? {
            // Kafka does not take the producer's word for it either: it is what times are looked up by.
            header.max_timestamp = newest;
        }
        let recompressed = compressed_as_wanted(bytes, &header, rules)?;
        let bytes = match &recompressed {
            Some((other, bytes)) => {
                header = *other;
                bytes
            }
            None => bytes,
        };
        let mut log = self.log();
        if header.has_producer()
            && let Verdict::Duplicate(base_offset) = log.producers.check(&header, first)?
        {
            return Ok(Appended { base_offset, append_time_ms: None, start_offset: log.start_offset });
        }
        let append_time_ms = rules.append_time.then_some(now_ms);
        let base_offset = log.write(&mut header, bytes, rules, append_time_ms)?;
        if header.has_producer() {
            log.producers.appended(&header);
        }
        let start_offset = log.start_offset;
        self.finish(log, rules)?;
        Ok(Appended { base_offset, append_time_ms, start_offset })
    }

    /// Ends a producer's transaction here.
    pub(crate) fn append_marker(
        &self,
        end: &End,
        rules: &AppendRules,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let bytes = marker_batch(end, now_ms);
        let mut header = BatchHeader::parse(&bytes).map_err(|_| ResponseError::UnknownServerError)?;
        let mut log = self.log();
        log.producers.check_end(end)?;
        log.write(&mut header, &bytes, rules, None)?;
        log.producers.ended(end.marker, end.coordinator_epoch, &header);
        if log.segments.len() > 1 {
            // It may have been what kept closed segments from being compacted.
            log.upkeep.cleaner().wake();
        }
        self.finish(log, rules)
    }

    /// Lets others know of an append, and forces it to disk if it is time.
    fn finish(&self, mut log: MutexGuard<'_, Log>, rules: &AppendRules) -> Result<(), ResponseError> {
        log.waiters.wake();
        if !log.must_flush(rules) {
            return Ok(());
        }
        drop(log);
        blocking(|| self.flush()).map_err(storage_error)
    }

    /// Whether this end of a transaction has been here, or there was nothing to end.
    pub(crate) fn has_ended(&self, end: &End) -> bool {
        self.log().producers.has_ended(end)
    }

    /// The producers that are remembered.
    pub(crate) fn producers(&self) -> Vec<ProducerState> {
        self.log().producers.describe()
    }

    /// Forgets the producers that have been idle for so long.
    pub(crate) fn forget_idle_producers(&self, now_ms: i64, idle_ms: i64) {
        self.log().producers.forget_idle(now_ms, idle_ms);
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.log().bounds()
    }

    pub(crate) fn usage(&self) -> Usage {
        let log = self.log();
        let bytes = log.segments.iter().map(Segment::size).sum();
        Usage { bounds: log.bounds(), bytes, producers: log.producers.count() }
    }

    /// Lets every write fail as on a full disk, or no longer.
    pub(crate) fn set_full(&self, full: bool) {
        self.log().full = full;
    }

    /// Has `waiter` woken by the next append.
    pub(crate) fn hang(&self, waiter: &Arc<Waiter>) {
        self.log().waiters.hang(waiter);
    }

    /// Removes the files. Nothing can be appended or read any more.
    pub(crate) fn delete(&self) -> io::Result<()> {
        let mut log = self.log();
        log.deleted = true;
        // Whoever still holds the partition must not hold its files, or their space would not come back.
        log.start_offset = log.next_offset;
        log.segments = vec![Segment::in_memory(log.next_offset)];
        log.pending = Pending::new(0, log.next_offset);
        log.waiters.wake();
        let directory = log.directory.clone();
        drop(log);
        // Whoever is busy with the files sees that they are deleted, and is waited for: nothing may be written where
        // a topic of the same name is about to be.
        let _cleaning = self.cleaning();
        let _upkeep = self.upkeep();
        directory.map_or(Ok(()), std::fs::remove_dir_all)
    }
}

impl Log {
    pub(super) fn bounds(&self) -> Bounds {
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
            return Err(unwritten(self.directory.as_deref(), &io::ErrorKind::StorageFull.into()));
        }
        header.base_offset = self.next_offset;
        // Whoever has a header has the bytes that it was read from.
        let mut batch = Placed::at(header.base_offset, bytes).ok_or(ResponseError::CorruptMessage)?;
        match append_time_ms {
            Some(now_ms) => batch.stamp(header, now_ms),
            None => batch.correct(header),
        }
        let rolled = self.roll_if_full(header, rules);
        rolled.map_err(|error| unwritten(self.directory.as_deref(), &error))?;
        let Some(segment) = self.segments.last_mut() else { return Err(ResponseError::KafkaStorageError) };
        let appended = segment.append(header, batch.pieces());
        appended.map_err(|error| unwritten(self.directory.as_deref(), &error))?;
        self.next_offset = header.last_offset() + 1;
        self.pending.appended(i64::from(header.record_count));
        if self.directory.is_some() && self.pending.is_checkpoint_due(segment.size()) {
            self.upkeep.wake();
        }
        Ok(header.base_offset)
    }

    /// Begins another segment if the last one has no room for this batch, or begins long before it.
    fn roll_if_full(&mut self, header: &BatchHeader, rules: &AppendRules) -> io::Result<()> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        let full = last.size() + header.len as u64 > rules.segment_bytes;
        let first_timestamp = last.summary().first_timestamp;
        let old =
            first_timestamp >= 0 && header.max_timestamp.saturating_sub(first_timestamp) > rules.segment_ms;
        // Marks count offsets from the segment's first one.
        let far = header.last_offset() - last.base_offset() > i64::from(i32::MAX);
        if last.size() > 0 && (full || old || far) { self.roll() } else { Ok(()) }
    }

    /// Closes the last segment and begins another.
    pub(super) fn roll(&mut self) -> io::Result<()> {
        let next = match &self.directory {
            Some(directory) => Segment::in_file(directory, self.next_offset, None)?,
            None => Segment::in_memory(self.next_offset),
        };
        if let Some(last) = self.segments.last_mut() {
            last.close();
            if self.directory.is_some() {
                self.pending.closed(last.base_offset(), self.producers.snapshot());
                self.upkeep.wake();
            }
        }
        self.upkeep.cleaner().wake();
        self.segments.push(next);
        Ok(())
    }
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

/// The batch as the topic wants it compressed, if it is not so already. It may become too long by that.
fn compressed_as_wanted(
    bytes: &[u8],
    header: &BatchHeader,
    rules: &AppendRules,
) -> Result<Option<(BatchHeader, Vec<u8>)>, ResponseError> {
    if rules.compression.is_none_or(|wanted| wanted.codec == header.codec()) {
        return Ok(None);
    }
    let recompressed = blocking(|| recompress(bytes, header, rules.compression));
    let recompressed = recompressed.map_err(|_| ResponseError::InvalidRecord)?;
    if recompressed.as_ref().is_some_and(|(header, _)| header.len > rules.max_batch_bytes) {
        return Err(ResponseError::MessageTooLarge);
    }
    Ok(recompressed)
}

/// Says which partition it is, since that tells on which disk there is no space.
fn unwritten(directory: Option<&Path>, error: &io::Error) -> ResponseError {
    let place = directory.map_or_else(|| "memory".into(), Path::to_string_lossy);
    tracing::error!(%place, %error, "records cannot be written; their producer is told to try again");
    ResponseError::KafkaStorageError
}

pub(crate) fn storage_error(error: io::Error) -> ResponseError {
    tracing::error!(%error, "the log cannot be read or written");
    ResponseError::KafkaStorageError
}

#[cfg(test)]
mod tests;
