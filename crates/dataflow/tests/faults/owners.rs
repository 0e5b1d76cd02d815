//! Two instances of a job: started at once, one after the other, or with one that wakes up late.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use object_store::memory::InMemory;
use thalweg_dataflow::Output;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::{Batch, Keyed};
use thalweg_dataflow::runtime::{JobConfig, JobHandle, RestartStrategy, RestoreFrom, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::counts::{config, counted, expected, until};
use crate::faucet::Faucet;
use crate::log::Log;

const NUMBERS: u64 = 4000;

/// A job that counts into a log.
struct Job {
    storage: CheckpointStorage,
    faucet: Faucet,
    log: Log,
}

impl Job {
    fn new() -> Self {
        let storage = CheckpointStorage::object_store(Arc::new(InMemory::new()), "checkpoints");
        Self { storage, faucet: Faucet::new(NUMBERS), log: Log::default() }
    }

    fn graph(&self) -> StreamGraph {
        let graph = StreamGraph::new();
        let numbers = graph.source("numbers", self.faucet.clone(), WatermarkStrategy::no_watermarks());
        self.log.write(&counted(&numbers));
        graph
    }

    fn config(&self) -> JobConfig {
        config("job", &self.storage)
    }

    fn start(&self) -> JobHandle {
        start(&self.graph(), self.config()).unwrap()
    }

    /// Runs until so many numbers are committed.
    fn until(&self, job: &JobHandle, numbers: u64) {
        self.faucet.release(numbers);
        until("they are committed", || {
            assert!(!job.is_finished(), "the job has ended");
            self.log.committed().len() as u64 == numbers
        });
    }

    #[track_caller]
    fn assert_exact(&self) {
        let mut committed = self.log.committed();
        committed.sort_unstable();
        assert!(committed == expected(NUMBERS), "{} instead of {NUMBERS}", committed.len());
    }
}

#[test]
fn of_instances_that_start_at_once_exactly_one_survives_and_the_others_say_why() {
    for _ in 0..60 {
        let job = Job::new();
        let together = Arc::new(Barrier::new(3));
        let started: Vec<_> = (0..3)
            .map(|_| {
                let (graph, config, together) = (job.graph(), job.config(), together.clone());
                std::thread::spawn(move || {
                    together.wait();
                    run(&graph, config)
                })
            })
            .collect();
        job.faucet.release(NUMBERS / 2);
        until("two have given way", || started.iter().filter(|job| job.is_finished()).count() == 2);
        job.faucet.open();
        let results: Vec<_> = started.into_iter().map(|job| job.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        for error in results.into_iter().filter_map(Result::err) {
            assert!(error.is_fatal() && error.to_string().contains("another instance of the job"), "{error}");
        }
        job.assert_exact();
    }
}

#[test]
fn who_fences_late_and_is_not_the_owner_gives_way_and_the_owner_goes_on() {
    let job = Job::new();
    job.log.hold_next();
    let first = job.start();
    until("it owns the job, and is about to fence", || job.log.is_holding());
    let second = job.start();
    job.faucet.open();
    let error = first.wait().unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("another instance of the job"), "{error}");
    second.wait().unwrap();
    job.assert_exact();
}

/// Passes everything on, and takes its time to end: until it is let go.
#[derive(Clone, Default)]
struct Lingering {
    runs: bool,
    ends: Arc<AtomicBool>,
    let_go: Arc<AtomicBool>,
}

impl Operator for Lingering {
    type In = u64;
    type Out = u64;

    fn open(&mut self, _: &OperatorContext) -> Result<(), BoxError> {
        self.runs = true;
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<u64>, output: &mut Output<u64>) -> Result<(), BoxError> {
        output.push_batch(&mut batch.records);
        Ok(())
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.runs {
            self.ends.store(true, Ordering::SeqCst);
            until("it is let go", || self.let_go.load(Ordering::SeqCst));
        }
    }
}

#[test]
fn an_owner_that_is_told_to_end_when_it_has_just_been_fenced_ends_in_good_order() {
    let job = Job::new();
    let lingering = Lingering::default();
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", job.faucet.clone(), WatermarkStrategy::no_watermarks());
    job.log.write(&counted(&numbers.apply("lingers", lingering.clone())));
    let running = start(&graph, job.config()).unwrap();
    job.until(&running, NUMBERS / 2);
    // Who does that finds that it is not the owner, and gives way; the owner has only to take its place back.
    job.log.fence();
    job.faucet.release(NUMBERS / 4 * 3);
    until("the job has failed", || lingering.ends.load(Ordering::SeqCst));
    running.suspend();
    lingering.let_go.store(true, Ordering::SeqCst);
    running.wait().unwrap();
    job.faucet.open();
    run(&graph, job.config()).unwrap();
    job.assert_exact();
}

#[test]
fn a_version_that_does_not_fit_its_checkpoint_leaves_the_healthy_one_alone() {
    let job = Job::new();
    let healthy = job.start();
    job.until(&healthy, NUMBERS / 2);
    let instances = job.log.instances();
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", job.faucet.clone(), WatermarkStrategy::no_watermarks());
    let sums = Reduce::new(|a, b| a + b, |key: &u64, n: &i64| (*key, *n), Emit::Each);
    let keyed = numbers.map("key", |n| Keyed::new(n % 2, 1_i64)).exchange();
    job.log.write(&keyed.apply("sum", sums).uid("another uid"));
    let error = run(&graph, job.config()).unwrap_err().to_string();
    assert!(error.contains("does not fit the job"), "{error}");
    let other_groups = JobConfig { max_parallelism: 64, ..job.config() };
    let error = run(&job.graph(), other_groups).unwrap_err().to_string();
    assert!(error.contains("128 key groups"), "{error}");
    assert_eq!(job.log.instances(), instances, "nobody was fenced");
    job.faucet.open();
    healthy.wait().unwrap();
    job.assert_exact();
}

#[test]
fn who_is_fenced_by_the_sink_and_still_owns_the_job_goes_on() {
    let job = Job::new();
    // Whatever the restart strategy is: nothing has failed.
    let running =
        start(&job.graph(), JobConfig { restart: Some(RestartStrategy::None), ..job.config() }).unwrap();
    job.until(&running, NUMBERS / 2);
    job.log.fence();
    job.faucet.open();
    assert!(running.wait().unwrap().restarts >= 1);
    job.assert_exact();
}

#[test]
fn two_jobs_that_share_a_sink_and_not_their_checkpoints_are_told_apart() {
    let job = Job::new();
    let first = job.start();
    job.until(&first, NUMBERS / 2);
    first.cancel();
    first.wait().unwrap_err();
    // Another place of checkpoints, where nothing is.
    let lost = Job { storage: Job::new().storage, faucet: job.faucet.clone(), log: job.log.clone() };
    let error = run(&lost.graph(), lost.config()).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("checkpoints are elsewhere"), "{error}");
    // And one where a job of its own has a checkpoint of the same number.
    let other = Job::new();
    let running = other.start();
    other.until(&running, NUMBERS / 4);
    running.suspend();
    let epoch = running.wait().unwrap().epoch;
    job.log.set_marker(thalweg_dataflow::checkpoint::committer::Marker {
        epoch,
        generation: 1,
        instance: "somebody else".to_owned(),
    });
    let mixed = Job { storage: other.storage.clone(), faucet: job.faucet.clone(), log: job.log.clone() };
    let error = run(&mixed.graph(), mixed.config()).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("share a transactional id"), "{error}");
}

#[test]
fn another_place_for_the_marker_after_exactly_one_epoch_is_refused() {
    let job = Job::new();
    job.faucet.release(NUMBERS / 2);
    // One cut, the last.
    let mut config = job.config();
    config.checkpoint.as_mut().unwrap().interval = Duration::from_secs(3600);
    let running = start(&job.graph(), config).unwrap();
    until("it has read", || job.faucet.read() == NUMBERS / 2);
    running.suspend();
    assert_eq!(running.wait().unwrap().epoch, 1);
    job.log.move_marker("another log");
    job.faucet.open();
    let error = run(&job.graph(), job.config()).unwrap_err().to_string();
    for part in ["the log", "another log", "epoch 1", "RestoreFrom::Epoch(1)", "RestoreFrom::Nothing"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    run(&job.graph(), JobConfig { restore: RestoreFrom::Epoch(1), ..job.config() }).unwrap();
    job.assert_exact();
}

#[test]
fn a_savepoint_that_is_older_than_what_was_committed_is_not_passed_over_in_silence() {
    let job = Job::new();
    let running = job.start();
    job.until(&running, NUMBERS / 4);
    let savepoint = CheckpointStorage::object_store(Arc::new(InMemory::new()), "savepoint");
    let taken = running.savepoint(savepoint.clone()).unwrap();
    job.until(&running, NUMBERS / 2);
    running.suspend();
    let committed = running.wait().unwrap().epoch;
    job.faucet.open();
    let at_savepoint = |job: &Job| {
        let restore = RestoreFrom::Savepoint(savepoint.clone());
        JobConfig { restore, ..job.config() }
    };
    let error = run(&job.graph(), at_savepoint(&job)).unwrap_err();
    assert!(matches!(error, JobError::Config(_)), "{error}");
    for part in [&format!("checkpoint {taken}"), &format!("checkpoint {committed}"), "older", "another id"] {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
    run(&job.graph(), job.config()).unwrap();
    job.assert_exact();

    // A job that began at the savepoint goes on from its own, as often as it is started so.
    let other = Job { log: Log::default(), storage: Job::new().storage, faucet: Faucet::new(NUMBERS) };
    for numbers in [NUMBERS / 4 * 2, NUMBERS / 4 * 3] {
        let running = start(&other.graph(), at_savepoint(&other)).unwrap();
        other.faucet.release(numbers);
        until("committed", || other.log.committed().len() as u64 == numbers - NUMBERS / 4);
        running.suspend();
        running.wait().unwrap();
    }
}
