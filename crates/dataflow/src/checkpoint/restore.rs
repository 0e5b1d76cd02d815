//! A checkpoint that has been read: where operators find their state again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::claims::Holding;
use super::file::{StateEntry, Unreadable, read_index};
use super::{Chain, Manifest};
use crate::barrier::Epoch;
use crate::error::{BoxError, CheckpointError};
use crate::state::{PartKind, StateKind};

/// A checkpoint, in memory, checked.
#[derive(Debug)]
pub struct Restore {
    manifest: Manifest,
    files: Vec<LoadedFile>,
    continues: bool,
    /// Of the operators that find something here, by their uid: the uid that it has here. `None`: the same.
    claims: Option<HashMap<Arc<str>, String>>,
}

#[derive(Debug)]
struct LoadedFile {
    name: String,
    bytes: Bytes,
    version: u8,
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
        self.continues
    }

    /// The next checkpoint may go on from its files: it is one of the job's own. Unless operators have other uids now, under
    /// which these files know nothing.
    pub(crate) fn continue_from_it(&mut self) {
        let same = self.claims.iter().flatten().all(|(uid, had)| **uid == *had);
        self.continues = same && self.files.iter().all(|file| file.version == super::file::VERSION);
    }

    pub(crate) fn new(manifest: Manifest, files: Vec<(String, Bytes)>) -> Result<Self, CheckpointError> {
        let epoch = manifest.epoch;
        let load = |(name, bytes): (String, Bytes)| match read_index(&bytes) {
            Ok((version, entries)) => Ok(LoadedFile { name, bytes, version, entries }),
            Err(Unreadable::Corrupt(reason)) => {
                Err(CheckpointError::Corrupt { epoch, file: name, reason, others: Vec::new() })
            }
            Err(Unreadable::Version(found)) => {
                let (found, known) = (u32::from(found), u32::from(super::file::VERSION));
                Err(CheckpointError::Version { epoch, found, known })
            }
        };
        let files = files.into_iter().map(load).collect::<Result<_, _>>()?;
        Ok(Self { manifest, files, continues: false, claims: None })
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
        operator: &'a str,
        name: &'a str,
        kind: StateKind,
        shape: &str,
    ) -> Result<Vec<StatePart<'a>>, CheckpointError> {
        let Some(uid) = self.claimed_by(operator) else { return Ok(Vec::new()) };
        // What there is, the newest file says; what it does not say whole, those before it do.
        let of = |file: &'a LoadedFile| {
            let mine = file.entries.iter().filter(|entry| entry.uid == uid && entry.name == name);
            let mut mine: Vec<&StateEntry> = mine.collect();
            mine.sort_by_key(|entry| entry.subtask);
            mine
        };
        let (mut found, mut open): (Vec<StatePart<'a>>, HashSet<u16>) = Default::default();
        for (age, file) in self.files.iter().rev().enumerate() {
            if age > 0 && open.is_empty() {
                break;
            }
            let (mut parts, mut closed) = (Vec::new(), HashSet::new());
            for entry in of(file) {
                self.check_type(uid, name, entry, kind, shape)?;
                for part in &entry.parts {
                    if age > 0 && !open.contains(&part.group) {
                        continue;
                    }
                    if part.kind == PartKind::Whole {
                        closed.insert(part.group);
                    } else if age == 0 {
                        open.insert(part.group);
                    }
                    if part.kind != PartKind::Unchanged {
                        // Offsets were checked against the length of the file when it was read.
                        let bytes = &file.bytes[part.offset as usize..][..part.length as usize];
                        let delta = part.kind == PartKind::Delta;
                        parts.push(StatePart { file: &file.name, group: part.group, bytes, delta });
                    }
                }
            }
            closed.iter().for_each(|group| {
                open.remove(group);
            });
            parts.append(&mut found);
            found = parts;
        }
        match open.iter().min() {
            None => Ok(found),
            Some(group) => Err(self.mismatch(
                uid,
                format!("of group {group} of its state `{name}` there are only changes of what is in no file of the checkpoint"),
            )),
        }
    }

    fn check_type(
        &self,
        uid: &str,
        name: &str,
        entry: &StateEntry,
        kind: StateKind,
        shape: &str,
    ) -> Result<(), CheckpointError> {
        if entry.kind == kind && entry.shape == shape {
            return Ok(());
        }
        let reason = format!(
            "its state `{name}` was written as {:?} state of {}, and the job wants {kind:?} state of {shape}; \
             give the operator another uid to start it empty, or go back to the type that wrote it",
            entry.kind, entry.shape
        );
        Err(self.mismatch(uid, reason))
    }

    /// Says who claims what: by the uid of the operator, the uid that it has here.
    pub(crate) fn set_claims(&mut self, claims: HashMap<Arc<str>, String>) {
        self.claims = Some(claims);
    }

    /// The uid that an operator has here.
    fn claimed_by<'a>(&'a self, operator: &'a str) -> Option<&'a str> {
        match &self.claims {
            Some(claims) => claims.get(operator).map(String::as_str),
            None => Some(operator),
        }
    }

    /// What there is, with the file that says so: the newest one.
    fn present(&self) -> impl Iterator<Item = (&LoadedFile, &StateEntry)> {
        self.files.last().into_iter().flat_map(|file| file.entries.iter().map(move |entry| (file, entry)))
    }

    /// Whether it was taken when there was this operator.
    pub(crate) fn knows(&self, operator: &str) -> bool {
        let uid = self.claimed_by(operator);
        self.present().any(|(_, entry)| Some(entry.uid.as_str()) == uid)
    }

    /// Whether it was taken when this operator had this state.
    pub(crate) fn knows_state(&self, operator: &str, name: &str) -> bool {
        let uid = self.claimed_by(operator);
        self.present().any(|(_, entry)| Some(entry.uid.as_str()) == uid && entry.name == name)
    }

    /// All state in it that is not empty.
    pub(crate) fn holdings(&self) -> Vec<Holding> {
        let is_full = |(file, entry): &(&LoadedFile, &StateEntry)| {
            entry.parts.iter().any(|part| match (entry.kind, part.length) {
                // Version 1 wrote an empty list as a length of 0.
                (StateKind::List | StateKind::Union, 1) => file.bytes.get(part.offset as usize) != Some(&0),
                _ => true,
            })
        };
        let full = self.present().filter(is_full);
        let mut found: Vec<Holding> =
            full.map(|(_, entry)| Holding { uid: entry.uid.clone(), state: entry.name.clone() }).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What the newest file says there is.
    pub(crate) fn newest_entries(&self) -> &[StateEntry] {
        self.files.last().map_or(&[], |file| &file.entries)
    }

    /// Its files, the oldest first, each with its index.
    pub(crate) fn chain(&self) -> Chain {
        let entries = self.files.iter().map(|file| file.entries.as_slice());
        Chain::restored(self.manifest.files.iter().zip(entries))
    }

    /// A part whose bytes are intact but do not decode.
    pub(crate) fn undecodable(&self, uid: &str, name: &str, file: &str, error: BoxError) -> CheckpointError {
        self.mismatch(uid, format!("its state `{name}` in {file} cannot be decoded: {error}"))
    }

    pub(crate) fn mismatch(&self, uid: &str, reason: String) -> CheckpointError {
        CheckpointError::Mismatch { epoch: self.manifest.epoch, operator: uid.to_owned(), reason }
    }
}
