//! Checkpoints: what is written down at a barrier, in which order, and how a job is restored from it.
//!
//! The order, always: *barrier n aligned → state of n written and synced → sinks flushed → manifest n → COMMIT
//! → n-1 may go*. `protocol` decides it and touches nothing; `store` writes files, `owner` says whose count; [`committer`] is what
//! a transactional sink provides.

mod align;
mod chain;
pub(crate) mod claims;
pub mod committer;
mod discard;
mod file;
mod id;
pub mod inspect;
mod manifest;
mod owner;
pub(crate) mod protocol;
mod restore;
mod sealed;
mod storage;
mod store;
mod stored;

pub(crate) use align::Aligner;
pub(crate) use chain::Chain;
pub(crate) use file::{StateFile, Written, read_index};
pub use id::{CheckpointId, Generation};
pub(crate) use manifest::FORMAT_VERSION;
pub use manifest::{Contents, FileEntry, Manifest, OperatorEntry, OperatorIdentity};
pub(crate) use owner::random;
pub use restore::Restore;
pub use storage::CheckpointStorage;
pub(crate) use store::CheckpointStore;
pub(crate) use stored::Stored;

impl CheckpointStorage {
    /// The number of the latest completed checkpoint of `job` in this place, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn latest_checkpoint(
        &self,
        job: &str,
    ) -> Result<Option<crate::barrier::Epoch>, crate::error::CheckpointError> {
        let latest = CheckpointStore::open(self.clone(), job)?.latest()?;
        Ok(latest.map(|checkpoint| checkpoint.epoch))
    }
}
