//! Where compacted batches go: a segment in the making, beside the log.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use crate::log::batch::BatchHeader;
use crate::log::compaction::steps::Steps;
use crate::log::segment::{Segment, Summary};
use crate::owner_only;

/// Bytes written at a time.
const CHUNK: usize = 1 << 20;
/// Bytes after which the file is forced to disk, so that it never takes long.
const SYNC_EVERY: u64 = 16 << 20;

/// See the module.
#[derive(Debug)]
pub(super) enum Output<'a> {
    Memory(Segment),
    File(FileOutput<'a>),
}

/// A file that becomes a segment.
#[derive(Debug)]
pub(super) struct FileOutput<'a> {
    base_offset: i64,
    file: File,
    buffer: Vec<u8>,
    unsynced: u64,
    summary: Summary,
    steps: &'a Steps,
}

impl Output<'_> {
    pub(super) fn in_memory(base_offset: i64) -> Self {
        Self::Memory(Segment::in_memory(base_offset))
    }

    /// Adds the next batch.
    pub(super) fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(segment) => segment.append(header, [batch, &[]]),
            Self::File(output) => {
                output.buffer.extend_from_slice(batch);
                output.summary.note(output.base_offset, header);
                if output.buffer.len() >= CHUNK { output.write() } else { Ok(()) }
            }
        }
    }
}

impl<'a> FileOutput<'a> {
    pub(super) fn create(path: &Path, base_offset: i64, steps: &'a Steps) -> io::Result<Self> {
        steps.step()?;
        let file = owner_only::read_write().create(true).truncate(true).open(path)?;
        let summary = Summary::empty(base_offset);
        Ok(Self { base_offset, file, buffer: Vec::new(), unsynced: 0, summary, steps })
    }

    fn write(&mut self) -> io::Result<()> {
        self.steps.step()?;
        self.file.write_all(&self.buffer)?;
        self.unsynced += self.buffer.len() as u64;
        self.buffer.clear();
        if self.unsynced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Forces all of it to disk, and gives it the time of what it is made of.
    pub(super) fn finish(mut self, modified: SystemTime) -> io::Result<Summary> {
        self.write()?;
        self.file.set_modified(modified)?;
        self.steps.step()?;
        self.file.sync_all()?;
        Ok(self.summary.sparse())
    }
}
