//! Reads the parts of one state.

use serde::de::DeserializeOwned;

use super::error::Error;
use super::plan::Plan;
use super::read::{Cursor, Reader};
use super::{ENTRY, HEAD};
use crate::error::BoxError;

/// One part of a state, while it is read.
pub struct PartDecoder<'a> {
    length: usize,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    /// Format version 1: the bytes of the values only, by position.
    Postcard(&'a [u8]),
    Schema(Cursor<'a, 'a>),
}

impl<'a> PartDecoder<'a> {
    /// A part that was written by the schema of a plan.
    pub(crate) fn new(plan: &'a Plan<'a>, bytes: &'a [u8]) -> Self {
        Self { length: bytes.len(), bytes: Bytes::Schema(Cursor::new(plan, bytes)) }
    }

    /// A part of a state file of version 1.
    pub(crate) fn postcard(bytes: &'a [u8]) -> Self {
        Self { length: bytes.len(), bytes: Bytes::Postcard(bytes) }
    }

    /// How many bytes the part has.
    pub(crate) fn length(&self) -> u64 {
        self.length as u64
    }

    fn is_at_end(&self) -> bool {
        match &self.bytes {
            Bytes::Postcard(bytes) => bytes.is_empty(),
            Bytes::Schema(cursor) => cursor.bytes.is_empty(),
        }
    }

    /// The version that begins a run.
    fn begin_run(&mut self) -> Result<(), BoxError> {
        if let Bytes::Schema(cursor) = &mut self.bytes {
            cursor.version = u32::try_from(cursor.number()?)?;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<u64, BoxError> {
        match &mut self.bytes {
            Bytes::Postcard(bytes) => postcard_value(bytes),
            Bytes::Schema(cursor) => Ok(cursor.number()?),
        }
    }

    #[inline]
    fn value<T: DeserializeOwned>(&mut self, root: usize) -> Result<T, BoxError> {
        match &mut self.bytes {
            Bytes::Postcard(bytes) => postcard_value(bytes),
            Bytes::Schema(cursor) => {
                cursor.depth = 0;
                let (node, before) = (cursor.plan.schema.roots[root], cursor.bytes.len());
                let value = T::deserialize(Reader::new(cursor, node))?;
                if root == ENTRY {
                    cursor.unpad(before)?;
                }
                Ok(value)
            }
        }
    }

    /// Reads the value that the part begins with.
    ///
    /// # Errors
    /// When it cannot be read as a `T`.
    pub fn head<T: DeserializeOwned>(&mut self) -> Result<T, BoxError> {
        self.begin_run()?;
        self.value(HEAD)
    }

    /// Reads the entries, to the end of the part, and hands each on.
    ///
    /// # Errors
    /// When one cannot be read as a `K` and a `V`, and those of `entry`.
    pub fn entries<K: DeserializeOwned, V: DeserializeOwned>(
        mut self,
        mut entry: impl FnMut(K, V) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        while !self.is_at_end() {
            self.begin_run()?;
            for _ in 0..self.count()? {
                let (key, value) = self.value(ENTRY).map_err(in_entry)?;
                entry(key, value)?;
            }
        }
        Ok(())
    }

    /// Reads the items of a list, to the end of the part, and hands each on.
    ///
    /// # Errors
    /// When one cannot be read as a `T`.
    pub fn items<T: DeserializeOwned>(mut self, mut item: impl FnMut(T)) -> Result<(), BoxError> {
        while !self.is_at_end() {
            self.begin_run()?;
            for _ in 0..self.count()? {
                item(self.value(ENTRY)?);
            }
        }
        Ok(())
    }
}

fn postcard_value<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, BoxError> {
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    *bytes = rest;
    Ok(value)
}

/// The halves of an entry are its key and its value.
#[cold]
fn in_entry(error: BoxError) -> BoxError {
    match error.downcast::<Error>() {
        Ok(error) => error.in_entry().into(),
        Err(error) => error,
    }
}
