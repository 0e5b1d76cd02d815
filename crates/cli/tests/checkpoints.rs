//! `thalweg checkpoints`, on the checkpoints of a job that is made for it.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{text, thalweg};
use thalweg::dataflow::checkpoint::CheckpointStorage;
use thalweg::datastream::StreamExecutionEnvironment;

/// Counts some of many words, keeps two checkpoints, and is stopped long before the end.
fn job(folder: &Path, savepoint: &Path) {
    let env = StreamExecutionEnvironment::new();
    env.enable_checkpointing(Duration::from_millis(20), folder).unwrap();
    env.configure(|config| {
        config.id = "word-count".to_owned();
        if let Some(checkpoint) = &mut config.checkpoint {
            checkpoint.retained = 2;
        }
    });
    let words = env.from_collection((0..200_000).map(|n| format!("w{}", n % 50)).collect::<Vec<_>>());
    words
        .key_by(|word: &String| word.clone())
        .reduce(|a, _| a)
        .for_each(|_| std::thread::sleep(Duration::from_millis(1)));
    let job = env.execute_async("word-count").unwrap();
    while job.progress().committed_epoch < 3 {
        assert!(!job.is_finished());
        std::thread::sleep(Duration::from_millis(5));
    }
    job.savepoint(CheckpointStorage::local(savepoint).unwrap()).unwrap();
    job.suspend();
    job.wait().unwrap();
}

fn run(args: &[&str]) -> (bool, String, String) {
    let output = thalweg(args).output().unwrap();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn checkpoints_are_listed_shown_verified_and_removed() {
    let (folder, savepoints) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let savepoint = savepoints.path().join("one");
    job(folder.path(), &savepoint);
    let (path, savepoint) = (folder.path().to_str().unwrap(), savepoint.to_str().unwrap());
    let (fine, listed, error) = run(&["checkpoints", "ls", path, "--json"]);
    assert!(fine, "{error}");
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.iter().filter(|info| info["counts"] == true && info["job"] == "word-count").count(), 2);
    let numbers: Vec<String> = listed.iter().map(|info| info["checkpoint"].to_string()).collect();

    let (fine, shown, error) = run(&["checkpoints", "show", path]);
    assert!(fine, "{error}");
    for part in
        ["job          word-count", &format!("checkpoint   {}", numbers[0]), "value", "splits", "OPERATOR"]
    {
        assert!(shown.contains(part), "`{part}` is not in: {shown}");
    }
    assert!(run(&["checkpoints", "show", savepoint]).1.contains("job          word-count"));
    assert!(run(&["checkpoints", "verify", savepoint]).1.contains("is intact"));
    assert!(run(&["checkpoints", "verify", path, "word-count", &numbers[1]]).1.contains("is intact"));

    let (fine, _, error) = run(&["checkpoints", "rm", path, "word-count", &numbers[0]]);
    assert!(!fine && error.contains("would resume from"), "{error}");
    assert!(run(&["checkpoints", "rm", path, "word-count", &numbers[1]]).0);
    // What the newest shares with it is still there.
    assert!(run(&["checkpoints", "verify", path]).1.contains("is intact"));
    let (fine, _, error) = run(&["checkpoints", "show", path, "word-count", "4711"]);
    assert!(!fine && error.contains("no checkpoint 4711") && error.contains(&numbers[0]), "{error}");
    assert!(!run(&["checkpoints", "ls", "/nowhere/at/all"]).0);

    // Damage is found.
    let file = std::fs::read_dir(savepoint).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.to_str().unwrap().contains("state")).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (fine, _, error) = run(&["checkpoints", "verify", savepoint]);
    assert!(!fine && error.contains("checksum"), "{error}");
}
