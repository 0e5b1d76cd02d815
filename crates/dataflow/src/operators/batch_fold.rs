//! `batch_fold`: one value for each batch, folded out of all its records: Spark's `count` and `reduce` without keys.
//!
//! It is used in two stages: every subtask folds its share, and one subtask folds the shares.
//!
//! - **Records** are added to the value of the batch.
//! - **Barriers** that close the batch emit its value, with the batch's time; also if there was no record, as a
//!   batch without records is still a batch. Watermarks wait for them.
//! - **State**: list, `value`: the value of the open batch.
//!
//! ```
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_dataflow::operators::BatchFold;
//!
//! let mut harness = Harness::new(BatchFold::new(0_u64, |n, _: &str| n + 1, |a, b| a + b, 1000));
//! harness.push("deep", 0);
//! harness.push("fast", 0);
//! harness.barrier(1000, Then::Continue);
//! harness.barrier(2000, Then::Continue);
//! assert_eq!(harness.values(), [2, 0]);
//! ```

use std::marker::PhantomData;

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::Batch;
use crate::state::{StateData, States};

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct BatchFold<T, A, F, M> {
    /// What a batch begins with.
    initial: A,
    /// `None`: as at the beginning.
    value: Option<A>,
    add: F,
    merge: M,
    interval: i64,
    records: PhantomData<fn(T)>,
}

impl<T, A: StateData, F: FnMut(A, T) -> A, M: FnMut(A, A) -> A> BatchFold<T, A, F, M> {
    /// Begins each batch with `initial` and adds each record by `add`. `merge` combines the values of open
    /// batches when a checkpoint is restored at a lower parallelism. The interval is in milliseconds.
    pub fn new(initial: A, add: F, merge: M, interval: i64) -> Self {
        Self { initial, value: None, add, merge, interval, records: PhantomData }
    }
}

impl<T, A, F, M> Operator for BatchFold<T, A, F, M>
where
    T: Send + 'static,
    A: StateData,
    F: FnMut(A, T) -> A + Send + 'static,
    M: FnMut(A, A) -> A + Send + 'static,
{
    type In = T;
    type Out = A;

    fn states(&mut self, states: &mut States<'_>) {
        let mut values: Vec<A> = self.value.take().into_iter().collect();
        states.list("value", &mut values);
        self.value = values.into_iter().reduce(&mut self.merge);
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<A>) -> Result<(), BoxError> {
        let value = self.value.take().unwrap_or_else(|| self.initial.clone());
        self.value = Some(batch.records.drain(..).map(|record| record.value).fold(value, &mut self.add));
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.interval)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<A>) -> Result<(), BoxError> {
        if barrier.closes_batch(self.interval) {
            let value = self.value.take().unwrap_or_else(|| self.initial.clone());
            output.push(value, barrier.time);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Event, Harness, Then};

    #[test]
    fn an_open_batch_survives_and_an_empty_one_counts() {
        let sum = || BatchFold::new(0_i64, |a, b: i64| a + b, |a, b| a + b, 1000);
        let mut harness = Harness::new(sum());
        harness.push(5, 0);
        harness.checkpoint(500);
        harness.push(6, 0);
        assert_eq!(harness.values(), [] as [i64; 0]);
        harness.barrier(1000, Then::Continue);
        harness.barrier(1500, Then::Finish);
        let records: Vec<_> =
            harness.events().into_iter().filter(|e| matches!(e, Event::Record(..))).collect();
        assert_eq!(records, [Event::Record(11, 1000), Event::Record(0, 1500)]);
    }
}
