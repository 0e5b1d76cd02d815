//! The handle of a running job: stop it, cancel it, take a savepoint, look at its counters.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::coordinator::{JobResult, Message};
use crate::barrier::{Epoch, Then};
use crate::checkpoint::CheckpointStorage;
use crate::error::{CheckpointError, JobError};
use crate::metrics::{JobMetrics, OperatorWatermark};
use crate::tell;
use crate::time::Timestamp;

/// What the outside may ask of a job.
pub(crate) enum Command {
    Stop(Then),
    Cancel,
    Savepoint(CheckpointStorage, Sender<Result<Epoch, CheckpointError>>),
}

/// How far a job has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last epoch that has been committed (or, without checkpoints, passed by all tasks).
    pub committed_epoch: Epoch,
    /// The batch time of that epoch.
    pub batch_time: Timestamp,
    /// How long after its batch time it was there, in milliseconds: what it took, and how far the job is behind.
    pub batch_delay: i64,
    /// The number of restarts so far.
    pub restarts: u32,
}

/// What the job shows of itself.
#[derive(Default)]
pub(crate) struct Shown {
    progress: Mutex<Progress>,
    metrics: Mutex<JobMetrics>,
    /// What has been told once, and is not told again.
    told: Mutex<BTreeSet<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shown {
    pub(crate) fn progress(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut lock(&self.progress));
    }

    /// Whether this is told for the first time.
    pub(crate) fn is_news(&self, what: &str) -> bool {
        lock(&self.told).insert(what.to_owned())
    }

    pub(crate) fn set_metrics(&self, metrics: JobMetrics) {
        *lock(&self.metrics) = metrics;
    }
}

/// A running job (Flink's `JobClient`).
///
/// Dropping it leaves the job running, for as long as the process does; unless the job has been asked to end (by
/// [`stop`](Self::stop) and its kin, from here or by [`JobControls`]): then the drop waits until it has, and tells how on stderr if it
/// did not end well. So a `stop()` at the end of `main` loses nothing.
#[must_use = "a job ends with the process: keep the handle, and wait() for the job"]
pub struct JobHandle {
    pub(crate) controls: JobControls,
    pub(crate) shown: Arc<Shown>,
    /// Taken by whoever waits.
    pub(crate) thread: Option<JoinHandle<Result<JobResult, JobError>>>,
}

thread_local! {
    /// Whether this is a thread of a job: it cannot wait for one.
    static OF_A_JOB: Cell<bool> = const { Cell::new(false) };
}

/// Says that this thread is one of a job.
pub(crate) fn enter_job() {
    OF_A_JOB.set(true);
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !self.controls.ending.load(Ordering::Acquire) || OF_A_JOB.get() || std::thread::panicking() {
            return;
        }
        if let Ok(Err(error)) = thread.join()
            && !matches!(error, JobError::Cancelled)
        {
            tell::warn(format_args!(
                "the job that was asked to end, and not waited for, has failed: {error}"
            ));
        }
    }
}

impl JobHandle {
    /// Asks the job to stop as if its input had ended: sources stop reading, windows and batches are closed,
    /// everything is committed. [`wait`](Self::wait) tells when that is done.
    pub fn stop(&self) {
        self.controls().stop();
    }

    /// Asks the job to stop at a checkpoint, with windows and batches left open in it, to be resumed later.
    pub fn suspend(&self) {
        self.controls().suspend();
    }

    /// Ends the job at once. What the last completed checkpoint covers is safe.
    pub fn cancel(&self) {
        self.controls().cancel();
    }

    /// Takes a checkpoint, and copies it to `target`. The job goes on.
    ///
    /// # Errors
    /// When the job has no checkpoint storage, has ended, or the target cannot be written.
    pub fn savepoint(&self, target: CheckpointStorage) -> Result<Epoch, CheckpointError> {
        let (reply, answer) = channel();
        let location = format!("{target:?}");
        let gone = || CheckpointError::Savepoint {
            location,
            reason: "the job has ended, has failed meanwhile, or has no checkpoint storage".to_owned(),
        };
        match self.controls.messages.send(Message::Command(Command::Savepoint(target, reply))) {
            Ok(()) => answer.recv().unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(gone()),
        }
    }

    /// A handle that can only stop the job: for a signal handler.
    pub fn controls(&self) -> JobControls {
        self.controls.clone()
    }

    /// What the job shows of itself, also after this handle has been waited for.
    pub fn view(&self) -> JobView {
        JobView(self.shown.clone())
    }

    /// The counters of the present attempt.
    pub fn metrics(&self) -> JobMetrics {
        self.view().metrics()
    }

    /// How far event time has come, operator by operator, and which split of a source is behind all others, since when.
    pub fn watermarks(&self) -> Vec<OperatorWatermark> {
        self.metrics().watermarks()
    }

    /// How far the job has come.
    pub fn progress(&self) -> Progress {
        self.view().progress()
    }

    /// Whether the job has ended, one way or another.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end of the job.
    ///
    /// # Errors
    /// What ended it, if that was not the end of its input or [`stop`](Self::stop).
    pub fn wait(mut self) -> Result<JobResult, JobError> {
        // Nobody else takes it: whoever waits takes the handle.
        let Some(thread) = self.thread.take() else { return Err(JobError::Cancelled) };
        match thread.join() {
            Ok(result) => result,
            // Only a bug of the coordinator gets here: users' panics are failures of tasks.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// What a job shows of itself. Clones show the same job.
#[derive(Clone)]
pub struct JobView(Arc<Shown>);

impl JobView {
    /// The counters of the present attempt, or of the last.
    pub fn metrics(&self) -> JobMetrics {
        lock(&self.0.metrics).clone()
    }

    /// How far event time has come; see [`JobHandle::watermarks`].
    pub fn watermarks(&self) -> Vec<OperatorWatermark> {
        self.metrics().watermarks()
    }

    /// How far the job has come.
    pub fn progress(&self) -> Progress {
        lock(&self.0.progress).clone()
    }
}

/// Stops a job from anywhere. Clones stop the same job.
#[derive(Clone)]
pub struct JobControls {
    messages: Sender<Message>,
    /// Whether the job has been asked to end.
    ending: Arc<AtomicBool>,
}

impl JobControls {
    pub(crate) fn new(messages: Sender<Message>) -> Self {
        Self { messages, ending: Arc::default() }
    }

    fn command(&self, command: Command) {
        self.ending.store(true, Ordering::Release);
        // A job that has ended needs no stopping.
        let _ = self.messages.send(Message::Command(command));
    }

    /// See [`JobHandle::stop`].
    pub fn stop(&self) {
        self.command(Command::Stop(Then::Finish));
    }

    /// See [`JobHandle::suspend`].
    pub fn suspend(&self) {
        self.command(Command::Stop(Then::Suspend));
    }

    /// See [`JobHandle::cancel`].
    pub fn cancel(&self) {
        self.command(Command::Cancel);
    }
}
