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
