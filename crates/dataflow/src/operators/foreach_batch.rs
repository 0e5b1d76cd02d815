//! `foreach_batch`: a function over a whole batch, partitioned as the stream is: `foreachRDD` and `transform`.
//!
//! Two operators. [`CollectBatch`], in every subtask, collects the batch; [`ForeachBatch`], in one, is handed
//! all partitions and calls the function. A function may have effects that must not be seen before the batch is
//! committed, such as files to be renamed: it adds them to what is *pending*.
//!
//! - **Records** are collected.
//! - **Barriers** that close the batch call the function, also when the batch is empty. Watermarks wait for them.
//! - **State**: list, `records`: what has been collected of the open batch; list, `pending`: effects that are
//!   not known to be published, with their epochs. They are published when their epoch is committed, and once
//!   more after a restore.

//!
//! ```
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_dataflow::operators::{BatchFunction, Collect, CollectBatch, ForeachBatch};
//!
//! /// Emits the size of each batch, and prints it when it is committed.
//! struct Sizes;
//!
//! impl BatchFunction<char> for Sizes {
//!     type Out = usize;
//!     type Pending = String;
//!
//!     fn call(
//!         &mut self,
//!         partitions: Vec<Vec<char>>,
//!         time: i64,
//!         pending: &mut Vec<String>,
//!         out: &mut Collect<'_, usize>,
//!     ) -> Result<(), BoxError> {
//!         let size = partitions.iter().map(Vec::len).sum();
//!         pending.push(format!("{size} records in the batch of {time}"));
//!         out.collect(size);
//!         Ok(())
//!     }
//!
//!     fn publish(&mut self, line: String) -> Result<(), BoxError> {
//!         println!("{line}");
//!         Ok(())
//!     }
//! }
//!
//! let mut collect = Harness::new(CollectBatch::new(1000));
//! collect.push('a', 0);
//! collect.push('b', 0);
//! collect.barrier(1000, Then::Continue);
//! let mut each = Harness::new(ForeachBatch::new(Sizes, 1000));
//! collect.values().into_iter().for_each(|partition| each.push(partition, 1000));
//! each.barrier(1000, Then::Continue);
//! assert_eq!(each.values(), [2]);
//! ```

use std::marker::PhantomData;

use crate::barrier::{Barrier, Epoch};
use crate::error::BoxError;
use crate::operator::{Operator, OperatorContext};
use crate::operators::Collect;
use crate::output::Output;
use crate::record::{Batch, Data};
use crate::state::{StateData, States};
use crate::time::Timestamp;

/// What one subtask collected of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition<T> {
    index: usize,
    records: Vec<T>,
}

/// Collects the batch of one subtask. See the [module](self).
#[derive(Clone, Debug)]
pub struct CollectBatch<T> {
    interval: i64,
    index: usize,
    records: Vec<T>,
}

impl<T> CollectBatch<T> {
    /// The batch interval is in milliseconds.
    pub fn new(interval: i64) -> Self {
        Self { interval, index: 0, records: Vec::new() }
    }
}

impl<T: StateData> Operator for CollectBatch<T> {
    type In = T;
    type Out = Partition<T>;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.index = context.operator.subtask;
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.list("records", &mut self.records);
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<Partition<T>>) -> Result<(), BoxError> {
        self.records.extend(batch.records.drain(..).map(|record| record.value));
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.interval)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<Partition<T>>) -> Result<(), BoxError> {
        if barrier.closes_batch(self.interval) {
            let (index, records) = (self.index, std::mem::take(&mut self.records));
            output.push(Partition { index, records }, barrier.time);
        }
        Ok(())
    }
}

/// A function over whole batches.
pub trait BatchFunction<T>: Send + 'static {
    /// What it emits.
    type Out: Data;
    /// An effect that must not be seen before the batch is committed.
    type Pending: StateData;

    /// Called once, before anything else.
    fn open(&mut self, _context: &OperatorContext) {}

    /// Called once a batch, with its partitions and its time (milliseconds).
    ///
    /// # Errors
    /// Fails the job.
    fn call(
        &mut self,
        partitions: Vec<Vec<T>>,
        time: Timestamp,
        pending: &mut Vec<Self::Pending>,
        out: &mut Collect<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Makes an effect seen. Called when its batch is committed, and possibly again after a restore: it must be
    /// idempotent.
    ///
    /// # Errors
    /// Fails the job, which will try again.
    fn publish(&mut self, pending: Self::Pending) -> Result<(), BoxError>;
}

/// Calls a function over whole batches. See the [module](self).
#[derive(Clone, Debug)]
pub struct ForeachBatch<T, F: BatchFunction<T>> {
    interval: i64,
    function: F,
    partitions: Vec<Partition<T>>,
    pending: Vec<(Epoch, F::Pending)>,
    records: PhantomData<fn(T)>,
}

impl<T, F: BatchFunction<T>> ForeachBatch<T, F> {
    /// The batch interval is in milliseconds.
    pub fn new(function: F, interval: i64) -> Self {
        Self { interval, function, partitions: Vec::new(), pending: Vec::new(), records: PhantomData }
    }
}

impl<T: Data, F: BatchFunction<T>> Operator for ForeachBatch<T, F> {
    type In = Partition<T>;
    type Out = F::Out;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.function.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        // Partitions come just before the barrier that closes their batch, so none are held at any barrier.
        states.list("pending", &mut self.pending);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.partitions.extend(batch.records.drain(..).map(|record| record.value));
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.interval)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        if !barrier.closes_batch(self.interval) {
            return Ok(());
        }
        let mut partitions = std::mem::take(&mut self.partitions);
        partitions.sort_by_key(|partition| partition.index);
        let partitions = partitions.into_iter().map(|partition| partition.records).collect();
        let mut pending = Vec::new();
        self.function.call(
            partitions,
            barrier.time,
            &mut pending,
            &mut Collect::new(output, barrier.time),
        )?;
        self.pending.extend(pending.into_iter().map(|pending| (barrier.epoch, pending)));
        Ok(())
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        for (_, pending) in self.pending.extract_if(.., |(of, _)| *of <= epoch) {
            self.function.publish(pending)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::harness::{Harness, Then};

    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<Vec<String>>>);

    impl BatchFunction<u8> for Names {
        type Out = usize;
        type Pending = String;

        fn call(
            &mut self,
            partitions: Vec<Vec<u8>>,
            time: Timestamp,
            pending: &mut Vec<String>,
            out: &mut Collect<'_, usize>,
        ) -> Result<(), BoxError> {
            pending.push(format!("{partitions:?} at {time}"));
            out.collect(partitions.iter().map(Vec::len).sum());
            Ok(())
        }

        fn publish(&mut self, pending: String) -> Result<(), BoxError> {
            self.0.lock().unwrap().push(pending);
            Ok(())
        }
    }

    #[test]
    fn a_batch_is_whole_and_its_effects_wait_for_the_commit() {
        let names = Names::default();
        let mut harness = Harness::new(ForeachBatch::new(names.clone(), 1000));
        harness.push(Partition { index: 1, records: vec![3] }, 1000);
        harness.push(Partition { index: 0, records: vec![1, 2] }, 1000);
        harness.barrier(1000, Then::Continue);
        harness.barrier(2000, Then::Continue);
        assert_eq!(harness.values(), [3, 0]);
        assert!(names.0.lock().unwrap().is_empty());
        harness.committed(1);
        assert_eq!(*names.0.lock().unwrap(), ["[[1, 2], [3]] at 1000"]);
        harness.committed(2);
        harness.committed(2);
        assert_eq!(names.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn records_of_an_open_batch_are_part_of_a_checkpoint() {
        let mut harness = Harness::new(CollectBatch::new(1000));
        harness.push(7_u8, 0);
        harness.checkpoint(500);
        harness.barrier(1000, Then::Continue);
        harness.barrier(2000, Then::Continue);
        let partition = |records| Partition { index: 0, records };
        assert_eq!(harness.values(), [partition(vec![7]), partition(vec![])]);
    }
}
