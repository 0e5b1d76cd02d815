//! Checkpoints: what is written down at a barrier, in which order, and how a job is restored from it.
//!
//! The order, always: *barrier n aligned → state of n written and synced → sinks flushed → manifest n → COMMIT
//! → n-1 may go*. `protocol` decides it and touches nothing; `store` writes files; [`committer`] is what a
//! transactional sink provides.

mod align;
pub mod committer;
mod file;
mod manifest;
pub(crate) mod protocol;
mod restore;
mod store;

pub(crate) use align::Aligner;
pub(crate) use file::StateFile;
pub(crate) use manifest::FORMAT_VERSION;
pub use manifest::{Manifest, OperatorEntry};
pub use restore::Restore;
pub use store::CheckpointStorage;
pub(crate) use store::CheckpointStore;
