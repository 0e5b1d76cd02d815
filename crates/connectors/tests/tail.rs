//! A file that grows, and is rotated.

#![allow(clippy::unwrap_used, missing_docs)]
#![cfg(unix)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_connectors::files::TailSource;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobHandle, start};
use thalweg_dataflow::watermark::WatermarkStrategy;

type Lines = Arc<Mutex<Vec<String>>>;

fn follow(source: TailSource, checkpoints: Option<&Path>) -> (JobHandle, Lines) {
    let (graph, lines) = (StreamGraph::new(), Lines::default());
    let seen = lines.clone();
    let source = source.look_every(Duration::from_millis(5));
    let stream = graph.source("log", source, WatermarkStrategy::no_watermarks());
    let _ = stream.map("collect", move |line| seen.lock().unwrap().push(line));
    let checkpoint = checkpoints.map(|folder| {
        CheckpointConfig::new(Duration::from_millis(10), CheckpointStorage::local(folder).unwrap())
    });
    (start(&graph, JobConfig { parallelism: 2, checkpoint, ..JobConfig::new("tail") }).unwrap(), lines)
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn eventually(lines: &Lines, expected: &[&str]) {
    let until = Instant::now() + Duration::from_secs(20);
    while *lines.lock().unwrap() != expected {
        assert!(Instant::now() < until, "{:?}, not {expected:?}", lines.lock().unwrap());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The clock of file systems is coarse: what is rotated later must look later.
fn rotate(path: &Path, to: &Path) {
    std::thread::sleep(Duration::from_millis(20));
    fs::rename(path, to).unwrap();
}

#[test]
fn lines_come_when_they_are_complete_and_over_rotations_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let log = at("app.log");
    let (job, lines) = follow(TailSource::new(&log), None);
    std::thread::sleep(Duration::from_millis(20));
    append(&log, "one\r\ntw");
    eventually(&lines, &["one"]);
    append(&log, "o\nthree");
    eventually(&lines, &["one", "two"]);
    // What its writer still has to say after the rename belongs to the old one; its last line has no end.
    rotate(&log, &at("app.log.1"));
    append(&at("app.log.1"), "!\nfour");
    std::thread::sleep(Duration::from_millis(30));
    append(&log, "five\n");
    eventually(&lines, &["one", "two", "three!", "four", "five"]);
    // Emptied in place.
    fs::write(&log, "").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    append(&log, "six\n");
    eventually(&lines, &["one", "two", "three!", "four", "five", "six"]);
    fs::remove_file(&log).unwrap();
    append(&log, "seven\n");
    eventually(&lines, &["one", "two", "three!", "four", "five", "six", "seven"]);
    job.stop();
    job.wait().unwrap();
}

#[test]
fn a_job_that_was_down_over_rotations_misses_and_repeats_nothing() {
    let (folder, checkpoints) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name);
    let log = at("app.log");
    append(&log, "one\ntwo\nth");
    let go_on = |expected: &[&str]| {
        let (job, lines) = follow(TailSource::new(&log), Some(checkpoints.path()));
        eventually(&lines, expected);
        // Nothing more comes.
        std::thread::sleep(Duration::from_millis(60));
        eventually(&lines, expected);
        job.suspend();
        job.wait().unwrap();
    };
    go_on(&["one", "two"]);
    append(&log, "ree\n");
    rotate(&log, &at("app.log.1"));
    append(&log, "four\n");
    rotate(&at("app.log.1"), &at("app.log.2"));
    rotate(&log, &at("app.log.1"));
    append(&log, "five\n");
    // What has been there for long, and is older.
    fs::write(at("app.log.9"), "old\n").unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(1000);
    fs::File::options().append(true).open(at("app.log.9")).unwrap().set_modified(old).unwrap();
    go_on(&["three", "four", "five"]);
    go_on(&[]);
    append(&log, "six\n");
    go_on(&["six"]);
    // The file that was read is gone: it is told, and nothing is passed over.
    fs::remove_file(&log).unwrap();
    append(&log, "seven\n");
    let (job, lines) = follow(TailSource::new(&log), Some(checkpoints.path()));
    let error = job.wait().unwrap_err().to_string();
    assert!(error.contains("app.log: the file that was read") && error.contains("another uid"), "{error}");
    assert!(lines.lock().unwrap().is_empty());
}

#[test]
fn new_lines_only_begins_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    append(&log, "old\n");
    let (job, lines) = follow(TailSource::new(&log).new_lines_only(), None);
    std::thread::sleep(Duration::from_millis(100));
    append(&log, "new\n");
    eventually(&lines, &["new"]);
    job.stop();
    job.wait().unwrap();
}
