//! One attempt at running a job: its threads, its barriers, its end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cadence::Cadence;
use super::config::{JobConfig, MemoryConfig};
use super::coordinator::Message;
use super::gate::{Mail, Mailbox};
use super::handle::{Command, Shown};
use super::listener::JobEvent;
use super::pause::{self, Pauses};
use super::quiet::Quiet;
use super::rate::{Estimator, SourceRate, Took};
use super::recovery::{Recovered, manifest};
use super::slow::{Step, Steps};
use super::task::{Report, TaskLife};
use super::writer::{self, Work};
use crate::barrier::{Barrier, Epoch, Then};
use crate::checkpoint::protocol::{Action, Event, Protocol};
use crate::checkpoint::{CheckpointStorage, CheckpointStore, Manifest, Restore};
use crate::collector::OperatorSnapshot;
use crate::error::{CheckpointError, Failure, JobError, panic_message};
use crate::graph::GraphData;
use crate::graph::plan::{self, PlannedTask};
use crate::metrics::JobMetrics;
use crate::operator::{Cancelled, RunId};
use crate::record::Origin;
use crate::tell;
use crate::time::Timestamp;

/// A job in which nothing happens writes a checkpoint, and commits, all the same, once in so long.
const AT_LEAST_EVERY: Duration = Duration::from_secs(300);

/// How an attempt ended.
pub(crate) enum Ended {
    /// At its last barrier.
    Finished(Epoch, JobMetrics),
    /// It is not to be tried again if somebody wanted the job to end when it had already failed.
    Failed { error: JobError, give_up: bool },
}

/// A running attempt.
pub(crate) struct Attempt<'a> {
    number: u32,
    config: &'a JobConfig,
    cadence: Cadence,
    protocol: Protocol,
    tasks: Vec<RunningTask>,
    writer: Option<(Sender<Work>, JoinHandle<()>)>,
    has_store: bool,
    manifest: Manifest,
    shown: Arc<Shown>,
    metrics: JobMetrics,
    /// Sources that still have input.
    sources_left: usize,
    running: usize,
    /// How fast each source may read, and what that follows from.
    rates: Vec<Rate>,
    /// How long (microseconds) each task had computed at the last cut.
    busy: Vec<u64>,
    /// The barrier under way, and what has been collected for it.
    barrier: Option<Barrier>,
    /// When it began.
    begun: Timestamp,
    /// When it is to overtake the records before it, if it is still on its way then.
    overtake_at: Option<Instant>,
    steps: Steps,
    snapshots: Vec<(usize, OperatorSnapshot)>,
    notes: Vec<Box<dyn Any + Send>>,
    savepoints: Vec<Savepoint>,
    last_epoch: Epoch,
    /// The last epoch that was committed; 0 before the first.
    committed: Epoch,
    /// When that was.
    written: Instant,
    /// Whether nothing has changed in the epoch that has just ended.
    unchanged: bool,
    quiet: Quiet,
    failure: Option<JobError>,
    give_up: bool,
    cancelled: Cancelled,
    pauses: Pauses,
}

/// The rate of one source.
struct Rate {
    uid: Arc<str>,
    limit: Arc<SourceRate>,
    estimator: Option<Estimator>,
    /// So many records it had read at the last cut.
    read: u64,
}

struct RunningTask {
    is_source: bool,
    subtask: usize,
    mailbox: Arc<dyn Mailbox>,
    thread: JoinHandle<()>,
}

struct Savepoint {
    target: CheckpointStorage,
    reply: Sender<Result<Epoch, CheckpointError>>,
    /// The first epoch that was cut after it was asked for.
    at_least: Epoch,
}

impl<'a> Attempt<'a> {
    pub(crate) fn start(
        graph: &GraphData,
        config: &'a JobConfig,
        store: Option<Arc<CheckpointStore>>,
        Recovered { committer, restore, last_epoch, committed, marker, lineage, generation, resumed, .. }: Recovered,
        (number, sender): (u32, Sender<Message>),
        shown: Arc<Shown>,
    ) -> Result<Self, JobError> {
        let last_cut = restore.as_ref().map(|restore| restore.manifest().time);
        let cadence = Cadence::new(config, &graph.batch_intervals, config.clock.now(), last_cut)?;
        if let Some(skew) = cadence.skew(config.clock.now()) {
            tracing::warn!(
                job = config.id,
                milliseconds = skew,
                "the last batch time of the job is ahead of the clock, which has been set back; the time of the job goes on from there"
            );
            config.clock.go_on_from(config.clock.now().saturating_add(skew));
        }
        let restored = restore.as_ref().map_or(0, Restore::epoch);
        let restore = restore.map(Arc::new);
        let cancelled = Cancelled::default();
        let at = plan::Attempt {
            start_time: cadence.start(),
            restored_epoch: restored,
            run: RunId { lineage: lineage.into(), generation, attempt: number, resumed },
            cancelled: cancelled.clone(),
            memory: config.memory.as_ref().map(MemoryConfig::open).transpose()?,
        };
        let planned = plan::plan(graph, config, at)?;
        let protocol = Protocol::new(planned.tasks.len(), committer.is_some(), last_epoch);
        let manifest = manifest(graph, config, store.as_deref(), marker)?;
        let has_store = store.is_some();
        let chain = restore.as_ref().filter(|restore| restore.continues()).map(|restore| restore.chain());
        let writer = if has_store {
            let sender = sender.clone();
            let done = move |result| {
                // A coordinator that is gone needs no answer.
                let _ = sender.send(Message::Written { attempt: number, result });
            };
            Some(writer::spawn(store, committer, chain.unwrap_or_default(), done)?)
        } else {
            None
        };
        shown.set_metrics(planned.metrics.clone());
        shown.progress(|progress| progress.committed_epoch = restored);
        let interval = cadence.batch_interval();
        let rate = |(uid, limit)| {
            let estimator =
                config.back_pressure.zip(interval).map(|(pid, interval)| Estimator::new(pid, interval));
            Rate { uid, limit, estimator, read: 0 }
        };
        let rates = planned.rates.into_iter().map(rate).collect();
        let busy = vec![0; planned.metrics.tasks.len()];
        let mut attempt = Self {
            number,
            config,
            cadence,
            protocol,
            tasks: Vec::new(),
            writer,
            has_store,
            manifest,
            shown,
            metrics: planned.metrics,
            sources_left: planned.tasks.iter().filter(|task| task.is_source).count(),
            running: 0,
            rates,
            busy,
            barrier: None,
            begun: 0,
            overtake_at: None,
            steps: Steps::default(),
            snapshots: Vec::new(),
            notes: Vec::new(),
            savepoints: Vec::new(),
            last_epoch,
            committed,
            written: Instant::now(),
            unchanged: false,
            quiet: Quiet::default(),
            failure: None,
            give_up: false,
            cancelled,
            pauses: Pauses::default(),
        };
        config.listeners.tell(&JobEvent::Started { restarts: number });
        for (index, task) in planned.tasks.into_iter().enumerate() {
            if let Err(error) = attempt.spawn(index, task, restore.clone(), &sender) {
                attempt.cancel();
                attempt.join();
                return Err(error);
            }
        }
        Ok(attempt)
    }

    fn spawn(
        &mut self,
        index: usize,
        planned: PlannedTask,
        restore: Option<Arc<Restore>>,
        sender: &Sender<Message>,
    ) -> Result<(), JobError> {
        let PlannedTask { operator, is_source, task, mailbox, clock, metrics } = planned;
        let (attempt, sender) = (self.number, sender.clone());
        let report = move |report| {
            // A coordinator that is gone has cancelled us.
            let _ = sender.send(Message::Task { attempt, task: index, report });
        };
        let life = TaskLife {
            clock: self.config.clock.clone(),
            task_clock: clock,
            metrics,
            buffer_timeout: self.config.buffer_timeout,
            overtakes: self.config.unaligned_after.is_some(),
            restore,
            report: Box::new(report.clone()),
        };
        let subtask = operator.subtask;
        // Linux shows fifteen characters of it.
        let name = format!("{}-{}", operator.subtask, operator.name);
        let name: String = name.chars().filter(|c| *c != '\0').take(15).collect();
        let run = move || {
            super::handle::enter_job();
            // Users' panics are caught where the operator is called. One that gets here is ours; it must not go
            // unreported.
            let result = catch_unwind(AssertUnwindSafe(|| task.run(life)));
            let result = result.unwrap_or_else(|panic| {
                let message = format!("{} (a bug in Thalweg, please report it)", panic_message(&*panic));
                Err(Failure::Panicked { operator, origin: Origin::default(), message })
            });
            report(Report::Stopped(result));
        };
        let thread = std::thread::Builder::new().name(name).spawn(run).map_err(JobError::Thread)?;
        self.tasks.push(RunningTask { is_source, subtask, mailbox, thread });
        self.running += 1;
        Ok(())
    }

    /// Runs until all tasks are over.
    /// `stop` is how the job was told to end, before or during this attempt.
    pub(crate) fn run(mut self, messages: &Receiver<Message>, stop: &mut Option<Then>) -> Ended {
        if let Some(then) = *stop {
            self.stop(then);
        }
        while self.running > 0 {
            match self.next_message(messages) {
                Some(message) => self.on_message(message, stop),
                None => {
                    let now = self.config.clock.now();
                    if self.failure.is_none()
                        && let Some(cut) = self.cadence.due(now)
                        && self.is_wanted()
                    {
                        self.protocol_event(Event::Due(cut));
                    }
                }
            }
        }
        self.join();
        // What the writer has done since: a commit may have failed after the tasks were told to end, or a
        // savepoint come.
        for message in messages.try_iter() {
            self.on_message(message, stop);
        }
        self.tell_losses();
        match self.failure {
            None => Ended::Finished(self.last_epoch, self.metrics),
            Some(error) => Ended::Failed { error: self.pauses.explain(error), give_up: self.give_up },
        }
    }

    /// Whether it is of any use to cut the stream, now that it is due: not if nothing moves. Where cuts close batches each of them is, as
    /// a batch without records is a batch; and whoever moves the clock by hand counts on them.
    fn is_wanted(&mut self) -> bool {
        let always = self.cadence.batch_interval().is_some() || self.config.clock.is_manual();
        always || self.quiet.is_over(&self.metrics)
    }

    /// The next message; `None` when a cut is due.
    fn next_message(&mut self, messages: &Receiver<Message>) -> Option<Message> {
        loop {
            let wait = match (self.cadence.next_at(), &self.config.clock) {
                // One cut at a time: the next one is not due before this one is through.
                _ if self.protocol.is_busy() || self.failure.is_some() => Duration::from_secs(3600),
                (None, _) => Duration::from_secs(3600),
                (Some(at), clock) => {
                    let left = at.saturating_sub(clock.now());
                    if left <= 0 {
                        return messages.try_recv().ok();
                    }
                    // A clock that is moved by hand does not say when it has been moved.
                    if clock.is_manual() {
                        Duration::from_millis(1)
                    } else {
                        Duration::from_millis(left as u64)
                    }
                }
            };
            let overtake = self.overtake_at.map(|at| at.saturating_duration_since(Instant::now()));
            let message = messages.recv_timeout(wait.min(pause::TICK).min(overtake.unwrap_or(pause::TICK)));
            self.pauses.tick();
            self.overtake_if_due();
            self.tell_losses();
            match message {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                // We hold a sender through our tasks' reports; if even those are gone, the count of running
                // tasks says so.
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Tells of each operator, once, that it loses records.
    fn tell_losses(&self) {
        for (operator, metrics) in &self.metrics.operators {
            if metrics.late_dropped.get() > 0 && self.shown.is_news(&format!("late {}", operator.uid)) {
                tell::warn(format_args!(
                    "'{}': operator `{}` drops late records: the watermark had passed the end of their window before they came. To keep \
                     them, allow the source more disorder, the window some lateness, or read them from a side output",
                    self.config.id, operator.name
                ));
            }
        }
    }

    /// Ends the job in good order.
    fn stop(&mut self, then: Then) {
        match then {
            Then::Suspend => {
                let cut = self.cadence.now(self.has_store, Then::Suspend);
                self.protocol_event(Event::Due(cut));
            }
            Then::Finish | Then::Continue => self.mail_sources(Mail::Finish),
        }
    }

    fn on_message(&mut self, message: Message, stop: &mut Option<Then>) {
        match message {
            Message::Task { attempt, task, report } if attempt == self.number => self.on_report(task, report),
            Message::Written { attempt, result } if attempt == self.number => match result {
                Ok(event) => {
                    self.unchanged = matches!(event, Event::Unchanged(_));
                    self.protocol_event(event);
                }
                Err(error) => self.fail(error),
            },
            // Of an attempt that is over.
            Message::Task { .. } | Message::Written { .. } => {}
            Message::Command(Command::Cancel) => {
                // Also of an attempt that has just failed, and would be restarted.
                self.failure = Some(JobError::Cancelled);
                self.cancel();
            }
            // Who was fenced may own the job all the same. Nothing has failed then, and the next attempt stops in good order.
            Message::Command(Command::Stop(then))
                if self.failure.as_ref().is_some_and(JobError::is_fenced) =>
            {
                stop.get_or_insert(then);
            }
            Message::Command(Command::Stop(_)) if self.failure.is_some() => self.give_up = true,
            Message::Command(Command::Stop(then)) => {
                let first = *stop.get_or_insert(then);
                self.stop(first);
            }
            Message::Command(Command::Savepoint(target, reply)) => {
                if !self.has_store {
                    return; // The reply is dropped, which says so.
                }
                let under_way = u64::from(self.protocol.is_busy());
                self.savepoints.push(Savepoint { target, reply, at_least: self.last_epoch + under_way + 1 });
                let cut = self.cadence.now(true, Then::Continue);
                self.protocol_event(Event::Due(cut));
            }
        }
    }

    fn on_report(&mut self, task: usize, report: Report) {
        match report {
            Report::InputEnded => {
                self.sources_left -= 1;
                if self.sources_left == 0 {
                    let cut = self.cadence.now(self.has_store, Then::Finish);
                    self.protocol_event(Event::Due(cut));
                }
            }
            Report::Passed { epoch, snapshots, notes } => {
                let subtask = self.tasks[task].subtask;
                self.snapshots.extend(snapshots.into_iter().map(|snapshot| (subtask, snapshot)));
                self.notes.extend(notes);
                self.protocol_event(Event::Passed(epoch));
            }
            Report::Stopped(result) => {
                self.running -= 1;
                match result {
                    Ok(()) | Err(Failure::Cancelled) => {}
                    Err(failure) => self.fail(JobError::Failed { failure: Arc::new(failure), attempts: 0 }),
                }
            }
        }
    }

    fn protocol_event(&mut self, event: Event) {
        // After a failure nothing more is written or committed: the next attempt finds out what was.
        if self.failure.is_some() {
            return;
        }
        let mut actions = Vec::new();
        self.protocol.on(event, &mut actions);
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Inject(barrier) => {
                self.steps.begin(Instant::now());
                self.overtake_at = self.overtake_at(barrier);
                self.barrier = Some(barrier);
                self.begun = self.config.clock.now();
                self.config.listeners.tell(&JobEvent::CutBegun { barrier, at: self.begun });
                self.mail_sources(Mail::Barrier(barrier));
                self.overtake_if_due();
            }
            Action::WriteState(epoch) => {
                self.overtake_at = None;
                self.steps.enter(Step::WritingState, Instant::now());
                let snapshots = std::mem::take(&mut self.snapshots);
                // Somebody waits for it, or else what was committed might be forgotten in the end.
                let must = self.barrier.is_some_and(|barrier| barrier.is_last())
                    || self.savepoints.iter().any(|savepoint| savepoint.at_least <= epoch)
                    || self.written.elapsed() > AT_LEAST_EVERY;
                self.work(Work::WriteState { epoch, snapshots, must });
            }
            Action::Flush(epoch) => {
                self.steps.enter(Step::Flushing, Instant::now());
                let notes = std::mem::take(&mut self.notes);
                self.work(Work::Flush(epoch, notes));
            }
            Action::WriteManifest(epoch) => {
                self.steps.enter(Step::WritingManifest, Instant::now());
                let time = self.barrier.map_or(0, |barrier| barrier.time);
                let manifest = Manifest { epoch, time, committed: self.committed, ..self.manifest.clone() };
                self.work(Work::WriteManifest(Box::new(manifest)));
            }
            Action::Commit(epoch) => {
                self.steps.enter(Step::Committing, Instant::now());
                self.work(Work::Commit(epoch));
            }
            Action::Notify(epoch) => self.notify(epoch),
            Action::DiscardBefore(epoch) => {
                for savepoint in self
                    .savepoints
                    .extract_if(.., |savepoint| savepoint.at_least <= epoch)
                    .collect::<Vec<_>>()
                {
                    self.work(Work::Savepoint(epoch, savepoint.target, savepoint.reply));
                }
                let keep = self.config.checkpoint.as_ref().map_or(1, |checkpoint| checkpoint.retained);
                self.work(Work::Discard { before: epoch, keep });
            }
        }
    }

    /// When a barrier is to overtake the records before it, if it may. What is to be whole without them, for others to begin from, waits.
    fn overtake_at(&self, barrier: Barrier) -> Option<Instant> {
        let after = self.config.unaligned_after?;
        let is_savepoint = self.savepoints.iter().any(|savepoint| savepoint.at_least <= barrier.epoch);
        let may = barrier.checkpoint && !barrier.is_last() && !is_savepoint;
        may.then(|| Instant::now() + after)
    }

    fn overtake_if_due(&mut self) {
        if let Some(barrier) = self.barrier
            && self.overtake_at.is_some_and(|at| at <= Instant::now())
        {
            self.overtake_at = None;
            self.tasks.iter().for_each(|task| task.mailbox.overtake(barrier.epoch));
        }
    }

    fn notify(&mut self, epoch: Epoch) {
        self.last_epoch = epoch;
        self.notes.clear();
        if let Some(barrier) = self.barrier.take() {
            if let Some(checkpoint) = self.config.checkpoint.as_ref().filter(|_| barrier.checkpoint) {
                let location = format!("{:?}", checkpoint.storage);
                let slow = self.steps.end(epoch, checkpoint.interval, &location, Instant::now());
                if let Some((step, text)) = slow
                    && self.shown.is_news(&format!("slow {step:?}"))
                {
                    tell::warn(format_args!("'{}': {text}", self.config.id));
                }
            }
            let now = self.config.clock.now();
            self.done(barrier, now);
            let batch_delay = now.saturating_sub(barrier.time);
            self.shown.progress(|progress| {
                progress.committed_epoch = epoch;
                progress.batch_time = barrier.time;
                progress.batch_delay = batch_delay.max(0);
            });
            // With checkpoints, only they commit; without, passing is all there is.
            if self.has_store && !barrier.checkpoint && !barrier.is_last() {
                return;
            }
        }
        if !std::mem::take(&mut self.unchanged) {
            (self.committed, self.written) = (epoch, Instant::now());
        }
        self.tasks.iter().for_each(|task| task.mailbox.send(Mail::Committed(epoch)));
    }

    /// A cut is done: what it took says how fast sources may read, and whoever listens is told.
    fn done(&mut self, barrier: Barrier, at: Timestamp) {
        let (mut records, mut busiest) = (0, 0);
        for (before, (_, task)) in self.busy.iter_mut().zip(&self.metrics.tasks) {
            let busy = task.busy_micros();
            busiest = busiest.max(busy.saturating_sub(*before));
            *before = busy;
        }
        let scheduling = self.begun.saturating_sub(barrier.time).max(0) as f64;
        for Rate { uid, limit, estimator, read } in &mut self.rates {
            let of_source = self.metrics.operators.iter().filter(|(name, _)| name.uid == *uid);
            let now: u64 = of_source.map(|(_, metrics)| metrics.at_cut()).sum();
            let new = now.saturating_sub(*read);
            *read = now;
            records += new;
            let took = Took { at, records: new, processing: busiest as f64 / 1000.0, scheduling };
            if let Some(rate) = estimator.as_mut().and_then(|estimator| estimator.after(took)) {
                limit.set(Some(rate));
            }
        }
        let (begun, busy) = (self.begun, (busiest / 1000) as i64);
        self.config.listeners.tell(&JobEvent::CutDone { barrier, begun, at, records, busy });
    }

    fn work(&self, work: Work) {
        if let Some((sender, _)) = &self.writer {
            // The writer ends only when we drop this sender.
            let _ = sender.send(work);
        }
    }

    fn mail_sources(&self, mail: Mail) {
        self.tasks.iter().filter(|task| task.is_source).for_each(|task| task.mailbox.send(mail));
    }

    fn fail(&mut self, error: JobError) {
        if self.failure.is_none() {
            self.failure = Some(error);
            self.cancel();
        }
    }

    fn cancel(&self) {
        self.cancelled.set();
        self.tasks.iter().for_each(|task| task.mailbox.cancel());
    }

    /// Waits for all threads. The writer finishes what it has begun, as a commit cannot be taken back.
    fn join(&mut self) {
        for task in self.tasks.drain(..) {
            // The thread has reported how it ended, panics included.
            let _ = task.thread.join();
        }
        if let Some((sender, thread)) = self.writer.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}
