//! A link of a chain: what an operator's output is handed to, within one task.

use std::any::Any;

use crate::barrier::{Barrier, Epoch};
use crate::error::Failure;
use crate::record::Batch;
use crate::state::StateSnapshot;
use crate::time::Timestamp;

/// Receives the output of an operator: the next operator of the chain, an edge to other tasks, or several of these.
pub(crate) trait Collector<T>: Send {
    /// Takes the records of `batch`, and leaves it empty (its buffer is used again).
    fn batch(&mut self, batch: &mut Batch<T>) -> Result<(), Failure>;

    /// Takes anything that is not a record, and passes it on.
    fn control(&mut self, control: &Control, task: &mut TaskContext) -> Result<(), Failure>;

    /// Whether more waits behind it than there is room for, as barriers have overtaken it: whoever can should send no more for now.
    fn is_crowded(&self) -> bool {
        false
    }
}

/// What travels along a chain besides records. All up to `CaughtUp` travel on edges, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// No record at or below this event time is to come.
    Watermark(Timestamp),
    /// No watermark is to be expected: whoever combines watermarks leaves this input out, until the next one.
    Idle,
    /// A consistent cut.
    Barrier(Barrier),
    /// The input has ended; barriers go on.
    End,
    /// What the outside had for us until this processing time has been read, and is before this. Sent only where an operator wants to
    /// know ([`Operator::idle_timeout`](crate::operator::Operator::idle_timeout)).
    CaughtUp(Timestamp),
    /// Set up: open each operator, restore its state.
    Open,
    /// Nothing more is at hand: pass on half-filled batches.
    Flush,
    /// Fire processing-time timers up to now, and tell when the next is due.
    ProcessingTime(Timestamp),
    /// Somebody has called the waker of the task.
    Woken,
    /// An epoch has been committed.
    Committed(Epoch),
}

/// What the links of a chain share while a control event passes through.
#[derive(Default)]
pub(crate) struct TaskContext {
    /// At a checkpoint barrier: the snapshots of the operators passed so far.
    pub(crate) snapshots: Vec<OperatorSnapshot>,
    /// At a checkpoint barrier: what the sources want to tell the committer.
    pub(crate) notes: Vec<Box<dyn Any + Send>>,
    /// The earliest processing-time timer of the chain.
    pub(crate) next_timer: Option<Timestamp>,
    /// What wakes the task up.
    pub(crate) waker: crate::source::Waker,
    /// Where state is restored from.
    pub(crate) restore: Option<std::sync::Arc<crate::checkpoint::Restore>>,
}

impl TaskContext {
    pub(crate) fn want_timer(&mut self, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.next_timer = Some(self.next_timer.map_or(at, |next| next.min(at)));
        }
    }
}

/// The state of one subtask of one operator, shared at the barrier and still to be encoded.
pub(crate) struct OperatorSnapshot {
    pub(crate) uid: std::sync::Arc<str>,
    pub(crate) states: Vec<StateSnapshot>,
}

/// Where records go that nobody reads.
pub(crate) struct Discard;

impl<T> Collector<T> for Discard {
    fn batch(&mut self, batch: &mut Batch<T>) -> Result<(), Failure> {
        batch.records.clear();
        Ok(())
    }

    fn control(&mut self, _: &Control, _: &mut TaskContext) -> Result<(), Failure> {
        Ok(())
    }
}

/// A stream that is read several times: each reader gets its copy.
pub(crate) struct Fork<T> {
    branches: Vec<Box<dyn Collector<T>>>,
}

impl<T> Fork<T> {
    /// One collector out of many.
    pub(crate) fn of(mut branches: Vec<Box<dyn Collector<T>>>) -> Box<dyn Collector<T>>
    where
        T: Clone + Send + 'static,
    {
        match branches.len() {
            0 => Box::new(Discard),
            1 => branches.remove(0),
            _ => Box::new(Self { branches }),
        }
    }
}

impl<T: Clone + Send> Collector<T> for Fork<T> {
    fn batch(&mut self, batch: &mut Batch<T>) -> Result<(), Failure> {
        if let Some((last, others)) = self.branches.split_last_mut() {
            for branch in others {
                branch.batch(&mut batch.clone())?;
            }
            last.batch(batch)?;
        }
        Ok(())
    }

    fn control(&mut self, control: &Control, task: &mut TaskContext) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.control(control, task))
    }

    fn is_crowded(&self) -> bool {
        self.branches.iter().any(|branch| branch.is_crowded())
    }
}
