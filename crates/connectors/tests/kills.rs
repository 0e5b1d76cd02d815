//! Exactly-once into stores while processes are killed without a warning: ours, again and again, and HDFS's.
//!
//! Ours is this test, which starts itself as a child. It always runs on a folder, by the sink of files and by that of stores, with a rename for each file; and on the stores that
//! the environment names, as `stores.rs` has it. `THALWEG_KILLS` is how often a child is killed on each, 8 unless it is set; the more, the more records there are:
//!
//! ```sh
//! scripts/s3 start; eval "$(scripts/s3 env)"; scripts/azure start; eval "$(scripts/azure env)"; export THALWEG_HDFS=$(scripts/hdfs start)
//! THALWEG_KILLS=100 cargo test -p thalweg-connectors --features s3,azure,hdfs --test kills nothing_is_lost -- --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use object_store::local::LocalFileSystem;
use thalweg_connectors::files::{FileSink, FileSystem};
use thalweg_connectors::store::{Store, StoreSink, checkpoint_storage};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::RunId;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobHandle, RestartStrategy, start};
use thalweg_dataflow::source::ParallelCollectionSource;
use thalweg_dataflow::watermark::WatermarkStrategy;

/// How often a child is killed.
fn kills() -> usize {
    std::env::var("THALWEG_KILLS").map_or(8, |kills| kills.parse().unwrap())
}

/// How many records there are: enough for the last kill to be in the middle of them.
fn count() -> u64 {
    120_000 + 25_000 * (kills() as u64).saturating_sub(8)
}

/// `files:/tmp/x` is a folder of this machine, `folder:/tmp/x` one as a store; anything else is an address.
fn store(place: &str) -> (Store, String) {
    match place.strip_prefix("folder:").or(place.strip_prefix("files:")) {
        Some(folder) => {
            let files = LocalFileSystem::new_with_prefix(folder).unwrap();
            (Store::renaming(files, "a folder", "folder://it"), "folder://it/out".to_owned())
        }
        None => (Store::at(place).unwrap(), format!("{place}/out")),
    }
}

fn job(place: &str, parallelism: usize, restart: RestartStrategy) -> JobHandle {
    let (store, address) = store(place);
    let graph = StreamGraph::new();
    let numbers = ParallelCollectionSource::new((0..count()).collect::<Vec<_>>());
    let numbers = graph.source("numbers", numbers, WatermarkStrategy::no_watermarks());
    // Slow enough for there to be a middle.
    let numbers = numbers.map("slow", |n: u64| {
        if n.is_multiple_of(50) {
            std::thread::sleep(Duration::from_millis(2));
        }
        n
    });
    let line: fn(&u64, &mut Vec<u8>) = |n, line| line.extend_from_slice(n.to_string().as_bytes());
    match place.strip_prefix("files:") {
        Some(folder) => {
            numbers.apply("files", FileSink::new(Path::new(folder).join("out"), line));
        }
        None => {
            numbers.apply("store", StoreSink::new(&address, line).on(store));
        }
    }
    let checkpoints = match place.strip_prefix("folder:").or(place.strip_prefix("files:")) {
        Some(folder) => format!("{folder}/checkpoints"),
        None => format!("{place}/checkpoints"),
    };
    let checkpoint =
        CheckpointConfig::new(Duration::from_millis(40), checkpoint_storage(checkpoints).unwrap());
    let config = JobConfig { parallelism, restart: Some(restart), ..JobConfig::new("kills") };
    start(&graph, JobConfig { checkpoint: Some(checkpoint), ..config }).unwrap()
}

/// What readers see. A file that was there stays as it is, so each is read once.
struct Readers<'a> {
    place: &'a str,
    files: BTreeSet<PathBuf>,
    /// Which numbers are there.
    numbers: Vec<bool>,
    found: usize,
}

impl<'a> Readers<'a> {
    fn of(place: &'a str) -> Self {
        Self { place, files: BTreeSet::new(), numbers: vec![false; count() as usize], found: 0 }
    }

    /// How many numbers there are: none twice, no half a line, and no file of before is gone.
    fn look(&mut self) -> usize {
        let (store, address) = store(self.place);
        let entries = match store.list(Path::new(&address), true) {
            // Before the first checkpoint there may be no folder.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            entries => entries.unwrap(),
        };
        let still_there = entries.iter().filter(|entry| self.files.contains(&entry.path)).count();
        assert_eq!(still_there, self.files.len(), "{}: what was visible is gone", self.place);
        for entry in entries {
            if self.files.contains(&entry.path) {
                continue;
            }
            let mut text = String::new();
            store.open(&entry.path, 0).unwrap().read_to_string(&mut text).unwrap();
            assert!(text.ends_with('\n'), "{:?} is half a file", entry.path);
            for line in text.lines() {
                let number: usize = line.parse().unwrap();
                assert!(!std::mem::replace(&mut self.numbers[number], true), "{number} is there twice");
                self.found += 1;
            }
            self.files.insert(entry.path);
        }
        self.found
    }
}

/// All numbers are there, once.
fn is_whole(place: &str) {
    let mut readers = Readers::of(place);
    let found = readers.look();
    assert_eq!(found as u64, count(), "{place}");
}

/// Where to write to: a folder, and what the environment names.
fn places(folder: &Path) -> Vec<String> {
    let mut places = Vec::new();
    for of in ["files", "folder"] {
        std::fs::create_dir(folder.join(of)).unwrap();
        places.push(format!("{of}:{}", folder.join(of).display()));
    }
    let stores = [
        ("THALWEG_S3", cfg!(feature = "s3")),
        ("THALWEG_AZURE", cfg!(feature = "azure")),
        ("THALWEG_HDFS", cfg!(feature = "hdfs")),
    ];
    places.extend(thalweg_testkit::stores::folders("kills", &stores));
    places
}

#[test]
fn nothing_is_lost_doubled_or_half_visible_however_often_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    std::thread::scope(|scope| {
        let killed: Vec<_> =
            places.iter().map(|place| scope.spawn(|| is_whole_however_often_it_is_killed(place))).collect();
        // What has gone wrong is told of the first place that something has gone wrong in.
        killed.into_iter().for_each(|place| place.join().unwrap());
    });
}

fn is_whole_however_often_it_is_killed(place: &str) {
    let kills = kills();
    let child = |parallelism: usize| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "child", "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::null());
        child.env("THALWEG_KILLS_AT", place).env("THALWEG_KILLS_PARALLELISM", parallelism.to_string());
        child.spawn().unwrap()
    };
    let (mut readers, mut seen, mut grew, mut midway) = (Readers::of(place), 0, 0, 0);
    for kill in 0..kills {
        let mut running = child(1 + kill % 3);
        // Every other time it gets to a checkpoint: how long that takes is up to the store.
        let until = Instant::now() + Duration::from_secs(30);
        while kill % 2 == 1 && readers.look() == seen && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(100 + RunId::token() % 900));
        // Of a job that has come to its end nothing is killed.
        midway += usize::from(running.try_wait().unwrap().is_none());
        running.kill().unwrap();
        running.wait().unwrap();
        let now = readers.look();
        grew += usize::from(now > seen);
        seen = now;
    }
    assert!(grew > 1, "{place}: nothing was written between {kills} kills");
    let status = child(2).wait().unwrap();
    assert!(status.success(), "{place}: {status}");
    readers.look();
    is_whole(place);
    let (files, records) = (readers.files.len(), count());
    eprintln!(
        "{place}: {midway} of {kills} kills in mid-job, {grew} after something new was visible; {records} records in {files} files, each once"
    );
}

/// The child of the test above; without its environment it has nothing to do.
#[test]
fn child() {
    let Ok(place) = std::env::var("THALWEG_KILLS_AT") else { return };
    let parallelism = std::env::var("THALWEG_KILLS_PARALLELISM").unwrap().parse().unwrap();
    job(&place, parallelism, RestartStrategy::None).wait().unwrap();
}

/// Lets a process go on, whatever becomes of the test.
#[cfg(any(feature = "s3", feature = "azure"))]
struct Stopped(String);

#[cfg(any(feature = "s3", feature = "azure"))]
impl Stopped {
    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0]).status().unwrap().success());
    }
}

#[cfg(any(feature = "s3", feature = "azure"))]
impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[cfg(feature = "s3")]
#[test]
fn an_s3_that_does_not_answer_for_a_while_is_waited_for() {
    is_waited_for("THALWEG_S3");
}

#[cfg(feature = "azure")]
#[test]
fn an_azure_that_does_not_answer_for_a_while_is_waited_for() {
    is_waited_for("THALWEG_AZURE");
}

#[cfg(any(feature = "s3", feature = "azure"))]
fn is_waited_for(variable: &str) {
    let (Ok(base), Ok(pid)) = (std::env::var(variable), std::env::var(format!("{variable}_PID"))) else {
        eprintln!(
            "SKIPPED: a store that does not answer, on {variable} and {variable}_PID, which are not set"
        );
        return;
    };
    let place = format!("{base}/slow-{:x}", RunId::token());
    let running = job(&place, 2, RestartStrategy::None);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        let stopped = Stopped(pid.clone());
        stopped.signal("-STOP");
        std::thread::sleep(Duration::from_millis(1_200));
    }
    running.wait().unwrap();
    is_whole(&place);
}

/// One that is stopped when the test is over.
#[cfg(feature = "hdfs")]
struct Hdfs(PathBuf);

#[cfg(feature = "hdfs")]
impl Hdfs {
    fn script(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/hdfs");
        let (command, rest) = arguments.split_first().unwrap();
        let done = Command::new(script).arg(command).arg("--data").arg(&self.0).args(rest).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }
}

#[cfg(feature = "hdfs")]
impl Drop for Hdfs {
    fn drop(&mut self) {
        self.script(&["stop"]);
    }
}

#[cfg(feature = "hdfs")]
#[test]
fn a_namenode_and_a_datanode_that_are_killed_and_come_back_lose_nothing() {
    if std::env::var_os("THALWEG_HDFS").is_none() {
        eprintln!("SKIPPED: kills of HDFS's processes on THALWEG_HDFS, which is not set");
        return;
    }
    // One of its own, as others are to go on with theirs.
    let folder = tempfile::tempdir().unwrap();
    let hdfs = Hdfs(folder.path().join("hdfs"));
    let place = format!("{}/job", hdfs.script(&["start"]));
    let restart = RestartStrategy::FixedDelay { attempts: 200, delay: Duration::from_secs(1) };
    let running = job(&place, 1, restart);
    let mut readers = Readers::of(&place);
    let mut wait_for_more = || {
        let (until, count) = (Instant::now() + Duration::from_secs(120), readers.look() + 500);
        while readers.look() < count {
            assert!(Instant::now() < until && !running.is_finished());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    for what in ["namenode", "datanode"] {
        wait_for_more();
        hdfs.script(&["kill", what]);
        std::thread::sleep(Duration::from_millis(1_500));
        hdfs.script(&["start"]);
    }
    let result = running.wait();
    result.unwrap();
    is_whole(&place);
}
