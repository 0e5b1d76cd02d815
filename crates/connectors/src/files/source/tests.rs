//! Against files that are really there.

use std::sync::Mutex;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, run};
use thalweg_dataflow::watermark::WatermarkStrategy;

use super::*;

fn read(path: &Path, parallelism: usize) -> Result<Vec<String>, String> {
    let graph = StreamGraph::new();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let source = graph.source("lines", TextFileSource::new(path), WatermarkStrategy::no_watermarks());
    let _ = source.map("collect", move |line| sink.lock().unwrap().push(line));
    run(&graph, JobConfig { parallelism, ..JobConfig::new("files") }).map_err(|error| error.to_string())?;
    Ok(std::mem::take(&mut *lines.lock().unwrap()))
}

#[test]
fn every_line_of_every_block_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    // Lines of odd length, so that blocks end within lines; and one that ends exactly with a block.
    let mut text = String::new();
    for i in 0_u64.. {
        text.push_str(&format!("line {i} {}\n", "x".repeat((i % 977) as usize)));
        if text.len() as u64 > BLOCK - 1000 {
            text.push_str(&"y".repeat(BLOCK as usize - text.len() - 1));
            text.push('\n');
            break;
        }
    }
    assert_eq!(text.len() as u64, BLOCK);
    text.push_str("behind the block\r\nno line end");
    std::fs::write(folder.path().join("a.txt"), &text).unwrap();
    std::fs::write(folder.path().join("_temporary"), "not to be read\n").unwrap();
    let expected: Vec<&str> = text.lines().collect();
    for parallelism in [1, 2] {
        let mut lines = read(folder.path(), parallelism).unwrap();
        let mut expected = expected.clone();
        if parallelism > 1 {
            lines.sort();
            expected.sort();
        }
        assert_eq!(lines.len(), expected.len());
        assert!(lines == expected);
    }
}

#[test]
fn a_line_may_be_longer_than_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let long = "z".repeat(BLOCK as usize + 100);
    std::fs::write(folder.path().join("a.txt"), format!("{long}\nshort\n")).unwrap();
    let mut lines = read(folder.path(), 2).unwrap();
    lines.sort_by_key(String::len);
    assert!(lines[0] == "short" && lines[1] == long && lines.len() == 2);
}

/// The lines that are read by a job that goes on from its checkpoint.
fn go_on(path: &Path, checkpoints: &Path, parallelism: usize) -> Result<Vec<String>, String> {
    let graph = StreamGraph::new();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let source = graph.source("lines", TextFileSource::new(path), WatermarkStrategy::no_watermarks());
    let _ = source.map("collect", move |line| sink.lock().unwrap().push(line));
    let storage = CheckpointStorage::local(checkpoints).unwrap();
    let checkpoint = CheckpointConfig::new(Duration::from_millis(20), storage);
    let config = JobConfig { parallelism, checkpoint: Some(checkpoint), ..JobConfig::new("files") };
    run(&graph, config).map_err(|error| error.to_string())?;
    let mut lines = std::mem::take(&mut *lines.lock().unwrap());
    lines.sort();
    Ok(lines)
}

#[test]
fn a_file_that_took_the_place_of_another_is_told_from_it() {
    let (folder, checkpoints) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, other) = (folder.path().join("a.txt"), folder.path().join("b.txt"));
    let go_on = |parallelism| go_on(folder.path(), checkpoints.path(), parallelism);
    std::fs::write(&path, "one\ntwo\n").unwrap();
    std::fs::write(&other, "other\n").unwrap();
    assert_eq!(go_on(1).unwrap(), ["one", "other", "two"]);
    // What is added is read.
    std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
    assert_eq!(go_on(2).unwrap(), ["three"]);
    for (anew, why) in [
        ("ONE\ntwo\nthree\nfour\n", "is another file than when the checkpoint was taken"),
        ("one\n", "is shorter than when the checkpoint was taken"),
        ("", "is shorter than when the checkpoint was taken"),
    ] {
        std::fs::write(&path, anew).unwrap();
        let error = go_on(2).unwrap_err();
        assert!(error.contains(why) && error.contains("a.txt"), "{error}");
    }
    // A file that is away for one restart is not read anew at the next.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(go_on(2).unwrap(), [""; 0]);
    assert_eq!(go_on(1).unwrap(), [""; 0]);
    std::fs::write(&path, "one\ntwo\nthree\nfour").unwrap();
    assert_eq!(go_on(2).unwrap(), ["four"]);
    std::fs::write(&path, "one\ntwo\nthree\nfourteen\n").unwrap();
    let error = go_on(1).unwrap_err();
    assert!(error.contains("the line before byte 18 was read when it was not complete"), "{error}");
}

#[test]
fn errors_name_the_file_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");
    assert!(read(&missing, 1).unwrap_err().contains("nowhere"));
    std::fs::write(folder.path().join("bytes"), b"fine\n\xff\xfe\n").unwrap();
    let error = read(folder.path(), 1).unwrap_err();
    assert!(error.contains("line at byte 5 is not UTF-8"), "{error}");
}
