//! Compressed files, made by other implementations.

#![allow(clippy::unwrap_used, missing_docs)]
#![cfg(feature = "compression")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_connectors::files::{Compression, TextFileSource};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, run};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_testkit::Pipeline;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compressed")
}

fn expected() -> Vec<String> {
    (0..400).map(|n| format!("line {n} of {}", "m".repeat(n % 7))).collect()
}

/// What is read, in order; with checkpoints, if there is a folder for them.
fn read(
    source: TextFileSource,
    parallelism: usize,
    checkpoints: Option<&Path>,
) -> Result<Vec<String>, String> {
    let graph = StreamGraph::new();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let source = graph.source("lines", source, WatermarkStrategy::no_watermarks());
    let _ = source.map("collect", move |line| sink.lock().unwrap().push(line));
    let checkpoint = checkpoints.map(|folder| {
        CheckpointConfig::new(Duration::from_millis(20), CheckpointStorage::local(folder).unwrap())
    });
    let config = JobConfig { parallelism, checkpoint, ..JobConfig::new("compressed") };
    run(&graph, config).map_err(|error| error.to_string())?;
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    Ok(lines)
}

#[test]
fn every_compression_is_known_by_its_name_and_several_members_are_one_text() {
    for end in ["gz", "bz2", "zst", "lz4", "sz", "deflate"] {
        let lines = read(TextFileSource::new(fixtures().join(format!("lines.{end}"))), 1, None).unwrap();
        assert_eq!(lines, expected(), "{end}");
    }
    // A folder of them, and what is compressed under another name.
    let folder = tempfile::tempdir().unwrap();
    for n in 0..5 {
        std::fs::copy(fixtures().join("lines.gz"), folder.path().join(format!("{n}.dat"))).unwrap();
    }
    let source = TextFileSource::new(folder.path()).compression(Compression::Gzip);
    let mut lines = read(source, 3, None).unwrap();
    lines.sort();
    let mut five: Vec<String> = (0..5).flat_map(|_| expected()).collect();
    five.sort();
    assert_eq!(lines, five);
}

#[test]
fn a_crash_in_the_middle_of_a_compressed_file_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..6_u64 {
        let text: String = (0..8_000).map(|n| format!("{}\n", file * 8_000 + n)).collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        std::fs::write(folder.path().join(format!("{file}.gz")), encoder.finish().unwrap()).unwrap();
    }
    let path = folder.path().to_owned();
    let pipeline = Pipeline::new("compressed", move |run| {
        let source = TextFileSource::new(path.clone());
        let lines = run.job.graph().source("lines", source, WatermarkStrategy::no_watermarks());
        run.crash.on(&lines).map("parse", |line| line.parse::<u64>().unwrap())
    });
    assert_eq!(pipeline.output(), (0..48_000).collect::<Vec<_>>());
    pipeline.check();
}

#[test]
fn what_has_been_read_is_not_read_again_by_a_job_that_goes_on() {
    let (folder, checkpoints) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = |name: &str| std::fs::copy(fixtures().join("lines.zst"), folder.path().join(name)).unwrap();
    let go_on = |parallelism| read(TextFileSource::new(folder.path()), parallelism, Some(checkpoints.path()));
    copy("a.zst");
    std::fs::write(folder.path().join("empty.zst"), "").unwrap();
    assert_eq!(go_on(1).unwrap().len(), 400);
    copy("b.zst");
    assert_eq!(go_on(2).unwrap().len(), 400);
    assert_eq!(go_on(1).unwrap().len(), 0);
}

#[test]
fn damage_is_told_with_the_file_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    for end in ["gz", "bz2", "zst", "lz4", "sz", "deflate"] {
        let path = folder.path().join(format!("cut.{end}"));
        let whole = std::fs::read(fixtures().join(format!("lines.{end}"))).unwrap();
        for bytes in [&whole[..whole.len() - 7], b"this is text, and no more than that"] {
            std::fs::write(&path, bytes).unwrap();
            let error = read(TextFileSource::new(&path), 1, None).unwrap_err();
            assert!(error.contains(&format!("cut.{end}: what is compressed in it")), "{end}: {error}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_text_and_patterns_choose_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("2026-01/app.log", b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n");
    write("2026-02/web.log", b"three\n");
    write("2026-02/db.log", b"four\n");
    write("2025-01/app.log", b"five\n");
    write("2026-02/deep/app.log", b"six\n");
    let of = |pattern: &str| read(TextFileSource::new(folder.path().join(pattern)), 1, None);
    assert_eq!(of("2026-*/{app,web}.log").unwrap(), ["one", "\u{feff}two", "three"]);
    assert_eq!(of("**/app.log").unwrap(), ["five", "one", "\u{feff}two", "six"]);
    assert_eq!(of("2026-0[!1]/*.log").unwrap(), ["four", "three"]);
    // A name that looks like a pattern.
    write("[x].log", b"seven\n");
    assert_eq!(of("[x].log").unwrap(), ["seven"]);
}

#[test]
fn older_files_come_first_if_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let now = std::time::SystemTime::now();
    for (age, name) in [(1, "a"), (3, "b"), (2, "c")] {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(now - Duration::from_secs(60 * age)).unwrap();
    }
    let source = || TextFileSource::new(folder.path());
    assert_eq!(read(source().sorted_by_time(), 1, None).unwrap(), ["b", "c", "a"]);
    assert_eq!(read(source(), 1, None).unwrap(), ["a", "b", "c"]);
}
