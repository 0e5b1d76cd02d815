//! Storage that fills up, is slow, or is shared by two jobs that must not.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::{CheckpointError, JobError};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{JobConfig, JobHandle, RestartStrategy, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_testkit::{CollectSink, Collected};

use crate::counts::{Counts, assert_exact, config, counts, until, until_collected};
use crate::faucet::Faucet;
use crate::flaky_store::FlakyStore;

const NUMBERS: u64 = 4000;

/// A job halfway through its input, and the store of its checkpoints.
struct Halfway {
    store: FlakyStore,
    storage: CheckpointStorage,
    faucet: Faucet,
    collected: Counts,
}

impl Halfway {
    fn start(restart: RestartStrategy) -> (Self, JobHandle) {
        let store = FlakyStore::new(Arc::new(InMemory::new()));
        let storage = CheckpointStorage::object_store(Arc::new(store.clone()), "checkpoints");
        let (faucet, collected) = (Faucet::new(NUMBERS), Counts::default());
        let config = JobConfig { restart: Some(restart), ..config("job", &storage) };
        let job = start(&counts(&faucet, &collected), config).unwrap();
        faucet.release(NUMBERS / 2);
        until_collected(&job, &collected, NUMBERS as usize / 2);
        (Self { store, storage, faucet, collected }, job)
    }
}

#[test]
fn a_full_disk_fails_the_job_and_a_later_run_resumes_exactly() {
    // Room for nothing; perhaps for a state file, but not its manifest; for one more checkpoint, or a few.
    for room in [0, 400, 800, 1600, 5000] {
        let (halfway, job) = Halfway::start(RestartStrategy::None);
        halfway.store.fill_up_after(room);
        halfway.faucet.release(NUMBERS / 4 * 3);
        let error = job.wait().unwrap_err();
        assert!(matches!(&error, JobError::Checkpoint(CheckpointError::Store { .. })), "{error}");
        let error = error.to_string();
        for part in ["flaky/checkpoints/job", "no storage space", "is untouched", "start the job again"] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
        assert_eq!(
            halfway.store.folders_with("checkpoints/job", "manifest.json").len(),
            1,
            "with room for {room}: what was cut short is no checkpoint"
        );
        halfway.store.free_space();
        halfway.faucet.open();
        run(&counts(&halfway.faucet, &halfway.collected), config("job", &halfway.storage)).unwrap();
        assert_exact(&halfway.collected, NUMBERS);
    }
}

#[test]
fn a_job_that_is_restarted_goes_on_when_there_is_space_again() {
    let (halfway, job) = Halfway::start(RestartStrategy::Exponential {
        initial: Duration::from_millis(1),
        max: Duration::from_millis(5),
        multiplier: 2.0,
        reset_after: Duration::from_secs(60),
    });
    halfway.store.fill_up_after(900);
    halfway.faucet.open();
    until("the job was restarted twice", || job.progress().restarts >= 2);
    assert!(halfway.store.has_refused() && halfway.collected.len() < NUMBERS as usize);
    halfway.store.free_space();
    let result = job.wait().unwrap();
    assert!(result.restarts >= 2);
    assert_exact(&halfway.collected, NUMBERS);
}

#[test]
fn a_store_that_takes_its_time_is_waited_for() {
    let wait = Duration::from_millis(2);
    let slow = ThrottleConfig { wait_put_per_call: wait, wait_get_per_call: wait, ..Default::default() };
    let slow: Arc<dyn ObjectStore> = Arc::new(ThrottledStore::new(InMemory::new(), slow));
    let storage = CheckpointStorage::object_store(slow, "checkpoints");
    let (faucet, collected) = (Faucet::new(NUMBERS), Counts::default());
    faucet.open();
    run(&counts(&faucet, &collected), config("job", &storage)).unwrap();
    assert_exact(&collected, NUMBERS);
}

#[test]
fn the_older_of_two_jobs_with_one_id_is_fenced_and_nothing_is_given_twice() {
    let (halfway, older) = Halfway::start(RestartStrategy::FixedDelay { attempts: 9, delay: Duration::ZERO });
    let newer = start(&counts(&halfway.faucet, &halfway.collected), config("job", &halfway.storage)).unwrap();
    // Both of them go on reading.
    halfway.faucet.release(NUMBERS / 4 * 3);
    let error = older.wait().unwrap_err();
    assert!(matches!(&error, JobError::Checkpoint(CheckpointError::Fenced { .. })), "{error}");
    let error = error.to_string();
    for part in ["another instance of the job", "flaky/checkpoints/job", "must not share an id"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    halfway.faucet.open();
    newer.wait().unwrap();
    assert_exact(&halfway.collected, NUMBERS);
}

/// A store may say of it something else than that it is not there, as HDFS does.
#[test]
fn a_file_that_somebody_removes_while_it_is_read_is_one_that_is_not_there() {
    let (halfway, older) = Halfway::start(RestartStrategy::None);
    halfway.store.remove_while_read("claim-2");
    let newer = start(&counts(&halfway.faucet, &halfway.collected), config("job", &halfway.storage)).unwrap();
    halfway.faucet.release(NUMBERS / 4 * 3);
    let error = older.wait().unwrap_err();
    assert!(matches!(&error, JobError::Checkpoint(CheckpointError::Fenced { .. })), "{error}");
    assert!(halfway.store.has_removed());
    halfway.faucet.open();
    newer.wait().unwrap();
    assert_exact(&halfway.collected, NUMBERS);
}

/// How many files in a folder this process has open.
#[cfg(target_os = "linux")]
fn open_files(folder: &std::path::Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let files = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    files.filter(|file| file.starts_with(folder)).count()
}

/// Large files of a checkpoint are read where they lie; so they are held open until all state is there, and no longer.
#[test]
#[cfg(target_os = "linux")]
fn what_a_job_goes_on_from_is_let_go_of_when_it_has_been_read() {
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let (faucet, collected) = (Faucet::new(40_000).waiting(), Collected::default());
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", faucet.clone(), WatermarkStrategy::no_watermarks());
    let keyed = numbers.map("key", |n| Keyed::new(n, format!("{n:020}"))).exchange();
    let keep = Reduce::new(|a: String, _| a, |key: &u64, _: &String| *key, Emit::Each);
    let _ = keyed.apply("keep", keep).apply("collect", CollectSink::new(collected.clone()));
    for part in [1, 2, 3] {
        let job = start(&graph, config("job", &storage)).unwrap();
        faucet.release(10_000 * part);
        until("all has been committed", || collected.len() == 10_000 * part as usize);
        // Those of the checkpoint that is just being written come and go.
        until("nothing is held open", || open_files(folder.path()) == 0);
        job.cancel();
        let _ = job.wait();
    }
}

#[test]
fn a_job_that_cannot_run_does_not_fence_one_that_does() {
    let (halfway, job) = Halfway::start(RestartStrategy::None);
    let wrong = JobConfig { parallelism: 0, ..config("job", &halfway.storage) };
    let error = run(&counts(&halfway.faucet, &halfway.collected), wrong).unwrap_err();
    assert!(error.to_string().contains("parallelism 0"), "{error}");
    halfway.faucet.open();
    job.wait().unwrap();
    assert_exact(&halfway.collected, NUMBERS);
}

#[test]
fn a_job_in_which_nothing_moves_is_hardly_ever_cut() {
    let storage = CheckpointStorage::object_store(Arc::new(InMemory::new()), "checkpoints");
    let (faucet, collected) = (Faucet::new(NUMBERS), Counts::default());
    let job = start(&counts(&faucet, &collected), config("job", &storage)).unwrap();
    faucet.release(NUMBERS / 2);
    until_collected(&job, &collected, NUMBERS as usize / 2);
    // What is committed at last is.
    std::thread::sleep(Duration::from_millis(100));
    let (before, since) = (job.progress().committed_epoch, std::time::Instant::now());
    std::thread::sleep(Duration::from_millis(1500));
    let (cuts, most) =
        (job.progress().committed_epoch - before, since.elapsed().as_millis() as u64 / 500 + 1);
    assert!(cuts <= most, "{cuts} cuts where {most} are enough, at one every few milliseconds");
    // And what comes then is committed as soon as ever.
    faucet.open();
    job.wait().unwrap();
    assert_exact(&collected, NUMBERS);
}
