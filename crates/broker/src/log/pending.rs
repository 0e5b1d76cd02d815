//! What a partition still has to force to disk, and which checkpoints it has to write.
//!
//! Checkpoints are written in the background, since a segment is forced to disk before. A crash in between costs the
//! next start the reading of what was not written down.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::log::checkpoint::Checkpoint;
use crate::log::partition::{AppendRules, Log, Partition};
use crate::log::producers::Snapshot;

/// Bytes appended to a segment after which it gets another checkpoint: what a start after a crash has to read.
const CHECKPOINT_EVERY: u64 = 32 << 20;

/// Which checkpoints to write for the segment that is appended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One if much was appended since the last.
    IfMuch,
    /// One if anything was appended since the last, so that the next start need not read at all.
    All,
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Pending {
    /// First offsets of the segments closed since, and the producers at their end.
    closed: VecDeque<(i64, Snapshot)>,
    /// Bytes of the last segment that its checkpoint speaks of.
    checkpointed: u64,
    /// Everything before it is on disk.
    flushed: i64,
    /// Records behind that.
    unflushed: i64,
    /// When they have to be flushed.
    flush_at: Option<Instant>,
}

impl Pending {
    pub(super) fn new(checkpointed: u64, next_offset: i64) -> Self {
        Self { closed: VecDeque::new(), checkpointed, flushed: next_offset, unflushed: 0, flush_at: None }
    }

    /// Records were appended.
    pub(super) fn appended(&mut self, records: i64) {
        self.unflushed += records;
    }

    /// A segment was closed.
    pub(super) fn closed(&mut self, base_offset: i64, producers: Snapshot) {
        self.closed.push_back((base_offset, producers));
        self.checkpointed = 0;
    }

    /// Closed segments were made into another, which has its checkpoint.
    pub(super) fn merged(&mut self, range: Range<i64>) {
        self.closed.retain(|(base, _)| !range.contains(base));
    }

    /// Whether the last segment, now of this size, has grown by much.
    pub(super) fn is_checkpoint_due(&self, size: u64) -> bool {
        size >= self.checkpointed + CHECKPOINT_EVERY
    }
}

impl Partition {
    /// Writes the checkpoints that are due.
    pub(crate) fn checkpoint(&self, extent: Extent) -> io::Result<()> {
        let _upkeep = self.upkeep();
        loop {
            let Some((path, checkpoint)) = self.log().next_checkpoint(extent) else { return Ok(()) };
            std::fs::File::open(&path)?.sync_data()?;
            checkpoint.store(&path)?;
            self.log().checkpointed(&checkpoint);
        }
    }
}

impl Partition {
    /// Forces to disk what was appended before.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let (files, upto) = self.log().unflushed()?;
        for file in files {
            file.sync_data()?;
        }
        let mut log = self.log();
        let behind = log.next_offset - upto;
        let pending = &mut log.pending;
        pending.flushed = pending.flushed.max(upto);
        pending.unflushed = pending.unflushed.min(behind);
        if behind == 0 {
            pending.flush_at = None;
        }
        Ok(())
    }

    /// Flushes what has waited long enough; returns when to look again.
    pub(crate) fn flush_due(&self, now: Instant) -> io::Result<Option<Instant>> {
        let due = self.log().pending.flush_at;
        if due.is_none_or(|at| at > now) {
            return Ok(due);
        }
        self.log().pending.flush_at = None;
        self.flush().map(|()| None)
    }
}

impl Log {
    /// Whether an append has to wait until it is on disk.
    pub(super) fn must_flush(&mut self, rules: &AppendRules) -> bool {
        if self.directory.is_none() {
            return false;
        }
        if let (Some(flush_ms), None) = (rules.flush_ms, self.pending.flush_at) {
            let at = Instant::now().checked_add(Duration::from_millis(flush_ms.unsigned_abs()));
            self.pending.flush_at = at;
            at.into_iter().for_each(|at| self.upkeep.flush_at(at));
        }
        rules.flush_messages.is_some_and(|most| self.pending.unflushed >= most)
    }

    /// The files with something that may not be on disk, and the offset before which that is.
    fn unflushed(&self) -> io::Result<(Vec<Arc<File>>, i64)> {
        let flushed = self.pending.flushed;
        let behind = self.segments.iter().filter(|segment| segment.summary().next_offset > flushed);
        let files =
            behind.map(|segment| segment.file().map_or_else(|| File::open(segment.path()).map(Arc::new), Ok));
        Ok((files.collect::<io::Result<_>>()?, self.next_offset))
    }

    /// What is to be written next, and beside which file.
    fn next_checkpoint(&mut self, extent: Extent) -> Option<(PathBuf, Checkpoint)> {
        if self.deleted || self.directory.is_none() {
            return None;
        }
        let first = self.segments[0].base_offset();
        self.pending.closed.retain(|(base, _)| *base >= first);
        let last = self.segments.last()?;
        let (segment, producers) = match self.pending.closed.front() {
            Some((base, producers)) => {
                let segment = self.segments.iter().find(|segment| segment.base_offset() == *base)?;
                (segment, producers.clone())
            }
            None => {
                let due = match extent {
                    Extent::IfMuch => self.pending.is_checkpoint_due(last.size()),
                    Extent::All => last.size() > self.pending.checkpointed,
                };
                if !due {
                    return None;
                }
                (last, self.producers.snapshot())
            }
        };
        let summary = segment.summary().sparse();
        let mut aborted = self.producers.aborted_since(segment.base_offset());
        aborted.retain(|aborted| aborted.last_offset < summary.next_offset);
        Some((segment.path().to_owned(), Checkpoint { summary, aborted, producers }))
    }

    /// It was written.
    fn checkpointed(&mut self, checkpoint: &Checkpoint) {
        if self.pending.closed.pop_front().is_none() {
            self.pending.checkpointed = checkpoint.summary.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;

    #[test]
    fn flushing_reaches_what_was_appended_before_also_in_closed_segments() {
        let directory = tempfile::tempdir().unwrap();
        let partition = Partition::open(directory.path(), &Arc::default()).unwrap();
        let rules = AppendRules { segment_bytes: 200, flush_ms: Some(60_000), ..AppendRules::DEFAULT };
        let append = || partition.append(&plain_batch(2, 0, (-1, -1, -1), false), &rules, 0).unwrap();
        for _ in 0..5 {
            append();
        }
        let segments = partition.log().segments.len();
        let behind = || partition.log().unflushed().unwrap().0.len();
        assert!(segments > 2 && behind() == segments);
        let due = partition.flush_due(Instant::now()).unwrap().unwrap();
        assert_eq!(partition.log().pending.unflushed, 10, "it is too early");
        assert_eq!(partition.flush_due(due).unwrap(), None);
        assert_eq!(partition.log().pending.unflushed, 0);
        assert_eq!(partition.log().pending.flushed, 10);
        append();
        assert_eq!(behind(), 1);
        let count = AppendRules { flush_messages: Some(4), ..rules };
        partition.append(&plain_batch(2, 0, (-1, -1, -1), false), &count, 0).unwrap();
        assert_eq!(partition.log().pending.unflushed, 0);
    }
}
