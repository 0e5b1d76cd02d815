//! The binary, run as a user runs it.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Output, Stdio};

use common::{interrupt, text, thalweg, wait_for, wait_with_timeout};

/// 30,000 lines, in which the word `w7` is the seventh most frequent, and so on.
fn lines() -> String {
    let word = |i: usize| format!("w{}", (i * i * 31 % 9973) % (1 + i % 60));
    (0..30_000).map(|line| (0..8).map(|n| word(line * 8 + n)).collect::<Vec<_>>().join(" ") + "\n").collect()
}

fn top_ten(text: &str) -> String {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    text.split_whitespace().for_each(|word| *counts.entry(word).or_insert(0) += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    counts.iter().take(10).map(|(word, count)| format!("{word}\t{count}\n")).collect()
}

fn assert_counts(output: &Output, expected: &str) {
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(text(&output.stdout), expected, "{stderr}");
    assert!(stderr.contains("first result") && stderr.contains("committed up to epoch"), "{stderr}");
}

#[test]
fn demo_counts_the_words_of_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines()).unwrap();
    let path = file.path().to_str().unwrap();
    let output = thalweg(&["demo", "--once", "--input", path, "--parallelism", "2"]).output().unwrap();
    assert_counts(&output, &top_ten(&lines()));
}

#[test]
fn demo_counts_the_words_of_standard_input_and_keeps_its_topics_in_files() {
    let data = tempfile::tempdir().unwrap();
    let args = ["demo", "--once", "--input", "-", "--data", data.path().to_str().unwrap()];
    let mut child = thalweg(&args).stdin(Stdio::piped()).spawn().unwrap();
    // The last line has no end.
    let input = lines() + "last words";
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_counts(&output, &top_ten(&input));
    assert!(data.path().join("topics").exists());
}

#[test]
fn demo_has_text_of_its_own() {
    let output = thalweg(&["demo", "--once"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stdout).lines().next(), Some("the\t21"));
    assert_eq!(text(&output.stdout).lines().count(), 10);
}

#[test]
fn what_cannot_work_is_said_in_one_line() {
    let output = thalweg(&["demo", "--input", "/there/is/no/such/file"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(!output.status.success() && stderr.contains("/there/is/no/such/file"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");

    let folder = std::env::temp_dir();
    let output = thalweg(&["demo", "--input", folder.to_str().unwrap()]).output().unwrap();
    assert!(text(&output.stderr).contains("is a folder"), "{}", text(&output.stderr));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = thalweg(&["broker", "--listen", &address]).output().unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains(&address), "{}", text(&output.stderr));
}

#[cfg(unix)]
#[test]
fn ctrl_c_drains_the_demo_and_says_what_was_committed() {
    let mut child = thalweg(&["demo"]).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    wait_for(&mut stderr, "first result");
    interrupt(&child);
    wait_for(&mut stderr, "stopping");
    let committed = wait_for(&mut stderr, "committed up to epoch");
    assert!(wait_with_timeout(child).success());
    let words: u64 = committed
        .split(' ')
        .zip(committed.split(' ').skip(1))
        .find(|(_, next)| next.starts_with("words"))
        .unwrap()
        .0
        .parse()
        .unwrap();
    assert!(words > 0, "{committed}");
}

#[cfg(unix)]
#[test]
fn the_broker_serves_a_demo_and_stops_on_ctrl_c() {
    let data = tempfile::tempdir().unwrap();
    let args = ["broker", "--listen", "127.0.0.1:0", "--data", data.path().to_str().unwrap()];
    let mut broker = thalweg(&args).spawn().unwrap();
    let mut stdout = BufReader::new(broker.stdout.take().unwrap()).lines();
    let started = wait_for(&mut stdout, "bootstrap.servers=");
    let bootstrap = started.split("bootstrap.servers=").nth(1).unwrap().split(';').next().unwrap();
    let output = thalweg(&["demo", "--once", "--bootstrap", bootstrap]).output().unwrap();
    assert!(text(&output.stdout).starts_with("the\t21\n"), "{}", text(&output.stderr));
    interrupt(&broker);
    assert!(wait_with_timeout(broker).success());
}

#[cfg(unix)]
#[test]
fn the_broker_says_what_it_has_and_what_it_keeps() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    let args =
        ["broker", "-l", "127.0.0.1:0", "-l", "127.0.0.1:0", "-d", folder, "-t", "lines:3", "-t", "counts"];
    let start = |settings: &[&str]| {
        let mut broker = thalweg(&[&args[..], settings].concat()).spawn().unwrap();
        let line = BufReader::new(broker.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        (broker, line)
    };
    let (broker, line) = start(&[]);
    assert!(
        line.contains("listening on PLAINTEXT://127.0.0.1:") && line.contains(", PLAINTEXT_2://"),
        "{line}"
    );
    assert!(line.contains("0 bytes of records; 2 topics, 4 partitions; started in"), "{line}");
    let second = line.split("PLAINTEXT_2://").nth(1).unwrap().split(';').next().unwrap();
    let mut produce = thalweg(&["produce", "lines", "-b", second]).stdin(Stdio::piped()).spawn().unwrap();
    produce.stdin.take().unwrap().write_all(b"1\n2\n").unwrap();
    assert!(produce.wait().unwrap().success());
    interrupt(&broker);
    let stopped = text(&broker.wait_with_output().unwrap().stderr);
    assert!(
        stopped.contains("is kept in") && stopped.contains("2 topics") && !stopped.contains(" 0 bytes"),
        "{stopped}"
    );

    let (broker, line) = start(&["-c", "auto.create.topics.enable=false"]);
    assert!(!line.contains("0 bytes") && line.contains("2 topics, 4 partitions"), "{line}");
    let bootstrap = line.split("bootstrap.servers=").nth(1).unwrap().split(';').next().unwrap();
    let consumed = thalweg(&["consume", "lines", "-e", "-b", bootstrap]).output().unwrap();
    assert_eq!(text(&consumed.stdout), "1\n2\n");
    let refused = thalweg(&["produce", "other", "-b", bootstrap]).output().unwrap();
    assert!(!refused.status.success() && text(&refused.stderr).contains("no topic 'other'"));
    interrupt(&broker);
    assert!(wait_with_timeout(broker).success());

    let wrong = thalweg(&["broker", "-l", "127.0.0.1:0", "-c", "no.such.setting=1"]).output().unwrap();
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("no.such.setting"));
}
