//! A checkpoint that has been read: where operators find their state again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::claims::Holding;
use super::file::{Index, StateEntry, Unreadable, read_index};
use super::{Chain, Manifest, Stored};
use crate::barrier::Epoch;
use crate::error::{BoxError, CheckpointError};
use crate::state::encoding::{Plan, Schema};
use crate::state::{Part, PartDecoder, PartKind, StateKind};

/// A checkpoint, checked. What is large of it lies where it is, and is read when it is wanted.
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
    stored: Stored,
    version: u8,
    index: Index,
}

/// A state, and what it is to be read as: its uid, its name, its kind, and its shape.
pub(crate) type Wanted<'w> = (&'w str, &'w str, StateKind, &'w str);

/// A part of one piece of state.
pub(crate) struct StatePart<'a> {
    /// The file it lies in.
    pub(crate) file: &'a str,
    entry: &'a StateEntry,
    /// Of what its values are; `None` if it is of version 1, which says nothing of that.
    schema: Option<&'a Schema>,
    pub(crate) group: u16,
    stored: &'a Stored,
    offset: u64,
    pub(crate) length: u64,
    /// Whether it says what has changed since the parts of its group before it.
    delta: bool,
}

/// What to do about another type in a checkpoint of version 1.
const OLD: &str = ". The checkpoint has the old format, which does not say enough of its types: let this version of Thalweg take a \
                   checkpoint with the old type; after that, the type may change";

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

    pub(crate) fn new(manifest: Manifest, files: Vec<(String, Stored)>) -> Result<Self, CheckpointError> {
        let epoch = manifest.epoch;
        let load = |(name, stored): (String, Stored)| match read_index(&stored) {
            Ok((version, index)) => Ok(LoadedFile { name, stored, version, index }),
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

    /// Reads the parts of one piece of state that count, in the order in which they are to be applied, of the groups that are
    /// asked for: `read` is told the group of each, and whether it is a delta.
    pub(crate) fn read(
        &self,
        wanted: Wanted<'_>,
        is_wanted: impl Fn(u16) -> bool,
        mut read: impl FnMut(u16, PartDecoder<'_>, bool) -> Result<(), BoxError>,
    ) -> Result<(), CheckpointError> {
        let (uid, name, kind, shape) = wanted;
        let mut parts = self.parts(wanted)?;
        parts.retain(|part| is_wanted(part.group));
        // One group after the other, as what changes what is near is in the cache. The order of its own parts stays.
        if kind == StateKind::Keyed {
            parts.sort_by_key(|part| part.group);
        }
        // What is found out of a schema holds for all of its parts.
        let schemas = parts.iter().filter_map(|part| part.schema);
        let plans: HashMap<*const Schema, Plan<'_>> =
            schemas.map(|schema| (std::ptr::from_ref(schema), Plan::new(schema))).collect();
        let mut buffer = Vec::new();
        for StatePart { file, entry, schema, group, stored, offset, length, delta } in parts {
            let bytes =
                stored.part(offset, length, &mut buffer).map_err(|error| CheckpointError::Corrupt {
                    epoch: self.epoch(),
                    file: file.to_owned(),
                    reason: format!("it cannot be read any more: {error}"),
                    others: Vec::new(),
                })?;
            let plan = schema.and_then(|schema| plans.get(&std::ptr::from_ref(schema)));
            let decoder = match plan {
                Some(plan) => PartDecoder::new(plan, bytes),
                None => PartDecoder::postcard(bytes),
            };
            read(group, decoder, delta).map_err(|error| {
                let written = schema.map_or_else(|| entry.shape.clone(), Schema::describe);
                let reason = format!(
                    "its state `{name}` in {file} cannot be read: {error}. It was written as {written}, and the job wants {shape}; \
                     give the operator another uid to start it empty, or go back to the type that wrote it"
                );
                self.mismatch(uid, reason)
            })?;
        }
        Ok(())
    }

    /// The parts of one piece of state that count, in the order in which they are to be applied.
    pub(crate) fn parts(&self, wanted: Wanted<'_>) -> Result<Vec<StatePart<'_>>, CheckpointError> {
        let (operator, name, ..) = wanted;
        let Some(uid) = self.claimed_by(operator) else { return Ok(Vec::new()) };
        // What there is, the newest file says; what it does not say whole, those before it do.
        fn of<'f>(file: &'f LoadedFile, uid: &str, name: &str) -> Vec<&'f StateEntry> {
            let mine = file.index.entries.iter().filter(|entry| entry.uid == uid && entry.name == name);
            let mut mine: Vec<&StateEntry> = mine.collect();
            mine.sort_by_key(|entry| entry.subtask);
            mine
        }
        let (mut found, mut open): (Vec<StatePart<'_>>, HashSet<u16>) = Default::default();
        for (age, file) in self.files.iter().rev().enumerate() {
            if age > 0 && open.is_empty() {
                break;
            }
            let (mut parts, mut closed) = (Vec::new(), HashSet::new());
            for entry in of(file, uid, name) {
                let schema = file.index.schemas.get(entry.schema as usize);
                self.check_type(wanted, entry, schema.is_none())?;
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
                        let delta = part.kind == PartKind::Delta;
                        let Part { group, offset, length, .. } = *part;
                        let (file, stored) = (file.name.as_str(), &file.stored);
                        parts.push(StatePart { file, entry, schema, group, stored, offset, length, delta });
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

    /// Whether an entry is of the kind that is wanted and, if there is nothing but its shape to go by, of that shape.
    fn check_type(&self, wanted: Wanted<'_>, entry: &StateEntry, old: bool) -> Result<(), CheckpointError> {
        let (uid, name, kind, shape) = wanted;
        if entry.kind == kind && (!old || entry.shape == shape) {
            return Ok(());
        }
        let reason = format!(
            "its state `{name}` was written as {:?} state of {}, and the job wants {kind:?} state of {shape}; \
             give the operator another uid to start it empty, or go back to the type that wrote it{}",
            entry.kind,
            entry.shape,
            if old { OLD } else { "" }
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
        self.files
            .last()
            .into_iter()
            .flat_map(|file| file.index.entries.iter().map(move |entry| (file, entry)))
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
                (StateKind::List | StateKind::Union, 1) if file.version == 1 => {
                    let mut buffer = Vec::new();
                    !file.stored.part(part.offset, 1, &mut buffer).is_ok_and(|byte| byte == [0])
                }
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
        self.files.last().map_or(&[], |file| &file.index.entries)
    }

    /// Its files, the oldest first, each with its index.
    pub(crate) fn chain(&self) -> Chain {
        let entries = self.files.iter().map(|file| file.index.entries.as_slice());
        Chain::restored(self.manifest.files.iter().zip(entries))
    }

    pub(crate) fn mismatch(&self, uid: &str, reason: String) -> CheckpointError {
        CheckpointError::Mismatch { epoch: self.manifest.epoch, operator: uid.to_owned(), reason }
    }
}
