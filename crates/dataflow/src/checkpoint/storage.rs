//! A place for checkpoints, and the few things that are done with its files.
//!
//! Files are only ever written *new*: whole or not at all, durable, and never over another. On the local file system they
//! hold users' data, and are for their owner's eyes only.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::stored::Stored;
use crate::error::{BoxError, CheckpointError};

/// From so many bytes on a file is read where it lies.
#[cfg(unix)]
const LARGE: u64 = 256 << 10;

/// A place for checkpoints: a store, and a folder in it.
#[derive(Clone)]
pub struct CheckpointStorage {
    store: Arc<dyn ObjectStore>,
    pub(super) root: Path,
    pub(super) location: String,
    /// Of the local file system: the folder itself.
    folder: Option<PathBuf>,
}

impl fmt::Debug for CheckpointStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.location)
    }
}

impl CheckpointStorage {
    /// A folder of the local file system, made if it is not there. Every write is synced to the disk; files and folders
    /// are readable by their owner only.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn local(folder: impl AsRef<std::path::Path>) -> Result<Self, CheckpointError> {
        let folder = folder.as_ref();
        let location = folder.display().to_string();
        let failed = |error: BoxError| CheckpointError::Store { location: location.clone(), error };
        make_folders(folder).map_err(|error| failed(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.into()))?;
        let folder = Some(std::path::absolute(folder).map_err(|error| failed(error.into()))?);
        Ok(Self { store: Arc::new(store), root: Path::default(), location, folder })
    }

    /// A folder of any object store. A put of that store must be atomic and durable when it returns, and it must know how
    /// to put what is not there yet (S3's `If-None-Match`), as S3 and its peers do: that is how two instances agree on
    /// which of them owns the job.
    pub fn object_store(store: Arc<dyn ObjectStore>, root: &str) -> Self {
        let location = format!("{store}/{root}");
        Self { store, root: Path::from(root), location, folder: None }
    }
}

/// A storage, and the runtime that it is asked on.
pub(super) struct Files {
    pub(super) storage: CheckpointStorage,
    runtime: tokio::runtime::Runtime,
}

/// What is in a folder: names.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) files: Vec<String>,
    pub(super) folders: Vec<String>,
}

impl Files {
    pub(super) fn new(storage: CheckpointStorage) -> io::Result<Self> {
        // Stores that are reached over a network want sockets and timers.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { storage, runtime })
    }

    /// Writes a file, durably, unless there is one of its name: then returns `false`, and touches nothing.
    pub(super) fn put_new(&self, path: &Path, bytes: Bytes) -> Result<bool, BoxError> {
        if self.storage.folder.is_some() {
            let mut file = self.create(path)?;
            self.write(&mut file, &bytes)?;
            return self.finish(file, Sync::Everything);
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.storage.store.put_opts(path, bytes.clone().into(), options);
        match self.runtime.block_on(put) {
            Ok(_) => Ok(true),
            // A put that was repeated, as its first answer was lost, meets itself.
            Err(object_store::Error::AlreadyExists { .. }) => Ok(self.get(path)?.as_ref() == Some(&bytes)),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a file over what is there.
    pub(super) fn put(&self, path: &Path, bytes: Bytes) -> Result<(), BoxError> {
        self.runtime.block_on(self.storage.store.put(path, bytes.into()))?;
        Ok(())
    }

    pub(super) fn get(&self, path: &Path) -> Result<Option<Bytes>, BoxError> {
        let get = async { self.storage.store.get(path).await?.bytes().await };
        match self.runtime.block_on(get) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            // Another instance may have removed it while it was read; not every store says that as such.
            Err(error) => match self.exists(path) {
                Ok(false) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// A file to be read, with its checksum. If it `may_stay`, and is a large one of the local file system, it is not taken into memory.
    pub(super) fn stored(&self, path: &Path, may_stay: bool) -> Result<Option<Stored>, BoxError> {
        #[cfg(unix)]
        if let Some(folder) = self.storage.folder.as_ref().filter(|_| may_stay) {
            let file = File::open(folder.join(path.as_ref()));
            // What is small, or cannot be opened, is asked for as it is elsewhere.
            if let Ok(file) = file
                && file.metadata()?.len() >= LARGE
            {
                return Ok(Some(Stored::local(file)?));
            }
        }
        Ok(self.get(path)?.map(Stored::in_memory))
    }

    pub(super) fn exists(&self, path: &Path) -> Result<bool, BoxError> {
        match self.runtime.block_on(self.storage.store.head(path)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn list(&self, folder: &Path) -> Result<Listed, BoxError> {
        let listed = self.runtime.block_on(self.storage.store.list_with_delimiter(Some(folder)));
        let name = |path: &Path| path.filename().map(str::to_owned);
        match listed {
            Ok(listed) => Ok(Listed {
                files: listed.objects.iter().filter_map(|file| name(&file.location)).collect(),
                folders: listed.common_prefixes.iter().filter_map(name).collect(),
            }),
            Err(object_store::Error::NotFound { .. }) => Ok(Listed::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file; one that is not there is no error.
    pub(super) fn delete(&self, path: &Path) -> Result<(), BoxError> {
        match self.runtime.block_on(self.storage.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a folder in which no file is wanted any more, with what a crash has left there half-written. Object stores
    /// have no folders to remove; a file system would keep an empty one for each checkpoint.
    pub(super) fn remove_folder(&self, path: &Path) {
        if let Some(folder) = &self.storage.folder {
            let _ = fs::remove_dir_all(folder.join(path.as_ref()));
        }
    }
}

/// Makes a folder and those above it that are not there, for their owner only.
fn make_folders(folder: &std::path::Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A file that is being written: on the local file system beside its place, elsewhere in memory.
pub(super) struct NewFile {
    path: Path,
    to: Destination,
}

/// What of a file is made durable with it. A sync is the most expensive thing that a checkpoint does.
#[derive(Clone, Copy)]
pub(super) enum Sync {
    /// What is in it. Its name will be, when the manifest is written, which goes into the same folder after it.
    Contents,
    /// Its name, too, those of all files in its folder, and that of the folder.
    Manifest,
    /// Its name, and those of all folders that had to be made for it.
    Everything,
}

enum Destination {
    Local { file: File, staged: PathBuf, target: PathBuf, root: PathBuf, is_new_folder: bool },
    Memory(Vec<u8>),
}

impl Files {
    /// Begins a file that will be there, whole, when it is [finished](Self::finish).
    pub(super) fn create(&self, path: &Path) -> Result<NewFile, BoxError> {
        let to = match &self.storage.folder {
            Some(folder) => create_local(folder, path)?,
            None => Destination::Memory(Vec::new()),
        };
        Ok(NewFile { path: path.clone(), to })
    }

    pub(super) fn write(&self, file: &mut NewFile, bytes: &[u8]) -> Result<(), BoxError> {
        match &mut file.to {
            Destination::Local { file, .. } => file.write_all(bytes)?,
            Destination::Memory(buffer) => buffer.extend_from_slice(bytes),
        }
        Ok(())
    }

    /// Makes the file be there, durably as far as `sync` says; `false` if there is one of its name, which is left as it is.
    pub(super) fn finish(&self, mut file: NewFile, sync: Sync) -> Result<bool, BoxError> {
        match &mut file.to {
            Destination::Memory(buffer) => self.put_new(&file.path, std::mem::take(buffer).into()),
            Destination::Local { file, staged, target, root, is_new_folder } => {
                let folders = match sync {
                    Sync::Contents => 0,
                    Sync::Manifest => 2,
                    Sync::Everything if *is_new_folder => usize::MAX,
                    Sync::Everything => 1,
                };
                Ok(finish_local(file, staged, target, root, folders)?)
            }
        }
    }

    /// Gives a file a second name, unless there is one of that name.
    pub(super) fn link_new(&self, from: &Path, to: &Path) -> Result<(), BoxError> {
        let Some(root) = &self.storage.folder else {
            let copied = self.runtime.block_on(self.storage.store.copy_if_not_exists(from, to));
            return match copied {
                Ok(()) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            };
        };
        let (from, to) = (root.join(from.as_ref()), root.join(to.as_ref()));
        let folder = to.parent().unwrap_or(root);
        make_folders(folder)?;
        match fs::hard_link(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Makes links to last.
    pub(super) fn sync_folder(&self, path: &Path) -> Result<(), BoxError> {
        if let Some(root) = &self.storage.folder {
            let folder = root.join(path.as_ref());
            let mut above = folder.ancestors().take_while(|above| above.starts_with(root));
            above.try_for_each(|above| File::open(above)?.sync_all())?;
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Destination::Local { staged, .. } = &self.to {
            // It is linked to its place by now, or of no use.
            let _ = fs::remove_file(staged);
        }
    }
}

fn create_local(root: &std::path::Path, path: &Path) -> io::Result<Destination> {
    let target = root.join(path.as_ref());
    let folder = target.parent().unwrap_or(root);
    let is_new_folder = !folder.is_dir();
    make_folders(folder)?;
    // Listings of the object store pass over such names.
    let staged = folder.join(format!("{}#{}", path.filename().unwrap_or_default(), super::owner::random()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&staged)?;
    Ok(Destination::Local { file, staged, target, root: root.to_owned(), is_new_folder })
}

/// Syncs a file, and links it to its place, which fails if there is one.
fn finish_local(
    file: &File,
    staged: &std::path::Path,
    target: &std::path::Path,
    root: &std::path::Path,
    folders: usize,
) -> io::Result<bool> {
    file.sync_all()?;
    match fs::hard_link(staged, target) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    }
    let mut above = target.ancestors().skip(1).take_while(|above| above.starts_with(root)).take(folders);
    above.try_for_each(|above| File::open(above)?.sync_all())?;
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_written_once_and_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("checkpoints");
        let files = Files::new(CheckpointStorage::local(&root).unwrap()).unwrap();
        let path = Path::from("job/chk-1-1/state-1");
        assert!(files.put_new(&path, "one".into()).unwrap());
        assert!(!files.put_new(&path, "two".into()).unwrap());
        assert_eq!(files.get(&path).unwrap().unwrap(), "one");
        let mode = |path: &str| root.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("job/chk-1-1/state-1"), 0o600);
        assert_eq!(["", "job", "job/chk-1-1"].map(mode), [0o700; 3]);
        assert_eq!(fs::read_dir(root.join("job/chk-1-1")).unwrap().count(), 1);
    }

    #[test]
    fn of_many_who_write_a_file_at_once_one_has_written_it() {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let wins = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n: u8| {
                    let files = Files::new(storage.clone()).unwrap();
                    scope.spawn(move || files.put_new(&Path::from("a/b"), vec![n].into()).unwrap())
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
        });
        assert_eq!(wins, 1);
    }
}
