//! Which checkpoints a partition still has to write, and writing them.
//!
//! It is done in the background, since a segment is forced to disk before its checkpoint is written. A crash in
//! between costs the next start the reading of what was not written down.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use crate::log::checkpoint::Checkpoint;
use crate::log::partition::{Log, Partition};
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
}

impl Pending {
    pub(super) fn new(checkpointed: u64) -> Self {
        Self { closed: VecDeque::new(), checkpointed }
    }

    /// A segment was closed.
    pub(super) fn closed(&mut self, base_offset: i64, producers: Snapshot) {
        self.closed.push_back((base_offset, producers));
        self.checkpointed = 0;
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

impl Log {
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
