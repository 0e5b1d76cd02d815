//! A file in a file system, as Parquet's reader wants it: any part of it, at any time. It goes from column to column; so blocks of it are kept.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::super::FileToRead;

/// So much is read at once.
const BLOCK: u64 = 1 << 20;

/// So many blocks are kept, the ones that were used last.
const KEPT: usize = 64;

/// A file, and blocks of it: what readers of the crate `parquet` read from (its `ChunkReader`), for who wants columns as they are.
#[derive(Clone)]
pub struct ParquetFile(Arc<Inner>);

struct Inner {
    file: FileToRead,
    /// By their numbers, the one that was used last at the end.
    kept: Mutex<VecDeque<(u64, Bytes)>>,
}

impl ParquetFile {
    /// A file that is not compressed as a whole.
    pub fn new(file: FileToRead) -> Self {
        Self(Arc::new(Inner { file, kept: Mutex::default() }))
    }

    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().rposition(|(of, _)| *of == number).and_then(|at| kept.remove(at));
        let block = match found {
            Some((_, block)) => block,
            None => {
                let from = number * BLOCK;
                let length = BLOCK.min(self.len().saturating_sub(from));
                Bytes::from(self.0.file.range(from, length)?)
            }
        };
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((number, block.clone()));
        Ok(block)
    }

    /// What there is of the file from an offset on, as far as the block goes.
    fn rest(&self, from: u64) -> io::Result<Bytes> {
        let block = self.block(from / BLOCK)?;
        let at = (from % BLOCK) as usize;
        // A file that is shorter than it was ends there.
        Ok(if at < block.len() { block.slice(at..) } else { Bytes::new() })
    }
}

impl Length for ParquetFile {
    fn len(&self) -> u64 {
        self.0.file.length()
    }
}

impl ChunkReader for ParquetFile {
    type T = From;

    fn get_read(&self, start: u64) -> Result<From> {
        Ok(From { blocks: self.clone(), at: start, rest: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            let text =
                format!("{length} bytes from {start} on are beyond the end of the file, {}", self.len());
            return Err(ParquetError::EOF(text));
        }
        let first = self.rest(start)?;
        if first.len() >= length {
            return Ok(first.slice(..length));
        }
        let mut bytes = BytesMut::with_capacity(length);
        bytes.extend_from_slice(&first);
        while bytes.len() < length {
            let rest = self.rest(start + bytes.len() as u64)?;
            if rest.is_empty() {
                return Err(ParquetError::EOF("the file has become shorter".to_owned()));
            }
            bytes.extend_from_slice(&rest[..rest.len().min(length - bytes.len())]);
        }
        Ok(bytes.freeze())
    }
}

/// The file from an offset on.
pub struct From {
    blocks: ParquetFile,
    at: u64,
    rest: Bytes,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.at < self.blocks.len() {
            self.rest = self.blocks.rest(self.at)?;
        }
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        self.at += length as u64;
        Ok(length)
    }
}
