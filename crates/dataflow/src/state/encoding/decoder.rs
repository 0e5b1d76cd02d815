//! Reads the parts of one state.

use serde::de::DeserializeOwned;

use super::cursor::Cursor;
use super::error::Error;
use super::plain;
use super::plan::Plan;
use super::read::Reader;
use super::schema::{Node, Schema, UNSEEN};
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

    /// Reads the value that the part begins with.
    ///
    /// # Errors
    /// When it cannot be read as a `T`.
    pub fn head<T: DeserializeOwned>(&mut self) -> Result<T, BoxError> {
        match &mut self.bytes {
            Bytes::Postcard(bytes) => postcard_value(bytes),
            Bytes::Schema(cursor) => {
                cursor.begin_run()?;
                cursor.depth = 0;
                let node = cursor.plan.schema.roots[HEAD];
                Ok(T::deserialize(Reader::new(cursor, node))?)
            }
        }
    }

    /// Reads the entries, to the end of the part, and hands each on.
    ///
    /// # Errors
    /// When one cannot be read as a `K` and a `V`, and those of `entry`.
    pub fn entries<K: DeserializeOwned, V: DeserializeOwned>(
        self,
        mut entry: impl FnMut(K, V) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        // The halves of an entry are its key and its value.
        self.each(|(key, value), _| entry(key, value), Error::in_entry)
    }

    /// Reads the entries as [`entries`](Self::entries) does; `entry` is told how many bytes are left.
    pub(crate) fn counted_entries<K: DeserializeOwned, V: DeserializeOwned + 'static>(
        self,
        mut entry: impl FnMut(K, V, usize) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        match self.bytes {
            Bytes::Schema(cursor) if plain::is_octets::<V>() && has_octets(cursor.plan.schema) => {
                octets_by_key(cursor, entry)
            }
            _ => self.each(|(key, value), left| entry(key, value, left), Error::in_entry),
        }
    }

    /// Whether its entries say when they were written last.
    pub(crate) fn has_ages(&self) -> bool {
        match &self.bytes {
            Bytes::Postcard(_) => false,
            Bytes::Schema(cursor) => {
                let Plan { schema, .. } = cursor.plan;
                let root = schema.roots[ENTRY];
                root != UNSEEN && matches!(schema.node(root), Node::Tuple(items) if items.len() == 3)
            }
        }
    }

    /// Reads the entries as [`entries`](Self::entries) does, each with the time at which it was written last (milliseconds).
    ///
    /// # Errors
    /// When one cannot be read as a `K` and a `V`, and those of `entry`.
    pub(crate) fn aged_entries<K: DeserializeOwned, V: DeserializeOwned>(
        self,
        mut entry: impl FnMut(K, V, u64) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        self.each(|(key, value, time), _| entry(key, value, time), Error::in_entry)
    }

    /// Reads the items of a list, to the end of the part, and hands each on.
    ///
    /// # Errors
    /// When one cannot be read as a `T`.
    pub fn items<T: DeserializeOwned>(self, mut item: impl FnMut(T)) -> Result<(), BoxError> {
        let item = |value, _| {
            item(value);
            Ok(())
        };
        self.each(item, |error| error)
    }

    fn each<T: DeserializeOwned>(
        self,
        mut each: impl FnMut(T, usize) -> Result<(), BoxError>,
        explain: impl Fn(Error) -> Error,
    ) -> Result<(), BoxError> {
        match self.bytes {
            Bytes::Postcard(mut bytes) => {
                while !bytes.is_empty() {
                    for _ in 0..postcard_value::<u64>(&mut bytes)? {
                        each(postcard_value(&mut bytes)?, bytes.len())?;
                    }
                }
            }
            Bytes::Schema(mut cursor) => {
                let node = cursor.plan.schema.roots[ENTRY];
                while !cursor.bytes.is_empty() {
                    cursor.begin_run()?;
                    for _ in 0..cursor.number()? {
                        cursor.depth = 0;
                        let before = cursor.bytes.len();
                        let value = T::deserialize(Reader::new(&mut cursor, node)).map_err(&explain)?;
                        cursor.unpad(before)?;
                        each(value, cursor.bytes.len())?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether the values of the entries were written as lists of bytes.
fn has_octets(schema: &Schema) -> bool {
    let root = schema.roots[ENTRY];
    root != UNSEEN
        && matches!(schema.node(root), Node::Tuple(halves)
            if halves.len() == 2 && halves[1] != UNSEEN && plain::is_at::<Vec<u8>>(schema, halves[1]))
}

/// Entries of which the value is bytes: these are taken as they lie there, as there may be many.
fn octets_by_key<K: DeserializeOwned, V: 'static>(
    mut cursor: Cursor<'_, '_>,
    mut entry: impl FnMut(K, V, usize) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let Node::Tuple(halves) = cursor.plan.schema.node(cursor.plan.schema.roots[ENTRY]) else { return Ok(()) };
    while !cursor.bytes.is_empty() {
        cursor.begin_run()?;
        for _ in 0..cursor.number()? {
            cursor.depth = 0;
            cursor.enter()?;
            let key = K::deserialize(Reader::new(&mut cursor, halves[0]))
                .map_err(|error| error.item(0).in_entry())?;
            let value = cursor.blob().map_err(|error| error.item(1).in_entry())?;
            if let Some(value) = plain::of_octets(value) {
                entry(key, value, cursor.bytes.len())?;
            }
        }
    }
    Ok(())
}

fn postcard_value<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, BoxError> {
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    *bytes = rest;
    Ok(value)
}
