//! The state file: what one process writes down of the state of all its subtasks at one barrier.
//!
//! ```text
//! +---------------------+  offset 0
//! | "THALWEG" version=2 |  8 bytes
//! +---------------------+
//! | part | part | ...   |  a part: one piece of state of one subtask and, if keyed, of one key group; whole, or what has changed
//! +---------------------+
//! | index               |  postcard: Index; the schemas of the states, where each part lies, and of which groups nothing has changed
//! +---------------------+
//! | index length        |  u64, little-endian
//! | CRC-32C             |  u32, little-endian: of all bytes before it
//! +---------------------+
//! ```
//!
//! It is written as it is encoded, in chunks, by several threads; none of it is made before there is something new to be said.
//! What a part and a schema look like is drawn in `state/encoding/`. Version 1 is still read: it knew only whole parts, and its values
//! are postcard's encoding, which goes by position and says nothing of the types; beside them was only their shape.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::storage::NewFile;
use super::store::CheckpointStore;
use super::stored::Stored;
use super::{Contents, FileEntry};
use crate::barrier::Epoch;
use crate::collector::OperatorSnapshot;
use crate::error::{CheckpointError, panic_message};
use crate::state::encoding::Schema;
use crate::state::{Encoders, Part, PartKind, PartWriter, StateKind};

const MAGIC: &[u8; 7] = b"THALWEG";

/// The newest version of the format that this build reads, and the one it writes.
pub(crate) const VERSION: u8 = 2;

const HEADER: usize = 8;
const FOOTER: usize = 12;

/// So many bytes are kept in memory before a file is made of them.
const FIRST: usize = 1 << 20;

/// The index of a file.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Each is what the writer of some entries knew of the types of their values.
    pub(crate) schemas: Vec<Schema>,
    pub(crate) entries: Vec<StateEntry>,
}

/// One piece of state of one subtask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateEntry {
    pub(crate) uid: String,
    pub(crate) subtask: u32,
    pub(crate) name: String,
    pub(crate) kind: StateKind,
    /// What its types were, for people; in version 1 all that is known of them.
    pub(crate) shape: String,
    /// Its schema's place in the index; of no use in version 1.
    pub(crate) schema: u32,
    pub(crate) parts: Vec<Part>,
}

/// As version 1 had it.
#[derive(Deserialize)]
struct StateEntryV1 {
    uid: String,
    subtask: u32,
    name: String,
    kind: StateKind,
    shape: String,
    parts: Vec<PartV1>,
}

#[derive(Deserialize)]
struct PartV1 {
    group: u16,
    offset: u64,
    length: u64,
}

/// A state file that is being written.
pub(crate) struct StateFile<'a> {
    /// Where it goes, and as which checkpoint's; `None`: it stays in memory.
    store: Option<(&'a CheckpointStore, Epoch)>,
    /// What is known of the types so far.
    encoders: Arc<Encoders>,
    out: Mutex<Out>,
    entries: Mutex<Vec<(usize, Written)>>,
}

/// A piece of state that has been written.
pub(crate) struct Written {
    pub(crate) entry: StateEntry,
    schema: Schema,
    /// Of state that is always written whole: the checksum of what was written.
    pub(crate) sum: Option<u32>,
}

/// What has come in of a file so far: at first in memory.
struct Out {
    file: Option<NewFile>,
    first: Vec<u8>,
    length: u64,
    crc: u32,
}

/// Why a state file cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It was not written by this format, or is damaged.
    Corrupt(String),
    /// It was written by a newer format.
    Version(u8),
}

impl<'a> StateFile<'a> {
    /// The file of a checkpoint; there is none in the store yet. Without a store it stays in memory.
    pub(crate) fn new(store: Option<(&'a CheckpointStore, Epoch)>) -> Self {
        let mut first = MAGIC.to_vec();
        first.push(VERSION);
        let (length, crc) = (first.len() as u64, crc32c::crc32c(&first));
        let out = Mutex::new(Out { file: None, first, length, crc });
        Self { store, encoders: Arc::default(), out, entries: Mutex::default() }
    }

    /// Goes on with what is known of the types.
    pub(crate) fn with(self, encoders: &Arc<Encoders>) -> Self {
        Self { encoders: encoders.clone(), ..self }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds bytes, and says where they begin.
    fn append(&self, bytes: &[u8]) -> Result<u64, CheckpointError> {
        let mut out = self.out();
        let begin = out.length;
        out.length += bytes.len() as u64;
        out.crc = crc32c::crc32c_append(out.crc, bytes);
        let Out { file, first, .. } = &mut *out;
        match (self.store, file) {
            (Some((store, _)), Some(file)) => store.write(file, bytes)?,
            (Some((store, epoch)), none) if first.len() + bytes.len() > FIRST => {
                let file = none.insert(store.create_state(epoch)?);
                store.write(file, &std::mem::take(first))?;
                store.write(file, bytes)?;
            }
            _ => first.extend_from_slice(bytes),
        }
        Ok(begin)
    }

    /// Encodes the state of one subtask of one operator, the `order`th of all. It may be called from several threads. A file that
    /// this failed for is of no more use. `wasteful` says of a group whether it had better be written whole the next time.
    pub(crate) fn add(
        &self,
        order: usize,
        subtask: usize,
        operator: OperatorSnapshot,
        wasteful: &dyn Fn(&str, u16) -> bool,
    ) -> Result<(), CheckpointError> {
        for state in operator.states {
            let append = |bytes: &[u8]| Ok(self.append(bytes)?);
            // If this fails it is not given back, and the job ends.
            let mut encoder = self.encoders.take(&operator.uid, state.name, subtask);
            let mut writer = PartWriter::new(&mut encoder, &append, |group| wasteful(state.name, group));
            // The user's `Serialize` runs here, on a thread that has to go on.
            let encoded = catch_unwind(AssertUnwindSafe(|| {
                (state.encode)(&mut writer)?;
                writer.finish(state.kind != StateKind::Keyed)
            }));
            let encoded = encoded.unwrap_or_else(|panic| Err(panic_message(&*panic).into()));
            let (parts, sum) = encoded.map_err(|error| match error.downcast::<CheckpointError>() {
                Ok(error) => *error,
                Err(error) => CheckpointError::Encode {
                    operator: operator.uid.to_string(),
                    state: state.name.to_owned(),
                    reason: error.to_string(),
                },
            })?;
            let schema = match parts.iter().any(|part| part.kind != PartKind::Unchanged) {
                true => encoder.schema().clone(),
                false => Schema::default(),
            };
            self.encoders.give_back(&operator.uid, state.name, subtask, encoder);
            let (uid, subtask) = (operator.uid.to_string(), subtask as u32);
            let (name, kind, shape) = (state.name.to_owned(), state.kind, state.shape);
            let entry = StateEntry { uid, subtask, name, kind, shape, schema: 0, parts };
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.push((order, Written { entry, schema, sum }));
        }
        Ok(())
    }

    /// What has been added, in order.
    pub(crate) fn written(&mut self) -> &[(usize, Written)] {
        let entries = self.entries.get_mut().unwrap_or_else(PoisonError::into_inner);
        entries.sort_by_key(|(order, _)| *order);
        entries
    }

    /// Ends the file, which then is in the store, synced.
    pub(crate) fn finish(mut self) -> Result<(FileEntry, Vec<Written>), CheckpointError> {
        let written = self.end()?;
        let Out { file, first, length, crc } = self.out.into_inner().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents { length, crc32c: crc };
        let entry = match (self.store, file) {
            (Some((store, epoch)), Some(file)) => store.finish_state(epoch, file, contents)?,
            (Some((store, epoch)), None) => store.write_state(epoch, first.into())?,
            (None, _) => FileEntry { path: String::new(), contents: Some(contents) },
        };
        Ok((entry, written))
    }

    /// Ends a file that has stayed in memory.
    pub(crate) fn finish_in_memory(mut self) -> Result<Vec<u8>, CheckpointError> {
        self.end()?;
        Ok(self.out.into_inner().unwrap_or_else(PoisonError::into_inner).first)
    }

    /// Adds the index, and what follows it.
    fn end(&mut self) -> Result<Vec<Written>, CheckpointError> {
        self.written();
        let written = std::mem::take(self.entries.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut written: Vec<Written> = written.into_iter().map(|(_, written)| written).collect();
        let mut index = Index::default();
        for Written { entry, schema, .. } in &mut written {
            // Most subtasks have seen the same.
            let place = index.schemas.iter().position(|known| known == schema).unwrap_or(index.schemas.len());
            if place == index.schemas.len() {
                index.schemas.push(std::mem::take(schema));
            }
            entry.schema = place as u32;
            index.entries.push(entry.clone());
        }
        let mut end = postcard::to_stdvec(&index).map_err(|error| CheckpointError::Encode {
            operator: String::new(),
            state: "the index".to_owned(),
            reason: error.to_string(),
        })?;
        let index = end.len() as u64;
        end.extend(index.to_le_bytes());
        self.append(&end)?;
        let crc = self.out().crc;
        self.append(&crc.to_le_bytes())?;
        Ok(written)
    }
}

/// Reads the version and the index of a file, having checked all of it.
pub(crate) fn read_index(file: &Stored) -> Result<(u8, Index), Unreadable> {
    let corrupt = |reason: &str| Unreadable::Corrupt(reason.to_owned());
    let unread = |error: std::io::Error| Unreadable::Corrupt(format!("it cannot be read: {error}"));
    let mut buffer = Vec::new();
    let cut_short = || corrupt("it is not a state file, or is cut short");
    let end = file.length().checked_sub(FOOTER as u64).filter(|end| *end >= HEADER as u64);
    let end = end.ok_or_else(cut_short)?;
    let header = file.part(0, HEADER as u64, &mut buffer).map_err(unread)?;
    let version = header[7];
    if &header[..7] != MAGIC {
        return Err(cut_short());
    }
    if version > VERSION {
        return Err(Unreadable::Version(version));
    }
    let footer = file.part(end, FOOTER as u64, &mut buffer).map_err(unread)?;
    let (length, crc) = footer.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    let (length, body_sum) = (word(length), word(crc) as u32);
    // The checksum of all of it is known; so the one that is written in it need not be computed from all that is before it.
    if crc32c::crc32c_combine(body_sum, crc32c::crc32c(crc), crc.len()) != file.sum() {
        return Err(corrupt("its checksum does not match its contents"));
    }
    let start = end.checked_sub(length).ok_or_else(|| corrupt("its index is longer than the file"))?;
    let index = file.part(start, length, &mut buffer).map_err(unread)?;
    let index: Result<Index, _> = match version {
        1 => postcard::from_bytes::<Vec<StateEntryV1>>(index).map(|entries| Index {
            schemas: Vec::new(),
            entries: entries.into_iter().map(StateEntry::from).collect(),
        }),
        _ => postcard::from_bytes(index),
    };
    let index = index.map_err(|error| corrupt(&format!("its index cannot be read: {error}")))?;
    if version > 1 && index.entries.iter().any(|entry| entry.schema as usize >= index.schemas.len()) {
        return Err(corrupt("its index names a schema that it does not have"));
    }
    let outside = |part: &Part| part.offset.checked_add(part.length).is_none_or(|of| of > end);
    if index.entries.iter().flat_map(|entry| &entry.parts).any(outside) {
        return Err(corrupt("its index points outside of the file"));
    }
    Ok((version, index))
}

impl From<StateEntryV1> for StateEntry {
    fn from(entry: StateEntryV1) -> Self {
        let StateEntryV1 { uid, subtask, name, kind, shape, parts } = entry;
        let whole = |PartV1 { group, offset, length }| Part { group, kind: PartKind::Whole, offset, length };
        Self { uid, subtask, name, kind, shape, schema: 0, parts: parts.into_iter().map(whole).collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::encoding::Plan;
    use crate::state::{PartDecoder, StateSnapshot};

    fn file() -> Vec<u8> {
        let encode = |text: &'static str| -> crate::state::Encode {
            Box::new(move |parts| parts.part(3, |part| part.items(&[text.to_owned()])).map(drop))
        };
        let state = |name, text| StateSnapshot {
            name,
            kind: StateKind::Keyed,
            shape: "str".into(),
            encode: encode(text),
        };
        let file = StateFile::new(None);
        let states = vec![state("a", "one"), state("b", "two")];
        file.add(0, 1, OperatorSnapshot { uid: "op".into(), states }, &|_, _| false).unwrap();
        file.finish_in_memory().unwrap()
    }

    #[test]
    fn what_was_written_is_found() {
        let bytes = file();
        let (_, index) = read_index(&Stored::in_memory(bytes.clone().into())).unwrap();
        let mut texts: Vec<(&str, String)> = Vec::new();
        for entry in &index.entries {
            let part = &entry.parts[0];
            let bytes = &bytes[part.offset as usize..][..part.length as usize];
            let plan = Plan::new(&index.schemas[entry.schema as usize]);
            PartDecoder::new(&plan, bytes).items(|text| texts.push((&entry.name, text))).unwrap();
        }
        assert_eq!(texts, [("a", "one".to_owned()), ("b", "two".to_owned())]);
        assert_eq!(index.schemas.len(), 1);
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = file();
        bytes[7] = VERSION + 1;
        assert_eq!(
            read_index(&Stored::in_memory(bytes.clone().into())),
            Err(Unreadable::Version(VERSION + 1))
        );
    }

    proptest! {
        #[test]
        fn any_damage_is_noticed(position in 0_usize..1000, flip in 1_u8..=255, cut in prop::bool::ANY) {
            let mut bytes = file();
            let position = position % bytes.len();
            if cut {
                bytes.truncate(position);
            } else {
                bytes[position] ^= flip;
            }
            prop_assert!(read_index(&Stored::in_memory(bytes.into())).is_err());
        }
    }
}
