//! `batch_time`: gives records that have no event time that of their batch: on the way from batches to event time.
//!
//! - **Records** with an event time keep it. Others get the time of the batch that is open, which is the first multiple of the
//!   interval after the last barrier.
//! - **Watermarks** pass.
//! - **Barriers** begin the next batch.
//! - **State**: none.
//!
//! ```
//! use thalweg_dataflow::harness::{Event, Harness, Then};
//! use thalweg_dataflow::operators::BatchTime;
//! use thalweg_dataflow::time::NO_TIMESTAMP;
//!
//! let mut harness = Harness::new(BatchTime::new(1000));
//! harness.barrier(5000, Then::Continue);
//! harness.push("now", NO_TIMESTAMP);
//! harness.push("then", 70);
//! assert_eq!(harness.events()[1..], [Event::Record("now", 6000), Event::Record("then", 70)]);
//! ```

use std::marker::PhantomData;

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, Data};
use crate::time::{NO_TIMESTAMP, Timestamp};

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct BatchTime<T> {
    interval: i64,
    open: Timestamp,
    records: PhantomData<fn() -> T>,
}

impl<T> BatchTime<T> {
    /// The batch interval is in milliseconds.
    pub fn new(interval: i64) -> Self {
        Self { interval, open: NO_TIMESTAMP, records: PhantomData }
    }

    /// The first batch time at or after `time`.
    fn batch_of(&self, time: Timestamp) -> Timestamp {
        (time + self.interval - 1).div_euclid(self.interval) * self.interval
    }
}

impl<T: Data> Operator for BatchTime<T> {
    type In = T;
    type Out = T;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.open = self.batch_of(context.start_time);
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, output: &mut Output<T>) -> Result<(), BoxError> {
        for record in &mut batch.records {
            if record.timestamp == NO_TIMESTAMP {
                record.timestamp = self.open;
            }
        }
        output.push_batch(&mut batch.records);
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<T>) -> Result<(), BoxError> {
        self.open = self.batch_of(barrier.time + 1);
        Ok(())
    }
}
