//! The runtime: threads, edges, and the coordinator that cuts, commits, restarts and stops.

mod attempt;
mod cadence;
mod config;
mod coordinator;
pub(crate) mod edge;
pub(crate) mod gate;
mod handle;
mod job;
mod listener;
mod pause;
mod quiet;
pub(crate) mod rate;
mod recovery;
mod restart;
mod slow;
pub(crate) mod source_task;
pub(crate) mod task;
pub(crate) mod turns;
pub(crate) mod under_way;
mod writer;

pub use config::{CheckpointConfig, JobConfig, MemoryConfig, RestoreFrom};
pub use coordinator::{JobResult, run, start};
pub use handle::{JobControls, JobHandle, JobView, Progress};
pub use job::Job;
pub use listener::{JobEvent, JobListener, JobListeners};
pub use rate::PidRate;
pub use restart::RestartStrategy;
