//! Checkpoints as they were written before: `version-1` is what the last build before owners were counted has left of these jobs,
//! halfway through their input.

use std::path::{Path, PathBuf};

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::checkpoint::committer::Marker;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{JobConfig, RestoreFrom, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_testkit::CollectSink;

use crate::counts::{Counts, KEYS, config, expected, sorted, until_collected};
use crate::faucet::Faucet;
use crate::log::Log;

const NUMBERS: u64 = 400;

/// A copy of one of the fixtures.
fn version_1(name: &str) -> (tempfile::TempDir, CheckpointStorage) {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/version-1").join(name), folder.path());
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    (folder, storage)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

fn graph(faucet: &Faucet, collected: &Counts, log: Option<&Log>) -> StreamGraph {
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", faucet.clone(), WatermarkStrategy::no_watermarks()).uid("numbers");
    let sums = Reduce::new(|a, b| a + b, |key: &u64, n: &i64| (*key, *n), Emit::Each);
    let keyed = numbers.map("key", |n| Keyed::new(n % KEYS, 1_i64)).uid("key").exchange();
    let sums = keyed.apply("count", sums).uid("count");
    match log {
        Some(log) => log.write(&sums),
        None => drop(sums.apply("collect", CollectSink::new(collected.clone())).uid("collect")),
    }
    graph
}

/// The counts that the first half of the input has not given.
fn second_half() -> Vec<(u64, i64)> {
    let first = expected(NUMBERS / 2);
    expected(NUMBERS).into_iter().filter(|count| !first.contains(count)).collect()
}

#[test]
fn a_job_goes_on_from_a_checkpoint_and_a_savepoint_of_version_1() {
    let (folder, storage) = version_1("counts");
    let (savepoint_folder, savepoint) = version_1("savepoint");
    let (other, elsewhere) = version_1("savepoint");
    for (storage, restore) in
        [(storage, RestoreFrom::Latest), (elsewhere, RestoreFrom::Savepoint(savepoint.clone()))]
    {
        let (faucet, collected) = (Faucet::new(NUMBERS), Counts::default());
        let job = start(&graph(&faucet, &collected, None), JobConfig { restore, ..config("job", &storage) })
            .unwrap();
        faucet.release(NUMBERS / 4 * 3);
        // Stopped in between: its own checkpoints are of this version.
        until_collected(&job, &collected, NUMBERS as usize / 4);
        job.cancel();
        job.wait().unwrap_err();
        faucet.open();
        run(&graph(&faucet, &collected, None), config("job", &storage)).unwrap();
        // What was committed just before the cut of the fixture is given again: the sink of these tests lives in memory.
        let mut found = sorted(&collected);
        found.retain(|count| !expected(NUMBERS / 2).contains(count));
        assert!(found == second_half(), "{} instead of {}", found.len(), second_half().len());
    }
    drop((folder, savepoint_folder, other));
}

#[test]
fn a_marker_of_version_1_names_its_checkpoint() {
    let (folder, storage) = version_1("log");
    let epoch = include_str!("version-1/log-marker");
    let (faucet, collected, log) = (Faucet::new(NUMBERS), Counts::default(), Log::default());
    log.set_marker(Marker::parse(&format!("thalweg-epoch={epoch}")).unwrap());
    faucet.open();
    run(&graph(&faucet, &collected, Some(&log)), config("job", &storage)).unwrap();
    let mut found = log.committed();
    found.sort_unstable();
    assert!(found == second_half(), "{} instead of {}", found.len(), second_half().len());
    drop(folder);
}
