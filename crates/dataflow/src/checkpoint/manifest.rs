//! The manifest: what a checkpoint consists of. A checkpoint exists when, and only when, its manifest does.

use serde::{Deserialize, Serialize};

use crate::barrier::Epoch;
use crate::time::Timestamp;

/// The version of the manifest's format. It counts for the checkpoint as a whole.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// What a checkpoint consists of: `manifest.json`, written last, by an atomic rename.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub format_version: u32,
    /// The job's id.
    pub job: String,
    /// The number of the checkpoint.
    pub epoch: Epoch,
    /// The epoch that was the last to be committed when this one was cut; 0 if none had been.
    #[serde(default)]
    pub committed: Epoch,
    /// The time of its barrier.
    pub time: Timestamp,
    /// The number of key groups; it cannot change over a restore.
    pub max_parallelism: u16,
    /// Every operator of the job, stateful or not.
    pub operators: Vec<OperatorEntry>,
    /// The state files, in the same folder.
    pub files: Vec<String>,
}

/// One operator of a checkpointed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorEntry {
    /// Its stable id.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// How many subtasks it had.
    pub parallelism: usize,
}
