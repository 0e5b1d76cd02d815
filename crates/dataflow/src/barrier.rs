//! The barrier: one consistent cut through the whole graph. Spark's batch boundary and Flink's checkpoint barrier.

use crate::time::Timestamp;

/// The number of a cut. The first of a job is 1; numbers go on after a restore.
pub type Epoch = u64;

/// A cut through the stream, between two records.
///
/// Every source subtask emits every barrier, in order, even when it has no more input; so every operator sees each
/// barrier on each of its channels, and alignment knows no special case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// Its number.
    pub epoch: Epoch,
    /// Its time: a multiple of the job's barrier cadence. It is the *batch time* of the batch that it closes.
    pub time: Timestamp,
    /// Whether state is written down at this cut.
    pub checkpoint: bool,
    /// Whether the job goes on after it.
    pub then: Then,
}

/// What follows a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// More records.
    Continue,
    /// Nothing, until the job is resumed from this cut: open windows and open batches stay in the state.
    Suspend,
    /// Nothing: the input has ended (or was declared ended), and this barrier closes whatever is open.
    Finish,
}

impl Barrier {
    /// Whether this barrier closes a batch of a stream whose batch interval is `interval` milliseconds.
    pub fn closes_batch(&self, interval: i64) -> bool {
        match self.then {
            Then::Finish => true,
            _ => self.time.rem_euclid(interval.max(1)) == 0,
        }
    }

    /// Whether it is the last of this run.
    pub fn is_last(&self) -> bool {
        self.then != Then::Continue
    }
}
