//! How what a batch saves becomes visible: when the batch is committed, and not before.
//!
//! Files are written to a hidden folder (`.part-….inprogress`) and synced, then renamed by
//! [`Publish::perform`]: at once for an `Rdd` made by hand; for one that a stream has handed out, when the
//! engine has committed the batch. A batch that is computed again after a crash writes its files again; what
//! the first attempt left is in hidden folders, which no reader looks at, and which the next run of the job removes
//! when it comes to save something there: the folders' names say whose they are.
//!
//! Names are random, and files and folders are made only if there are none of the name: so nobody can put a link in the way, and
//! an instance that another one has replaced, and that wakes up in the middle of this, finds what it does done.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thalweg_dataflow::debug_hook::reach;
use thalweg_dataflow::operator::{OperatorContext, RunId};
use thalweg_dataflow::time::Timestamp;

/// Files that are complete, and are to become visible together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publish {
    folder: PathBuf,
    /// Where the files are until then. It goes when they are visible, and so tells whether they are.
    staging: PathBuf,
    /// Names in either folder.
    files: Vec<String>,
    /// Whether what else was saved in the folder is removed.
    replace: bool,
}

impl Publish {
    /// Makes the files visible. Doing it again changes nothing, whatever has become of them since.
    ///
    /// # Errors
    /// `NotFound` if one of them is gone, `InvalidData` if no save has written this: neither is mended by trying again.
    pub(crate) fn perform(&self) -> io::Result<()> {
        self.check()?;
        if !is_folder(&self.staging)? {
            return Ok(());
        }
        reach("before-publish");
        fs::create_dir_all(&self.folder)?;
        if self.replace {
            refuse_link(&self.folder)?;
            let saved = saved(&self.folder)?.ours;
            // Another instance may do the same; once it is done, the next batch may be there. If this one is not yet done, what
            // has been listed is from before it, and no name comes twice.
            if !is_folder(&self.staging)? {
                return Ok(());
            }
            for name in saved.iter().filter(|name| !self.files.contains(name)) {
                unless_gone(fs::remove_file(self.folder.join(name)))?;
            }
        }
        for name in &self.files {
            let visible = self.folder.join(name);
            match fs::rename(self.staging.join(name), &visible) {
                // A crash came between this file and the last one.
                Err(error) if error.kind() == io::ErrorKind::NotFound && visible.exists() => {}
                // Another instance has done all of it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_folder(&self.staging)? => {
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let hidden = self.staging.join(name);
                    let text = format!("{} was saved, and is gone; put it back", hidden.display());
                    return Err(io::Error::new(error.kind(), text));
                }
                result => result?,
            }
        }
        sync(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync)?;
        unless_gone(fs::remove_dir_all(&self.staging))?;
        reach("published");
        Ok(())
    }

    /// Removes the files: their batch has failed.
    pub(crate) fn discard(&self) {
        // What cannot be removed stays hidden.
        if self.check().is_ok() {
            let _ = fs::remove_dir_all(&self.staging);
        }
    }

    /// Where they become visible.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a save has made it: it may come from a state file, and must not move or remove anything else.
    fn check(&self) -> io::Result<()> {
        let beside = self.staging.parent();
        let fits = beside.is_some()
            && (beside == Some(&self.folder) || beside == self.folder.parent())
            && self.staging.file_name().and_then(|name| name.to_str()).is_some_and(is_staging)
            && self.files.iter().all(|name| is_saved(name));
        if fits {
            return Ok(());
        }
        let text = format!(
            "no save has written the entry for {}: the checkpoint was tampered with",
            self.staging.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

/// What is visible in a folder: names.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// What a save has written.
    pub(crate) ours: Vec<String>,
    /// Everything else that a reader would see.
    pub(crate) others: Vec<String>,
}

/// Looks what is visible in a folder; nothing if there is none.
pub(crate) fn saved(folder: &Path) -> io::Result<Saved> {
    let mut saved = Saved::default();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(saved),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(['.', '_']) {
            continue;
        }
        let ours = is_saved(&name) && entry.file_type()?.is_file();
        if ours { saved.ours.push(name) } else { saved.others.push(name) }
    }
    saved.others.sort();
    Ok(saved)
}

/// Fails if a folder is a link: what is behind it is not ours to replace.
pub(crate) fn refuse_link(folder: &Path) -> io::Result<()> {
    match fs::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_symlink() => {
            let text = format!("{} is a link; what is behind it is not replaced", folder.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `part-<time>-<token>-<process>-<partition><extension>`, as [`FileSet`] names files.
fn is_saved(name: &str) -> bool {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let plain = !name.contains(['/', '\\']) && !name.contains("..");
    let numbered = |partition: &str| partition.len() >= 5 && partition.bytes().all(|b| b.is_ascii_digit());
    plain && stem.rsplit_once('-').is_some_and(|(set, partition)| is_set(set) && numbered(partition))
}

/// `.part-<time>-<token>-<process>[.<run>].inprogress`
fn is_staging(name: &str) -> bool {
    let stem = name.strip_prefix('.').and_then(|name| name.strip_suffix(".inprogress"));
    stem.is_some_and(|stem| is_set(stem.split_once('.').map_or(stem, |(set, _)| set)))
}

fn is_set(set: &str) -> bool {
    let Some(fields) = set.strip_prefix("part-") else { return false };
    let fields: Vec<&str> = fields.split('-').collect();
    let hex = |field: &str| !field.is_empty() && field.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(fields[..], [time, token, process] if !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit()) && hex(token) && hex(process))
}

/// Whether there is a folder, and not a link to one.
fn is_folder(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Makes the names in a folder survive a loss of power.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The operator whose function saves, for the names of what it writes.
#[derive(Clone, Debug)]
pub(crate) struct Saver {
    run: RunId,
    uid: Arc<str>,
    /// Where what former runs have left has been removed.
    cleared: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Saver {
    pub(crate) fn new(context: &OperatorContext) -> Self {
        Self { run: context.run.clone(), uid: context.operator.uid.clone(), cleared: Arc::default() }
    }

    /// Removes what former runs of this operator have left half-saved in these folders. What counts of it has been published when
    /// the operator was restored.
    fn clear(&self, folders: &[&Path]) -> io::Result<()> {
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            if !self.cleared.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_path_buf()) {
                continue;
            }
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let run = name
                    .strip_suffix(".inprogress")
                    .and_then(|name| name.rsplit_once('.'))
                    .map(|(_, run)| run);
                let is_left = run.is_some_and(|run| self.run.came_after(&self.uid, run));
                if is_left && is_staging(&name) && entry.file_type()?.is_dir() {
                    unless_gone(fs::remove_dir_all(entry.path()))?;
                }
            }
        }
        Ok(())
    }
}

/// The batch that an `Rdd` belongs to.
#[derive(Clone, Debug)]
pub(crate) struct BatchContext {
    time: Timestamp,
    saver: Option<Saver>,
    pending: Arc<Mutex<Vec<Publish>>>,
}

impl BatchContext {
    pub(crate) fn new(time: Timestamp, saver: Option<Saver>) -> Self {
        Self { time, saver, pending: Arc::default() }
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
        let above = folder.parent().unwrap_or(&folder);
        let beside = if folder.is_dir() { &folder } else { above };
        fs::create_dir_all(beside)?;
        let saver = batch.as_ref().and_then(|batch| batch.saver.as_ref());
        saver.map_or(Ok(()), |saver| saver.clear(&[&folder, above]))?;
        let run = saver.map(|saver| format!(".{}", saver.run.name(&saver.uid))).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let time = batch.as_ref().map_or(now as i64, |batch| batch.time.max(0));
        loop {
            let name = format!("part-{time}-{:016x}-{:x}", RunId::token(), std::process::id());
            let staging = beside.join(format!(".{name}{run}.inprogress"));
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
        let mut file = BufWriter::new(File::create_new(self.publish.staging.join(&name))?);
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
        let batch = BatchContext::new(1000, None);
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
        let batch = BatchContext::new(1000, None);
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
        let batch = BatchContext::new(1000, None);
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

    #[test]
    fn an_entry_that_no_save_has_written_moves_and_removes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (folder, precious) = (root.path().join("out"), root.path().join("precious"));
        fs::create_dir_all(precious.join("deep")).unwrap();
        fs::create_dir(&folder).unwrap();
        let file = "part-1-aa-bb-00000".to_owned();
        let staging = root.path().join(".part-1-aa-bb.inprogress");
        let entry = |staging: &Path, files: Vec<String>| Publish {
            folder: folder.clone(),
            staging: staging.to_owned(),
            files,
            replace: true,
        };
        let elsewhere = precious.join(".part-1-aa-bb.inprogress");
        fs::create_dir(&elsewhere).unwrap();
        for entry in [
            entry(&precious, vec![]),
            entry(&elsewhere, vec![]),
            entry(&staging, vec!["../precious".to_owned()]),
            entry(&staging, vec![file.clone(), "x".to_owned()]),
        ] {
            entry.discard();
            assert_eq!(entry.perform().unwrap_err().kind(), io::ErrorKind::InvalidData, "{entry:?}");
        }
        // A link in the place of the hidden folder.
        std::os::unix::fs::symlink(&precious, &staging).unwrap();
        entry(&staging, vec![file]).perform().unwrap();
        assert_eq!(names(&precious), [".part-1-aa-bb.inprogress", "deep"]);
    }

    #[test]
    fn replacing_leaves_what_no_save_has_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("out");
        save(&folder, false, None);
        fs::write(folder.join("notes.txt"), "mine").unwrap();
        fs::write(folder.join("part-00000-c7d1-c000.snappy.parquet"), "Spark's").unwrap();
        let foreign = saved(&folder).unwrap().others;
        assert_eq!(foreign, ["notes.txt", "part-00000-c7d1-c000.snappy.parquet"]);
        save(&folder, true, None);
        assert_eq!((saved(&folder).unwrap().ours.len(), saved(&folder).unwrap().others), (1, foreign));
        // Nothing is replaced behind a link.
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let before = names(&folder);
        let mut files = FileSet::begin(&link, true, None).unwrap();
        files.write(0, ".txt", |file| file.write_all(b"text")).unwrap();
        let error = files.finish().unwrap_err().to_string();
        assert!(error.contains("is a link"), "{error}");
        assert!(before.iter().all(|name| names(&folder).contains(name)));
    }

    #[test]
    fn a_file_that_is_gone_is_told_and_an_instance_that_comes_late_finds_it_done() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("out");
        let batch = BatchContext::new(1000, None);
        save(&folder, false, Some(&batch));
        let publish = &batch.take_pending()[0];
        fs::remove_file(publish.staging.join(&publish.files[0])).unwrap();
        let error = publish.perform().unwrap_err();
        assert!(error.kind() == io::ErrorKind::NotFound && error.to_string().contains("is gone"), "{error}");
        fs::remove_dir(&publish.staging).unwrap();
        publish.perform().unwrap();
    }

    #[test]
    fn what_former_runs_left_half_saved_is_removed_by_the_next_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("out");
        fs::create_dir(&folder).unwrap();
        let run = |generation, lineage: &str| RunId {
            lineage: lineage.into(),
            generation,
            attempt: 0,
            resumed: true,
        };
        let saver = |run: RunId, uid: &str| Saver { run, uid: uid.into(), cleared: Arc::default() };
        let batch = |saver: Saver| Some(BatchContext::new(1000, Some(saver)));
        // Crashed: nobody drops them.
        for former in [
            saver(run(1, "aa"), "op"),
            saver(run(1, "bb"), "op"),
            saver(run(1, "aa"), "other"),
            saver(run(3, "aa"), "op"),
        ] {
            std::mem::forget(FileSet::begin(&folder, false, batch(former)).unwrap());
        }
        // Where the folder was not there yet.
        std::mem::forget(
            FileSet::begin(&root.path().join("new"), false, batch(saver(run(1, "aa"), "op"))).unwrap(),
        );
        drop(FileSet::begin(&folder, false, batch(saver(run(2, "aa"), "op"))).unwrap());
        assert_eq!((names(&folder).len(), names(root.path())), (3, vec!["out".to_owned()]));
    }
}
