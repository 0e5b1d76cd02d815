//! Where checkpoints are kept: a folder of any object store, the local file system first.
//!
//! ```text
//! <root>/<job>/owner                         who may write here: the instance that started last
//! <root>/<job>/chk-<epoch>/state-<instance>  the state file, written and synced first
//! <root>/<job>/chk-<epoch>/manifest.json     written last, by an atomic rename: the checkpoint exists when this does
//! ```
//!
//! An older instance that is still writing cannot harm the one that took over: its state file has another name,
//! and it looks at `owner` before and after it writes a manifest. What it has seen to be its own is there when
//! the newer one looks for the latest.
//!
//! A damaged checkpoint is an error, and the job does not go back to an older one by itself: what was committed
//! since would be given again.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::manifest::FORMAT_VERSION;
use super::{Manifest, Restore};
use crate::barrier::Epoch;
use crate::error::CheckpointError;

const MANIFEST: &str = "manifest.json";

/// A place for checkpoints: a store, and a folder in it.
#[derive(Clone)]
pub struct CheckpointStorage {
    store: Arc<dyn ObjectStore>,
    root: Path,
    location: String,
    /// Of the local file system: the folder itself.
    folder: Option<PathBuf>,
}

impl fmt::Debug for CheckpointStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.location)
    }
}

impl CheckpointStorage {
    /// A folder of the local file system, made if it is not there. Every write is synced to the disk.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn local(folder: impl AsRef<std::path::Path>) -> Result<Self, CheckpointError> {
        let folder = folder.as_ref();
        let location = folder.display().to_string();
        let failed =
            |error: crate::error::BoxError| CheckpointError::Store { location: location.clone(), error };
        std::fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        let store =
            LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.into()))?.with_fsync(true);
        let folder = Some(folder.to_owned());
        Ok(Self { store: Arc::new(store), root: Path::default(), location, folder })
    }

    /// A folder of any object store. A put of that store must be atomic and durable when it returns, as S3's
    /// and its peers' are.
    pub fn object_store(store: Arc<dyn ObjectStore>, root: &str) -> Self {
        let location = format!("{store}/{root}");
        Self { store, root: Path::from(root), location, folder: None }
    }
}

/// The checkpoints of one job.
pub(crate) struct CheckpointStore {
    storage: CheckpointStorage,
    job: String,
    /// Who we are: two instances of a job must not both write.
    instance: String,
    runtime: tokio::runtime::Runtime,
}

impl CheckpointStore {
    /// Opens the folder of `job`.
    pub(crate) fn open(storage: CheckpointStorage, job: &str) -> Result<Self, CheckpointError> {
        let location = storage.location.clone();
        // Stores that are reached over a network want sockets and timers.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CheckpointError::Store { location, error: error.into() })?;
        let nanos =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let instance = format!("{}-{nanos}", std::process::id());
        Ok(Self { storage, job: job.to_owned(), instance, runtime })
    }

    /// Where it is, for people.
    pub(crate) fn location(&self) -> String {
        match self.job.as_str() {
            "" => self.storage.location.clone(),
            job => format!("{}/{job}", self.storage.location),
        }
    }

    /// Where a file is, for people.
    fn file(&self, path: &Path) -> String {
        let below = path.prefix_match(&self.storage.root).into_iter().flatten();
        below.fold(self.storage.location.clone(), |file, part| format!("{file}/{}", part.as_ref()))
    }

    fn folder(&self) -> Path {
        self.storage.root.clone().join(self.job.as_str())
    }

    fn checkpoint(&self, epoch: Epoch) -> Path {
        self.folder().join(format!("chk-{epoch}"))
    }

    fn failed(&self, error: impl Into<crate::error::BoxError>) -> CheckpointError {
        CheckpointError::Store { location: self.location(), error: error.into() }
    }

    fn put(&self, path: &Path, bytes: Bytes) -> Result<(), CheckpointError> {
        let put = self.storage.store.put(path, bytes.into());
        self.runtime.block_on(put).map(|_| ()).map_err(|error| self.failed(error))
    }

    fn get(&self, path: &Path) -> Result<Option<Bytes>, CheckpointError> {
        let get = async { self.storage.store.get(path).await?.bytes().await };
        match self.runtime.block_on(get) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Makes this instance the owner. An older instance notices at its next checkpoint, and stops.
    pub(crate) fn take_over(&self) -> Result<(), CheckpointError> {
        self.put(&self.folder().join("owner"), self.instance.clone().into())
    }

    /// Fails if another instance has taken the job over since.
    pub(crate) fn check_owner(&self) -> Result<(), CheckpointError> {
        match self.get(&self.folder().join("owner"))? {
            Some(owner) if owner == self.instance.as_bytes() => Ok(()),
            Some(owner) => {
                let owner = String::from_utf8_lossy(&owner).into_owned();
                Err(CheckpointError::Fenced { location: self.location(), owner })
            }
            None => self.take_over(),
        }
    }

    /// The name of the state files that this instance writes.
    pub(crate) fn state_file(&self) -> String {
        format!("state-{}", self.instance)
    }

    /// Writes the state file of a checkpoint, synced.
    pub(crate) fn write_state(&self, epoch: Epoch, bytes: Bytes) -> Result<(), CheckpointError> {
        self.check_owner()?;
        self.put(&self.checkpoint(epoch).join(self.state_file()), bytes)
    }

    /// Makes the checkpoint exist.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), CheckpointError> {
        self.check_owner()?;
        let json = serde_json::to_vec_pretty(manifest).map_err(|error| self.failed(error))?;
        self.put(&self.checkpoint(manifest.epoch).join(MANIFEST), json.into())?;
        self.check_owner()
    }

    /// The numbers of the folders there are, whether they hold a whole checkpoint or not; rising.
    fn epochs(&self) -> Result<Vec<Epoch>, CheckpointError> {
        let folder = self.folder();
        let listed = self.runtime.block_on(self.storage.store.list_with_delimiter(Some(&folder)));
        let listed = match listed {
            Ok(listed) => listed.common_prefixes,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(self.failed(error)),
        };
        let mut epochs: Vec<Epoch> =
            listed.iter().filter_map(|path| path.filename()?.strip_prefix("chk-")?.parse().ok()).collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    /// The number of the newest complete checkpoint.
    pub(crate) fn latest(&self) -> Result<Option<Epoch>, CheckpointError> {
        for epoch in self.epochs()?.into_iter().rev() {
            if self.is_complete(epoch)? {
                return Ok(Some(epoch));
            }
        }
        Ok(None)
    }

    /// The numbers of the complete checkpoints before `epoch`, the newest first.
    pub(crate) fn before(&self, epoch: Epoch) -> Result<Vec<Epoch>, CheckpointError> {
        let mut before = Vec::new();
        for older in self.epochs()?.into_iter().rev().filter(|older| *older < epoch) {
            if self.is_complete(older)? {
                before.push(older);
            }
        }
        Ok(before)
    }

    fn is_complete(&self, epoch: Epoch) -> Result<bool, CheckpointError> {
        self.get(&self.checkpoint(epoch).join(MANIFEST)).map(|manifest| manifest.is_some())
    }

    /// Reads and checks a checkpoint.
    pub(crate) fn load(&self, epoch: Epoch) -> Result<Restore, CheckpointError> {
        load(self, &self.checkpoint(epoch), Some(epoch))
    }

    /// What a checkpoint consists of, without reading it all.
    pub(crate) fn manifest(&self, epoch: Epoch) -> Result<Manifest, CheckpointError> {
        read_manifest(self, &self.checkpoint(epoch), Some(epoch))
    }

    /// Removes the checkpoints before `newest`, except that `keep` are kept, `newest` among them. The manifest
    /// goes first: half a checkpoint is none.
    pub(crate) fn discard(&self, newest: Epoch, keep: usize) -> Result<(), CheckpointError> {
        let mut kept = 1;
        for epoch in self.epochs()?.into_iter().rev().filter(|epoch| *epoch < newest) {
            if kept < keep && self.is_complete(epoch)? {
                kept += 1;
                continue;
            }
            let folder = self.checkpoint(epoch);
            let listed = self.runtime.block_on(self.storage.store.list_with_delimiter(Some(&folder)));
            let files =
                listed.map_err(|error| self.failed(error))?.objects.into_iter().map(|file| file.location);
            for path in std::iter::once(folder.clone().join(MANIFEST)).chain(files) {
                match self.runtime.block_on(self.storage.store.delete(&path)) {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.failed(error)),
                }
            }
            // Object stores have no folders to remove; a file system would keep an empty one for each checkpoint.
            if let Some(root) = &self.storage.folder {
                let _ = std::fs::remove_dir(root.join(folder.as_ref()));
            }
        }
        Ok(())
    }

    /// Copies a checkpoint to `target`, where no retention removes it: a savepoint.
    pub(crate) fn copy_to(&self, epoch: Epoch, target: &CheckpointStorage) -> Result<(), CheckpointError> {
        let folder = self.checkpoint(epoch);
        let target = Self::open(target.clone(), "")?;
        // Files of two savepoints must not get mixed up.
        if target.get(&target.storage.root.clone().join(MANIFEST))?.is_some() {
            let reason = "there is one already; choose another place".to_owned();
            return Err(CheckpointError::Savepoint { location: target.location(), reason });
        }
        let mut files = self.manifest(epoch)?.files;
        files.push(MANIFEST.to_owned());
        for name in files {
            let missing = || CheckpointError::Missing { location: self.location(), epoch: Some(epoch) };
            let bytes = self.get(&folder.clone().join(name.as_str()))?.ok_or_else(missing)?;
            target.put(&target.storage.root.clone().join(name.as_str()), bytes)?;
        }
        Ok(())
    }

    /// Reads and checks a savepoint.
    pub(crate) fn load_savepoint(savepoint: &CheckpointStorage) -> Result<Restore, CheckpointError> {
        let store = Self::open(savepoint.clone(), "")?;
        load(&store, &savepoint.root, None)
    }
}

fn read_manifest(
    store: &CheckpointStore,
    folder: &Path,
    epoch: Option<Epoch>,
) -> Result<Manifest, CheckpointError> {
    let path = folder.clone().join(MANIFEST);
    let missing = || CheckpointError::Missing { location: store.location(), epoch };
    let json = store.get(&path)?.ok_or_else(missing)?;
    let manifest: Manifest = serde_json::from_slice(&json).map_err(|error| CheckpointError::Corrupt {
        epoch: epoch.unwrap_or_default(),
        file: store.file(&path),
        reason: error.to_string(),
        others: Vec::new(),
    })?;
    if manifest.format_version > FORMAT_VERSION {
        let (found, known) = (manifest.format_version, FORMAT_VERSION);
        return Err(CheckpointError::Version { epoch: manifest.epoch, found, known });
    }
    Ok(manifest)
}

fn load(store: &CheckpointStore, folder: &Path, epoch: Option<Epoch>) -> Result<Restore, CheckpointError> {
    let manifest = read_manifest(store, folder, epoch)?;
    let mut files = Vec::with_capacity(manifest.files.len());
    for name in &manifest.files {
        let path = folder.clone().join(name.as_str());
        let bytes = store.get(&path)?.ok_or_else(|| CheckpointError::Corrupt {
            epoch: manifest.epoch,
            file: store.file(&path),
            reason: "it is missing".to_owned(),
            others: Vec::new(),
        })?;
        files.push((store.file(&path), bytes));
    }
    Restore::new(manifest, files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(store: &CheckpointStore, epoch: Epoch) -> Manifest {
        let files = vec![store.state_file()];
        Manifest {
            format_version: FORMAT_VERSION,
            job: "job".to_owned(),
            epoch,
            committed: 0,
            time: 0,
            max_parallelism: 128,
            operators: Vec::new(),
            files,
        }
    }

    fn write(store: &CheckpointStore, epoch: Epoch) {
        store.write_state(epoch, super::super::StateFile::new().finish().unwrap()).unwrap();
        store.write_manifest(&manifest(store, epoch)).unwrap();
    }

    #[test]
    fn the_newest_with_a_manifest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(CheckpointStorage::local(folder.path()).unwrap(), "job").unwrap();
        assert_eq!(store.latest().unwrap(), None);
        store.take_over().unwrap();
        write(&store, 9);
        write(&store, 10);
        store.write_state(11, Bytes::from_static(b"cut short by a crash")).unwrap();
        assert_eq!(store.latest().unwrap(), Some(10));
        assert_eq!(store.before(11).unwrap(), [10, 9]);
        // Numbers may skip, and what was cut short is not worth keeping.
        write(&store, 15);
        store.discard(15, 2).unwrap();
        assert_eq!(store.epochs().unwrap(), [10, 15]);
        store.discard(15, 1).unwrap();
        assert_eq!(store.latest().unwrap(), Some(15));
        assert_eq!(store.load(15).unwrap().epoch(), 15);
        assert!(!folder.path().join("job/chk-10").exists());
    }

    #[test]
    fn damage_is_named_and_nothing_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(CheckpointStorage::local(folder.path()).unwrap(), "job").unwrap();
        write(&store, 1);
        let file = folder.path().join("job/chk-1").join(store.state_file());
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[8] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let error = store.load(1).unwrap_err().to_string();
        let expected = format!("checkpoint 1 is damaged: {}: its checksum", file.display());
        assert!(error.contains(&expected), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
        std::fs::remove_file(&file).unwrap();
        assert!(store.load(1).unwrap_err().to_string().contains("it is missing"));
    }

    #[test]
    fn the_older_of_two_instances_is_fenced_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let older = CheckpointStore::open(storage.clone(), "job").unwrap();
        older.take_over().unwrap();
        write(&older, 1);
        // The older one had looked just before.
        let state = super::super::StateFile::new().finish().unwrap();
        older.write_state(2, state).unwrap();
        let newer = CheckpointStore::open(storage, "job").unwrap();
        newer.take_over().unwrap();
        assert_eq!(newer.latest().unwrap(), Some(1));
        write(&newer, 2);
        older.put(&older.checkpoint(2).join(older.state_file()), Bytes::from_static(b"late")).unwrap();
        let error = older.write_manifest(&manifest(&older, 2)).unwrap_err().to_string();
        assert!(error.contains("another instance"), "{error}");
        assert_eq!(newer.load(2).unwrap().epoch(), 2, "the state of the newer one");
        // Whatever an instance left there goes with the checkpoint.
        newer.discard(3, 1).unwrap();
        assert!(!folder.path().join("job/chk-2").exists());
    }

    #[test]
    fn a_savepoint_is_not_written_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| CheckpointStorage::local(folder.path().join(name)).unwrap();
        let store = CheckpointStore::open(at("checkpoints"), "job").unwrap();
        write(&store, 1);
        write(&store, 2);
        store.copy_to(1, &at("savepoint")).unwrap();
        let error = store.copy_to(2, &at("savepoint")).unwrap_err().to_string();
        assert!(error.contains("savepoint: there is one already"), "{error}");
        assert_eq!(CheckpointStore::load_savepoint(&at("savepoint")).unwrap().epoch(), 1);
    }
}
