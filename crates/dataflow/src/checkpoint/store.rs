//! Where checkpoints are kept: a folder of any object store, the local file system first.
//!
//! ```text
//! <root>/<job>/owners/claim-<generation>                    an instance has taken the job over: see `owner`
//! <root>/<job>/owners/begin-<generation>                    the checkpoint that it began at
//! <root>/<job>/chk-<epoch>-<generation>/state-<generation>  the state file, written and synced first
//! <root>/<job>/chk-<epoch>-<generation>/manifest.json       written last: the checkpoint exists when this does
//! ```
//!
//! Whatever an instance writes has its generation in the name, and is written only if it is not there. So an older
//! instance that is still writing, or wakes up to, harms nobody: what it writes after the one that took over has looked is
//! not part of the job's [lineage](super::owner::lineage), and it is cleared away by and by.
//! An instance looks whether it is still the owner before and after it writes a manifest: what it then makes visible has been
//! there when its successor looked.
//!
//! Files of a checkpoint may lie in the folders of earlier ones. [`discard`](super::discard) removes a file when no manifest that
//! is kept names it. An owner's manifests should name files of its own only, as a former owner may yet discard what *it* had.
//!
//! Before there were generations, there was one `owner` file, and folders `chk-<epoch>`: those are read as of generation 0.
//!
//! A damaged checkpoint is an error, and the job does not go back to an older one by itself: what was committed
//! since would be given again.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use object_store::path::Path;

use super::id::{CheckpointId, Generation};
use super::manifest::{Contents, FORMAT_VERSION, FileEntry, Unusable};
use super::owner::{Begin, Claim, OWNERS, Owners, instance, lineage, random};
use super::storage::{Files, NewFile, Sync};
use super::stored::Stored;
use super::{CheckpointStorage, Manifest, Restore, sealed};
use crate::barrier::Epoch;
use crate::debug_hook::reach;
use crate::error::{BoxError, CheckpointError};

pub(super) const MANIFEST: &str = "manifest.json";

/// So many files of a checkpoint are read where they lie, and kept open for that; what is left is taken into memory.
const MOST_OPEN: usize = 64;

/// Who owns the job, before there were generations.
const OWNER_V1: &str = "owner";

/// The checkpoints of one job.
pub(crate) struct CheckpointStore {
    pub(super) files: Files,
    job: String,
    /// Who we are: two instances of a job must not both write.
    instance: String,
    /// Ours, once we have taken the job over.
    generation: OnceLock<Generation>,
}

impl CheckpointStore {
    /// Opens the folder of `job`.
    pub(crate) fn open(storage: CheckpointStorage, job: &str) -> Result<Self, CheckpointError> {
        let location = storage.location.clone();
        let files =
            Files::new(storage).map_err(|error| CheckpointError::Store { location, error: error.into() })?;
        Ok(Self { files, job: job.to_owned(), instance: instance(), generation: OnceLock::new() })
    }

    /// Where it is, for people.
    pub(crate) fn location(&self) -> String {
        match self.job.as_str() {
            "" => self.files.storage.location.clone(),
            job => format!("{}/{job}", self.files.storage.location),
        }
    }

    /// Where a file is, for people.
    pub(super) fn file(&self, path: &Path) -> String {
        let below = path.prefix_match(&self.files.storage.root).into_iter().flatten();
        below.fold(self.files.storage.location.clone(), |file, part| format!("{file}/{}", part.as_ref()))
    }

    /// The job's; of a savepoint, the savepoint's.
    pub(super) fn folder(&self) -> Path {
        match self.job.as_str() {
            "" => self.files.storage.root.clone(),
            job => self.files.storage.root.clone().join(job),
        }
    }

    /// The place of what is named relative to the job's folder.
    pub(super) fn path(&self, relative: &str) -> Path {
        relative.split('/').fold(self.folder(), |path, part| path.join(part))
    }

    fn checkpoint(&self, id: CheckpointId) -> Path {
        self.folder().join(id.folder())
    }

    pub(super) fn failed(&self, error: impl Into<BoxError>) -> CheckpointError {
        CheckpointError::Store { location: self.location(), error: error.into() }
    }

    fn put_new(&self, path: &Path, bytes: Bytes) -> Result<bool, CheckpointError> {
        self.files.put_new(path, bytes).map_err(|error| self.failed(error))
    }

    fn get(&self, path: &Path) -> Result<Option<Bytes>, CheckpointError> {
        self.files.get(path).map_err(|error| self.failed(error))
    }

    /// The how-many-th owner we are; 0 before we have taken the job over.
    pub(crate) fn generation(&self) -> Generation {
        self.generation.get().copied().unwrap_or(0)
    }

    /// The name of this instance, unlike that of any other.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    fn claim(&self, generation: Generation) -> Path {
        self.folder().join(OWNERS).join(format!("claim-{generation}"))
    }

    pub(super) fn owners(&self) -> Result<Owners, CheckpointError> {
        let listed = self.files.list(&self.folder().join(OWNERS)).map_err(|error| self.failed(error))?;
        Ok(Owners::of_files(&listed.files))
    }

    /// Makes this instance the owner. An older instance notices at its next checkpoint, and stops.
    pub(crate) fn take_over(&self) -> Result<(), CheckpointError> {
        let generation = loop {
            let newest = self.checkpoints()?.into_iter().map(|id| id.generation).max().unwrap_or(0);
            let generation = self.owners()?.newest().max(newest) + 1;
            // Another instance may have started at the same moment, and have this one.
            if self.put_claim(generation)? {
                break *self.generation.get_or_init(|| generation);
            }
        };
        // Of instances of the time before generations, the last that wrote this is the owner.
        let owner = self.folder().join(OWNER_V1);
        if self.get(&owner)?.is_some() {
            self.files.put(&owner, self.instance.clone().into()).map_err(|error| self.failed(error))?;
        }
        tracing::debug!(generation, instance = self.instance, "took over the checkpoints of the job");
        reach("owner-claimed");
        self.check_owner()
    }

    fn put_claim(&self, generation: Generation) -> Result<bool, CheckpointError> {
        let claim = Claim { generation, instance: self.instance.clone() };
        let claim = sealed::seal(&claim).map_err(|error| self.failed(error))?;
        self.put_new(&self.claim(generation), claim.into())
    }

    /// Fails if another instance has taken the job over since.
    pub(crate) fn check_owner(&self) -> Result<(), CheckpointError> {
        let ours = self.generation();
        let newest = self.owners()?.newest();
        let claim = self.get(&self.claim(newest.max(ours)))?;
        let Some(claim) = claim else {
            // Somebody has cleared the folder; the job goes on, if nobody has begun there anew.
            self.put_claim(ours)?;
            return if newest > ours { Err(self.fenced("unknown")) } else { Ok(()) };
        };
        let claim: Claim = sealed::open(&claim).map_err(|reason| self.failed(reason))?;
        if claim.generation == ours && claim.instance == self.instance {
            return Ok(());
        }
        Err(self.fenced(&claim.instance))
    }

    fn fenced(&self, owner: &str) -> CheckpointError {
        CheckpointError::Fenced { location: self.location(), owner: owner.to_owned() }
    }

    /// Writes down where this instance begins, once. From then on nothing counts that a former owner has not written by now.
    /// Returns what all instances of the job have in common.
    pub(crate) fn begin(
        &self,
        from: Option<CheckpointId>,
        last_epoch: Epoch,
        savepoint: Option<String>,
    ) -> Result<String, CheckpointError> {
        let (generation, instance) = (self.generation(), self.instance.clone());
        let before = self.begins()?.into_values().next_back().map(|begin| begin.lineage);
        let lineage = before.unwrap_or_else(|| format!("{:016x}", random()));
        let begin = Begin { generation, instance, from, last_epoch, savepoint, lineage: lineage.clone() };
        let begin = sealed::seal(&begin).map_err(|error| self.failed(error))?;
        let path = self.folder().join(OWNERS).join(format!("begin-{generation}"));
        reach("before-begin");
        // It is there already when the job is restarted.
        self.put_new(&path, begin.into())?;
        self.check_owner()?;
        Ok(lineage)
    }

    /// Where the owners began.
    pub(crate) fn begins(&self) -> Result<BTreeMap<Generation, Begin>, CheckpointError> {
        let mut begins = BTreeMap::new();
        for generation in self.owners()?.begins {
            let path = self.folder().join(OWNERS).join(format!("begin-{generation}"));
            // An owner removes those that are of no more use.
            let Some(bytes) = self.get(&path)? else { continue };
            let begin: Begin = sealed::open(&bytes).map_err(|reason| {
                let reason = format!("{reason}; it says where owner {generation} of the job began");
                CheckpointError::Corrupt { epoch: 0, file: self.file(&path), reason, others: Vec::new() }
            })?;
            begins.insert(generation, begin);
        }
        Ok(begins)
    }

    /// The name of the state file of a checkpoint that this instance writes, below the job's folder.
    fn state_file(&self, epoch: Epoch) -> String {
        let generation = self.generation();
        format!("{}/state-{generation}", CheckpointId { generation, epoch }.folder())
    }

    /// Writes the state file of a checkpoint, synced.
    pub(crate) fn write_state(&self, epoch: Epoch, bytes: Bytes) -> Result<FileEntry, CheckpointError> {
        self.check_owner()?;
        let path = self.state_file(epoch);
        let contents = Contents { length: bytes.len() as u64, crc32c: crc32c::crc32c(&bytes) };
        self.written_new(&path, &bytes, Sync::Contents)?;
        reach("state-written");
        Ok(FileEntry { path, contents: Some(contents) })
    }

    /// Begins a large one.
    pub(super) fn create_state(&self, epoch: Epoch) -> Result<NewFile, CheckpointError> {
        self.check_owner()?;
        let path = self.path(&self.state_file(epoch));
        self.files.create(&path).map_err(|error| self.failed(error))
    }

    /// Goes on with it.
    pub(super) fn write(&self, file: &mut NewFile, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.files.write(file, bytes).map_err(|error| self.failed(error))
    }

    /// Ends it, and syncs it.
    pub(super) fn finish_state(
        &self,
        epoch: Epoch,
        file: NewFile,
        contents: Contents,
    ) -> Result<FileEntry, CheckpointError> {
        let path = self.state_file(epoch);
        if !self.files.finish(file, Sync::Contents).map_err(|error| self.failed(error))? {
            return Err(self.exists(&path));
        }
        reach("state-written");
        Ok(FileEntry { path, contents: Some(contents) })
    }

    /// Makes the files of a checkpoint ours, if they are a former owner's, who may yet remove what it takes for its own: gives
    /// them names in a folder of ours.
    pub(crate) fn adopt(&self, files: &mut [FileEntry]) -> Result<(), CheckpointError> {
        let generation = self.generation();
        let of = |file: &FileEntry| CheckpointId::of_folder(file.path.split_once('/')?.0);
        let Some(epoch) = files.iter().filter_map(of).map(|id| id.epoch).max() else { return Ok(()) };
        let (ours, mut adopted) = (CheckpointId { generation, epoch }, false);
        for file in files {
            let Some((folder, name)) = file.path.split_once('/') else { continue };
            if CheckpointId::of_folder(folder).is_none_or(|id| id.generation == ours.generation) {
                continue;
            }
            // One that has been adopted before keeps its name, which says where it was written.
            let name = if name.starts_with("chk-") { name.to_owned() } else { format!("{folder}-{name}") };
            let path = format!("{}/{name}", ours.folder());
            let linked = self.files.link_new(&self.path(&file.path), &self.path(&path));
            linked.map_err(|error| self.failed(error))?;
            (file.path, adopted) = (path, true);
        }
        if adopted {
            self.files.sync_folder(&self.path(&ours.folder())).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn exists(&self, path: &str) -> CheckpointError {
        self.failed(format!("there is a file {path} already, and another instance must have written it"))
    }

    fn written_new(&self, path: &str, bytes: &[u8], sync: Sync) -> Result<(), CheckpointError> {
        let write = || {
            let mut file = self.files.create(&self.path(path))?;
            self.files.write(&mut file, bytes)?;
            self.files.finish(file, sync)
        };
        if write().map_err(|error| self.failed(error))? { Ok(()) } else { Err(self.exists(path)) }
    }

    /// Makes the checkpoint exist.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), CheckpointError> {
        self.check_owner()?;
        reach("before-manifest");
        let bytes = manifest.to_bytes().map_err(|error| self.failed(error))?;
        self.written_new(&format!("{}/{MANIFEST}", manifest.id().folder()), &bytes, Sync::Manifest)?;
        reach("manifest-written");
        self.check_owner()
    }

    /// The folders there are, whether they hold a whole checkpoint or not.
    pub(super) fn checkpoints(&self) -> Result<Vec<CheckpointId>, CheckpointError> {
        let listed = self.files.list(&self.folder()).map_err(|error| self.failed(error))?;
        let mut ids: Vec<_> =
            listed.folders.iter().filter_map(|name| CheckpointId::of_folder(name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The complete checkpoints that count, the newest first.
    pub(crate) fn lineage(&self) -> Result<Vec<CheckpointId>, CheckpointError> {
        let mut complete = Vec::new();
        for id in self.checkpoints()? {
            if self.is_complete(id)? {
                complete.push(id);
            }
        }
        Ok(lineage(&complete, &self.begins()?))
    }

    /// The newest complete checkpoint that counts.
    pub(crate) fn latest(&self) -> Result<Option<CheckpointId>, CheckpointError> {
        Ok(self.lineage()?.first().copied())
    }

    /// The highest number that was ever given, so far as can be seen. What was cut short counts, and what no longer does.
    pub(crate) fn highest(&self) -> Result<Epoch, CheckpointError> {
        let begun = self.begins()?.into_values().map(|begin| begin.last_epoch);
        Ok(self.checkpoints()?.into_iter().map(|id| id.epoch).chain(begun).max().unwrap_or(0))
    }

    fn is_complete(&self, id: CheckpointId) -> Result<bool, CheckpointError> {
        self.files.exists(&self.checkpoint(id).join(MANIFEST)).map_err(|error| self.failed(error))
    }

    /// Reads and checks a checkpoint.
    pub(crate) fn load(&self, id: CheckpointId) -> Result<Restore, CheckpointError> {
        self.read(&id.folder(), Some(id))
    }

    /// What a checkpoint consists of, without reading it all.
    pub(crate) fn manifest(&self, id: CheckpointId) -> Result<Manifest, CheckpointError> {
        self.read_manifest(&id.folder(), Some(id))
    }

    /// Whether a file, as [`file`](Self::file) shows it, is part of a checkpoint.
    pub(crate) fn needs(&self, id: CheckpointId, file: &str) -> bool {
        let manifest = self.manifest(id);
        manifest.is_ok_and(|manifest| {
            manifest.files.iter().any(|entry| self.file(&self.path(&entry.path)) == file)
        })
    }

    /// Copies a checkpoint to `target`, where no retention removes it: a savepoint.
    pub(crate) fn copy_to(
        &self,
        id: CheckpointId,
        target: &CheckpointStorage,
    ) -> Result<(), CheckpointError> {
        let target = Self::open(target.clone(), "")?;
        // Files of two savepoints must not get mixed up.
        let taken = || {
            let reason = "there is one already; choose another place".to_owned();
            CheckpointError::Savepoint { location: target.location(), reason }
        };
        if target.get(&target.path(MANIFEST))?.is_some() {
            return Err(taken());
        }
        let mut manifest = self.manifest(id)?;
        for file in &mut manifest.files {
            let stored = self.stored(id.epoch, file, false)?;
            let bytes = stored.into_bytes().map_err(|error| self.failed(error))?;
            // Of several folders, into one.
            file.path = file.path.replace('/', "-");
            target.put_new(&target.path(&file.path), bytes)?;
        }
        manifest.format_version = FORMAT_VERSION;
        let bytes = manifest.to_bytes().map_err(|error| target.failed(error))?;
        if target.put_new(&target.path(MANIFEST), bytes.into())? { Ok(()) } else { Err(taken()) }
    }

    /// Reads and checks a savepoint.
    pub(crate) fn load_savepoint(savepoint: &CheckpointStorage) -> Result<Restore, CheckpointError> {
        Self::open(savepoint.clone(), "")?.read("", None)
    }

    /// Tells a savepoint from every other: the checksum of its manifest. And the checkpoint that it was.
    pub(crate) fn identify_savepoint(
        savepoint: &CheckpointStorage,
    ) -> Result<(String, CheckpointId), CheckpointError> {
        let store = Self::open(savepoint.clone(), "")?;
        let manifest = store.read_manifest("", None)?;
        let bytes = store.get(&store.path(MANIFEST))?.unwrap_or_default();
        Ok((format!("{:08x}", crc32c::crc32c(&bytes)), manifest.id()))
    }

    fn read_manifest(&self, folder: &str, id: Option<CheckpointId>) -> Result<Manifest, CheckpointError> {
        let epoch = id.map(|id| id.epoch);
        let path = if folder.is_empty() { self.path(MANIFEST) } else { self.path(folder).join(MANIFEST) };
        let missing = || CheckpointError::Missing { location: self.location(), epoch };
        let bytes = self.get(&path)?.ok_or_else(missing)?;
        let corrupt = |reason| CheckpointError::Corrupt {
            epoch: epoch.unwrap_or_default(),
            file: self.file(&path),
            reason,
            others: Vec::new(),
        };
        let manifest = Manifest::read(&bytes, id.map(|_| folder)).map_err(|unusable| match unusable {
            Unusable::Corrupt(reason) => corrupt(reason),
            Unusable::Version { epoch, found } => {
                CheckpointError::Version { epoch, found, known: FORMAT_VERSION }
            }
        })?;
        match id {
            Some(id) if manifest.id() != id => Err(corrupt(format!(
                "it is that of checkpoint {} of owner {}",
                manifest.epoch, manifest.generation
            ))),
            _ => Ok(manifest),
        }
    }

    fn read(&self, folder: &str, id: Option<CheckpointId>) -> Result<Restore, CheckpointError> {
        let manifest = self.read_manifest(folder, id)?;
        let (mut files, mut open) = (Vec::with_capacity(manifest.files.len()), 0);
        for file in &manifest.files {
            let stored = self.stored(manifest.epoch, file, open < MOST_OPEN)?;
            open += usize::from(!stored.is_in_memory());
            files.push((self.file(&self.path(&file.path)), stored));
        }
        Restore::new(manifest, files)
    }

    /// A file, of which it is checked that it is the one that the manifest means.
    fn stored(&self, epoch: Epoch, file: &FileEntry, may_stay: bool) -> Result<Stored, CheckpointError> {
        let path = self.path(&file.path);
        let corrupt = |reason: &str| CheckpointError::Corrupt {
            epoch,
            file: self.file(&path),
            reason: reason.to_owned(),
            others: Vec::new(),
        };
        let found = self.files.stored(&path, may_stay).map_err(|error| self.failed(error))?;
        let found = found.ok_or_else(|| corrupt("it is missing"))?;
        match file.contents {
            Some(contents) if contents.length != found.length() => Err(corrupt(&format!(
                "its checksum does not match: it has {} bytes instead of {}, and is cut short or another file",
                found.length(),
                contents.length
            ))),
            Some(contents) if contents.crc32c != found.sum() => {
                Err(corrupt("its checksum does not match its contents"))
            }
            _ => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests;
