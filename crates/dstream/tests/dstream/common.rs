//! What the tests of pipelines share: a queue whose batches are cut exactly where it says, and runs that
//! crash.

use std::marker::PhantomData;
use std::time::Duration;

use thalweg_dataflow::Output;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::{Batch, Data};
use thalweg_dataflow::runtime::{CheckpointConfig, Job, JobConfig};
use thalweg_dataflow::time::Clock;
use thalweg_dstream::{DStream, StreamingContext};
use thalweg_testkit::{CrashPoint, ManualClock, Run};

/// The batch interval of all pipelines here. Their clock is moved by hand, so that it costs no time.
pub(crate) const INTERVAL: i64 = 1000;

/// A pair of the test data.
pub(crate) type Pair = (u8, i64);

/// Batches of one size, of pairs whose keys repeat.
pub(crate) fn pairs(batches: usize, size: usize, keys: usize) -> Vec<Vec<Pair>> {
    let pair = |n: usize| ((n * n % keys) as u8, n as i64);
    (0..batches).map(|batch| (0..size).map(|index| pair(batch * size + index)).collect()).collect()
}

/// Reads one collection a batch, crashing where the run says. Time stands still until all subtasks have read
/// their share of the batch; then it is over. So batches are exactly those of the queue, and after the last
/// one comes an empty one.
pub(crate) fn queue<T: Data + Sync>(run: &Run, clock: &ManualClock, batches: Vec<Vec<T>>) -> DStream<T> {
    run.job.configure(|config| config.clock = Clock::Manual(clock.clone()));
    let size = batches[0].len();
    assert!(size > 10 && batches.iter().all(|batch| batch.len() == size), "every subtask has a share");
    let ssc = StreamingContext::over(run.job.clone(), Duration::from_millis(INTERVAL.unsigned_abs()));
    let stream = run.crash.on(ssc.queue_stream(batches).stream());
    let metronome = Metronome { clock: clock.clone(), size, seen: 0, records: PhantomData };
    let _ = stream.apply("metronome", metronome).parallelism(1);
    ssc.stream(stream)
}

/// Ends a batch by moving the clock when all of its records have been seen.
#[derive(Clone)]
struct Metronome<T> {
    clock: ManualClock,
    size: usize,
    seen: usize,
    records: PhantomData<fn(T)>,
}

impl<T: Data> Operator for Metronome<T> {
    type In = T;
    type Out = ();

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        self.seen += batch.records.drain(..).count();
        if self.seen == self.size {
            self.seen = 0;
            self.clock.advance(Duration::from_millis(INTERVAL.unsigned_abs()));
        }
        Ok(())
    }
}

/// A clock that stands at the beginning of a batch.
pub(crate) fn clock() -> ManualClock {
    ManualClock::new(INTERVAL)
}

/// Runs a pipeline with a checkpoint every batch: it crashes twice in its middle, and is restored at another
/// parallelism each time.
pub(crate) fn run_with_crashes(build: impl Fn(&Run)) {
    let folder = tempfile::tempdir().unwrap();
    for (parallelism, crashes) in [(2, true), (4, true), (1, false)] {
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(1), storage));
        let restart = Some(thalweg_dstream::RestartStrategy::None);
        let job = Job::new(JobConfig { parallelism, checkpoint, restart, ..JobConfig::new("crashing") });
        let crash = if crashes { CrashPoint::after(2, 900) } else { CrashPoint::never() };
        let run = Run { job, crash };
        build(&run);
        match run.job.run() {
            Ok(_) => assert!(!crashes, "the input is too short to crash in its middle"),
            Err(error) => assert!(error.to_string().contains("a crash, as asked for"), "{error}"),
        }
    }
}
