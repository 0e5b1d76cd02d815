//! Where checkpoints are kept: a folder of any object store, the local file system first.
//!
//! ```text
//! <root>/<job>/owner                  who may write here: the instance that started last
//! <root>/<job>/chk-<epoch>/state      the state file, written and synced first
//! <root>/<job>/chk-<epoch>/manifest.json   written last, by an atomic rename: the checkpoint exists when this does
//! ```

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::manifest::FORMAT_VERSION;
use super::{Manifest, Restore};
use crate::barrier::Epoch;
use crate::error::CheckpointError;

/// A place for checkpoints: a store, and a folder in it.
#[derive(Clone)]
pub struct CheckpointStorage {
    store: Arc<dyn ObjectStore>,
    root: Path,
    location: String,
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
    pub fn local(folder: impl AsRef<FilePath>) -> Result<Self, CheckpointError> {
        let folder = folder.as_ref();
        let location = folder.display().to_string();
        let failed =
            |error: crate::error::BoxError| CheckpointError::Store { location: location.clone(), error };
        std::fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        let store =
            LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.into()))?.with_fsync(true);
        Ok(Self { store: Arc::new(store), root: Path::default(), location })
    }

    /// A folder of any object store. A put of that store must be atomic and durable when it returns, as S3's and its peers' are.
    pub fn object_store(store: Arc<dyn ObjectStore>, root: &str) -> Self {
        let location = format!("{store}/{root}");
        Self { store, root: Path::from(root), location }
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| CheckpointError::Store { location, error: error.into() })?;
        let nanos =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let instance = format!("{}-{nanos}", std::process::id());
        Ok(Self { storage, job: job.to_owned(), instance, runtime })
    }

    /// Where it is, for people.
    pub(crate) fn location(&self) -> String {
        format!("{}/{}", self.storage.location, self.job)
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

    fn check_owner(&self) -> Result<(), CheckpointError> {
        match self.get(&self.folder().join("owner"))? {
            Some(owner) if owner == self.instance.as_bytes() => Ok(()),
            Some(owner) => {
                let owner = String::from_utf8_lossy(&owner).into_owned();
                Err(CheckpointError::Fenced { location: self.location(), owner })
            }
            None => self.take_over(),
        }
    }

    /// Writes a file of a checkpoint, synced.
    pub(crate) fn write_state(&self, epoch: Epoch, name: &str, bytes: Bytes) -> Result<(), CheckpointError> {
        self.check_owner()?;
        self.put(&self.checkpoint(epoch).join(name), bytes)
    }

    /// Makes the checkpoint exist.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<(), CheckpointError> {
        self.check_owner()?;
        let json = serde_json::to_vec_pretty(manifest).map_err(|error| self.failed(error))?;
        self.put(&self.checkpoint(manifest.epoch).join("manifest.json"), json.into())
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
            if self.get(&self.checkpoint(epoch).join("manifest.json"))?.is_some() {
                return Ok(Some(epoch));
            }
        }
        Ok(None)
    }

    /// Reads and checks a checkpoint.
    pub(crate) fn load(&self, epoch: Epoch) -> Result<Restore, CheckpointError> {
        load(self, &self.checkpoint(epoch), Some(epoch))
    }

    /// Removes the checkpoints for which `remove` says so. The manifest goes first: half a checkpoint is none.
    pub(crate) fn discard(&self, remove: impl Fn(Epoch) -> bool) -> Result<(), CheckpointError> {
        for epoch in self.epochs()?.into_iter().filter(|epoch| remove(*epoch)) {
            let folder = self.checkpoint(epoch);
            for name in ["manifest.json", "state"] {
                match self.runtime.block_on(self.storage.store.delete(&folder.clone().join(name))) {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.failed(error)),
                }
            }
            self.remove_folder(&folder);
        }
        Ok(())
    }

    /// Object stores have no folders to remove; a file system would keep an empty one for each checkpoint.
    fn remove_folder(&self, folder: &Path) {
        let _ = std::fs::remove_dir(FilePath::new(&self.storage.location).join(folder.as_ref()));
    }

    /// Copies a checkpoint to `target`, where no retention removes it: a savepoint.
    pub(crate) fn copy_to(&self, epoch: Epoch, target: &CheckpointStorage) -> Result<(), CheckpointError> {
        for name in ["state", "manifest.json"] {
            let bytes = self
                .get(&self.checkpoint(epoch).join(name))?
                .ok_or_else(|| CheckpointError::Missing { location: self.location(), epoch: Some(epoch) })?;
            let path = target.root.clone().join(name);
            let put = target.store.put(&path, bytes.into());
            self.runtime.block_on(put).map_err(|error| CheckpointError::Store {
                location: target.location.clone(),
                error: error.into(),
            })?;
        }
        Ok(())
    }

    /// Reads and checks a savepoint.
    pub(crate) fn load_savepoint(savepoint: &CheckpointStorage) -> Result<Restore, CheckpointError> {
        let store = Self::open(savepoint.clone(), "")?;
        load(&store, &savepoint.root, None)
    }
}

fn load(store: &CheckpointStore, folder: &Path, epoch: Option<Epoch>) -> Result<Restore, CheckpointError> {
    let missing = || CheckpointError::Missing { location: store.location(), epoch };
    let json = store.get(&folder.clone().join("manifest.json"))?.ok_or_else(missing)?;
    let corrupt = |file: &str, reason: String| CheckpointError::Corrupt {
        epoch: epoch.unwrap_or_default(),
        file: file.to_owned(),
        reason,
    };
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| corrupt("manifest.json", error.to_string()))?;
    if manifest.format_version > FORMAT_VERSION {
        let (found, known) = (manifest.format_version, FORMAT_VERSION);
        return Err(CheckpointError::Version { epoch: manifest.epoch, found, known });
    }
    let mut files = Vec::with_capacity(manifest.files.len());
    for name in &manifest.files {
        let bytes = store.get(&folder.clone().join(name.as_str()))?;
        files.push((name.clone(), bytes.ok_or_else(|| corrupt(name, "it is missing".to_owned()))?));
    }
    Restore::new(manifest, files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(epoch: Epoch) -> Manifest {
        let files = vec!["state".to_owned()];
        Manifest {
            format_version: FORMAT_VERSION,
            job: "job".to_owned(),
            epoch,
            time: 0,
            max_parallelism: 128,
            operators: Vec::new(),
            files,
        }
    }

    fn write(store: &CheckpointStore, epoch: Epoch) {
        store.write_state(epoch, "state", super::super::StateFile::new().finish().unwrap()).unwrap();
        store.write_manifest(&manifest(epoch)).unwrap();
    }

    #[test]
    fn the_newest_with_a_manifest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(CheckpointStorage::local(folder.path()).unwrap(), "job").unwrap();
        assert_eq!(store.latest().unwrap(), None);
        store.take_over().unwrap();
        write(&store, 9);
        write(&store, 10);
        store.write_state(11, "state", Bytes::from_static(b"cut short by a crash")).unwrap();
        assert_eq!(store.latest().unwrap(), Some(10));
        store.discard(|epoch| epoch != 9).unwrap();
        assert_eq!(store.latest().unwrap(), Some(9));
        assert_eq!(store.load(9).unwrap().epoch(), 9);
        assert!(!folder.path().join("job/chk-10").exists());
    }

    #[test]
    fn damage_is_named_and_nothing_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(CheckpointStorage::local(folder.path()).unwrap(), "job").unwrap();
        write(&store, 1);
        let file = folder.path().join("job/chk-1/state");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[8] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let error = store.load(1).unwrap_err().to_string();
        assert!(error.contains("checkpoint 1 is damaged: state: its checksum"), "{error}");
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
        let newer = CheckpointStore::open(storage, "job").unwrap();
        newer.take_over().unwrap();
        let error = older.write_manifest(&manifest(2)).unwrap_err().to_string();
        assert!(error.contains("another instance"), "{error}");
        assert_eq!(newer.latest().unwrap(), Some(1));
    }
}
