//! A run of batches, in memory or in one file, with a sparse index.
//!
//! The index has a mark about every [`MARK_EVERY`] bytes, and fewer once nothing is appended any more. From the mark
//! before the wanted offset on, headers are walked. The file of a closed segment is opened when it is read, so that
//! long logs need neither memory nor descriptors.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::log::batch::{BatchHeader, HEADER_LEN};
use crate::log::checkpoint;
use crate::log::file::{read_at, write_all_at};
use crate::owner_only;

/// Bytes between two marks of the index: what a read may have to skip.
const MARK_EVERY: u64 = 8 * 1024;
/// The same for closed segments.
const SPARSE_MARK_EVERY: u32 = 64 * 1024;
/// Bytes that batches in memory are packed into at a time.
const SLAB: usize = 256 * 1024;
/// Bytes read at a time when batches are read one by one.
const CHUNK: usize = 1 << 20;

/// Where a batch begins, and the greatest timestamp from there to the next mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Counted from the segment's first offset; segments are closed before that is too much.
    offset: u32,
    position: u32,
    max_timestamp: i64,
}

/// All that is known of what a segment holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) size: u64,
    /// One past the last offset.
    pub(crate) next_offset: i64,
    /// -1 if there is none.
    pub(crate) max_timestamp: i64,
    /// Greatest timestamp of the first batch, which the age of the segment is counted from; -1 if there is none.
    pub(crate) first_timestamp: i64,
    marks: Vec<Mark>,
}

#[derive(Debug)]
enum Store {
    Memory {
        batches: Vec<(u64, Bytes)>,
        slab: BytesMut,
    },
    File(Arc<File>),
    /// A file that is only opened for a read.
    Closed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Segment {
    base_offset: i64,
    /// Of the file; empty in memory.
    path: PathBuf,
    summary: Summary,
    store: Store,
}

/// Bytes of a segment that can be read without the partition's lock.
#[derive(Debug)]
pub(crate) enum Extent {
    Memory(Vec<Bytes>),
    File { file: Arc<File>, position: u64, len: usize },
}

impl Summary {
    pub(crate) fn empty(base_offset: i64) -> Self {
        Self { size: 0, next_offset: base_offset, max_timestamp: -1, first_timestamp: -1, marks: Vec::new() }
    }

    /// Takes the next batch into account.
    pub(crate) fn note(&mut self, base_offset: i64, header: &BatchHeader) {
        // A batch that compaction has emptied keeps the time of what it had.
        let timestamp = if header.record_count == 0 { -1 } else { header.max_timestamp };
        match self.marks.last_mut() {
            Some(mark) if self.size < u64::from(mark.position) + MARK_EVERY => {
                mark.max_timestamp = mark.max_timestamp.max(timestamp);
            }
            _ => self.marks.push(Mark {
                offset: u32::try_from(header.base_offset - base_offset).unwrap_or(u32::MAX),
                position: u32::try_from(self.size).unwrap_or(u32::MAX),
                max_timestamp: timestamp,
            }),
        }
        if self.size == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        self.size += header.len as u64;
        self.next_offset = header.last_offset() + 1;
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// The same with fewer marks.
    pub(crate) fn sparse(&self) -> Self {
        let mut marks: Vec<Mark> = Vec::with_capacity(self.size as usize / SPARSE_MARK_EVERY as usize + 1);
        for mark in &self.marks {
            match marks.last_mut() {
                Some(last) if mark.position < last.position + SPARSE_MARK_EVERY => {
                    last.max_timestamp = last.max_timestamp.max(mark.max_timestamp);
                }
                _ => marks.push(*mark),
            }
        }
        Self { marks, ..*self }
    }
}

impl Segment {
    /// An empty segment in memory.
    pub(crate) fn in_memory(base_offset: i64) -> Self {
        let store = Store::Memory { batches: Vec::new(), slab: BytesMut::new() };
        Self { base_offset, path: PathBuf::new(), summary: Summary::empty(base_offset), store }
    }

    /// The segment in `directory` that begins with `base_offset`, to be appended to. What the file holds beyond
    /// `known` is not known until it is told by [`Segment::note`].
    pub(crate) fn in_file(directory: &Path, base_offset: i64, known: Option<Summary>) -> io::Result<Self> {
        let path = directory.join(file_name(base_offset));
        let file = owner_only::read_write().create(true).truncate(false).open(&path)?;
        let summary = known.unwrap_or_else(|| Summary::empty(base_offset));
        Ok(Self { base_offset, path, summary, store: Store::File(Arc::new(file)) })
    }

    /// A segment that is complete, and not opened before somebody reads it.
    pub(crate) fn closed(directory: &Path, base_offset: i64, summary: Summary) -> Self {
        let path = directory.join(file_name(base_offset));
        Self { base_offset, path, summary, store: Store::Closed }
    }

    /// Nothing will be appended any more.
    pub(crate) fn close(&mut self) {
        self.summary = self.summary.sparse();
        match &mut self.store {
            Store::Memory { slab, .. } => *slab = BytesMut::new(),
            store => *store = Store::Closed,
        }
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Of the file; empty in memory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    pub(crate) fn size(&self) -> u64 {
        self.summary.size
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        self.summary.max_timestamp
    }

    /// The file, if it is appended to.
    pub(crate) fn file(&self) -> Option<Arc<File>> {
        match &self.store {
            Store::File(file) => Some(Arc::clone(file)),
            _ => None,
        }
    }

    /// Forces what was appended to disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match &self.store {
            Store::Memory { .. } => Ok(()),
            Store::File(file) => file.sync_data(),
            Store::Closed => File::open(&self.path)?.sync_data(),
        }
    }

    /// Adds a batch, which comes in two pieces. On an error nothing is added.
    pub(crate) fn append(&mut self, header: &BatchHeader, pieces: [&[u8]; 2]) -> io::Result<()> {
        let size = self.summary.size;
        match &mut self.store {
            Store::Memory { batches, slab } => {
                if slab.capacity() < header.len {
                    *slab = BytesMut::with_capacity(SLAB.max(header.len));
                }
                pieces.into_iter().for_each(|piece| slab.extend_from_slice(piece));
                batches.push((size, slab.split().freeze()));
            }
            Store::File(file) => {
                if let Err(error) = write_all_at(file, pieces, size) {
                    // A full disk may have taken the first half. Whatever cannot be cut off now is overwritten
                    // by the next append.
                    let _ = file.set_len(size);
                    return Err(error);
                }
            }
            Store::Closed => return Err(io::Error::other("a closed segment cannot be appended to")),
        }
        self.note(header);
        Ok(())
    }

    /// Takes a batch into account that is the next one in the store.
    pub(crate) fn note(&mut self, header: &BatchHeader) {
        self.summary.note(self.base_offset, header);
    }

    /// Position and offset of the last mark for which `is_before` holds, or of the first one.
    pub(crate) fn mark_before(&self, is_before: impl Fn(u64, i64) -> bool) -> (u64, i64) {
        let place = |mark: &Mark| (u64::from(mark.position), self.base_offset + i64::from(mark.offset));
        let marks = &self.summary.marks;
        let before = marks.partition_point(|mark| {
            let (position, offset) = place(mark);
            is_before(position, offset)
        });
        marks.get(before.saturating_sub(1)).map_or((0, self.base_offset), place)
    }

    /// The batches in memory, from the one at `position` on; none if they are in a file.
    pub(crate) fn batches_from(&self, position: u64) -> impl Iterator<Item = &Bytes> {
        let batches = match &self.store {
            Store::Memory { batches, .. } => &batches[..],
            _ => &[],
        };
        let first = batches.partition_point(|(at, batch)| at + batch.len() as u64 <= position);
        batches[first..].iter().map(|(_, batch)| batch)
    }

    /// The file to read from, if it is not in memory.
    pub(crate) fn open(&self) -> io::Result<Option<Arc<File>>> {
        match &self.store {
            Store::Memory { .. } => Ok(None),
            Store::File(file) => Ok(Some(Arc::clone(file))),
            Store::Closed => File::open(&self.path).map(|file| Some(Arc::new(file))),
        }
    }

    /// Everything from the first mark on whose stretch has a record of `timestamp` or later.
    pub(crate) fn since(&self, timestamp: i64) -> io::Result<Option<Extent>> {
        let mark = self.summary.marks.iter().find(|mark| mark.max_timestamp >= timestamp);
        mark.map(|mark| self.extent(mark.position.into())).transpose()
    }

    /// Everything from `position` on to the end of the file, noted or not.
    pub(crate) fn file_from(&self, position: u64) -> io::Result<Extent> {
        let Some(file) = self.file() else { return self.extent(position) };
        let len = usize::try_from(file.metadata()?.len().saturating_sub(position)).unwrap_or(usize::MAX);
        Ok(Extent::File { file, position, len })
    }

    /// Everything from `position` on.
    pub(crate) fn extent(&self, position: u64) -> io::Result<Extent> {
        let Some(file) = self.open()? else {
            return Ok(Extent::Memory(self.batches_from(position).cloned().collect()));
        };
        let len = self.size().saturating_sub(position) as usize;
        Ok(Extent::File { file, position, len })
    }

    /// Removes the files, if there are any. Whoever is reading can go on.
    pub(crate) fn remove_files(&self) -> io::Result<()> {
        if matches!(self.store, Store::Memory { .. }) {
            return Ok(());
        }
        checkpoint::remove(&checkpoint::path(&self.path))?;
        std::fs::remove_file(&self.path)
    }

    /// Cuts off what is in the file beyond the batches noted. Returns how many bytes that were.
    pub(crate) fn cut_file(&self) -> io::Result<u64> {
        let Store::File(file) = &self.store else { return Ok(0) };
        let beyond = file.metadata()?.len().saturating_sub(self.size());
        if beyond > 0 {
            file.set_len(self.size())?;
        }
        Ok(beyond)
    }
}

impl Default for Extent {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Extent {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory(batches) => batches.iter().map(Bytes::len).sum(),
            Self::File { len, .. } => *len,
        }
    }

    /// Reads the bytes, which may end within a batch.
    pub(crate) fn load(self) -> io::Result<Bytes> {
        match self {
            Self::Memory(mut batches) => Ok(match batches.len() {
                0 => Bytes::new(),
                1 => batches.remove(0),
                _ => {
                    let mut all = BytesMut::with_capacity(batches.iter().map(Bytes::len).sum());
                    batches.iter().for_each(|batch| all.extend_from_slice(batch));
                    all.freeze()
                }
            }),
            Self::File { file, position, len } => read_at(&file, position, len).map(Bytes::from),
        }
    }
}

impl Extent {
    /// Reads it batch by batch, in pieces, so that a whole file is never in memory.
    pub(crate) fn batches(self) -> Batches {
        Batches { rest: self, buffer: Bytes::new() }
    }

    /// Takes up to `len` bytes off the front, or one batch of those in memory.
    fn split_front(&mut self, len: usize) -> Extent {
        match self {
            Self::Memory(batches) => {
                let n = batches.len().min(1);
                Self::Memory(batches.drain(..n).collect())
            }
            Self::File { file, position, len: left } => {
                let len = len.min(*left);
                let front = Self::File { file: Arc::clone(file), position: *position, len };
                *position += len as u64;
                *left -= len;
                front
            }
        }
    }
}

/// The batches of an [`Extent`], one after the other.
#[derive(Debug)]
pub(crate) struct Batches {
    rest: Extent,
    buffer: Bytes,
}

impl Batches {
    /// The next whole batch, or `None` at the end or at the first bytes that are not one.
    pub(crate) fn next(&mut self) -> io::Result<Option<(BatchHeader, Bytes)>> {
        if self.buffer.len() < HEADER_LEN {
            self.fill(CHUNK)?;
        }
        let Ok(header) = BatchHeader::parse(&self.buffer) else { return Ok(None) };
        if self.buffer.len() < header.len {
            self.fill((header.len - self.buffer.len()).max(CHUNK))?;
        }
        if self.buffer.len() < header.len {
            return Ok(None);
        }
        Ok(Some((header, self.buffer.split_to(header.len))))
    }

    fn fill(&mut self, len: usize) -> io::Result<()> {
        let more = self.rest.split_front(len).load()?;
        if self.buffer.is_empty() {
            self.buffer = more;
        } else {
            self.buffer = [&self.buffer[..], &more[..]].concat().into();
        }
        Ok(())
    }
}

/// The name of the file whose first offset is `base_offset`.
pub(crate) fn file_name(base_offset: i64) -> String {
    format!("{base_offset:020}.log")
}

/// The first offset of a file of that name.
pub(crate) fn base_offset_of(name: &str) -> Option<i64> {
    name.strip_suffix(".log").filter(|digits| digits.len() == 20)?.parse().ok()
}
