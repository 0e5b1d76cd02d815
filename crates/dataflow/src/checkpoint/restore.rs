//! A checkpoint that has been read: where operators find their state again.

use bytes::Bytes;

use super::Manifest;
use super::file::{StateEntry, StateFile, Unreadable};
use crate::barrier::Epoch;
use crate::error::{BoxError, CheckpointError};
use crate::state::{PartKind, StateKind};

/// A checkpoint, in memory, checked.
#[derive(Debug)]
pub struct Restore {
    manifest: Manifest,
    files: Vec<LoadedFile>,
}

#[derive(Debug)]
struct LoadedFile {
    name: String,
    bytes: Bytes,
    entries: Vec<StateEntry>,
}

/// A part of one piece of state.
pub(crate) struct StatePart<'a> {
    /// The file it lies in.
    pub(crate) file: &'a str,
    pub(crate) group: u16,
    pub(crate) bytes: &'a [u8],
    /// Whether it says what has changed since the parts of its group before it.
    pub(crate) delta: bool,
}

impl Restore {
    /// Whether the next checkpoint may go on from the files of this one.
    pub(crate) fn continues(&self) -> bool {
        false
    }

    pub(crate) fn new(manifest: Manifest, files: Vec<(String, Bytes)>) -> Result<Self, CheckpointError> {
        let epoch = manifest.epoch;
        let load = |(name, bytes): (String, Bytes)| match StateFile::read(&bytes) {
            Ok(entries) => Ok(LoadedFile { name, bytes, entries }),
            Err(Unreadable::Corrupt(reason)) => {
                Err(CheckpointError::Corrupt { epoch, file: name, reason, others: Vec::new() })
            }
            Err(Unreadable::Version(found)) => {
                let (found, known) = (u32::from(found), u32::from(super::file::VERSION));
                Err(CheckpointError::Version { epoch, found, known })
            }
        };
        let files = files.into_iter().map(load).collect::<Result<_, _>>()?;
        Ok(Self { manifest, files })
    }

    /// The number of the checkpoint.
    pub fn epoch(&self) -> Epoch {
        self.manifest.epoch
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The parts of one piece of state that count, in the order in which they are to be applied.
    pub(crate) fn parts<'a>(
        &'a self,
        uid: &'a str,
        name: &'a str,
        kind: StateKind,
        shape: &str,
    ) -> Result<impl Iterator<Item = StatePart<'a>>, CheckpointError> {
        let all = self.files.iter().flat_map(|file| file.entries.iter().map(move |entry| (file, entry)));
        let mut found: Vec<_> = all.filter(|(_, entry)| entry.uid == uid && entry.name == name).collect();
        found.sort_by_key(|(_, entry)| entry.subtask);
        if let Some((_, other)) = found.iter().find(|(_, entry)| entry.kind != kind || entry.shape != shape) {
            let reason = format!(
                "its state `{name}` was written as {:?} state of {}, and the job wants {kind:?} state of {shape}; \
                 give the operator another uid to start it empty, or go back to the type that wrote it",
                other.kind, other.shape
            );
            return Err(self.mismatch(uid, reason));
        }
        Ok(found.into_iter().flat_map(|(file, entry)| {
            entry.parts.iter().map(move |part| {
                // Offsets were checked against the length of the file when it was read.
                let bytes = &file.bytes[part.offset as usize..][..part.length as usize];
                StatePart { file: &file.name, group: part.group, bytes, delta: part.kind == PartKind::Delta }
            })
        }))
    }

    /// Whether there is anything of this operator in it.
    pub(crate) fn has_state(&self, uid: &str) -> bool {
        self.files
            .iter()
            .flat_map(|file| &file.entries)
            .any(|entry| entry.uid == uid && !entry.parts.is_empty())
    }

    /// A part whose bytes are intact but do not decode.
    pub(crate) fn undecodable(&self, uid: &str, name: &str, file: &str, error: BoxError) -> CheckpointError {
        self.mismatch(uid, format!("its state `{name}` in {file} cannot be decoded: {error}"))
    }

    pub(crate) fn mismatch(&self, uid: &str, reason: String) -> CheckpointError {
        CheckpointError::Mismatch { epoch: self.manifest.epoch, operator: uid.to_owned(), reason }
    }
}
