//! Which files a source reads: those of a path, and, if it is watched, those that appear there.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thalweg_dataflow::source::SourceStatus;
use thalweg_dataflow::time::{Timestamp, millis};

use super::compression::Compression;
use super::error::{TextFileError, io as failed};
use super::glob::Pattern;
use super::positions::Positions;
use super::system::{self, Entry, FileSystem};

/// What a source was told of its files.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) path: PathBuf,
    /// How often to look for new ones.
    pub(super) every: Option<Duration>,
    /// Whether folders in the folder are looked into.
    pub(super) recursive: bool,
    /// Whether older ones come first.
    pub(super) by_time: bool,
    /// If their names do not say it.
    pub(super) compression: Option<Compression>,
    /// Where they are, if the path does not say it.
    files: Option<Arc<dyn FileSystem>>,
    /// What was there before, and is not to be read.
    passed_over: Arc<BTreeSet<PathBuf>>,
}

impl Watched {
    pub(super) fn new(path: PathBuf) -> Self {
        let (every, recursive, by_time) = (None, false, false);
        Self { path, every, recursive, by_time, compression: None, files: None, passed_over: Arc::default() }
    }

    pub(super) fn on(&mut self, files: Arc<dyn FileSystem>) {
        self.files = Some(files);
    }

    fn files(&self) -> io::Result<Arc<dyn FileSystem>> {
        self.files.clone().map_or_else(|| system::of(&self.path), Ok)
    }

    /// Passes over the files that are there now.
    pub(super) fn pass_over_present(&mut self) {
        // A folder that cannot be read is told of when the job starts.
        let present = self.files().and_then(|files| self.list(&*files)).into_iter().flatten();
        self.passed_over = Arc::new(present.map(|entry| entry.path).collect());
    }

    /// What is there, in the order in which it is to be read.
    fn list(&self, files: &dyn FileSystem) -> io::Result<Vec<Entry>> {
        let listed = files.list(&self.path, self.recursive);
        let mut entries = match (Pattern::of(&self.path), listed) {
            // A file whose name looks like a pattern is a file.
            (None, listed) => listed?,
            (Some(_), Ok(listed)) if !listed.is_empty() => listed,
            (Some(pattern), _) => {
                let mut entries = files.list(pattern.base(), self.recursive || pattern.is_deep())?;
                entries.retain(|entry| pattern.fits(&entry.path));
                entries
            }
        };
        if entries.is_empty() && self.every.is_none() && !files.has_folders() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is nothing"));
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        if self.by_time {
            entries.sort_by_key(|entry| entry.modified);
        }
        Ok(entries)
    }
}

/// What the reader of one subtask knows of them.
pub(super) struct Watch {
    watched: Watched,
    /// Where they are.
    pub(super) files: Arc<dyn FileSystem>,
    known: BTreeSet<PathBuf>,
    pub(super) restored: Positions,
    /// Whether there is no checkpoint.
    is_fresh: bool,
    look_again: Timestamp,
}

impl Watch {
    pub(super) fn new(watched: &Watched) -> Result<Self, TextFileError> {
        Ok(Self {
            files: watched.files().map_err(|error| failed(&watched.path, error))?,
            watched: watched.clone(),
            known: BTreeSet::new(),
            restored: Positions::default(),
            is_fresh: true,
            look_again: Timestamp::MIN,
        })
    }

    pub(super) fn open(&mut self, restored: Option<Vec<(String, u64)>>) {
        self.is_fresh = restored.is_none();
        self.restored = Positions::new(restored.unwrap_or_default());
    }

    /// The files that have not been seen before, in order.
    pub(super) fn new_files(&mut self) -> Result<Vec<Entry>, TextFileError> {
        let listed = self.watched.list(&*self.files);
        let mut new = listed.map_err(|error| failed(&self.watched.path, error))?;
        new.retain(|entry| self.known.insert(entry.path.clone()));
        Ok(new)
    }

    pub(super) fn compression(&self, path: &Path) -> Compression {
        self.watched.compression.unwrap_or_else(|| Compression::of(path))
    }

    /// Whether a file is not to be read, as it was there before.
    pub(super) fn is_passed_over(&self, path: &Path) -> bool {
        self.is_fresh && self.watched.passed_over.contains(path)
    }

    /// Whether it is time to look for new files; then the next time is set.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let Some(every) = self.watched.every.filter(|_| now >= self.look_again) else { return false };
        self.look_again = now + millis(every);
        true
    }

    /// What a reader says that has read all there is.
    pub(super) fn at_end(&self) -> SourceStatus {
        match self.watched.every {
            Some(_) => SourceStatus::Idle { until: Some(self.look_again) },
            None => SourceStatus::End,
        }
    }
}
