//! A run of batches, in memory or in one file, with a sparse index.
//!
//! The index has a mark about every [`MARK_EVERY`] bytes. From the mark before the wanted offset on, headers
//! are walked.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::log::batch::{BatchHeader, HEADER_LEN};

/// Bytes between two marks of the index: what a read may have to skip.
pub(crate) const MARK_EVERY: u64 = 8 * 1024;
/// Bytes that batches in memory are packed into at a time.
const SLAB: usize = 256 * 1024;

/// Bytes read at a time when batches are read one by one.
const CHUNK: usize = 1 << 20;

/// Where a batch begins, and the greatest timestamp from there to the next mark.
#[derive(Debug, Clone, Copy)]
struct Mark {
    offset: i64,
    position: u64,
    max_timestamp: i64,
}

#[derive(Debug)]
enum Store {
    Memory { batches: Vec<(u64, Bytes)>, slab: BytesMut },
    File(Arc<File>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Segment {
    base_offset: i64,
    size: u64,
    max_timestamp: i64,
    marks: Vec<Mark>,
    store: Store,
}

/// Bytes of a segment that can be read without the partition's lock.
#[derive(Debug)]
pub(crate) enum Extent {
    Memory(Vec<Bytes>),
    File { file: Arc<File>, position: u64, len: usize },
}

impl Segment {
    /// An empty segment in memory.
    pub(crate) fn in_memory(base_offset: i64) -> Self {
        Self::new(base_offset, Store::Memory { batches: Vec::new(), slab: BytesMut::new() })
    }

    /// The segment in `directory` that begins with `base_offset`. What the file holds is not known until it is told by
    /// [`Segment::note`].
    pub(crate) fn in_file(directory: &Path, base_offset: i64) -> io::Result<Self> {
        let path = directory.join(file_name(base_offset));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Self::new(base_offset, Store::File(Arc::new(file))))
    }

    fn new(base_offset: i64, store: Store) -> Self {
        Self { base_offset, size: 0, max_timestamp: -1, marks: Vec::new(), store }
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Adds a batch whose base offset is already in it. On an error nothing is added.
    pub(crate) fn append(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<()> {
        match &mut self.store {
            Store::Memory { batches, slab } => {
                if slab.capacity() < batch.len() {
                    *slab = BytesMut::with_capacity(SLAB.max(batch.len()));
                }
                slab.extend_from_slice(batch);
                batches.push((self.size, slab.split().freeze()));
            }
            Store::File(file) => {
                if let Err(error) = file.write_all_at(batch, self.size) {
                    // A full disk may have taken the first half. Whatever cannot be cut off now is overwritten
                    // by the next append.
                    let _ = file.set_len(self.size);
                    return Err(error);
                }
            }
        }
        self.note(header);
        Ok(())
    }

    /// Takes a batch into account that is the next one in the store.
    pub(crate) fn note(&mut self, header: &BatchHeader) {
        match self.marks.last_mut() {
            Some(mark) if self.size < mark.position + MARK_EVERY => {
                mark.max_timestamp = mark.max_timestamp.max(header.max_timestamp);
            }
            _ => self.marks.push(Mark {
                offset: header.base_offset,
                position: self.size,
                max_timestamp: header.max_timestamp,
            }),
        }
        self.size += header.len as u64;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
    }

    /// The position of a mark at or before `offset`.
    pub(crate) fn position_before(&self, offset: i64) -> u64 {
        match self.marks.partition_point(|mark| mark.offset <= offset) {
            0 => 0,
            n => self.marks[n - 1].position,
        }
    }

    /// Everything from the first mark on whose stretch has a record of `timestamp` or later.
    pub(crate) fn since(&self, timestamp: i64) -> Option<Extent> {
        let mark = self.marks.iter().find(|mark| mark.max_timestamp >= timestamp)?;
        Some(self.extent(mark.position, usize::try_from(self.size - mark.position).unwrap_or(usize::MAX)))
    }

    /// Everything in the file, noted or not.
    pub(crate) fn whole_file(&self) -> io::Result<Extent> {
        Ok(match &self.store {
            Store::Memory { .. } => self.extent(0, usize::MAX),
            Store::File(file) => {
                let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
                Extent::File { file: Arc::clone(file), position: 0, len }
            }
        })
    }

    /// Up to `len` bytes from `position`, and more in memory, where whole batches come for free.
    pub(crate) fn extent(&self, position: u64, len: usize) -> Extent {
        match &self.store {
            Store::Memory { batches, .. } => {
                let first = batches.partition_point(|(at, batch)| at + batch.len() as u64 <= position);
                let end = position.saturating_add(len as u64);
                Extent::Memory(
                    batches[first..]
                        .iter()
                        .take_while(|(at, _)| *at < end)
                        .map(|(_, batch)| batch.clone())
                        .collect(),
                )
            }
            Store::File(file) => {
                let len = (self.size - position.min(self.size)).min(len as u64) as usize;
                Extent::File { file: Arc::clone(file), position, len }
            }
        }
    }

    /// Removes the file. Whoever is reading it can go on.
    pub(crate) fn remove_file(&self, directory: &Path) -> io::Result<()> {
        std::fs::remove_file(directory.join(file_name(self.base_offset)))
    }

    /// Cuts off what is in the file beyond the batches noted.
    /// Returns how many bytes that were.
    pub(crate) fn cut_file(&self) -> io::Result<u64> {
        let Store::File(file) = &self.store else { return Ok(0) };
        let beyond = file.metadata()?.len().saturating_sub(self.size);
        if beyond > 0 {
            file.set_len(self.size)?;
        }
        Ok(beyond)
    }
}

impl Extent {
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
            Self::File { file, position, len } => {
                let mut bytes = BytesMut::zeroed(len);
                file.read_exact_at(&mut bytes, position)?;
                Ok(bytes.freeze())
            }
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
