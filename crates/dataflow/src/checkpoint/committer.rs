//! What a transactional sink provides, so that one commit makes an epoch visible, whole.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::barrier::Epoch;
use crate::error::BoxError;

/// Commits epochs. There is at most one in a job: its commit *is* the commit point of the job.
///
/// For epoch n the engine calls [`flush`](Self::flush) when the state of n has been written and synced, then
/// writes the manifest, then calls [`commit`](Self::commit). Calls come in the order of the epochs, from one
/// thread. While n commits, the sinks already receive records of the next epoch; the engine sends no further
/// barrier before n is committed, so at most two epochs are ever open: the one that commits and the one that
/// fills. Only barriers that are checkpoints end an epoch here, so the numbers rise but may skip.
pub trait Committer: Send {
    /// Called before the job starts, and before each restart: fences every earlier instance of the job, aborts
    /// what it left open, and returns the last epoch that was committed, or `None` if none ever was.
    fn recover(&mut self) -> Result<Option<Epoch>, BoxError>;

    /// The job continues from `epoch` (0: from nothing): records that arrive first belong to the next epoch
    /// that is flushed.
    fn start(&mut self, epoch: Epoch) -> Result<(), BoxError>;

    /// Returns when everything that the sinks were handed before barrier `epoch` is with the sink's system,
    /// uncommitted. `notes` is what the sources wanted to have told
    /// ([`SourceReader::note`](crate::source::SourceReader::note)).
    fn flush(&mut self, epoch: Epoch, notes: Vec<Box<dyn Any + Send>>) -> Result<(), BoxError>;

    /// Makes epoch `epoch` visible, with its number as the marker that [`recover`](Self::recover) reads.
    fn commit(&mut self, epoch: Epoch) -> Result<(), BoxError>;
}

/// What the sinks of a job that commit together have in common: it makes the [`Committer`] of each attempt, and
/// is how their operators find it. See [`StreamGraph::committer`](crate::graph::StreamGraph::committer).
pub trait CommitterFactory: Send + Sync + 'static {
    /// Makes the committer of one attempt. The operators of the attempt are opened after it was made and has recovered.
    ///
    /// # Errors
    /// Settings that cannot work.
    fn make(&self, context: &CommitterContext) -> Result<Box<dyn Committer>, BoxError>;
}

/// What a committer is told about its job.
#[derive(Clone, Debug)]
pub struct CommitterContext {
    /// The job's id: no two jobs that run at the same time share it.
    pub job: Arc<str>,
    /// The time between two checkpoints.
    pub checkpoint_interval: Duration,
}
