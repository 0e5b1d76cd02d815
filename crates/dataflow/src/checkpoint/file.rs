//! The state file: the state of all subtasks of a process at one barrier.
//!
//! ```text
//! +---------------------+  offset 0
//! | "THALWEG" version=1 |  8 bytes
//! +---------------------+
//! | part | part | ...   |  a part: one piece of state of one subtask and, if keyed, of one key group
//! +---------------------+
//! | index               |  postcard: Vec<StateEntry>; says where each part lies
//! +---------------------+
//! | index length        |  u64, little-endian
//! | CRC-32C             |  u32, little-endian: of all bytes before it
//! +---------------------+
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::collector::OperatorSnapshot;
use crate::error::{BoxError, CheckpointError, panic_message};
use crate::state::{Part, PartWriter, StateKind, encode_into};

const MAGIC: &[u8; 7] = b"THALWEG";

/// The newest version of the format that this build reads, and the one it writes.
pub(crate) const VERSION: u8 = 1;

const HEADER: usize = 8;
const FOOTER: usize = 12;

/// One piece of state of one subtask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateEntry {
    pub(crate) uid: String,
    pub(crate) subtask: u32,
    pub(crate) name: String,
    pub(crate) kind: StateKind,
    pub(crate) shape: String,
    pub(crate) parts: Vec<Part>,
}

/// A state file that is being written, in memory.
pub(crate) struct StateFile {
    buffer: Vec<u8>,
    entries: Vec<StateEntry>,
}

/// Why a state file cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It was not written by this format, or is damaged.
    Corrupt(String),
    /// It was written by a newer format.
    Version(u8),
}

impl StateFile {
    pub(crate) fn new() -> Self {
        let mut buffer = MAGIC.to_vec();
        buffer.push(VERSION);
        Self { buffer, entries: Vec::new() }
    }

    /// Encodes the state of one subtask of one operator. A file that this failed for is of no more use.
    pub(crate) fn add(&mut self, subtask: usize, operator: OperatorSnapshot) -> Result<(), CheckpointError> {
        for state in operator.states {
            let mut parts = Vec::new();
            let mut writer = PartWriter::new(&mut self.buffer, &mut parts);
            // The user's `Serialize` runs here, on a thread that has to go on.
            let encoded = catch_unwind(AssertUnwindSafe(|| (state.encode)(&mut writer)));
            let encoded = encoded.unwrap_or_else(|panic| Err(panic_message(&*panic).into()));
            encoded.map_err(|error| CheckpointError::Encode {
                operator: operator.uid.to_string(),
                state: state.name.to_owned(),
                reason: error.to_string(),
            })?;
            let (uid, subtask) = (operator.uid.to_string(), subtask as u32);
            let (name, kind, shape) = (state.name.to_owned(), state.kind, state.shape);
            self.entries.push(StateEntry { uid, subtask, name, kind, shape, parts });
        }
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<Bytes, BoxError> {
        let start = self.buffer.len();
        encode_into(&self.entries, &mut self.buffer)?;
        let length = (self.buffer.len() - start) as u64;
        self.buffer.extend(length.to_le_bytes());
        let crc = crc32c::crc32c(&self.buffer);
        self.buffer.extend(crc.to_le_bytes());
        Ok(self.buffer.into())
    }

    /// Reads the index of a file, having checked all of it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Vec<StateEntry>, Unreadable> {
        let corrupt = |reason: &str| Unreadable::Corrupt(reason.to_owned());
        if bytes.len() < HEADER + FOOTER || &bytes[..7] != MAGIC {
            return Err(corrupt("it is not a state file, or is cut short"));
        }
        if bytes[7] > VERSION {
            return Err(Unreadable::Version(bytes[7]));
        }
        let (body, crc) = bytes.split_at(bytes.len() - 4);
        if crc32c::crc32c(body).to_le_bytes() != crc {
            return Err(corrupt("its checksum does not match its contents"));
        }
        let (body, length) = body.split_at(body.len() - 8);
        let mut word = [0; 8];
        word.copy_from_slice(length);
        let start =
            usize::try_from(u64::from_le_bytes(word)).ok().and_then(|length| body.len().checked_sub(length));
        let index = &body[start.ok_or_else(|| corrupt("its index is longer than the file"))?..];
        let entries: Vec<StateEntry> = postcard::from_bytes(index)
            .map_err(|error| corrupt(&format!("its index cannot be read: {error}")))?;
        let outside =
            |part: &Part| part.offset.checked_add(part.length).is_none_or(|end| end > body.len() as u64);
        if entries.iter().flat_map(|entry| &entry.parts).any(outside) {
            return Err(corrupt("its index points outside of the file"));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::StateSnapshot;

    fn file() -> Bytes {
        let encode = |text: &'static str| -> crate::state::Encode {
            Box::new(move |parts| parts.part(3, |buffer| encode_into(text, buffer)).map(drop))
        };
        let state = |name, text| StateSnapshot {
            name,
            kind: StateKind::Keyed,
            shape: "str".into(),
            encode: encode(text),
        };
        let mut file = StateFile::new();
        let states = vec![state("a", "one"), state("b", "two")];
        file.add(1, OperatorSnapshot { uid: "op".into(), states }).unwrap();
        file.finish().unwrap()
    }

    #[test]
    fn what_was_written_is_found() {
        let bytes = file();
        let entries = StateFile::read(&bytes).unwrap();
        let texts: Vec<(&str, &str)> = entries
            .iter()
            .map(|entry| {
                let part = &entry.parts[0];
                let bytes = &bytes[part.offset as usize..][..part.length as usize];
                (entry.name.as_str(), postcard::from_bytes(bytes).unwrap())
            })
            .collect();
        assert_eq!(texts, [("a", "one"), ("b", "two")]);
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = file().to_vec();
        bytes[7] = VERSION + 1;
        assert_eq!(StateFile::read(&bytes), Err(Unreadable::Version(VERSION + 1)));
    }

    proptest! {
        #[test]
        fn any_damage_is_noticed(position in 0_usize..1000, flip in 1_u8..=255, cut in prop::bool::ANY) {
            let mut bytes = file().to_vec();
            let position = position % bytes.len();
            if cut {
                bytes.truncate(position);
            } else {
                bytes[position] ^= flip;
            }
            prop_assert!(StateFile::read(&bytes).is_err());
        }
    }
}
