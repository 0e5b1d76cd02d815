//! How what a batch saves becomes visible: when the batch is committed, and not before.
//!
//! Files are written to a hidden folder (`.part-….inprogress`) and synced, then renamed by
//! [`Publish::perform`]: at once for an `Rdd` made by hand; for one that a stream has handed out, when the
//! engine has committed the batch. A batch that is computed again after a crash writes its files again; what
//! the first attempt left is in hidden folders, which no reader looks at.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thalweg_dataflow::time::Timestamp;

/// Files that are complete, and are to become visible together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publish {
    folder: PathBuf,
    /// Where the files are until then. It goes when they are visible, and so tells whether they are.
    staging: PathBuf,
    /// Names in either folder.
    files: Vec<String>,
    /// Whether what else is visible in the folder is removed.
    replace: bool,
}

impl Publish {
    /// Makes the files visible. Doing it again changes nothing, whatever has become of them since.
    pub(crate) fn perform(&self) -> io::Result<()> {
        if !self.staging.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
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
            let visible = self.folder.join(name);
            match fs::rename(self.staging.join(name), &visible) {
                // A crash came between this file and the last one.
                Err(error) if error.kind() == io::ErrorKind::NotFound && visible.exists() => {}
                result => result?,
            }
        }
        sync(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync)?;
        fs::remove_dir_all(&self.staging)
    }

    /// Removes the files: their batch has failed.
    pub(crate) fn discard(&self) {
        // What cannot be removed stays hidden.
        let _ = fs::remove_dir_all(&self.staging);
    }

    /// Where they become visible.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Makes the names in a folder survive a loss of power.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
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

    fn add(&self, publish: Publish) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(publish);
    }

    /// What is to be published when the batch is committed.
    pub(crate) fn take_pending(&self) -> Vec<Publish> {
        std::mem::take(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Files of one folder that are being written. Dropping it before it is finished removes them.
pub(crate) struct FileSet {
    publish: Publish,
    batch: Option<BatchContext>,
    /// Part of the names of the files, unlike that of any other save: batches can be computed twice, and two
    /// can have the same time.
    name: String,
}

impl FileSet {
    /// Begins to write to `folder`, which is made when the files become visible if it is not there.
    pub(crate) fn begin(folder: &Path, replace: bool, batch: Option<BatchContext>) -> io::Result<Self> {
        // The job may be resumed in another working directory.
        let folder = std::path::absolute(folder)?;
        let beside = if folder.is_dir() { &folder } else { folder.parent().unwrap_or(&folder) };
        fs::create_dir_all(beside)?;
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let time = batch.as_ref().map_or(now.as_millis() as i64, |batch| batch.time);
            let name = format!("part-{time}-{:x}-{:x}", now.as_nanos(), std::process::id());
            let staging = beside.join(format!(".{name}.inprogress"));
            match fs::create_dir(&staging) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let publish = Publish { folder, staging, files: Vec::new(), replace };
                    return Ok(Self { publish, batch, name });
                }
            }
        }
    }

    /// Writes one file, and syncs it.
    pub(crate) fn write<E: From<io::Error>>(
        &mut self,
        partition: usize,
        extension: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = format!("{}-{partition:05}{extension}", self.name);
        let mut file = BufWriter::new(File::create(self.publish.staging.join(&name))?);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        self.publish.files.push(name);
        Ok(())
    }

    /// Publishes the files: at once, or with their batch.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.publish.files.is_empty() && !self.publish.replace {
            return Ok(());
        }
        sync(&self.publish.staging)?;
        self.publish.staging.parent().map_or(Ok(()), sync)?;
        match self.batch.take() {
            Some(batch) => {
                batch.add(std::mem::take(&mut self.publish));
                Ok(())
            }
            None => self.publish.perform(),
        }
    }
}

impl Drop for FileSet {
    fn drop(&mut self) {
        // Of what is published or handed on, nothing is there any more.
        if !self.publish.staging.as_os_str().is_empty() {
            self.publish.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn visible(folder: &Path) -> usize {
        names(folder).iter().filter(|name| !name.starts_with('.')).count()
    }

    fn save(folder: &Path, replace: bool, batch: Option<&BatchContext>) {
        let mut files = FileSet::begin(folder, replace, batch.cloned()).unwrap();
        files.write(0, ".txt", |file| file.write_all(b"text")).unwrap();
        files.finish().unwrap();
    }

    #[test]
    fn files_of_a_batch_wait_for_its_commit_in_hiding() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a").join("new");
        let batch = BatchContext::new(1000);
        save(&folder, false, Some(&batch));
        save(&folder, false, Some(&batch));
        assert!(!folder.exists());
        for publish in batch.take_pending() {
            publish.perform().unwrap();
            publish.perform().unwrap();
        }
        let published = names(&folder);
        assert_eq!((published.len(), names(folder.parent().unwrap())), (2, vec!["new".to_owned()]));
        assert!(published.iter().all(|name| name.starts_with("part-1000-") && name.ends_with("-00000.txt")));
        save(&folder, false, Some(&batch));
        assert_eq!((visible(&folder), names(&folder).len()), (2, 3), "it hides in the folder that is there");
        batch.take_pending()[0].perform().unwrap();
        assert_eq!((visible(&folder), names(&folder).len()), (3, 3));
        save(&folder, true, None);
        assert_eq!(names(&folder).len(), 1);
    }

    #[test]
    fn publishing_again_after_a_restore_takes_nothing_back() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("latest");
        let batch = BatchContext::new(1000);
        save(&folder, true, Some(&batch));
        save(&folder, true, Some(&batch));
        let pending = batch.take_pending();
        pending.iter().for_each(|publish| publish.perform().unwrap());
        let last = names(&folder);
        pending.iter().for_each(|publish| publish.perform().unwrap());
        assert_eq!(names(&folder), last);
        fs::remove_file(folder.join(&last[0])).unwrap();
        pending.iter().for_each(|publish| publish.perform().unwrap());
        assert!(
            names(&folder).is_empty(),
            "a file that its reader has removed does not come back, nor is it missed"
        );
    }

    #[test]
    fn a_publication_that_was_cut_short_is_finished() {
        let root = tempfile::tempdir().unwrap();
        let batch = BatchContext::new(1000);
        let mut files = FileSet::begin(&root.path().join("cut"), false, Some(batch.clone())).unwrap();
        for partition in 0..2 {
            files.write(partition, ".txt", |file| file.write_all(b"text")).unwrap();
        }
        files.finish().unwrap();
        let publish = &batch.take_pending()[0];
        fs::create_dir(&publish.folder).unwrap();
        fs::rename(publish.staging.join(&publish.files[0]), publish.folder.join(&publish.files[0])).unwrap();
        publish.perform().unwrap();
        assert_eq!(names(&publish.folder).len(), 2);
    }

    #[test]
    fn a_save_that_fails_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let mut files = FileSet::begin(&root.path().join("failed"), false, None).unwrap();
        files.write(0, ".txt", |_| Err(io::Error::other("full"))).unwrap_err();
        drop(files);
        assert!(names(root.path()).is_empty());
        FileSet::begin(&root.path().join("empty"), false, None).unwrap().finish().unwrap();
        assert!(names(root.path()).is_empty());
    }
}
