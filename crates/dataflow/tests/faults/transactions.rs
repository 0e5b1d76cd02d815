//! A sink with transactions: whatever fails, and wherever, each result is committed once.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::JobError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{JobConfig, JobHandle, RestartStrategy, RestoreFrom, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::counts::{config, counted, expected, until};
use crate::faucet::Faucet;
use crate::flaky_store::FlakyStore;
use crate::log::{Fault, Log};

const NUMBERS: u64 = 4000;

/// A job that counts into a log, halfway through its input.
struct Halfway {
    store: FlakyStore,
    storage: CheckpointStorage,
    faucet: Faucet,
    log: Log,
}

impl Halfway {
    fn start(restarts: u32, retained: usize) -> (Self, JobHandle) {
        let store = FlakyStore::new(Arc::new(InMemory::new()));
        let storage = CheckpointStorage::object_store(Arc::new(store.clone()), "checkpoints");
        let halfway = Self { store, storage, faucet: Faucet::new(NUMBERS), log: Log::default() };
        let mut config = halfway.config();
        config.restart = Some(RestartStrategy::FixedDelay { attempts: restarts, delay: Duration::ZERO });
        config.checkpoint.as_mut().unwrap().retained = retained;
        let job = start(&halfway.graph(), config).unwrap();
        for numbers in [NUMBERS / 4, NUMBERS / 2] {
            halfway.faucet.release(numbers);
            until("they are committed", || halfway.log.committed().len() as u64 == numbers);
        }
        (halfway, job)
    }

    fn graph(&self) -> StreamGraph {
        let graph = StreamGraph::new();
        let strategy = WatermarkStrategy::no_watermarks();
        self.log.write(&counted(&graph.source("numbers", self.faucet.clone(), strategy)));
        graph
    }

    fn config(&self) -> JobConfig {
        config("job", &self.storage)
    }

    #[track_caller]
    fn assert_exact(&self, what: &str) {
        let mut committed = self.log.committed();
        committed.sort_unstable();
        assert_eq!(committed.len(), NUMBERS as usize, "{what}");
        assert!(committed == expected(NUMBERS), "{what}");
    }
}

#[test]
fn wherever_a_commit_fails_each_result_is_committed_once() {
    for fault in [Fault::Flush, Fault::CommitLost, Fault::AnswerLost, Fault::Panic] {
        for restarts in [0, 1] {
            let (halfway, job) = Halfway::start(restarts, 1);
            halfway.log.fail_once(fault);
            halfway.faucet.open();
            let result = job.wait();
            if restarts == 0 {
                let error = result.unwrap_err();
                assert!(matches!(error, JobError::Commit(_)) && !error.is_fatal(), "{error}");
                run(&halfway.graph(), halfway.config()).unwrap();
            } else {
                assert_eq!(result.unwrap().restarts, 1);
            }
            halfway.assert_exact(&format!("{fault:?} with {restarts} restarts"));
        }
    }
}

#[test]
fn a_full_disk_does_not_touch_what_is_committed() {
    for room in [0, 400, 800, 1600] {
        let (halfway, job) = Halfway::start(0, 1);
        halfway.store.fill_up_after(room);
        halfway.faucet.release(NUMBERS / 4 * 3);
        job.wait().unwrap_err();
        halfway.store.free_space();
        halfway.faucet.open();
        run(&halfway.graph(), halfway.config()).unwrap();
        halfway.assert_exact(&format!("with room for {room}"));
    }
}

#[test]
fn a_newer_instance_fences_the_older() {
    let (halfway, older) = Halfway::start(9, 1);
    let newer = start(&halfway.graph(), halfway.config()).unwrap();
    let error = older.wait().unwrap_err();
    assert!(error.is_fatal() && matches!(error, JobError::Commit(_) | JobError::Checkpoint(_)), "{error}");
    halfway.faucet.open();
    newer.wait().unwrap();
    halfway.assert_exact("two instances");
}

#[test]
fn what_is_committed_is_not_committed_again_by_going_back() {
    let (halfway, job) = Halfway::start(0, 3);
    job.suspend();
    job.wait().unwrap();
    halfway.faucet.open();
    let marker = halfway.log.marker().unwrap();
    let restore = RestoreFrom::Epoch(marker - 1);
    let error = run(&halfway.graph(), JobConfig { restore, ..halfway.config() }).unwrap_err().to_string();
    assert!(error.contains(&format!("has committed epoch {marker}")) && error.contains("doubled"), "{error}");

    // Nor does a damaged checkpoint make the job go back, or the error advise it.
    let damaged = halfway.store.damage(&format!("checkpoints/job/chk-{marker}-1"), "state-");
    let error = run(&halfway.graph(), halfway.config()).unwrap_err().to_string();
    assert!(error.contains("is damaged") && error.contains("put the file back"), "{error}");
    assert!(!error.contains("RestoreFrom::Epoch"), "{error}");
    halfway.store.repair(damaged);
    run(&halfway.graph(), halfway.config()).unwrap();
    halfway.assert_exact("after the repair");
}

#[test]
fn a_sink_that_has_lost_its_marker_does_not_make_the_job_begin_anew() {
    let (halfway, job) = Halfway::start(0, 1);
    job.suspend();
    job.wait().unwrap();
    halfway.faucet.open();
    let marker = halfway.log.marker().unwrap();
    halfway.log.lose_marker();
    let error = run(&halfway.graph(), halfway.config()).unwrap_err().to_string();
    assert!(error.contains("knows of no commit") && error.contains("marker is lost"), "{error}");
    let restore = RestoreFrom::Epoch(marker);
    run(&halfway.graph(), JobConfig { restore, ..halfway.config() }).unwrap();
    halfway.assert_exact("from the checkpoint");
}

#[test]
fn a_job_that_begins_at_a_savepoint_survives_the_failure_of_its_first_commit() {
    let (halfway, job) = Halfway::start(0, 1);
    let savepoint = CheckpointStorage::object_store(Arc::new(InMemory::new()), "savepoint");
    job.savepoint(savepoint.clone()).unwrap();
    job.cancel();
    job.wait().unwrap_err();
    let first_half = halfway.log.committed();

    let other = Halfway { log: Log::default(), ..halfway };
    other.log.fail_once(Fault::CommitLost);
    other.faucet.open();
    let config = JobConfig {
        restore: RestoreFrom::Savepoint(savepoint),
        restart: Some(RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO }),
        ..config("other", &other.storage)
    };
    assert_eq!(run(&other.graph(), config).unwrap().restarts, 1);
    let mut all = [first_half, other.log.committed()].concat();
    all.sort_unstable();
    assert!(all == expected(NUMBERS), "{} results", all.len());
}
