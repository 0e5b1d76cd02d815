//! `batch_time`: from batches to event time.
//!
//! If there is event time upstream ([`Stream::has_event_time`](crate::graph::Stream::has_event_time)), it passes:
//!
//! - **Records** keep their times; one that has none gets the time of the batch that is open.
//! - **Watermarks** pass.
//!
//! Otherwise it begins here:
//!
//! - **Records** get the time of the batch that is open, which is the first multiple of the interval after the
//!   last barrier.
//! - **Barriers** are preceded by a watermark of their own time: what follows belongs to later batches.
//!
//! **State**: none.
//!
//! ```
//! use thalweg_dataflow::harness::{Event, Harness, Then};
//! use thalweg_dataflow::operators::BatchTime;
//! use thalweg_dataflow::time::NO_TIMESTAMP;
//!
//! let mut harness = Harness::new(BatchTime::passing(1000));
//! harness.barrier(5000, Then::Continue);
//! harness.push("now", NO_TIMESTAMP);
//! harness.push("then", 70);
//! assert_eq!(harness.events()[1..], [Event::Record("now", 6000), Event::Record("then", 70)]);
//!
//! let mut harness = Harness::new(BatchTime::beginning(1000));
//! harness.barrier(5000, Then::Continue);
//! harness.push("then", 70);
//! assert_eq!(harness.events(), [Event::Watermark(5000), Event::Barrier(5000), Event::Record("then", 6000)]);
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
    begins: bool,
    records: PhantomData<fn() -> T>,
}

impl<T> BatchTime<T> {
    /// Passes event time on, and fills it in where a record has none. The batch interval is in milliseconds.
    pub fn passing(interval: i64) -> Self {
        Self { interval, open: NO_TIMESTAMP, begins: false, records: PhantomData }
    }

    /// Begins event time. The batch interval is in milliseconds.
    pub fn beginning(interval: i64) -> Self {
        Self { begins: true, ..Self::passing(interval) }
    }

    /// The first batch time at or after `time`.
    fn batch_of(&self, time: Timestamp) -> Timestamp {
        time.saturating_add(self.interval - 1).div_euclid(self.interval).saturating_mul(self.interval)
    }
}

impl<T: Data> Operator for BatchTime<T> {
    type In = T;
    type Out = T;

    fn begins_event_time(&self) -> bool {
        self.begins
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.open = self.batch_of(context.start_time);
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, output: &mut Output<T>) -> Result<(), BoxError> {
        for record in &mut batch.records {
            if self.begins || record.timestamp == NO_TIMESTAMP {
                record.timestamp = self.open;
            }
        }
        output.push_batch(&mut batch.records);
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<T>) -> Result<(), BoxError> {
        if self.begins {
            output.push_watermark(barrier.time);
        }
        self.open = self.batch_of(barrier.time + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Event, Harness, Then};

    #[test]
    fn where_event_time_begins_no_record_is_late() {
        let mut harness = Harness::new(BatchTime::beginning(10));
        harness.push('a', NO_TIMESTAMP);
        harness.barrier(10, Then::Continue);
        harness.push('b', 3);
        // A cut within a batch says no more than that its records are no older than itself.
        harness.barrier(15, Then::Continue);
        harness.push('c', NO_TIMESTAMP);
        harness.barrier(20, Then::Continue);
        let mut reached = Timestamp::MIN;
        let mut times = Vec::new();
        for event in harness.events() {
            match event {
                Event::Watermark(watermark) => reached = watermark,
                Event::Record(value, time) => {
                    assert!(time > reached, "{value} at {time} is behind the watermark {reached}");
                    times.push((value, time));
                }
                _ => {}
            }
        }
        assert_eq!((times, reached), (vec![('a', 0), ('b', 20), ('c', 20)], 20));
    }

    #[test]
    fn event_time_from_upstream_is_left_alone() {
        let mut harness = Harness::new(BatchTime::passing(10));
        harness.push('a', 5000);
        harness.watermark(4000);
        harness.barrier(10, Then::Continue);
        assert_eq!(harness.events(), [Event::Record('a', 5000), Event::Watermark(4000), Event::Barrier(10)]);
    }
}
