//! A point at which a pipeline crashes: in the middle of its input, after checkpoints have been committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Epoch;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::{Batch, Data};

/// Crashes once. Clones are the same point: whichever subtask gets there first.
#[derive(Clone, Debug)]
pub struct CrashPoint {
    after_commits: u64,
    then_records: u64,
    armed: Arc<AtomicBool>,
    commits: Arc<AtomicU64>,
    records: Arc<AtomicU64>,
}

impl CrashPoint {
    /// Panics at the `then_records`-th record after `after_commits` further epochs have been committed.
    /// Until then it slows the stream down, so that there is a middle to crash in.
    pub fn after(after_commits: u64, then_records: u64) -> Self {
        let armed = Arc::new(AtomicBool::new(true));
        Self { after_commits, then_records, armed, commits: Arc::default(), records: Arc::default() }
    }

    /// Never crashes, and does not slow anything down.
    pub fn never() -> Self {
        let point = Self::after(0, 0);
        point.armed.store(false, Ordering::SeqCst);
        point
    }

    /// Whether it has crashed, or never was going to.
    pub fn is_over(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }

    /// Puts the point into a stream.
    pub fn on<T: Data>(&self, stream: &Stream<T>) -> Stream<T> {
        stream.apply(
            "crash-point",
            CrashOperator { point: self.clone(), seen: 0, waited: 0, types: std::marker::PhantomData },
        )
    }
}

#[derive(Clone, Debug)]
struct CrashOperator<T> {
    point: CrashPoint,
    /// The last epoch seen committed: at a restore it is told again of the one restored.
    seen: Epoch,
    /// The batches that it has slowed down since the last commit.
    waited: u32,
    types: std::marker::PhantomData<fn() -> T>,
}

impl<T: Data> Operator for CrashOperator<T> {
    type In = T;
    type Out = T;

    #[expect(clippy::panic, reason = "this is what it is for")]
    fn process(&mut self, batch: &mut Batch<T>, output: &mut Output<T>) -> Result<(), BoxError> {
        let point = &self.point;
        if point.armed.load(Ordering::SeqCst) {
            // The longer it takes to get to a commit, the slower: a busy machine must not run out of input first.
            self.waited += 1;
            std::thread::sleep(Duration::from_micros(500 << (self.waited / 8).min(7)));
            if point.commits.load(Ordering::SeqCst) >= point.after_commits {
                let records =
                    point.records.fetch_add(batch.len() as u64, Ordering::SeqCst) + batch.len() as u64;
                if records >= point.then_records && point.armed.swap(false, Ordering::SeqCst) {
                    panic!("a crash, as asked for by the test");
                }
            }
        }
        output.push_batch(&mut batch.records);
        Ok(())
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        if epoch > self.seen {
            self.seen = epoch;
            self.waited = 0;
            self.point.commits.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}
