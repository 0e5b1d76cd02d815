//! Runs a job: attempt after attempt, until it ends, is stopped, or may not be restarted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::attempt::{Attempt, Ended};
use super::config::{JobConfig, RestoreFrom};
use super::handle::{Command, JobHandle, Shown};
use super::restart::Restarts;
use super::task::Report;
use crate::barrier::Epoch;
use crate::checkpoint::committer::{Committer, CommitterContext};
use crate::checkpoint::protocol::Event;
use crate::checkpoint::{CheckpointStore, Restore};
use crate::error::{CheckpointError, JobError};
use crate::graph::{GraphData, StreamGraph};
use crate::metrics::JobMetrics;

/// What the coordinator is told.
pub(crate) enum Message {
    /// By task number so-and-so of attempt number so-and-so.
    Task { attempt: u32, task: usize, report: Report },
    /// By the checkpoint writer of an attempt.
    Written { attempt: u32, result: Result<Event, JobError> },
    /// By a handle.
    Command(Command),
}

/// How a job ended that ended well.
#[derive(Clone, Debug)]
pub struct JobResult {
    /// The last epoch that was committed.
    pub epoch: Epoch,
    /// How often the job was restarted.
    pub restarts: u32,
    /// The counters of its last attempt.
    pub metrics: JobMetrics,
}

/// Runs a job to its end, on this thread and those of its tasks.
///
/// # Errors
/// What ended it, if that was not the end of its input.
pub fn run(graph: &StreamGraph, config: JobConfig) -> Result<JobResult, JobError> {
    let (sender, receiver) = channel();
    Coordinator { graph, config, sender, shown: Arc::default(), restarts: Restarts::default() }.run(&receiver)
}

/// Starts a job on threads of its own.
///
/// # Errors
/// When a thread cannot be started. What is wrong with the job itself is told by [`JobHandle::wait`].
pub fn start(graph: &StreamGraph, config: JobConfig) -> Result<JobHandle, JobError> {
    let (sender, receiver) = channel();
    let (graph, messages, shown) = (graph.clone(), sender.clone(), Arc::<Shown>::default());
    let run = {
        let shown = shown.clone();
        move || {
            Coordinator { graph: &graph, config, sender, shown, restarts: Restarts::default() }.run(&receiver)
        }
    };
    let thread = std::thread::Builder::new().name("thalweg-coordinator".to_owned()).spawn(run);
    Ok(JobHandle { messages, shown, thread: thread.map_err(JobError::Thread)? })
}

struct Coordinator<'a> {
    graph: &'a StreamGraph,
    config: JobConfig,
    sender: Sender<Message>,
    shown: Arc<Shown>,
    restarts: Restarts,
}

impl Coordinator<'_> {
    fn run(mut self, messages: &Receiver<Message>) -> Result<JobResult, JobError> {
        let store = match &self.config.checkpoint {
            Some(checkpoint) => {
                check_id(&self.config.id)?;
                Some(Arc::new(CheckpointStore::open(checkpoint.storage.clone(), &self.config.id)?))
            }
            None => None,
        };
        // Whoever starts last owns the checkpoints; an older instance must not take them back by being restarted.
        if let Some(store) = &store {
            store.take_over()?;
        }
        let strategy = self.config.restart_strategy();
        loop {
            let started = Instant::now();
            let number = self.restarts.total();
            let error = match self.attempt(number, store.clone(), messages) {
                Ok(Ended::Finished(epoch, metrics)) => {
                    return Ok(JobResult { epoch, restarts: number, metrics });
                }
                Ok(Ended::Failed(error)) => error,
                Err(error) => return Err(error),
            };
            if error.is_fatal() {
                return Err(error.with_attempts(number));
            }
            let Some(wait) = self.restarts.after_failure(&strategy, started.elapsed()) else {
                return Err(error.with_attempts(number));
            };
            tracing::warn!(job = self.config.id, %error, ?wait, "the job failed and will be restarted");
            self.shown.progress(|progress| progress.restarts = self.restarts.total());
            wait_unless_stopped(messages, wait)?;
        }
    }

    fn attempt(
        &self,
        number: u32,
        store: Option<Arc<CheckpointStore>>,
        messages: &Receiver<Message>,
    ) -> Result<Ended, JobError> {
        let (committer, restore) = {
            let graph = self.graph.lock();
            match self.recover(&graph, store.as_deref(), number) {
                // The store or the broker may be out of reach for a while; that is for the restart strategy.
                Err(error) if number > 0 => return Ok(Ended::Failed(error)),
                result => result?,
            }
        };
        let attempt = {
            let graph = self.graph.lock();
            let sender = (number, self.sender.clone());
            Attempt::start(&graph, &self.config, store, committer, restore, sender, self.shown.clone())?
        };
        Ok(attempt.run(messages))
    }

    /// Finds where to continue: fences what is left of earlier instances, and reads the checkpoint that counts.
    #[expect(clippy::type_complexity, reason = "the two things that recovery finds")]
    fn recover(
        &self,
        graph: &GraphData,
        store: Option<&CheckpointStore>,
        number: u32,
    ) -> Result<(Option<Box<dyn Committer>>, Option<Arc<Restore>>), JobError> {
        let mut committer = match (&graph.committer, store) {
            (None, _) => None,
            (Some((key, _)), None) => {
                return Err(JobError::Config(format!(
                    "the sink to `{key}` is exactly-once, which needs checkpoints: set a checkpoint interval and storage"
                )));
            }
            (Some((_, factory)), Some(_)) => {
                let checkpoint_interval =
                    self.config.checkpoint.as_ref().map_or(Duration::ZERO, |c| c.interval);
                let context = CommitterContext { job: self.config.id.as_str().into(), checkpoint_interval };
                Some(factory.make(&context).map_err(JobError::Commit)?)
            }
        };
        // Fencing comes first: only then is the marker final.
        let marker =
            committer.as_mut().map(|committer| committer.recover()).transpose().map_err(JobError::Commit)?;
        let Some(store) = store else { return Ok((None, None)) };
        let own = match marker {
            Some(marker) => marker,
            None => store.latest()?,
        };
        let epoch = match (&self.config.restore, own, number) {
            (RestoreFrom::Latest | RestoreFrom::Savepoint(_), own, _) => own,
            (RestoreFrom::Epoch(epoch), _, 0) if marker.flatten().is_none_or(|marker| marker == *epoch) => {
                Some(*epoch)
            }
            (RestoreFrom::Epoch(epoch), _, 0) => {
                return Err(JobError::Config(format!(
                    "the sink has committed epoch {}, and the job is to be restored from {epoch}: its output would be doubled; \
                     give the job another id to replay on purpose",
                    marker.flatten().unwrap_or_default()
                )));
            }
            (RestoreFrom::Nothing, _, 0) => None,
            (RestoreFrom::Epoch(_) | RestoreFrom::Nothing, own, _) => own,
        };
        let restore = match (epoch, &self.config.restore) {
            (Some(epoch), _) => Some(store.load(epoch)?),
            (None, RestoreFrom::Savepoint(savepoint)) => Some(CheckpointStore::load_savepoint(savepoint)?),
            (None, _) => None,
        };
        if let Some(restore) = &restore {
            check_fit(graph, restore, self.config.max_parallelism)?;
        }
        if let Some(committer) = &mut committer {
            committer.start(restore.as_ref().map_or(0, Restore::epoch)).map_err(JobError::Commit)?;
        }
        Ok((committer, restore.map(Arc::new)))
    }
}

/// The id is a folder's name, and part of the names of groups and transactions.
fn check_id(id: &str) -> Result<(), JobError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !id.is_empty() && id.chars().all(fine) && !id.starts_with('.') {
        return Ok(());
    }
    Err(JobError::Config(format!(
        "the job id `{id}` cannot name a folder; use letters, digits, `.`, `_` and `-`"
    )))
}

/// A checkpoint fits a job that has at least its operators, and as many key groups.
fn check_fit(graph: &GraphData, restore: &Restore, max_parallelism: u16) -> Result<(), JobError> {
    let uids = graph.uids()?;
    let manifest = restore.manifest();
    for operator in &manifest.operators {
        if restore.has_state(&operator.uid) && !uids.iter().any(|uid| **uid == *operator.uid) {
            let known: Vec<&str> = uids.iter().map(|uid| &**uid).collect();
            let reason = format!(
                "the checkpoint has state of it (named `{}`), and the job has no operator of that uid; the job's are {}. \
                 Set .uid(\"{}\") on the operator that is to have this state, or start from nothing",
                operator.name,
                known.join(", "),
                operator.uid
            );
            return Err(restore.mismatch(&operator.uid, reason).into());
        }
    }
    if manifest.max_parallelism != max_parallelism {
        return Err(JobError::Config(format!(
            "the checkpoint has {} key groups, the job has {max_parallelism}; set max_parallelism to {}",
            manifest.max_parallelism, manifest.max_parallelism
        )));
    }
    Ok(())
}

fn wait_unless_stopped(messages: &Receiver<Message>, wait: Duration) -> Result<(), JobError> {
    let until = Instant::now() + wait;
    loop {
        match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Message::Command(Command::Cancel | Command::Stop(_))) => return Err(JobError::Cancelled),
            Ok(Message::Command(Command::Savepoint(target, reply))) => {
                let location = format!("{target:?}");
                let _ = reply.send(Err(CheckpointError::Missing { location, epoch: None }));
            }
            // What is left of the attempt that failed.
            Ok(Message::Task { .. } | Message::Written { .. }) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
