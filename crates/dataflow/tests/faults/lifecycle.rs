//! Stopping, suspending, cancelling, savepoints: what the results are afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_dataflow::Output;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::operators::BatchFold;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::runtime::{JobConfig, JobHandle, RestartStrategy, RestoreFrom, run, start};
use thalweg_dataflow::source::QueueSource;
use thalweg_dataflow::watermark::WatermarkStrategy;

use thalweg_testkit::{CollectSink, Collected};

use crate::counts::{Counts, KEYS, assert_exact, config, count, counts, sorted, until, until_collected};
use crate::faucet::Faucet;
use crate::windows::{Windows, count_in_windows, in_windows, sorted_windows};

const NUMBERS: u64 = 4000;

/// A job of which half of the numbers have been counted and committed.
struct Halfway {
    folder: tempfile::TempDir,
    storage: CheckpointStorage,
    faucet: Faucet,
    collected: Counts,
}

impl Halfway {
    fn start() -> (Self, JobHandle) {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let (faucet, collected) = (Faucet::new(NUMBERS), Counts::default());
        let job = start(&counts(&faucet, &collected), config("job", &storage)).unwrap();
        faucet.release(NUMBERS / 2);
        until_collected(&job, &collected, NUMBERS as usize / 2);
        (Self { folder, storage, faucet, collected }, job)
    }

    fn config(&self) -> JobConfig {
        config("job", &self.storage)
    }

    fn resume(&self) {
        self.faucet.open();
        run(&counts(&self.faucet, &self.collected), self.config()).unwrap();
    }
}

#[test]
fn a_cancelled_job_says_so_and_resumes_from_what_was_committed() {
    let (halfway, job) = Halfway::start();
    halfway.faucet.release(NUMBERS / 4 * 3);
    job.cancel();
    let error = job.wait().unwrap_err();
    assert!(matches!(error, JobError::Cancelled), "{error}");
    halfway.resume();
    assert_exact(&halfway.collected, NUMBERS);
}

#[test]
fn a_suspended_job_resumes_at_any_parallelism() {
    let (halfway, job) = Halfway::start();
    halfway.faucet.release(NUMBERS / 4 * 3);
    // To stop it afterwards changes nothing: the suspension came first.
    job.suspend();
    job.stop();
    job.wait().unwrap();
    halfway.faucet.open();
    for parallelism in [3, 1] {
        let config = JobConfig { parallelism, ..halfway.config() };
        run(&counts(&halfway.faucet, &halfway.collected), config).unwrap();
    }
    assert_exact(&halfway.collected, NUMBERS);
}

fn windows(faucet: &Faucet, collected: &Windows) -> StreamGraph {
    let graph = StreamGraph::new();
    let strategy = WatermarkStrategy::for_monotonous_timestamps();
    count_in_windows(&graph.source("numbers", faucet.clone(), strategy), collected);
    graph
}

#[test]
fn stopping_closes_open_windows_and_suspending_keeps_them() {
    for drain in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let (faucet, collected) = (Faucet::new(NUMBERS), Windows::default());
        let job = start(&windows(&faucet, &collected), config("job", &storage)).unwrap();
        faucet.release(2400);
        let whole = 2 * KEYS as usize;
        until("two windows have fired", || collected.len() == whole);
        until("all was read", || job.metrics().sum("numbers", |metrics| metrics.records_in.get()) == 2400);
        if drain {
            job.stop()
        } else {
            job.suspend()
        }
        job.wait().unwrap();
        let found = sorted_windows(&collected);
        let read = if drain { 2400 } else { 2000 };
        assert!(found == in_windows(0..read), "drained: {drain}, {} windows", found.len());

        faucet.open();
        run(&windows(&faucet, &collected), config("job", &storage)).unwrap();
        let found = sorted_windows(&collected);
        assert!(found == in_windows(read..NUMBERS), "drained: {drain}, {} windows later", found.len());
    }
}

#[test]
fn a_savepoint_starts_another_job_at_another_parallelism() {
    let (halfway, job) = Halfway::start();
    let at = |name: &str| CheckpointStorage::local(halfway.folder.path().join(name)).unwrap();
    job.savepoint(at("savepoint")).unwrap();
    let error = job.savepoint(at("savepoint")).unwrap_err().to_string();
    assert!(error.contains("savepoint: there is one already"), "{error}");
    // The job that it was taken of goes on, and neither disturbs the other.
    let other = Counts::default();
    let config = JobConfig {
        parallelism: 4,
        restore: RestoreFrom::Savepoint(at("savepoint")),
        ..config("other", &halfway.storage)
    };
    let other_job = start(&counts(&halfway.faucet, &other), config).unwrap();
    halfway.faucet.open();
    job.wait().unwrap();
    other_job.wait().unwrap();
    let first_half: Vec<_> = halfway.collected.take();
    let later = first_half.clone().split_off(NUMBERS as usize / 2);
    let (mut all, mut later) = (first_half, later);
    all.sort_unstable();
    later.sort_unstable();
    assert!(all == crate::counts::expected(NUMBERS), "{} results", all.len());
    assert!(sorted(&other) == later, "the other job has the second half, as the first one had");
}

#[test]
fn a_savepoint_of_a_job_without_storage_says_why_there_is_none() {
    let (graph, faucet) = (StreamGraph::new(), Faucet::new(NUMBERS));
    let _ = graph.source("numbers", faucet, WatermarkStrategy::no_watermarks());
    let job = start(&graph, JobConfig::new("job")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = job.savepoint(CheckpointStorage::local(folder.path()).unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("no savepoint was taken at") && error.contains("no checkpoint storage"),
        "{error}"
    );
    job.cancel();
    job.wait().unwrap_err();
}

#[test]
fn a_stop_is_not_forgotten_by_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let (graph, faucet, collected) = (StreamGraph::new(), Faucet::new(NUMBERS), Counts::default());
    let numbers = graph.source("numbers", faucet.clone(), WatermarkStrategy::no_watermarks());
    let failing = Arc::new(AtomicBool::new(true));
    let checked = numbers.apply("check", EndsBadly(failing.clone()));
    count(&checked, &collected);
    let restart = Some(RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO });
    let job = start(&graph, JobConfig { restart, ..config("job", &storage) }).unwrap();
    faucet.release(NUMBERS / 2);
    until_collected(&job, &collected, NUMBERS as usize / 2);
    job.stop();
    let result = job.wait().unwrap();
    assert_eq!((result.restarts, failing.load(Ordering::SeqCst)), (1, false));
    assert_exact(&collected, NUMBERS / 2);
}

#[test]
fn suspending_in_the_middle_of_a_batch_does_not_change_what_is_in_it() {
    const BATCHES: u64 = 12;
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let sizes = Collected::default();
    let (mut runs, mut last) = (0, false);
    while !last {
        let graph = StreamGraph::new();
        graph.batch_interval(20);
        // No two batches together have as many records as another.
        let batches = (1..=BATCHES).map(|n| vec![1_u64; 1 << n]).collect();
        let queue = graph.source("queue", QueueSource::new(batches, 20), WatermarkStrategy::no_watermarks());
        let count = || BatchFold::new(0_u64, |a, b| a + b, |a, b| a + b, 20);
        let whole = queue.apply("shares", count()).rebalance().apply("whole", count()).parallelism(1);
        let _ = whole.apply("sizes", CollectSink::new(sizes.clone())).parallelism(1);
        let job = start(&graph, JobConfig { parallelism: 1 + runs % 3, ..config("job", &storage) }).unwrap();
        let before = sizes.len();
        until("a batch is through", || job.is_finished() || sizes.len() > before);
        last = runs == 4;
        if !last {
            job.suspend();
        }
        job.wait().unwrap();
        runs += 1;
    }
    let mut found = sizes.take();
    found.retain(|size| *size > 0);
    assert_eq!(found, (1..=BATCHES).map(|n| 1 << n).collect::<Vec<u64>>());
}

/// Fails at the end of its input, once.
#[derive(Clone)]
struct EndsBadly(Arc<AtomicBool>);

impl Operator for EndsBadly {
    type In = u64;
    type Out = u64;

    fn process(&mut self, batch: &mut Batch<u64>, output: &mut Output<u64>) -> Result<(), BoxError> {
        output.push_batch(&mut batch.records);
        Ok(())
    }

    fn end(&mut self, _: &mut Output<u64>) -> Result<(), BoxError> {
        if self.0.swap(false, Ordering::SeqCst) { Err("not yet".into()) } else { Ok(()) }
    }
}
