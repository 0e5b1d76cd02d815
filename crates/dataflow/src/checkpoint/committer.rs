//! What a transactional sink provides, so that one commit makes an epoch visible, whole.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::id::{CheckpointId, Generation};
use crate::barrier::Epoch;
use crate::error::BoxError;

/// Commits epochs. There is at most one in a job: its commit *is* the commit point of the job.
///
/// For epoch n the engine calls [`flush`](Self::flush) when the state of n has been written and synced, then
/// writes the manifest, then calls [`commit`](Self::commit). Calls come in the order of the epochs, from one
/// thread. While n commits, the sinks already receive records of the next epoch; the engine sends no further
/// barrier before n is committed, so at most two epochs are ever open: the one that commits and the one that
/// fills. Only barriers that are checkpoints end an epoch here, so the numbers rise but may skip.
///
/// Whoever finds that another instance has taken its place returns [`Fenced`](crate::error::Fenced): the engine then asks the
/// checkpoint store who owns the job.
pub trait Committer: Send {
    /// Called before the job starts, and before each restart: fences every earlier instance of the job, aborts
    /// what it left open, and returns the marker of the last epoch that was committed, or `None` if none ever was.
    fn recover(&mut self) -> Result<Option<Marker>, BoxError>;

    /// Where the marker is kept, in words that are the same as long as it is looked for there. It is written down with each
    /// checkpoint, so that a job whose sinks have changed is not taken for one that has never committed.
    fn place(&self) -> String;

    /// The job continues from `epoch` (0: from nothing): records that arrive first belong to the next epoch
    /// that is flushed.
    fn start(&mut self, epoch: Epoch) -> Result<(), BoxError>;

    /// Returns when everything that the sinks were handed before barrier `epoch` is with the sink's system,
    /// uncommitted. `notes` is what the sources wanted to have told
    /// ([`SourceReader::note`](crate::source::SourceReader::note)).
    fn flush(&mut self, epoch: Epoch, notes: Vec<Box<dyn Any + Send>>) -> Result<(), BoxError>;

    /// Nothing in the state of the job has changed since the epoch before. If nothing was handed to the sinks either, forgets epoch `epoch`,
    /// as if it had been committed, and returns `true`; else, or if that cannot be known, returns `false`, and the epoch is
    /// flushed and committed like any other. The marker stays as it was.
    fn skip(&mut self, _epoch: Epoch) -> Result<bool, BoxError> {
        Ok(false)
    }

    /// Makes epoch `epoch` visible, with its [marker](CommitterContext::marker), which [`recover`](Self::recover) reads.
    fn commit(&mut self, epoch: Epoch) -> Result<(), BoxError>;
}

/// What the sinks of a job that commit together have in common: it makes the [`Committer`] of each attempt, and
/// is how their operators find it. See [`StreamGraph::committer`](crate::graph::StreamGraph::committer).
pub trait CommitterFactory: Send + Sync + 'static {
    /// Called once, before the job takes the place of another instance: looks whether the sinks' system can be reached, and has
    /// what they need. It must fence nobody; the context knows no generation yet.
    ///
    /// # Errors
    /// What [`make`](Self::make) or [`Committer::recover`] would fail with.
    fn check(&self, _context: &CommitterContext) -> Result<(), BoxError> {
        Ok(())
    }

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
    /// The how-many-th owner of the job this instance is.
    pub generation: Generation,
    /// The name of this instance.
    pub instance: Arc<str>,
    /// How many bytes of records may wait to be written, of the whole job. `None`: whatever is usual.
    pub queued_bytes: Option<u64>,
}

impl CommitterContext {
    /// What this instance commits epoch `epoch` with.
    pub fn marker(&self, epoch: Epoch) -> Marker {
        Marker { epoch, generation: self.generation, instance: self.instance.to_string() }
    }
}

/// What was committed last, and by whom: a transactional sink keeps it as part of its commits, so that nothing comes between the
/// two.
///
/// ```
/// use thalweg_dataflow::checkpoint::committer::Marker;
///
/// let marker = Marker { epoch: 17, generation: 3, instance: "4711".to_owned() };
/// assert_eq!(marker.to_string(), "thalweg-epoch=17;generation=3;instance=4711");
/// assert_eq!(Marker::parse(&marker.to_string()), Some(marker));
/// // As it was written before owners were counted.
/// assert_eq!(Marker::parse("thalweg-epoch=17").map(|marker| (marker.epoch, marker.generation)), Some((17, 0)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The epoch.
    pub epoch: Epoch,
    /// The how-many-th owner of the job committed it; 0 before owners were counted.
    pub generation: Generation,
    /// The instance that did; empty before owners were counted.
    pub instance: String,
}

impl Marker {
    /// Reads what its `Display` has written; `None` if that was something else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(';');
        let epoch = fields.next()?.strip_prefix("thalweg-epoch=")?.parse().ok()?;
        let mut marker = Self { epoch, generation: 0, instance: String::new() };
        for field in fields {
            match field.split_once('=')? {
                ("generation", generation) => marker.generation = generation.parse().ok()?,
                ("instance", instance) => instance.clone_into(&mut marker.instance),
                // Of a newer build.
                _ => {}
            }
        }
        Some(marker)
    }

    /// The checkpoint that holds the state at this commit.
    pub fn checkpoint(&self) -> CheckpointId {
        CheckpointId { generation: self.generation, epoch: self.epoch }
    }

    /// The newer of two: of several that were committed together one may be left of an earlier time.
    #[must_use]
    pub fn newer(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let order = |marker: &Option<Self>| marker.as_ref().map(|marker| (marker.epoch, marker.generation));
        if order(&other) > order(&one) { other } else { one }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, generation, instance } = self;
        write!(f, "thalweg-epoch={epoch};generation={generation};instance={instance}")
    }
}
