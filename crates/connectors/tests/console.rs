//! Lines of stdin: this test is its own child, which has some.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::io::Write;
use std::process::{Command, Stdio};

use thalweg_connectors::console::{ConsoleSink, StdinReceiver};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{JobConfig, run};
use thalweg_dataflow::watermark::WatermarkStrategy;

#[test]
fn lines_come_until_stdin_ends() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--nocapture"]).env("THALWEG_STDIN", "1");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ein\r\n\n\xff!\nno end").unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    let printed = String::from_utf8(done.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("in> ")).collect();
    assert_eq!(lines, ["\"ein\"", "\"\"", "\"\u{fffd}!\"", "\"no end\""], "{printed}");
}

/// The child of the test above; without its environment it has nothing to do.
#[test]
fn child() {
    if std::env::var_os("THALWEG_STDIN").is_none() {
        return;
    }
    println!();
    let graph = StreamGraph::new();
    let lines = graph.source("stdin", StdinReceiver.into_source(), WatermarkStrategy::no_watermarks());
    let _ = lines.apply("print", ConsoleSink::new().prefix("in"));
    run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("stdin") }).unwrap();
}
