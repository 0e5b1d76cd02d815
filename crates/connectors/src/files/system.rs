//! What the sources of files need of a file system: to list, and to read from an offset on.
//!
//! A path with a scheme names the file system that it is in; one without, or with `file://`, is local.
//!
//! | scheme | feature |
//! |---|---|
//! | `s3://bucket/…` | `s3` |
//! | `az://container/…`, `abfss://container@account.dfs.core.windows.net/…` | `azure` |
//! | `gs://bucket/…` | `gcs` |
//! | `hdfs://namenode:port/…`, `hdfs://nameservice/…` | `hdfs` |
//!
//! Another one is a [`FileSystem`] of one's own, handed to a source by [`TextFileSource::on`](super::TextFileSource::on).

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use thalweg_dataflow::time::{Timestamp, millis};

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where, scheme included.
    pub path: PathBuf,
    /// Bytes.
    pub length: u64,
    /// When it was written last (milliseconds since the epoch).
    pub modified: Timestamp,
}

/// A file system that files are read from. Calls block.
pub trait FileSystem: fmt::Debug + Send + Sync + 'static {
    /// The file at `path`, or those in the folder there, in no particular order; those of folders in it too if it is `recursive`. What begins with `.` or `_`
    /// below the path is left out.
    ///
    /// # Errors
    /// When the path cannot be read.
    fn list(&self, path: &Path, recursive: bool) -> io::Result<Vec<Entry>>;

    /// The bytes of a file, from an offset on.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    fn open(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>>;

    /// So many bytes of a file from an offset on, or what there is of them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn range(&self, path: &Path, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path, from)?.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether an empty folder can be told from none.
    fn has_folders(&self) -> bool {
        true
    }
}

/// The file system that a path is in.
///
/// # Errors
/// When there is none of its scheme, or its feature is not built in.
pub fn of(path: &Path) -> io::Result<Arc<dyn FileSystem>> {
    match path.to_str().and_then(|text| text.split_once("://")) {
        None | Some(("file", _)) => Ok(Arc::new(Local)),
        Some(_) => Ok(Arc::new(crate::store::Store::at(&path.to_string_lossy())?)),
    }
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local;

/// A local path, without its scheme.
fn local(path: &Path) -> &Path {
    path.to_str().and_then(|path| path.strip_prefix("file://")).map_or(path, Path::new)
}

impl FileSystem for Local {
    fn list(&self, path: &Path, recursive: bool) -> io::Result<Vec<Entry>> {
        let path = local(path);
        let mut entries = Vec::new();
        if fs::metadata(path)?.is_file() {
            entries.extend(entry(path)?);
        } else {
            list(path, recursive, &mut entries)?;
        }
        Ok(entries)
    }

    fn open(&self, path: &Path, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(local(path))?;
        if from > 0 {
            file.seek(SeekFrom::Start(from))?;
        }
        Ok(Box::new(file))
    }
}

fn list(folder: &Path, recursive: bool, entries: &mut Vec<Entry>) -> io::Result<()> {
    for child in fs::read_dir(folder)? {
        let child = child?;
        if is_hidden(&child.file_name().to_string_lossy()) {
            continue;
        }
        let path = child.path();
        match path.is_dir() {
            true if recursive => list(&path, true, entries)?,
            true => {}
            false => entries.extend(entry(&path)?),
        }
    }
    Ok(())
}

/// `None` if it is no file, or not there any more.
fn entry(path: &Path) -> io::Result<Option<Entry>> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let entry = Entry { path: path.to_owned(), length: metadata.len(), modified: millis(modified) };
    Ok(metadata.is_file().then_some(entry))
}

/// Whether it is a file that is still being written, or of no interest, as the field has it.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}
