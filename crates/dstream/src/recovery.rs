//! What a program is told when it is built: whether there is a checkpoint to go on from.

use std::path::{Path, PathBuf};

use thalweg_connectors::store::{checkpoint_storage, jobs_with_checkpoints};
use thalweg_dataflow::barrier::Epoch;
use thalweg_dataflow::error::{CheckpointError, JobError};

use crate::StreamingContext;

/// Whether the context that is being created will go on from a checkpoint; see [`StreamingContext::get_or_create`].
#[derive(Clone, Debug)]
pub struct Recovery {
    folder: PathBuf,
    jobs: Vec<(String, Epoch)>,
}

impl Recovery {
    pub(crate) fn of(folder: &Path) -> Result<Self, CheckpointError> {
        let storage = checkpoint_storage(folder)?;
        let mut jobs = Vec::new();
        for job in jobs_with_checkpoints(folder)? {
            if let Some(epoch) = storage.latest_checkpoint(&job)? {
                jobs.push((job, epoch));
            }
        }
        Ok(Self { folder: folder.to_owned(), jobs })
    }

    /// Whether there is a completed checkpoint in the folder, of any job: with one job a folder, whether it recovers.
    pub fn is_recovery(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// The number of the latest completed checkpoint of the job of this name: `None` if it starts from nothing. For several jobs
    /// in one folder.
    pub fn checkpoint_of(&self, app_name: &str) -> Option<Epoch> {
        self.jobs.iter().find(|(job, _)| job == app_name).map(|(_, epoch)| *epoch)
    }

    /// The folder of the checkpoints.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// What makes a context: a function that takes a [`Recovery`], or one that takes nothing.
pub trait CreateContext<Arguments> {
    /// Makes it.
    ///
    /// # Errors
    /// What the function returned.
    fn create(self, recovery: Recovery) -> Result<StreamingContext, JobError>;
}

impl<F: FnOnce() -> Result<StreamingContext, JobError>> CreateContext<()> for F {
    fn create(self, _: Recovery) -> Result<StreamingContext, JobError> {
        self()
    }
}

impl<F: FnOnce(Recovery) -> Result<StreamingContext, JobError>> CreateContext<(Recovery,)> for F {
    fn create(self, recovery: Recovery) -> Result<StreamingContext, JobError> {
        self(recovery)
    }
}
