//! Exactly-once into stores while processes are killed without a warning: ours, again and again, and HDFS's.
//!
//! Ours is this test, which starts itself as a child. It always runs on a folder, with a rename for each file; and on the stores that the environment names, as `stores.rs` has
//! it. `THALWEG_KILLS` is how often a child is killed on each: 8 unless it is set.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::io::Read;
use std::path::Path;
#[cfg(feature = "hdfs")]
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use object_store::local::LocalFileSystem;
use thalweg_connectors::files::FileSystem;
use thalweg_connectors::store::{Store, StoreSink, checkpoint_storage};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::RunId;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobHandle, RestartStrategy, start};
use thalweg_dataflow::source::ParallelCollectionSource;
use thalweg_dataflow::watermark::WatermarkStrategy;

const COUNT: u64 = 60_000;

/// `folder:/tmp/x` is a folder of this machine as a store; anything else is an address.
fn store(place: &str) -> (Store, String) {
    match place.strip_prefix("folder:") {
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
    let numbers = ParallelCollectionSource::new((0..COUNT).collect::<Vec<_>>());
    let numbers = graph.source("numbers", numbers, WatermarkStrategy::no_watermarks());
    // Slow enough for there to be a middle.
    let numbers = numbers.map("slow", |n: u64| {
        if n.is_multiple_of(50) {
            std::thread::sleep(Duration::from_millis(2));
        }
        n
    });
    let line: fn(&u64, &mut Vec<u8>) = |n, line| line.extend_from_slice(n.to_string().as_bytes());
    let _ = numbers.apply("store", StoreSink::new(&address, line).on(store));
    let checkpoints = match place.strip_prefix("folder:") {
        Some(folder) => format!("{folder}/checkpoints"),
        None => format!("{place}/checkpoints"),
    };
    let checkpoint =
        CheckpointConfig::new(Duration::from_millis(40), checkpoint_storage(checkpoints).unwrap());
    let config = JobConfig { parallelism, restart: Some(restart), ..JobConfig::new("kills") };
    start(&graph, JobConfig { checkpoint: Some(checkpoint), ..config }).unwrap()
}

/// The numbers that readers see: none twice, and no half a line.
fn visible(place: &str) -> Vec<u64> {
    let (store, address) = store(place);
    let mut numbers = Vec::new();
    for entry in store.list(Path::new(&address), true).unwrap() {
        let mut text = String::new();
        store.open(&entry.path, 0).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.ends_with('\n'), "{:?} is half a file", entry.path);
        numbers.extend(text.lines().map(|line| line.parse::<u64>().unwrap()));
    }
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|two| two[0] < two[1]), "a number is there twice");
    numbers
}

/// Where to write to: a folder, and what the environment names.
fn places(folder: &Path) -> Vec<String> {
    let mut places = vec![format!("folder:{}", folder.display())];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    for (variable, built_in) in
        [("THALWEG_S3", cfg!(feature = "s3")), ("THALWEG_HDFS", cfg!(feature = "hdfs"))]
    {
        match std::env::var(variable) {
            Ok(base) if built_in => places.push(format!("{base}/kills-{now}")),
            _ => eprintln!("SKIPPED: kills on {variable}, which is not set, or not built in"),
        }
    }
    places
}

#[test]
fn nothing_is_lost_doubled_or_half_visible_however_often_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let kills = std::env::var("THALWEG_KILLS").map_or(8, |kills| kills.parse().unwrap());
    for place in places(folder.path()) {
        let child = |parallelism: usize| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "child", "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::null());
            child.env("THALWEG_KILLS_AT", &place).env("THALWEG_KILLS_PARALLELISM", parallelism.to_string());
            child.spawn().unwrap()
        };
        let (mut seen, mut grew) = (0, 0);
        for kill in 0..kills {
            let mut running = child(1 + kill % 3);
            // Every other time it gets to a checkpoint: how long that takes is up to the store.
            let until = Instant::now() + Duration::from_secs(30);
            while kill % 2 == 1 && visible(&place).len() == seen && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(50));
            }
            std::thread::sleep(Duration::from_millis(100 + RunId::token() % 900));
            running.kill().unwrap();
            running.wait().unwrap();
            let now = visible(&place).len();
            assert!(now >= seen, "what was visible is gone");
            grew += usize::from(now > seen);
            seen = now;
        }
        assert!(grew > 1, "{place}: nothing was written between {kills} kills");
        let status = child(2).wait().unwrap();
        assert!(status.success(), "{place}: {status}");
        let numbers = visible(&place);
        assert!(numbers.iter().copied().eq(0..COUNT), "{place}: {} of {COUNT}", numbers.len());
        eprintln!("{place}: {kills} kills, {grew} of them after something new was visible");
    }
}

/// The child of the test above; without its environment it has nothing to do.
#[test]
fn child() {
    let Ok(place) = std::env::var("THALWEG_KILLS_AT") else { return };
    let parallelism = std::env::var("THALWEG_KILLS_PARALLELISM").unwrap().parse().unwrap();
    job(&place, parallelism, RestartStrategy::None).wait().unwrap();
}

/// Lets a process go on, whatever becomes of the test.
#[cfg(feature = "s3")]
struct Stopped(String);

#[cfg(feature = "s3")]
impl Stopped {
    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0]).status().unwrap().success());
    }
}

#[cfg(feature = "s3")]
impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[cfg(feature = "s3")]
#[test]
fn an_s3_that_does_not_answer_for_a_while_is_waited_for() {
    let (Ok(base), Ok(pid)) = (std::env::var("THALWEG_S3"), std::env::var("THALWEG_S3_PID")) else {
        eprintln!("SKIPPED: an S3 that does not answer, on THALWEG_S3 and THALWEG_S3_PID, which are not set");
        return;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let place = format!("{base}/slow-{now}");
    let running = job(&place, 2, RestartStrategy::None);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        let stopped = Stopped(pid.clone());
        stopped.signal("-STOP");
        std::thread::sleep(Duration::from_millis(1_200));
    }
    running.wait().unwrap();
    assert!(visible(&place).iter().copied().eq(0..COUNT));
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
    let wait_for = |count: usize| {
        let until = Instant::now() + Duration::from_secs(120);
        while visible(&place).len() < count {
            assert!(Instant::now() < until && !running.is_finished());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    for what in ["namenode", "datanode"] {
        wait_for(visible(&place).len() + 500);
        hdfs.script(&["kill", what]);
        std::thread::sleep(Duration::from_millis(1_500));
        hdfs.script(&["start"]);
    }
    let result = running.wait();
    let numbers = visible(&place);
    result.unwrap();
    assert!(numbers.iter().copied().eq(0..COUNT), "{} of {COUNT}", numbers.len());
}
