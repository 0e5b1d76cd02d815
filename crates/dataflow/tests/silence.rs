//! What a job says on stderr, of itself, as long as the program has set up no `tracing` subscriber. Each job runs in a process of
//! its own: a test of this file that is ignored unless it is asked for.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{CheckpointConfig, Job, JobConfig, RestartStrategy, start};
use thalweg_dataflow::source::{
    CollectionSource, Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId,
};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_dataflow::window::aggregate::Count;
use thalweg_dataflow::window::{Lateness, TumblingEventTimeWindows, WindowAssigner};

/// What the job of an ignored test says on stderr, a line each; what tests and panics say is left out.
fn said(job: &str, folder: &Path) -> Vec<String> {
    let test = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", job, "--nocapture", "--test-threads=1"])
        .env("FOLDER", folder)
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&test.stdout), String::from_utf8_lossy(&test.stderr));
    assert!(test.status.success() && out.contains("1 passed"), "{out}{error}");
    let mut lines = error
        .lines()
        .skip_while(|line| !line.starts_with("thalweg: "))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    // A busy machine is told of; these jobs are about something else.
    let of_load = |line: &str| {
        line.contains("this process did not run for")
            || (line.contains(": checkpoint ") && line.contains(" took "))
    };
    // What follows in a message begins with spaces; a backtrace does, too.
    lines.retain(|line| {
        (line.starts_with("thalweg: ") && !of_load(line))
            || ["  kept ", "  new ", "  dropped "].iter().any(|part| line.starts_with(part))
    });
    lines
}

fn config() -> JobConfig {
    let storage = CheckpointStorage::local(std::env::var_os("FOLDER").unwrap()).unwrap();
    JobConfig {
        parallelism: 1,
        checkpoint: Some(CheckpointConfig::new(Duration::from_millis(5), storage)),
        restart: Some(RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO }),
        ..JobConfig::new("word count")
    }
}

fn numbers(graph: &StreamGraph, count: i64) -> Stream<i64> {
    graph.source("numbers", CollectionSource::new((0..count).collect()), WatermarkStrategy::no_watermarks())
}

fn sums(numbers: &Stream<i64>) -> Stream<i64> {
    let keyed = numbers.map("key", |n| Keyed::new(n % 3, n)).exchange();
    keyed.apply("sum", Reduce::new(|a: i64, b| a + b, |_: &i64, sum: &i64| *sum, Emit::Each))
}

#[test]
#[ignore = "part of another test"]
fn counts() {
    let job = Job::new(config());
    let _ = sums(&numbers(job.graph(), 100)).map("show", |_| ());
    job.run().unwrap();
}

#[test]
#[ignore = "part of another test"]
fn counts_something_else() {
    let job = Job::new(JobConfig { allow_non_restored_state: true, ..config() });
    let _ = numbers(job.graph(), 120);
    let again = numbers(job.graph(), 120).uid("again");
    let _ = sums(&again.map("double", |n| n * 2)).map("show", |_| ());
    job.run().unwrap();
}

#[test]
fn a_job_says_where_it_resumes_and_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let first = said("counts", folder.path());
    assert_eq!(first, ["thalweg: 'word count' has ended: 100 records in, 100 out, 0 late, 0 skipped"]);
    let second = said("counts", folder.path());
    assert_eq!(second.len(), 2, "{second:?}");
    assert!(
        second[0].starts_with("thalweg: resuming 'word count' at checkpoint ")
            && second[0].contains(" (age "),
        "{second:?}"
    );
    assert_eq!(second[1], "thalweg: 'word count' has ended: 0 records in, 0 out, 0 late, 0 skipped");
    let third = said("counts_something_else", folder.path());
    let parts = [
        "thalweg: resuming",
        "  kept     numbers (uid numbers-",
        "  new      numbers (uid again), sum (uid sum-",
        "  dropped  sum (uid sum-",
    ];
    for (line, part) in third.iter().zip(parts) {
        assert!(line.starts_with(part), "{third:?}");
    }
}

#[test]
#[ignore = "part of another test"]
fn fails_once() {
    let job = Job::new(config());
    let failed = Arc::new(AtomicBool::new(false));
    let _ = numbers(job.graph(), 10)
        .map("halve", move |n| assert!(n != 7 || failed.swap(true, Ordering::SeqCst), "cannot bear 7"));
    assert_eq!(job.run().unwrap().restarts, 1);
}

#[test]
fn a_restart_is_told_with_its_cause() {
    let said = said("fails_once", tempfile::tempdir().unwrap().path());
    assert!(
        said[0].starts_with(
            "thalweg: 'word count' has failed, and is restarted in 0 ms (restart 1): operator `halve`"
        ),
        "{said:?}"
    );
    assert!(said[0].contains("cannot bear 7"), "{said:?}");
    // What was read again depends on the last checkpoint.
    assert!(said.last().unwrap().ends_with(" 0 late, 0 skipped since its restart"), "{said:?}");
}

/// Reads each number by itself.
#[derive(Clone)]
struct OneByOne(Vec<i64>);

impl Source for OneByOne {
    type Item = i64;
    type Reader = OneByOneReader;

    fn reader(&self, _: &SourceContext) -> Result<OneByOneReader, BoxError> {
        Ok(OneByOneReader { left: self.0.clone(), split: None })
    }
}

struct OneByOneReader {
    left: Vec<i64>,
    split: Option<SplitId>,
}

impl SourceReader for OneByOneReader {
    type Item = i64;
    type Position = u64;

    fn open(&mut self, _: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<i64>) -> Result<SourceStatus, BoxError> {
        let split = *self.split.get_or_insert_with(|| output.add_split("numbers"));
        if self.left.is_empty() {
            return Ok(SourceStatus::End);
        }
        let number = self.left.remove(0);
        output.push(number, number);
        output.origin(split, 0, 0);
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

#[test]
#[ignore = "part of another test"]
fn is_late() {
    let job = Job::new(JobConfig { parallelism: 1, ..JobConfig::new("windows") });
    let strategy = WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|n: &i64, _| *n);
    let numbers = job.graph().source("numbers", OneByOne(vec![1000, 9000, 1, 2, 9001]), strategy);
    let keyed = numbers.map("key", |n| Keyed::new(0_u8, n)).exchange();
    let windows = TumblingEventTimeWindows::of(Duration::from_secs(1));
    let _ = windows.apply(&keyed, "window", Lateness::default(), Count::new(), |_, _, n, out| {
        out.collect(n);
        Ok(())
    });
    job.run().unwrap();
}

#[test]
fn late_records_are_told_of_once_and_counted() {
    let said = said("is_late", tempfile::tempdir().unwrap().path());
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("thalweg: 'windows': operator `window` drops late records"), "{said:?}");
    assert!(said[1].ends_with("5 records in, 0 out, 2 late, 0 skipped"), "{said:?}");
}

#[test]
#[ignore = "part of another test"]
fn is_stopped_and_not_waited_for() {
    let graph = StreamGraph::new();
    let results = Arc::new(Mutex::new(0));
    let seen = results.clone();
    let _ = numbers(&graph, 1000).map("slow", move |_| {
        std::thread::sleep(Duration::from_millis(1));
        *seen.lock().unwrap() += 1;
    });
    let job = start(&graph, config()).unwrap();
    while *results.lock().unwrap() == 0 {
        std::thread::yield_now();
    }
    job.stop();
    // The end of `main`.
}

#[test]
fn a_stop_at_the_end_of_main_is_carried_out() {
    let said = said("is_stopped_and_not_waited_for", tempfile::tempdir().unwrap().path());
    assert!(said[0].starts_with("thalweg: 'word count' has ended: "), "{said:?}");
}

#[test]
#[ignore = "part of another test"]
fn fails_with_a_subscriber() {
    tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::new()).unwrap();
    fails_once();
}

#[test]
fn where_there_is_a_subscriber_stderr_is_left_alone() {
    assert_eq!(said("fails_with_a_subscriber", tempfile::tempdir().unwrap().path()), [] as [String; 0]);
}

#[test]
fn a_second_execution_runs_only_what_was_added() {
    let (job, results) = (Job::new(JobConfig::new("two")), Arc::new(Mutex::new(Vec::new())));
    let show = |numbers: &Stream<i64>, name: &'static str| {
        let results = results.clone();
        let _ = numbers.map("show", move |n| results.lock().unwrap().push((name, n)));
    };
    let taken = || {
        let mut taken = std::mem::take(&mut *results.lock().unwrap());
        taken.sort_unstable();
        taken
    };
    let first = numbers(job.graph(), 2);
    show(&first, "first");
    job.run().unwrap();
    assert_eq!(taken(), [("first", 0), ("first", 1)]);
    // It reads what was there, and shows it here only.
    show(&first.map("ten", |n| n * 10), "second");
    job.run().unwrap();
    assert_eq!(taken(), [("second", 0), ("second", 10)]);
    let error = job.run().unwrap_err();
    assert!(
        matches!(&error, JobError::Graph(reason) if reason.contains("nothing has been added")),
        "{error}"
    );
}

#[test]
fn any_name_that_people_give_a_job_names_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["word count", "word+20count", "Zähler/2", "..", ".hidden"] {
        for expected in [3, 0] {
            let storage = CheckpointStorage::local(folder.path()).unwrap();
            let checkpoint = Some(CheckpointConfig::new(Duration::from_secs(60), storage));
            let job = Job::new(JobConfig { checkpoint, ..JobConfig::new(name) });
            let seen = Arc::new(Mutex::new(0));
            let count = seen.clone();
            let _ = numbers(job.graph(), 3).map("count", move |_| *count.lock().unwrap() += 1);
            job.run().unwrap();
            // Each has its own, and finds it again.
            assert_eq!(*seen.lock().unwrap(), expected, "{name}");
        }
    }
    let folders = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(folders, 5);
}
