//! The operator: a pure state machine that is handed input, time and state, and hands back output.
//!
//! It owns no thread, socket, clock or file. So the same operator runs in the engine, under the
//! [harness](crate::harness), and in a simulation. What every operator gets without asking: the engine flushes its
//! output, forwards watermarks, barriers and the end after it has seen them, snapshots what
//! [`states`](Operator::states) names, and fails the job with the operator's name when it returns an error or panics.

use crate::barrier::{Barrier, Epoch};
use crate::checkpoint::{Generation, random};
use crate::error::{BoxError, OperatorName};
use crate::hash::key_hash;
use crate::key_group::KeyGroups;
use crate::metrics::OperatorMetrics;
use crate::output::Output;
use crate::record::Batch;
use crate::runtime::turns::Turn;
use crate::source::Waker;
use crate::state::{Memory, States};
use crate::time::{TaskClock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One subtask of one step of a dataflow.
pub trait Operator: Send + 'static {
    /// The records it is handed. For an operator of two inputs, an [`Either`](crate::graph::Either).
    type In: Send + 'static;
    /// The records it hands on.
    type Out: Send + 'static;

    /// Whether event time begins here: records get times, and watermarks are made, whatever comes in.
    fn begins_event_time(&self) -> bool {
        false
    }

    /// What tells it from others of its name on the same input, in a few words: how long its windows are, which file it
    /// writes. It is part of the id under which its state is found again, so it must be the same in every run, and
    /// change when state of the one must not be given to the other.
    fn identity(&self) -> String {
        String::new()
    }

    /// Whether its state follows from its input and its [`identity`](Self::identity) alone, as no function of a user has a part in
    /// it: then two of them on the same stream keep the same state, and need not be told apart.
    fn is_determined(&self) -> bool {
        false
    }

    /// Called once, before anything else, on the thread that the operator will live on.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Names every piece of state to `states`. Called after [`open`](Self::open) to set the state up and
    /// restore it, and at each checkpoint to snapshot it. The same pieces under the same names, always, and no name twice.
    /// Before the job starts it is also called on an operator that is not opened, to ask for the names alone.
    fn states(&mut self, _states: &mut States<'_>) {}

    /// The hot path: takes every record out of `batch`. It may be called with a batch of any length, except none.
    fn process(
        &mut self,
        batch: &mut Batch<Self::In>,
        output: &mut Output<Self::Out>,
    ) -> Result<(), BoxError>;

    /// Event time has reached `watermark`: no record with an event time at or below it is expected any more.
    /// Called with rising values, or with the same again when an input that idled has woken up. Returns the watermark to forward once the output has been flushed; `None`
    /// forwards nothing.
    fn watermark(
        &mut self,
        watermark: Timestamp,
        _output: &mut Output<Self::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        Ok(Some(watermark))
    }

    /// So many milliseconds without a record for it, outside and on the way here, are of interest to the operator: it is then called
    /// by [`caught_up`](Self::caught_up) several times as often.
    fn idle_timeout(&self) -> Option<i64> {
        None
    }

    /// All records that were there for this operator at processing time `at`, wherever the sources read them, have been handed to
    /// it. So nothing is said of records that wait in front of a slow operator, or behind a rate limit. Called with rising
    /// times, if there is an [`idle_timeout`](Self::idle_timeout); not after the end.
    fn caught_up(&mut self, _at: Timestamp, _output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        Ok(())
    }

    /// The processing time at which [`processing_time`](Self::processing_time) wants to be called next.
    fn next_timer(&self) -> Option<Timestamp> {
        None
    }

    /// The processing time has reached (or passed) the time that [`next_timer`](Self::next_timer) asked for. Not called after the
    /// [`end`](Self::end).
    fn processing_time(&mut self, _now: Timestamp, _output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        Ok(())
    }

    /// Somebody has called the [waker](OperatorContext::waker) of the task: something may be there that was waited for. Not called after the
    /// last barrier.
    fn woken(&mut self, _output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        Ok(())
    }

    /// Its input is idle: event time goes on without it. What the operator holds back for no other reason than to hand on more at once is
    /// emitted here, ahead of what others make of that time.
    fn idle(&mut self, _output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        Ok(())
    }

    /// Whether records that it has been handed are still to come out of it, whatever the time of events is: as long as they are, idleness
    /// of its input is not passed on.
    fn holds_records(&self) -> bool {
        false
    }

    /// The interval, in milliseconds, of an operator with per-batch meaning: one that emits when a barrier
    /// closes its batch.
    ///
    /// The engine then holds watermarks and the end back until that barrier, and releases them after
    /// [`barrier`](Self::barrier) has emitted and before it forwards the barrier itself; so what is emitted is
    /// never late.
    fn batch_interval(&self) -> Option<i64> {
        None
    }

    /// No more input is at hand, or as much time has passed as a half-filled batch may lie about: what waits only for more to come should
    /// not wait any longer. The output is flushed by the engine; this is for operators that gather records by themselves. It is called
    /// often when little comes in, so it must be cheap if there is nothing to send.
    fn flush(&mut self, _output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        Ok(())
    }

    /// A barrier has arrived on every channel. Output goes before it: it belongs to the epoch that the barrier closes.
    fn barrier(&mut self, _barrier: &Barrier, _output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        Ok(())
    }

    /// The input has ended on every channel (after [`MAX_WATERMARK`](crate::time::MAX_WATERMARK)). Barriers may
    /// still come.
    fn end(&mut self, _output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        Ok(())
    }

    /// Epoch `epoch` has been committed: what belongs to it may be made visible. Must be idempotent; may be
    /// skipped over when a later epoch commits, and is called after a restore for the epoch that was restored.
    fn committed(&mut self, _epoch: Epoch) -> Result<(), BoxError> {
        Ok(())
    }
}

/// What an operator is told about its place.
#[derive(Clone, Debug)]
pub struct OperatorContext {
    /// Who it is.
    pub operator: OperatorName,
    /// How many subtasks the operator has.
    pub parallelism: usize,
    /// The key groups that belong to this subtask.
    pub key_groups: KeyGroups,
    /// The processing time, as of the current batch.
    pub clock: TaskClock,
    /// Its counters.
    pub metrics: Arc<OperatorMetrics>,
    /// The time of the first batch of this run (milliseconds): batch times follow in multiples of the interval.
    pub start_time: Timestamp,
    /// The epoch that was restored; 0 at a fresh start.
    pub restored_epoch: Epoch,
    /// Which run of which job this is.
    pub run: RunId,
    /// Set when the attempt is over. Only a sink that waits for its system has to look at it.
    pub cancelled: Cancelled,
    /// Wakes the task up, so that [`Operator::woken`] is called.
    pub waker: Waker,
    /// When it is its turn, for an output of batches.
    pub(crate) turn: Turn,
    /// What its keyed state may take; `None` if there is no limit.
    pub(crate) memory: Option<Memory>,
    /// How many bytes this subtask may hold of records on their way: read ahead, or waiting to be written. `None`: whatever is usual.
    pub queued_bytes: Option<u64>,
}

impl OperatorContext {
    /// Of an operator that is made only to be looked at.
    pub(crate) fn unplaced() -> Self {
        Self {
            operator: OperatorName { name: "".into(), uid: "".into(), subtask: 0 },
            parallelism: 1,
            key_groups: KeyGroups::all(1),
            clock: TaskClock::default(),
            metrics: Arc::default(),
            start_time: 0,
            restored_epoch: 0,
            cancelled: Cancelled::default(),
            run: RunId::unknown(),
            waker: Waker::default(),
            turn: Turn::default(),
            memory: None,
            queued_bytes: None,
        }
    }
}

/// Which run of which job: for names outside of the engine, such as files', that must not be taken for those of another job, or of
/// a run that was or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId {
    /// Sixteen hexadecimal digits: the same in all runs of a job as long as its checkpoints are in one place, and unlike that of any
    /// other job. Without checkpoints no two runs have it in common.
    pub lineage: Arc<str>,
    /// The how-many-th owner of the job's checkpoints this instance is; 0 without checkpoints.
    pub generation: Generation,
    /// How often the job was restarted in this process.
    pub attempt: u32,
    /// Whether it goes on from the latest checkpoint of the job, as after a crash: so what that checkpoint has made visible may not be
    /// there yet, but nothing that came after it has been. Not so from a savepoint, an older checkpoint, or nothing.
    pub resumed: bool,
}

impl RunId {
    /// A run that nobody else knows of.
    pub fn unknown() -> Self {
        Self { lineage: format!("{:016x}", random()).into(), generation: 0, attempt: 0, resumed: false }
    }

    /// A number that nobody has had before, nor can foresee.
    pub fn token() -> u64 {
        random()
    }

    /// What the operator `uid` marks in this run what it leaves outside of the engine with, until it counts:
    /// `<lineage>-<operator>-<generation>-<attempt>`.
    pub fn name(&self, uid: &str) -> String {
        let Self { lineage, generation, attempt, .. } = self;
        format!("{lineage}-{:08x}-{generation}-{attempt}", key_hash(uid) as u32)
    }

    /// Whether `name` is the [`name`](Self::name) of the same operator of this job, in a run before this one.
    pub fn came_after(&self, uid: &str, name: &str) -> bool {
        let fields: Vec<&str> = name.split('-').collect();
        let [lineage, operator, generation, attempt] = fields[..] else { return false };
        let (Ok(generation), Ok(attempt)) = (generation.parse(), attempt.parse()) else { return false };
        *lineage == *self.lineage
            && *operator == format!("{:08x}", key_hash(uid) as u32)
            && (generation, attempt) < (self.generation, self.attempt)
    }
}

/// Says whether an attempt has failed or was cancelled, to those who wait for something outside of the engine:
/// they give up with an error, which nobody will see.
#[derive(Clone, Debug, Default)]
pub struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// Whether it has.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Gives up, with an error that nobody will see, if it has.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), BoxError> {
        if self.is_set() { Err("the job was cancelled".into()) } else { Ok(()) }
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}
