//! Turns: the outputs of a batch run one after the other, in the order in which they were registered, as in Spark.
//!
//! Each has a task of its own, which waits at the barrier that closes the batch until those before it have passed it. That cannot
//! lock up: an output that waits has the barrier from all of its channels, so whatever is upstream of it has sent that barrier to
//! everybody, and whoever is full of what comes after it holds nobody else back. The first that has not run waits for no one. And
//! none is upstream of an earlier one, as streams are built from the source on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::barrier::Epoch;
use crate::error::Failure;
use crate::operator::Cancelled;

/// How far the outputs of one attempt have come: of each the last barrier that it has passed.
#[derive(Debug)]
pub(crate) struct Turns {
    passed: Mutex<Vec<Epoch>>,
    changed: Condvar,
}

/// The place of one output among them; by default it need not wait for anybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn(Option<(Arc<Turns>, usize)>);

/// So often a waiting output looks whether the attempt is over.
const LOOK: Duration = Duration::from_millis(20);

impl Turns {
    pub(crate) fn new(outputs: usize) -> Arc<Self> {
        Arc::new(Self { passed: Mutex::new(vec![0; outputs]), changed: Condvar::new() })
    }

    /// The place of output number `index`.
    pub(crate) fn turn(self: &Arc<Self>, index: usize) -> Turn {
        Turn(Some((self.clone(), index)))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Epoch>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until all that come before have passed the barrier.
    pub(crate) fn wait(&self, epoch: Epoch, cancelled: &Cancelled) -> Result<(), Failure> {
        let Some((turns, index)) = &self.0 else { return Ok(()) };
        let mut passed = turns.lock();
        while passed[..*index].iter().any(|other| *other < epoch) {
            if cancelled.is_set() {
                return Err(Failure::Cancelled);
            }
            passed = turns.changed.wait_timeout(passed, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// This one has passed the barrier.
    pub(crate) fn pass(&self, epoch: Epoch) {
        if let Some((turns, index)) = &self.0 {
            turns.lock()[*index] = epoch;
            turns.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_first_goes_first_barrier_by_barrier() {
        let (turns, log) = (Turns::new(3), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for index in [2, 0, 1] {
                let (turn, log) = (turns.turn(index), &log);
                scope.spawn(move || {
                    for epoch in 7..27 {
                        turn.wait(epoch, &Cancelled::default()).unwrap();
                        log.lock().unwrap().push((epoch, index));
                        turn.pass(epoch);
                    }
                });
            }
        });
        let log = log.into_inner().unwrap();
        for index in 1..3 {
            for epoch in 7..27 {
                let at = |index| log.iter().position(|entry| *entry == (epoch, index));
                assert!(at(index - 1) < at(index), "{log:?}");
            }
        }
        let cancelled = Cancelled::default();
        cancelled.set();
        assert!(matches!(turns.turn(1).wait(99, &cancelled), Err(Failure::Cancelled)));
    }
}
