//! The sink and the sources of stores, checkpoints in them, against real systems: each test runs on every store that the environment names.
//!
//! | variable | set by |
//! |---|---|
//! | `THALWEG_S3`: a bucket, `s3://…` | `eval "$(scripts/s3 env)"`, after `scripts/s3 start` |
//! | `THALWEG_AZURE`: a container, `az://…` | `eval "$(scripts/azure env)"`, after `scripts/azure start` |
//! | `THALWEG_HDFS`: a NameNode, `hdfs://…` | `scripts/hdfs start` prints it |
//!
//! Without them nothing is tested, and that is said.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]
#![cfg(any(feature = "s3", feature = "azure", feature = "hdfs"))]

use std::io::Read;
use std::path::Path;
#[cfg(any(feature = "s3", feature = "azure"))]
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_connectors::contract::Retry;
use thalweg_connectors::files::format::FileFormat;
use thalweg_connectors::files::{FileSystem, TextFileSource};
use thalweg_connectors::store::{Store, StoreSink, checkpoint_storage, jobs_with_checkpoints};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::RunId;
use thalweg_dataflow::runtime::{
    CheckpointConfig, JobConfig, JobHandle, RestartStrategy, RestoreFrom, run, start,
};
use thalweg_dataflow::source::{IteratorSource, ParallelCollectionSource};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_testkit::CrashPoint;

/// A folder of its own, in each store that there is.
fn folders(test: &str) -> Vec<String> {
    thalweg_testkit::stores::folders(
        test,
        &[
            ("THALWEG_S3", cfg!(feature = "s3")),
            ("THALWEG_AZURE", cfg!(feature = "azure")),
            ("THALWEG_HDFS", cfg!(feature = "hdfs")),
        ],
    )
}

/// The lines of all files that readers see, and how many files those are.
fn visible(folder: &str) -> (Vec<u64>, usize) {
    let store = Store::at(folder).unwrap();
    let entries = store.list(Path::new(folder), true).unwrap();
    let mut lines = Vec::new();
    for entry in &entries {
        let mut text = String::new();
        store.open(&entry.path, 0).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{:?} is half a file", entry.path);
        lines.extend(text.lines().map(|line| line.parse::<u64>().unwrap()));
    }
    lines.sort_unstable();
    (lines, entries.len())
}

fn line(n: &u64, line: &mut Vec<u8>) {
    line.extend_from_slice(n.to_string().as_bytes());
}

/// Numbers, through a crash point, into a folder.
fn numbers(graph: &StreamGraph, count: u64, crash: &CrashPoint, folder: &str) {
    let source = ParallelCollectionSource::new((0..count).collect::<Vec<_>>());
    let numbers = graph.source("numbers", source, WatermarkStrategy::no_watermarks());
    let _ = crash.on(&numbers).apply("store", StoreSink::new(folder, line as fn(&u64, &mut Vec<u8>)));
}

fn config(folder: &str, parallelism: usize) -> JobConfig {
    let storage = checkpoint_storage(format!("{folder}-checkpoints")).unwrap();
    let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(50), storage));
    JobConfig { parallelism, checkpoint, restart: Some(RestartStrategy::None), ..JobConfig::new("stores") }
}

#[test]
fn exactly_once_over_crashes_with_checkpoints_in_the_store_at_changing_parallelism() {
    for folder in folders("crashes") {
        const COUNT: u64 = 200_000;
        for parallelism in [2, 1, 3] {
            let graph = StreamGraph::new();
            numbers(&graph, COUNT, &CrashPoint::after(2, 500), &folder);
            let error = run(&graph, config(&folder, parallelism)).err();
            // It may have come to its end before it could crash.
            let error = error.map_or_else(String::new, |error| error.to_string());
            assert!(error.is_empty() || error.contains("panicked"), "{error}");
            let (seen, _) = visible(&folder);
            let mut once = seen.clone();
            once.dedup();
            assert_eq!(once, seen, "something is visible twice");
        }
        let graph = StreamGraph::new();
        numbers(&graph, COUNT, &CrashPoint::never(), &folder);
        run(&graph, config(&folder, 2)).unwrap();
        let (lines, _) = visible(&folder);
        assert_eq!(lines.len() as u64, COUNT);
        assert!(lines.into_iter().eq(0..COUNT));
    }
}

fn running(folder: &str, id: &str, restore: RestoreFrom) -> JobHandle {
    let graph = StreamGraph::new();
    let source = IteratorSource::new((0_u64..).inspect(|n| {
        if n % 100 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }));
    let numbers = graph.source("numbers", source, WatermarkStrategy::no_watermarks()).uid("numbers");
    // Whatever is tried again takes minutes: what a run before has published is to be known without that.
    let retry = Retry::new().first_pause(Duration::from_secs(120)).longest_pause(Duration::from_secs(120));
    let store = Store::at(folder).unwrap().retry(retry);
    let sink = StoreSink::new(folder, line as fn(&u64, &mut Vec<u8>)).on(store);
    let _ = numbers.apply("store", sink).uid("store");
    start(&graph, JobConfig { restore, id: id.to_owned(), ..config(folder, 1) }).unwrap()
}

fn wait_for(job: &JobHandle, folder: &str, lines: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    while visible(folder).0.len() < lines {
        assert!(
            !job.is_finished() && Instant::now() < until,
            "{lines} lines in {folder}: {:?}",
            job.progress()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_job_goes_on_from_its_checkpoint_and_another_from_its_savepoint() {
    for folder in folders("savepoint") {
        let job = running(&folder, "one", RestoreFrom::Latest);
        let savepoint = checkpoint_storage(format!("{folder}-savepoint")).unwrap();
        wait_for(&job, &folder, 1);
        job.savepoint(savepoint.clone()).unwrap();
        job.stop();
        job.wait().unwrap();
        let (before, _) = visible(&folder);
        assert!(before.iter().copied().eq(0..before.len() as u64));
        let job = running(&folder, "one", RestoreFrom::Latest);
        wait_for(&job, &folder, before.len() + 1);
        job.stop();
        job.wait().unwrap();
        let (after, _) = visible(&folder);
        assert!(after.iter().copied().eq(0..after.len() as u64));
        // Another job, into another folder.
        let other = format!("{folder}-other");
        let job = running(&other, "other", RestoreFrom::Savepoint(savepoint));
        wait_for(&job, &other, 1);
        job.stop();
        job.wait().unwrap();
        let (of_other, _) = visible(&other);
        assert!(of_other[0] > 0 && of_other[0] <= before.len() as u64);
        assert!(of_other.iter().copied().eq(of_other[0]..of_other[0] + of_other.len() as u64));
        assert_eq!(visible(&folder).0, after);
        let mut jobs = jobs_with_checkpoints(format!("{folder}-checkpoints")).unwrap();
        jobs.sort();
        assert_eq!(jobs, ["one"]);
    }
}

fn read(path: &str, parallelism: usize) -> Result<Vec<String>, String> {
    let graph = StreamGraph::new();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let source = graph.source("lines", TextFileSource::new(path), WatermarkStrategy::no_watermarks());
    let _ = source.map("collect", move |line| sink.lock().unwrap().push(line));
    let restart = Some(RestartStrategy::None);
    run(&graph, JobConfig { parallelism, restart, ..JobConfig::new("read") })
        .map_err(|error| error.to_string())?;
    let mut lines = std::mem::take(&mut *lines.lock().unwrap());
    lines.sort();
    Ok(lines)
}

#[test]
fn what_was_written_is_read_in_blocks_by_name_and_by_pattern() {
    for folder in folders("read") {
        // More than a block of the source, so that two subtasks have a part each.
        let graph = StreamGraph::new();
        let source = IteratorSource::new((0..700_000_u64).map(|n| format!("{n:>50}")));
        let lines = graph.source("lines", source, WatermarkStrategy::no_watermarks());
        let _ = lines.apply("store", StoreSink::lines(&folder));
        run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("write") }).unwrap();
        let read = read(&format!("{folder}/part-*"), 2).unwrap();
        assert_eq!(read.len(), 700_000);
        assert!(read.iter().enumerate().all(|(n, line)| *line == format!("{n:>50}")));
    }
}

#[test]
fn what_is_not_there_or_not_reached_is_said_and_not_tried_for_ever() {
    for folder in folders("errors") {
        let error = read(&format!("{folder}/nothing"), 1).unwrap_err();
        assert!(error.contains("there is nothing") && error.contains("/nothing"), "{error}");
    }
    #[cfg(feature = "s3")]
    if std::env::var("THALWEG_S3").is_ok() {
        let error = read("s3://no-such-bucket/x", 1).unwrap_err();
        assert!(error.contains("S3 s3://no-such-bucket: cannot list `x`"), "{error}");
        assert!(error.contains("trying again cannot help") && !error.contains("attempts"), "{error}");
    }
    #[cfg(feature = "azure")]
    if std::env::var("THALWEG_AZURE").is_ok() {
        let error = read("az://no-such-container/x", 1).unwrap_err();
        assert!(error.contains("Azure az://no-such-container: cannot list `x`"), "{error}");
        assert!(error.contains("ContainerNotFound"), "{error}");
        assert!(error.contains("trying again cannot help") && !error.contains("attempts"), "{error}");
    }
    #[cfg(feature = "hdfs")]
    {
        // Nobody listens there.
        let port = std::net::TcpListener::bind("localhost:0").unwrap().local_addr().unwrap().port();
        let retry = Retry::new().attempts(2).first_pause(Duration::from_millis(5));
        let store = Store::at(&format!("hdfs://127.0.0.1:{port}")).unwrap().retry(retry);
        let error =
            store.list(Path::new(&format!("hdfs://127.0.0.1:{port}/x")), true).unwrap_err().to_string();
        assert!(error.contains(&format!("HDFS hdfs://127.0.0.1:{port}: cannot look for `x`: ")), "{error}");
        assert!(error.contains("2 attempts") && error.contains("when the job restarts"), "{error}");
    }
}

/// An S3 of its own, which wants credentials that it knows.
#[cfg(feature = "s3")]
struct Strict(std::path::PathBuf);

#[cfg(feature = "s3")]
impl Strict {
    fn script(&self, command: &str) -> String {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/s3"));
        script.arg(command).arg("--data").arg(&self.0).env("INITIAL_NO_AUTH_ACTION_COUNT", "0");
        let done = script.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }
}

#[cfg(feature = "s3")]
impl Drop for Strict {
    fn drop(&mut self) {
        self.script("stop");
    }
}

#[cfg(feature = "s3")]
#[test]
fn wrong_credentials_are_refused_at_once_and_are_nowhere_to_be_read() {
    if std::env::var("THALWEG_S3").is_err() {
        eprintln!("SKIPPED: wrong credentials on THALWEG_S3, which is not set");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let strict = Strict(folder.path().join("s3"));
    let address = strict.script("start");
    let settings = [
        ("AWS_ENDPOINT_URL", address.as_str()),
        ("AWS_ACCESS_KEY_ID", "someone"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t-4711"),
    ];
    are_refused_at_once("s3://bucket", &settings, "s3cr3t");
}

/// Credentials are the environment's, so this is a process of its own: the test below.
#[cfg(any(feature = "s3", feature = "azure"))]
fn are_refused_at_once(base: &str, settings: &[(&str, &str)], secret: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child_with_wrong_credentials", "--nocapture"]).env("THALWEG_WRONG", base);
    let done = child.envs(settings.iter().copied()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    assert!(said.contains("reading: ") && said.contains("writing: "), "{said}");
    assert_eq!(said.matches("trying again cannot help").count(), 2, "{said}");
    assert!(
        !said.contains("attempts in") && !said.contains(secret) && !said.contains("is restarted"),
        "{said}"
    );
}

#[cfg(feature = "azure")]
#[test]
fn wrong_keys_of_azure_are_refused_at_once_and_are_nowhere_to_be_read() {
    if std::env::var("THALWEG_AZURE").is_err() {
        eprintln!("SKIPPED: wrong keys on THALWEG_AZURE, which is not set");
        return;
    }
    let key = "c2VjcmV0LTQ3MTE=";
    are_refused_at_once("az://thalweg", &[("AZURE_STORAGE_ACCOUNT_KEY", key)], key);
    // One that cannot be a key.
    let key = "s3cr3t-4711";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child_with_settings", "--nocapture"]);
    child.env("THALWEG_SETTINGS", "az://thalweg").env("AZURE_STORAGE_ACCOUNT_KEY", key);
    let done = child.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("cannot: ") && !said.contains(key), "{said}");
}

#[cfg(feature = "azure")]
#[test]
fn azure_is_the_same_by_each_of_its_addresses() {
    let Ok(base) = std::env::var("THALWEG_AZURE") else {
        eprintln!("SKIPPED: addresses of Azure on THALWEG_AZURE, which is not set");
        return;
    };
    let (container, account) = (&base["az://".len()..], std::env::var("AZURE_STORAGE_ACCOUNT_NAME").unwrap());
    let folder = format!("addresses-{:x}", RunId::token());
    let addresses = [
        format!("abfss://{container}@{account}.dfs.core.windows.net/{folder}"),
        format!("abfs://{container}@{account}.dfs.core.windows.net/{folder}"),
        format!("wasbs://{container}@{account}.blob.core.windows.net/{folder}"),
        format!("abfs://{container}/{folder}"),
        format!("{base}/{folder}"),
    ];
    for (n, address) in addresses.iter().enumerate() {
        let graph = StreamGraph::new();
        numbers(&graph, 3, &CrashPoint::never(), &format!("{address}/{n}"));
        run(&graph, config(&format!("{address}-of-{n}"), 1)).unwrap();
    }
    for address in &addresses {
        assert_eq!(visible(address).0, [[0; 5], [1; 5], [2; 5]].concat(), "{address}");
    }
    let error = Store::at("abfss://c@account.example.org/x").unwrap_err().to_string();
    assert!(error.contains("account.example.org"), "{error}");
}

/// A format whose records need no bytes.
#[derive(Clone)]
struct Nothing;

impl FileFormat<u64> for Nothing {
    type File = ();

    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    fn write(&mut self, (): &mut (), _: &u64, _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    fn end(&mut self, (): (), _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn a_file_without_a_byte_is_a_file() {
    for folder in folders("empty") {
        let graph = StreamGraph::new();
        let source = ParallelCollectionSource::new(vec![1]);
        let numbers = graph.source("numbers", source, WatermarkStrategy::no_watermarks());
        let _ = numbers.apply("store", StoreSink::for_bulk_format(&folder, Nothing));
        run(&graph, config(&folder, 1)).unwrap();
        assert_eq!(visible(&folder), (Vec::new(), 1), "{folder}");
    }
}

#[cfg(feature = "azure")]
#[test]
fn an_azure_that_is_not_reached_is_said() {
    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child_with_settings", "--nocapture"]);
    child.env("THALWEG_SETTINGS", "abfss://c@account.dfs.core.windows.net");
    child.env_remove("AZURE_STORAGE_ACCOUNT_KEY").env("AZURE_STORAGE_USE_EMULATOR", "true");
    let done = child.env("AZURITE_BLOB_STORAGE_URL", format!("http://127.0.0.1:{port}")).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("Azure abfss://c@account.dfs.core.windows.net: cannot look for `x`: "), "{said}");
    assert!(said.contains("2 attempts") && said.contains("when the job restarts"), "{said}");
}

/// The child of the tests above; without its environment it has nothing to do.
#[cfg(feature = "azure")]
#[test]
fn child_with_settings() {
    let Ok(base) = std::env::var("THALWEG_SETTINGS") else { return };
    let retry = Retry::new().attempts(2).first_pause(Duration::from_millis(5));
    let listed =
        Store::at(&base).and_then(|store| store.retry(retry).list(Path::new(&format!("{base}/x")), true));
    eprintln!("cannot: {}", listed.unwrap_err());
}

/// The child of the test above; without its environment it has nothing to do.
#[cfg(any(feature = "s3", feature = "azure"))]
#[test]
fn child_with_wrong_credentials() {
    let Ok(base) = std::env::var("THALWEG_WRONG") else { return };
    eprintln!("reading: {}", read(&format!("{base}/in"), 1).unwrap_err());
    let graph = StreamGraph::new();
    let lines =
        graph.source("lines", IteratorSource::new(["one".to_owned()]), WatermarkStrategy::no_watermarks());
    let sink = StoreSink::lines(&format!("{base}/out"));
    eprintln!("{sink:?} {:?}", Store::at(&base).unwrap());
    let _ = lines.apply("store", sink);
    // The default, which would restart it.
    eprintln!(
        "writing: {}",
        run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("write") }).unwrap_err()
    );
}
