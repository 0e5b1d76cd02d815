//! Looking into a folder of checkpoints from outside of a job: what is there, what it consists of, whether it is intact.
//!
//! Nothing here takes a job over, or fences anybody: a running job may be looked at.
//!
//! ```
//! use thalweg_dataflow::checkpoint::CheckpointStorage;
//! use thalweg_dataflow::checkpoint::inspect::CheckpointFolder;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let folder = CheckpointFolder::open(CheckpointStorage::local(path)?)?;
//! for job in folder.jobs()? {
//!     for checkpoint in folder.checkpoints(&job)? {
//!         println!("{job}: {} of {} bytes", checkpoint.id, checkpoint.bytes);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::owner::OWNERS;
use super::storage::Files;
use super::store::{CheckpointStore, MANIFEST};
use super::{CheckpointId, CheckpointStorage, Manifest, Restore};
use crate::error::CheckpointError;
use crate::state::StateKind;

/// A folder in which jobs keep their checkpoints, or a savepoint.
pub struct CheckpointFolder {
    storage: CheckpointStorage,
}

/// A checkpoint that is there.
#[derive(Clone, Debug)]
pub struct CheckpointInfo {
    /// Which one.
    pub id: CheckpointId,
    /// What it consists of; `None` if it was never completed.
    pub manifest: Option<Manifest>,
    /// Whether a job that resumes may take it: it was completed by who owned the job at that time.
    pub counts: bool,
    /// The bytes of its files, those of earlier checkpoints that it needs included.
    pub bytes: u64,
    /// The bytes of those that it shares with an earlier checkpoint.
    pub shared: u64,
}

/// One piece of state of a checkpoint.
#[derive(Clone, Debug)]
pub struct StateInfo {
    /// The uid of the operator.
    pub operator: String,
    /// The name of the state.
    pub name: String,
    /// How it is divided.
    pub kind: StateKind,
    /// The type that wrote it.
    pub shape: String,
    /// How many subtasks wrote to the newest file.
    pub subtasks: usize,
    /// How many key groups it has; 0 of state without keys.
    pub groups: usize,
    /// Bytes, changes that have been superseded since included.
    pub bytes: u64,
    /// In how many files it lies.
    pub files: usize,
}

impl CheckpointFolder {
    /// Looks at a folder.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub fn open(storage: CheckpointStorage) -> Result<Self, CheckpointError> {
        Ok(Self { storage })
    }

    fn store(&self, job: &str) -> Result<CheckpointStore, CheckpointError> {
        CheckpointStore::open(self.storage.clone(), job)
    }

    fn files(&self) -> Result<Files, CheckpointError> {
        let location = self.storage.location.clone();
        Files::new(self.storage.clone())
            .map_err(|error| CheckpointError::Store { location, error: error.into() })
    }

    /// Whether it is itself a savepoint, and not a folder of jobs.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub fn is_savepoint(&self) -> Result<bool, CheckpointError> {
        let store = self.store("")?;
        store.files.exists(&store.path(MANIFEST)).map_err(|error| store.failed(error))
    }

    /// The jobs that have checkpoints here, by their ids.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub fn jobs(&self) -> Result<Vec<String>, CheckpointError> {
        let (files, store) = (self.files()?, self.store("")?);
        let failed = |error| store.failed(error);
        let mut jobs = Vec::new();
        for name in files.list(&self.storage.root).map_err(failed)?.folders {
            let job = self.store(&name)?;
            let inside = files.list(&job.folder()).map_err(failed)?.folders;
            if inside.iter().any(|folder| folder == OWNERS || CheckpointId::of_folder(folder).is_some()) {
                jobs.push(name);
            }
        }
        jobs.sort();
        Ok(jobs)
    }

    /// The checkpoints of a job, the newest first.
    ///
    /// # Errors
    /// When the store cannot be reached, or a manifest be read.
    pub fn checkpoints(&self, job: &str) -> Result<Vec<CheckpointInfo>, CheckpointError> {
        let store = self.store(job)?;
        let lineage: HashSet<CheckpointId> = store.lineage()?.into_iter().collect();
        let mut infos = Vec::new();
        let mut seen = HashSet::new();
        for id in store.checkpoints()? {
            let manifest = match store.manifest(id) {
                Ok(manifest) => Some(manifest),
                Err(CheckpointError::Missing { .. }) => None,
                Err(error) => return Err(error),
            };
            let (mut bytes, mut shared) = (0, 0);
            for file in manifest.iter().flat_map(|manifest| &manifest.files) {
                let length = file.contents.map_or(0, |contents| contents.length);
                bytes += length;
                if !seen.insert(file.path.clone()) {
                    shared += length;
                }
            }
            infos.push(CheckpointInfo { id, counts: lineage.contains(&id), manifest, bytes, shared });
        }
        infos.sort_by_key(|info| std::cmp::Reverse((info.id.epoch, info.id.generation)));
        Ok(infos)
    }

    /// The newest checkpoint that counts.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub fn latest(&self, job: &str) -> Result<Option<CheckpointId>, CheckpointError> {
        self.store(job)?.latest()
    }

    /// Reads a checkpoint, or, without an id, a savepoint, and checks all of it: every file, every checksum, and that nothing
    /// that it goes on from is missing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(
        &self,
        job: &str,
        id: Option<CheckpointId>,
    ) -> Result<(Manifest, Vec<StateInfo>), CheckpointError> {
        let restore = match id {
            Some(id) => self.store(job)?.load(id)?,
            None => CheckpointStore::load_savepoint(&self.storage)?,
        };
        let states = states(&restore)?;
        Ok((restore.manifest().clone(), states))
    }

    /// Removes a checkpoint, and the files that no other one needs. The newest that counts is what its job would resume from: it goes
    /// only with `force`.
    ///
    /// # Errors
    /// When it is the newest, or the store cannot be reached.
    pub fn remove(&self, job: &str, id: CheckpointId, force: bool) -> Result<(), CheckpointError> {
        let store = self.store(job)?;
        if !force && store.latest()? == Some(id) {
            return Err(store.failed(format!(
                "checkpoint {id} is the one that the job would resume from; remove it only if the job is to begin anew, or \
                 further back, and has no exactly-once sink"
            )));
        }
        let failed = |error| store.failed(error);
        let mut named = HashSet::new();
        for other in store.checkpoints()?.into_iter().filter(|other| *other != id) {
            match store.manifest(other) {
                Ok(manifest) => named.extend(manifest.files.into_iter().map(|file| file.path)),
                Err(CheckpointError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let folder = id.folder();
        store.files.delete(&store.path(&format!("{folder}/{MANIFEST}"))).map_err(failed)?;
        let mut kept = false;
        for name in store.files.list(&store.path(&folder)).map_err(failed)?.files {
            let path = format!("{folder}/{name}");
            if named.contains(&path) {
                kept = true;
            } else {
                store.files.delete(&store.path(&path)).map_err(failed)?;
            }
        }
        if !kept {
            store.files.remove_folder(&store.path(&folder));
        }
        Ok(())
    }
}

fn states(restore: &Restore) -> Result<Vec<StateInfo>, CheckpointError> {
    let mut states: BTreeMap<(&str, &str), StateInfo> = BTreeMap::new();
    for entry in restore.newest_entries() {
        let info = states.entry((&entry.uid, &entry.name)).or_insert_with(|| StateInfo {
            operator: entry.uid.clone(),
            name: entry.name.clone(),
            kind: entry.kind,
            shape: entry.shape.clone(),
            subtasks: 0,
            groups: 0,
            bytes: 0,
            files: 0,
        });
        info.subtasks += 1;
    }
    for ((uid, name), info) in &mut states {
        let parts = restore.parts((uid, name, info.kind, &info.shape))?;
        let groups: BTreeSet<u16> = parts.iter().map(|part| part.group).collect();
        let files: BTreeSet<&str> = parts.iter().map(|part| part.file).collect();
        info.groups = if info.kind == StateKind::Keyed { groups.len() } else { 0 };
        info.bytes = parts.iter().map(|part| part.length).sum();
        info.files = files.len();
    }
    Ok(states.into_values().collect())
}
