//! Runs a job: attempt after attempt, until it ends, is stopped, or may not be restarted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::attempt::{Attempt, Ended};
use super::config::{JobConfig, RestoreFrom};
use super::handle::{Command, JobControls, JobHandle, Shown};
use super::recovery::{Recovered, Recovery, check_has_store};
use super::restart::Restarts;
use super::task::Report;
use crate::barrier::{Epoch, Then};
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::protocol::Event;
use crate::error::{CheckpointError, JobError};
use crate::graph::{GraphData, StreamGraph, plan};
use crate::metrics::{JobMetrics, Totals};
use crate::tell;
use crate::time::millis;

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
    Coordinator::new(graph, config, sender, Arc::default()).run(&receiver)
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
            super::handle::enter_job();
            Coordinator::new(&graph, config, sender, shown).run(&receiver)
        }
    };
    let thread = std::thread::Builder::new().name("thalweg-coordinator".to_owned()).spawn(run);
    let thread = Some(thread.map_err(JobError::Thread)?);
    Ok(JobHandle { controls: JobControls::new(messages), shown, thread })
}

struct Coordinator<'a> {
    graph: &'a StreamGraph,
    config: JobConfig,
    sender: Sender<Message>,
    shown: Arc<Shown>,
    restarts: Restarts,
    recovery: Recovery,
    /// What the job was told to end with. If it fails before that is done, the next attempt is told again.
    stop: Option<Then>,
}

impl<'a> Coordinator<'a> {
    fn new(graph: &'a StreamGraph, config: JobConfig, sender: Sender<Message>, shown: Arc<Shown>) -> Self {
        let (restarts, recovery) = (Restarts::default(), Recovery::default());
        let config = JobConfig { clock: config.clock.steady(), ..config };
        Self { graph, config, sender, shown, restarts, recovery, stop: None }
    }

    fn run(mut self, messages: &Receiver<Message>) -> Result<JobResult, JobError> {
        // A job that cannot run must not take the place of one that does.
        plan::check(&self.graph.lock(), &self.config)?;
        if self.config.checkpoint.is_none() {
            check_has_store(&self.graph.lock())?;
        }
        let store = match &self.config.checkpoint {
            Some(checkpoint) => {
                let folder = folder_of(&self.config.id)?;
                Some(Arc::new(CheckpointStore::open(checkpoint.storage.clone(), &folder)?))
            }
            None => None,
        };
        // Whoever starts last owns the checkpoints; an older instance must not take them back by being restarted.
        if let Some(store) = &store {
            self.recovery.look(&self.graph.lock(), &self.config, store)?;
            store.take_over()?;
        }
        let strategy = self.config.restart_strategy();
        loop {
            let started = Instant::now();
            let number = self.restarts.total();
            let was_stopped = self.stop.is_some();
            let (mut error, give_up) = match self.attempt(number, store.clone(), messages)? {
                Ended::Finished(epoch, metrics) => {
                    self.tell_totals(&metrics);
                    return Ok(JobResult { epoch, restarts: number, metrics });
                }
                Ended::Failed { error, give_up } => (error, give_up),
            };
            if error.is_fenced()
                && !give_up
                && let Some(store) = &store
            {
                // The sink's system says that somebody else has our place. The store says whose it is.
                match store.check_owner() {
                    Ok(()) => {
                        tell::warn(format_args!(
                            "'{}' was fenced, but still owns its checkpoints: the other instance gives way, and this one goes on: {error}",
                            self.config.id
                        ));
                        self.restarts.not_a_failure();
                        self.shown.progress(|progress| progress.restarts = self.restarts.total());
                        continue;
                    }
                    Err(fenced @ CheckpointError::Fenced { .. }) => return Err(fenced.into()),
                    // Out of reach: asked again before the next attempt fences anybody.
                    Err(unknown) => error = unknown.into(),
                }
            }
            // A job that is to stop and fails tries once more to stop in good order; it must not go on trying for ever.
            if give_up || error.is_fatal() || was_stopped {
                return Err(error.with_attempts(number));
            }
            let Some(wait) = self.restarts.after_failure(&strategy, started.elapsed()) else {
                return Err(error.with_attempts(number));
            };
            let id = &self.config.id;
            let (wait_for, nth) = (tell::span(millis(wait)), self.restarts.total());
            tell::warn(format_args!(
                "'{id}' has failed, and is restarted in {wait_for} (restart {nth}): {error}"
            ));
            self.shown.progress(|progress| progress.restarts = self.restarts.total());
            match wait_unless_stopped(messages, wait) {
                None => {}
                Some(Command::Cancel) => return Err(JobError::Cancelled),
                // There is nothing to be stopped in good order.
                Some(_) => return Err(error.with_attempts(number)),
            }
        }
    }

    fn attempt(
        &mut self,
        number: u32,
        store: Option<Arc<CheckpointStore>>,
        messages: &Receiver<Message>,
    ) -> Result<Ended, JobError> {
        let graph = self.graph.lock();
        let recovered = match self.recovery.recover(&graph, &self.config, store.as_deref()) {
            // The store or the broker may be out of reach for a while, also if they were not a moment ago; that is for the restart
            // strategy. And two instances that start at once may both fence.
            Err(error) if number > 0 || error.is_fenced() || !error.is_fatal() => {
                return Ok(Ended::Failed { error, give_up: false });
            }
            result => result?,
        };
        if self.shown.is_news("beginning") {
            self.tell_beginning(&recovered);
            self.tell_aligned(&graph)?;
        }
        let sender = (number, self.sender.clone());
        let attempt = Attempt::start(&graph, &self.config, store, recovered, sender, self.shown.clone())?;
        drop(graph);
        Ok(attempt.run(messages, &mut self.stop))
    }
}

impl Coordinator<'_> {
    /// Where barriers wait for records in a job that would have them overtake.
    fn tell_aligned(&self, graph: &GraphData) -> Result<(), JobError> {
        if self.config.checkpoint.is_none() || self.config.unaligned_after.is_none() {
            return Ok(());
        }
        let waiting = plan::aligned(graph, &self.config)?;
        if !waiting.is_empty() {
            tell::info(format_args!(
                "'{}' has unaligned checkpoints, but barriers wait for all records on their way to {}: what is forwarded or broadcast cannot be \
                 overtaken, and what is partitioned only where the stream is `unaligned()`",
                self.config.id,
                waiting.join(", ")
            ));
        }
        Ok(())
    }

    /// Where the job begins, and what became of its state.
    fn tell_beginning(&self, recovered: &Recovered) {
        let id = &self.config.id;
        let Some(restore) = &recovered.restore else { return };
        let age = tell::span(self.config.clock.now().saturating_sub(restore.manifest().time));
        let epoch = restore.epoch();
        let whence = match &self.config.restore {
            RestoreFrom::Savepoint(savepoint) if recovered.committed == 0 => {
                format!("savepoint {savepoint:?}, epoch {epoch}")
            }
            _ => format!("checkpoint {epoch}"),
        };
        let report = &recovered.report;
        let details = if report.is_plain() { String::new() } else { format!("\n{report}") };
        tell::info(format_args!("resuming '{id}' at {whence} (age {age}){details}"));
    }

    /// What the job has done, in one line.
    fn tell_totals(&self, metrics: &JobMetrics) {
        if !self.config.tell_totals {
            return;
        }
        let Totals { records_in: read, records_out: written, late, skipped, .. } = metrics.totals();
        let restarts = match self.restarts.total() {
            0 => String::new(),
            1 => " since its restart".to_owned(),
            n => format!(" since the last of its {n} restarts"),
        };
        let id = &self.config.id;
        tell::info(format_args!(
            "'{id}' has ended: {read} records in, {written} out, {late} late, {skipped} skipped{restarts}"
        ));
    }
}

/// The folder of a job's checkpoints: its id, in which what not every store can have in a name is written as `+` and two
/// hexadecimal digits.
fn folder_of(id: &str) -> Result<String, JobError> {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    let folder: String =
        id.bytes()
            .enumerate()
            .map(|(index, c)| {
                if fine(c) && (c, index) != (b'.', 0) {
                    char::from(c).to_string()
                } else {
                    format!("+{c:02x}")
                }
            })
            .collect();
    match folder.len() {
        0 => Err(JobError::Config(
            "the job has no name, by which its checkpoints could be found; give it one".to_owned(),
        )),
        1..=200 => Ok(folder),
        _ => Err(JobError::Config(format!(
            "the name of the job, `{id}`, is too long for that of a folder; 200 letters are not"
        ))),
    }
}

/// Waits, unless the job is told to stop; then what it was told.
fn wait_unless_stopped(messages: &Receiver<Message>, wait: Duration) -> Option<Command> {
    let since = Instant::now();
    loop {
        match messages.recv_timeout(wait.saturating_sub(since.elapsed())) {
            Ok(Message::Command(Command::Savepoint(target, reply))) => {
                let reason = "the job has failed and waits to be restarted".to_owned();
                let _ =
                    reply.send(Err(CheckpointError::Savepoint { location: format!("{target:?}"), reason }));
            }
            Ok(Message::Command(command)) => return Some(command),
            // What is left of the attempt that failed.
            Ok(Message::Task { .. } | Message::Written { .. }) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        }
    }
}
