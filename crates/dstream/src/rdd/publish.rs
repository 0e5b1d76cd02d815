//! How what a batch saves becomes visible: when the batch is committed, and not before.
//!
//! Files are written under hidden names (`.name.inprogress`), synced, and renamed by [`Publish::perform`]: at once for an `Rdd` made by
//! hand; for one that a stream has handed out, when the engine has committed the batch. A batch that is computed again
//! after a crash writes its files again; what the first attempt left has hidden names, which no reader looks at.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thalweg_dataflow::time::Timestamp;

/// Files that are complete, and are to become visible together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    folder: PathBuf,
    /// Names in `folder`.
    files: Vec<String>,
    /// Whether what else is visible in the folder is removed.
    replace: bool,
}

impl Publish {
    /// Makes the files visible. Doing it again changes nothing.
    ///
    /// # Errors
    /// When a file can neither be renamed nor has been.
    pub fn perform(&self) -> io::Result<()> {
        if self.replace {
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') && !self.files.contains(&name) && entry.path().is_file() {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        for name in &self.files {
            let (hidden, visible) = (self.folder.join(hidden(name)), self.folder.join(name));
            match fs::rename(&hidden, &visible) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && visible.exists() => {}
                result => result?,
            }
        }
        File::open(&self.folder)?.sync_all()
    }
}

fn hidden(name: &str) -> String {
    format!(".{name}.inprogress")
}

/// The batch that an `Rdd` belongs to.
#[derive(Clone, Debug)]
pub(crate) struct BatchContext {
    time: Timestamp,
    pending: Arc<Mutex<Vec<Publish>>>,
}

impl BatchContext {
    pub(crate) fn new(time: Timestamp) -> Self {
        Self { time, pending: Arc::default() }
    }

    /// What is to be published when the batch is committed.
    pub(crate) fn take_pending(&self) -> Vec<Publish> {
        std::mem::take(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Files of one folder that are being written.
pub(crate) struct FileSet {
    publish: Publish,
    batch: Option<BatchContext>,
    /// Part of the names of the files: tells those of one save from those of another.
    name: String,
}

impl FileSet {
    /// Begins to write to `folder`, which is made if it is not there.
    pub(crate) fn begin(folder: &Path, replace: bool, batch: Option<BatchContext>) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let name = match &batch {
            Some(batch) => {
                let saved = batch.pending.lock().unwrap_or_else(PoisonError::into_inner).len();
                format!("{}-{saved}", batch.time)
            }
            None => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                format!("{}-{}", now.map_or(0, |now| now.as_nanos()), std::process::id())
            }
        };
        let publish = Publish { folder: folder.to_owned(), files: Vec::new(), replace };
        Ok(Self { publish, batch, name })
    }

    /// Writes one file, and syncs it.
    pub(crate) fn write<E: From<io::Error>>(
        &mut self,
        partition: usize,
        extension: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = format!("part-{}-{partition:05}{extension}", self.name);
        let mut file = BufWriter::new(File::create(self.publish.folder.join(hidden(&name)))?);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        self.publish.files.push(name);
        Ok(())
    }

    /// Publishes the files: at once, or with their batch.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self.batch {
            Some(batch) => {
                batch.pending.lock().unwrap_or_else(PoisonError::into_inner).push(self.publish);
                Ok(())
            }
            None => self.publish.perform(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    fn save(folder: &Path, replace: bool, batch: Option<BatchContext>) {
        let mut files = FileSet::begin(folder, replace, batch).unwrap();
        files.write(0, ".txt", |file| file.write_all(b"text")).unwrap();
        files.finish().unwrap();
    }

    #[test]
    fn files_of_a_batch_wait_for_its_commit() {
        let folder = tempfile::tempdir().unwrap();
        let batch = BatchContext::new(1000);
        save(folder.path(), false, Some(batch.clone()));
        save(folder.path(), false, Some(batch.clone()));
        assert!(visible(folder.path()).is_empty());
        for publish in batch.take_pending() {
            publish.perform().unwrap();
            publish.perform().unwrap();
        }
        assert_eq!(visible(folder.path()), ["part-1000-0-00000.txt", "part-1000-1-00000.txt"]);
        save(folder.path(), true, None);
        assert_eq!(visible(folder.path()).len(), 1);
    }
}
