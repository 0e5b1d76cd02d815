//! `collect_part`: collects the batch of one subtask, for an operator that wants the whole batch in a known order.
//!
//! - **Records** are collected.
//! - **Barriers** that close the batch emit it as one [`Part`], which says whose it is. Watermarks wait for them.
//! - **State**: list, `records`: those of the open batch; empty at a barrier that closes it.

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{StateData, States};

/// What one subtask collected of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<T> {
    /// The subtask.
    pub subtask: usize,
    /// Its records, in order.
    pub records: Vec<T>,
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct CollectPart<T> {
    interval: i64,
    subtask: usize,
    records: Vec<T>,
}

impl<T> CollectPart<T> {
    /// The batch interval is in milliseconds.
    pub fn new(interval: i64) -> Self {
        Self { interval, subtask: 0, records: Vec::new() }
    }
}

impl<T: StateData> Operator for CollectPart<T> {
    type In = T;
    type Out = Part<T>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.subtask = context.operator.subtask;
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.list("records", &mut self.records);
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<Part<T>>) -> Result<(), BoxError> {
        self.records.extend(batch.records.drain(..).map(|record| record.value));
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.interval)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<Part<T>>) -> Result<(), BoxError> {
        if barrier.closes_batch(self.interval) && !self.records.is_empty() {
            let (subtask, records) = (self.subtask, std::mem::take(&mut self.records));
            output.push(Part { subtask, records }, barrier.time);
        }
        Ok(())
    }
}
