//! `batch_window`: every slide, all records of the last batches (Spark's `window(length, slide)`).
//!
//! A window is made of whole batches: at batch time t, of those with times in (t − length, t]. Length and slide
//! are multiples of the batch interval.
//!
//! - **Records** are kept, with their event times, until no window can contain them.
//! - **Barriers** that end a slide emit the window, before they pass; so does the last barrier of the job, for
//!   the window that ends there. Watermarks wait for barriers that end a slide.
//! - **State**: list, `records`: batch time and records of each batch that a window may still contain.
//!
//! ```
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_dataflow::operators::BatchWindow;
//!
//! let mut harness = Harness::new(BatchWindow::new(1000, 2000, 1000));
//! for (time, value) in [(1000, "a"), (2000, "b"), (3000, "c")] {
//!     harness.push(value.to_owned(), 0);
//!     harness.barrier(time, Then::Continue);
//! }
//! assert_eq!(harness.values(), ["a", "a", "b", "b", "c"]);
//! ```

use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::Batch;
use crate::state::{StateData, States};
use crate::time::Timestamp;

/// The batch time of the batch that is still open.
const OPEN: Timestamp = Timestamp::MAX;

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct BatchWindow<T> {
    interval: i64,
    length: i64,
    slide: i64,
    batches: Vec<(Timestamp, Vec<(T, Timestamp)>)>,
}

impl<T> BatchWindow<T> {
    /// All in milliseconds.
    pub fn new(interval: i64, length: i64, slide: i64) -> Self {
        Self { interval, length, slide, batches: Vec::new() }
    }
}

impl<T: StateData> Operator for BatchWindow<T> {
    type In = T;
    type Out = T;

    fn identity(&self) -> String {
        let Self { length, slide, .. } = self;
        format!("{length} ms, every {slide} ms")
    }

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.list("records", &mut self.batches);
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<T>) -> Result<(), BoxError> {
        let records = batch.records.drain(..).map(|record| (record.value, record.timestamp));
        match self.batches.iter_mut().find(|(time, _)| *time == OPEN) {
            Some((_, open)) => open.extend(records),
            None => self.batches.push((OPEN, records.collect())),
        }
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.slide)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<T>) -> Result<(), BoxError> {
        if !barrier.closes_batch(self.interval) {
            return Ok(());
        }
        // After a restore at a lower parallelism there may be several open ones.
        self.batches.iter_mut().filter(|(time, _)| *time == OPEN).for_each(|(time, _)| *time = barrier.time);
        if barrier.closes_batch(self.slide) {
            self.batches.retain(|(time, _)| *time > barrier.time - self.length);
            for (value, timestamp) in self.batches.iter().flat_map(|(_, records)| records) {
                output.push(value.clone(), *timestamp);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::harness::{Harness, Then};

    proptest! {
        #[test]
        fn windows_hold_the_last_batches(
            sizes in prop::collection::vec(0_usize..4, 1..12),
            length in 1_i64..5,
            slide in 1_i64..4,
            cut in 0_usize..12,
        ) {
            let operator = || BatchWindow::new(10, length * 10, slide * 10);
            let mut harness = Harness::new(operator());
            let mut model: Vec<(i64, usize)> = Vec::new();
            for (index, size) in sizes.into_iter().enumerate() {
                let time = (index as i64 + 1) * 10;
                for n in 0..size {
                    harness.push(index * 10 + n, 0);
                    model.push((time, index * 10 + n));
                    if index == cut && n == 1 {
                        harness.checkpoint(5);
                    }
                }
                harness.barrier(time, Then::Continue);
                let expected: Vec<usize> = if time % (slide * 10) == 0 {
                    model.iter().filter(|(at, _)| *at > time - length * 10).map(|(_, value)| *value).collect()
                } else {
                    Vec::new()
                };
                prop_assert_eq!(harness.values(), expected);
            }
        }
    }
}
