//! Writes the parts of one state.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::check::Checker;
use super::error::Error;
use super::follow::follow;
use super::grow::Grown;
use super::plain;
use super::schema::{Node, NodeId, Schema, UNSEEN};
use super::varint::put;
use super::write::{Sink, Writer};
use super::{ENTRY, HEAD};
use crate::error::BoxError;

/// Writes the values of one state of one subtask; it is kept for a whole run, and its schema with it.
pub(crate) struct Encoder {
    pub(super) sink: Sink,
    pub(super) checker: Checker,
    /// Whether every value is read back: until the first snapshot is through. After that, those are that show something new.
    checking: bool,
    /// Whether anything has been written.
    used: bool,
}

/// The encoders of a job, by uid, name and subtask.
#[derive(Default)]
pub(crate) struct Encoders(Mutex<HashMap<StateOf, Encoder>>);

type StateOf = (Arc<str>, &'static str, usize);

impl Encoders {
    /// The encoder of one state, to be given back.
    pub(crate) fn take(&self, uid: &Arc<str>, name: &'static str, subtask: usize) -> Encoder {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(uid.clone(), name, subtask)).unwrap_or_else(Encoder::new)
    }

    pub(crate) fn give_back(&self, uid: &Arc<str>, name: &'static str, subtask: usize, mut encoder: Encoder) {
        encoder.end_snapshot();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((uid.clone(), name, subtask), encoder);
    }
}

impl Encoder {
    pub(crate) fn new() -> Self {
        let sink = Sink { buffer: Vec::new(), grown: Grown::new(), depth: 0 };
        Self { sink, checker: Checker::default(), checking: true, used: false }
    }

    /// Appends a part to `buffer`.
    pub(crate) fn part(
        &mut self,
        buffer: &mut Vec<u8>,
        encode: impl FnOnce(&mut PartEncoder<'_>) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        std::mem::swap(&mut self.sink.buffer, buffer);
        let result = encode(&mut PartEncoder(self));
        std::mem::swap(&mut self.sink.buffer, buffer);
        self.used = true;
        result
    }

    /// A snapshot is through: values are not read back any more unless they show something new.
    pub(crate) fn end_snapshot(&mut self) {
        self.checking &= !self.used;
    }

    /// What is known of the types by now.
    pub(crate) fn schema(&self) -> &Schema {
        &self.sink.grown.schema
    }

    /// Writes a run: `write` is called again if its values show something that the schema did not foresee.
    fn run(&mut self, mut write: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        let start = self.sink.buffer.len();
        for _ in 0..8 {
            self.sink.grown.broken = false;
            put(&mut self.sink.buffer, u64::from(self.sink.grown.version));
            write(self)?;
            if !self.sink.grown.broken {
                return Ok(());
            }
            // All of the run has been looked at, so the next time it meets with nothing new.
            self.sink.buffer.truncate(start);
            self.sink.grown.version += 1;
        }
        Err(Error::new("its Serialize writes the same values in another form each time"))
    }

    /// Writes one value, which is read back as a `T`.
    #[inline]
    fn value<T, S>(&mut self, root: usize, value: &S) -> Result<(), Error>
    where
        T: Serialize + DeserializeOwned,
        S: Serialize,
    {
        let start = self.sink.buffer.len();
        let node = self.sink.grown.schema.roots[root];
        if self.checking || !self.followed(node, 0, value) {
            self.grow::<T, S>(root, value)?;
        }
        // As with the items of a list: every entry takes a byte.
        if root == ENTRY && self.sink.buffer.len() == start {
            self.sink.buffer.push(0);
        }
        Ok(())
    }

    /// Writes a value if it shows nothing new; otherwise nothing is written.
    #[inline(always)]
    fn followed<S: Serialize>(&mut self, node: NodeId, depth: u32, value: &S) -> bool {
        let start = self.sink.buffer.len();
        let followed = follow(&self.sink.grown.schema, node, depth, value, &mut self.sink.buffer).is_ok();
        if !followed {
            self.sink.buffer.truncate(start);
        }
        followed
    }

    /// Writes a value that may show something new, and reads it back.
    #[inline(never)]
    fn grow<T, S>(&mut self, root: usize, value: &S) -> Result<(), Error>
    where
        T: Serialize + DeserializeOwned,
        S: Serialize,
    {
        let grown = &mut self.sink.grown;
        let node = match grown.schema.roots[root] {
            UNSEEN => {
                grown.schema.roots[root] = grown.place::<T>();
                grown.schema.roots[root]
            }
            node => node,
        };
        let (growth, start) = (grown.growth, self.sink.buffer.len());
        self.sink.depth = 0;
        value.serialize(Writer::<T>::new(&mut self.sink, node))?;
        // A run that is to be written again cannot be read.
        if (self.checking || growth != self.sink.grown.growth) && !self.sink.grown.broken {
            self.check::<T>(start, root)?;
        }
        Ok(())
    }
}

/// Where the halves of entries are in the schema, as of one growth of it.
struct Places {
    growth: Option<u64>,
    key: Half,
    value: Half,
}

/// The node of a half, and whether its values are all plain.
#[derive(Clone, Copy)]
struct Half {
    node: NodeId,
    plain: bool,
}

/// Entries are most of what is written, so they are not looked up as tuples, one by one.
impl Encoder {
    fn places<K: 'static, V: 'static>(&self) -> Places {
        let schema = &self.sink.grown.schema;
        match schema.node(schema.roots[ENTRY]) {
            Node::Tuple(halves) if halves.len() == 2 && !halves.contains(&UNSEEN) && !self.checking => {
                Places {
                    growth: Some(self.sink.grown.growth),
                    key: Half { node: halves[0], plain: plain::is_at::<K>(schema, halves[0]) },
                    value: Half { node: halves[1], plain: plain::is_at::<V>(schema, halves[1]) },
                }
            }
            _ => {
                let half = Half { node: UNSEEN, plain: false };
                Places { growth: None, key: half, value: half }
            }
        }
    }

    #[inline(always)]
    fn entry<K, V>(&mut self, key: &K, value: &V, places: &mut Places) -> Result<(), Error>
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        if places.growth != Some(self.sink.grown.growth) {
            return self.first_entry(key, value, places);
        }
        let start = self.sink.buffer.len();
        self.half(key, places.key).map_err(|error| error.item(0))?;
        self.half(value, places.value).map_err(|error| error.item(1))?;
        if places.growth != Some(self.sink.grown.growth) && !self.sink.grown.broken {
            self.check::<(K, V)>(start, ENTRY)?;
        }
        if self.sink.buffer.len() == start {
            self.sink.buffer.push(0);
        }
        Ok(())
    }

    #[inline(always)]
    fn half<T: Serialize + 'static>(&mut self, value: &T, half: Half) -> Result<(), Error> {
        if half.plain {
            plain::put_value(&mut self.sink.buffer, value);
            return Ok(());
        }
        // As in a tuple.
        if self.followed(half.node, 1, value) {
            return Ok(());
        }
        self.sink.depth = 1;
        value.serialize(Writer::<&T>::new(&mut self.sink, half.node))
    }

    /// While the schema grows.
    #[cold]
    #[inline(never)]
    fn first_entry<K, V>(&mut self, key: &K, value: &V, places: &mut Places) -> Result<(), Error>
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        self.value::<(K, V), _>(ENTRY, &(key, value))?;
        *places = self.places::<K, V>();
        Ok(())
    }
}

/// Writes one part: it may begin with one value, its head, and then holds any number of entries, or of items. All parts of a state hold
/// the same.
pub struct PartEncoder<'a>(&'a mut Encoder);

impl PartEncoder<'_> {
    /// Writes the value that the part begins with.
    ///
    /// # Errors
    /// When the value cannot be written, or not be read back.
    pub fn head<T: Serialize + DeserializeOwned>(&mut self, value: &T) -> Result<(), BoxError> {
        Ok(self.0.run(|encoder| encoder.value::<T, T>(HEAD, value))?)
    }

    /// Writes so many entries, each a key and a value. `entries` is asked for them again when they show something that no value has
    /// shown before.
    ///
    /// # Errors
    /// When one cannot be written, or not be read back.
    pub fn entries<'e, K, V, I>(&mut self, count: usize, entries: impl Fn() -> I) -> Result<(), BoxError>
    where
        K: Serialize + DeserializeOwned + 'static,
        V: Serialize + DeserializeOwned + 'static,
        I: Iterator<Item = (&'e K, &'e V)>,
    {
        let written = self.0.run(|encoder| {
            put(&mut encoder.sink.buffer, count as u64);
            let mut places = encoder.places::<K, V>();
            for (key, value) in entries() {
                encoder.entry(key, value, &mut places)?;
            }
            Ok(())
        });
        written.map_err(|error| error.in_entry().into())
    }

    /// Writes entries as [`entries`](Self::entries) does, each with the time at which it was written last (milliseconds).
    ///
    /// # Errors
    /// When one cannot be written, or not be read back.
    pub(crate) fn aged_entries<'e, K, V, I>(
        &mut self,
        count: usize,
        entries: impl Fn() -> I,
    ) -> Result<(), BoxError>
    where
        K: Serialize + DeserializeOwned + 'e,
        V: Serialize + DeserializeOwned + 'e,
        I: Iterator<Item = (&'e K, &'e V, u64)>,
    {
        let written = self.0.run(|encoder| {
            put(&mut encoder.sink.buffer, count as u64);
            entries().try_for_each(|entry| encoder.value::<(K, V, u64), _>(ENTRY, &entry))
        });
        written.map_err(|error| error.in_entry().into())
    }

    /// Writes the items of a list.
    ///
    /// # Errors
    /// When one cannot be written, or not be read back.
    pub fn items<T: Serialize + DeserializeOwned>(&mut self, items: &[T]) -> Result<(), BoxError> {
        Ok(self.0.run(|encoder| {
            put(&mut encoder.sink.buffer, items.len() as u64);
            items.iter().try_for_each(|item| encoder.value::<T, T>(ENTRY, item))
        })?)
    }
}
