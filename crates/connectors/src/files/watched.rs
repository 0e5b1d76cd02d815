//! Which files a source reads: those of a path, and, if it is watched, those that appear there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thalweg_dataflow::source::SourceStatus;
use thalweg_dataflow::time::{Timestamp, millis};

use super::positions::Positions;
use super::source::{TextFileError, files};

/// What a source was told of its files.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) path: PathBuf,
    /// How often to look for new ones.
    pub(super) every: Option<Duration>,
    /// Whether folders in the folder are looked into.
    pub(super) recursive: bool,
    /// What was there before, and is not to be read.
    passed_over: Arc<BTreeSet<PathBuf>>,
}

impl Watched {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, every: None, recursive: false, passed_over: Arc::default() }
    }

    /// Passes over the files that are there now.
    pub(super) fn pass_over_present(&mut self) {
        // A folder that cannot be read is told of when the job starts.
        self.passed_over = Arc::new(files(&self.path, self.recursive).into_iter().flatten().collect());
    }
}

/// What the reader of one subtask knows of them.
pub(super) struct Watch {
    watched: Watched,
    known: BTreeSet<PathBuf>,
    pub(super) restored: Positions,
    /// Whether there is no checkpoint.
    is_fresh: bool,
    look_again: Timestamp,
}

impl Watch {
    pub(super) fn new(watched: &Watched) -> Self {
        Self {
            watched: watched.clone(),
            known: BTreeSet::new(),
            restored: Positions::default(),
            is_fresh: true,
            look_again: Timestamp::MIN,
        }
    }

    pub(super) fn open(&mut self, restored: Option<Vec<(String, u64)>>) {
        self.is_fresh = restored.is_none();
        self.restored = Positions::new(restored.unwrap_or_default());
    }

    /// The files that have not been seen before, in order.
    pub(super) fn new_files(&mut self) -> Result<Vec<PathBuf>, TextFileError> {
        let mut new = files(&self.watched.path, self.watched.recursive)?;
        new.retain(|path| self.known.insert(path.clone()));
        Ok(new)
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
