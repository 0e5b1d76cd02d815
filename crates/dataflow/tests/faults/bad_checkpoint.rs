//! Checkpoints that do not fit the job, or are damaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{JobConfig, RestoreFrom, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_testkit::CollectSink;

use crate::counts::{Counts, KEYS, assert_exact, config, counts, expected, sorted, until_collected};
use crate::faucet::Faucet;

const NUMBERS: u64 = 4000;

/// A job that was suspended in the middle of its input, and the folder of its checkpoints.
struct Suspended {
    folder: tempfile::TempDir,
    storage: CheckpointStorage,
    faucet: Faucet,
    collected: Counts,
}

impl Suspended {
    fn new() -> Self {
        Self::retaining(1)
    }

    fn retaining(retained: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let (faucet, collected) = (Faucet::new(NUMBERS), Counts::default());
        let mut config = config("job", &storage);
        config.checkpoint.as_mut().unwrap().retained = retained;
        let job = start(&counts(&faucet, &collected), config).unwrap();
        for numbers in [NUMBERS / 4, NUMBERS / 2] {
            faucet.release(numbers);
            until_collected(&job, &collected, numbers as usize);
        }
        job.suspend();
        job.wait().unwrap();
        faucet.open();
        Self { folder, storage, faucet, collected }
    }

    fn config(&self) -> JobConfig {
        config("job", &self.storage)
    }

    /// Everything in the checkpoints' folder but for the names of its owners.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        visit(self.folder.path(), &mut |path| {
            if !path.parent().is_some_and(|folder| folder.ends_with("owners")) {
                files.insert(path.to_owned(), std::fs::read(path).unwrap());
            }
        });
        files
    }

    /// The file of the newest checkpoint whose name begins like this.
    fn newest(&self, name: &str) -> PathBuf {
        let files = self
            .files()
            .into_keys()
            .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)));
        files.max_by_key(|path| epoch_of(path)).unwrap()
    }

    fn refused(&self, graph: &StreamGraph) -> String {
        let before = self.files();
        let error = run(graph, self.config()).unwrap_err();
        assert!(error.is_fatal(), "{error}");
        assert!(!before.is_empty() && before == self.files(), "the checkpoint was touched");
        error.to_string()
    }

    /// The program that took the checkpoint goes on from it.
    fn resumes_exactly(&self) {
        run(&counts(&self.faucet, &self.collected), self.config()).unwrap();
        assert_exact(&self.collected, NUMBERS);
    }
}

/// The number of the checkpoint that a file is part of.
fn epoch_of(file: &Path) -> u64 {
    let folder = file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    folder.strip_prefix("chk-").unwrap().split('-').next().unwrap().parse().unwrap()
}

fn visit(folder: &Path, found: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { visit(&path, found) } else { found(&path) }
    }
}

fn contains(error: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` is not in: {error}"));
}

#[test]
fn state_of_another_type_is_refused_and_the_old_program_resumes() {
    let job = Suspended::new();
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", job.faucet.clone(), WatermarkStrategy::no_watermarks());
    // The counts were integers.
    let counted = numbers.map("key", |n| Keyed::new(n % KEYS, 1_f64)).exchange();
    let sums = Reduce::new(|a, b| a + b, |key: &u64, n: &f64| (*key, *n as i64), Emit::Each);
    let _ = counted.apply("count", sums).apply("collect", CollectSink::new(job.collected.clone()));
    let error = job.refused(&graph);
    contains(&error, &["operator `count-", "state `value`", "(u64,(i64,i64))", "(u64,(f64,i64))"]);
    contains(&error, &["another uid to start it empty", "go back to the type"]);
    job.resumes_exactly();
}

#[test]
fn state_of_an_operator_that_is_gone_is_refused_and_the_old_program_resumes() {
    let job = Suspended::new();
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", job.faucet.clone(), WatermarkStrategy::no_watermarks());
    let sum = Reduce::new(|a: i64, b| a + b, |_: &u64, n: &i64| *n, Emit::Each);
    let sums = numbers.map("key", |n| Keyed::new(n % KEYS, 1_i64)).exchange().apply("sum", sum);
    let _ = sums.map("pair", |n| (0_u64, n)).apply("collect", CollectSink::new(job.collected.clone()));
    let error = job.refused(&graph);
    contains(&error, &["operator `count-", "no operator of the job claims", "new      sum", ".uid(\"count-"]);
    job.resumes_exactly();
}

#[test]
fn another_number_of_key_groups_is_refused_and_the_old_one_resumes() {
    let job = Suspended::new();
    let graph = counts(&job.faucet, &job.collected);
    let error = run(&graph, JobConfig { max_parallelism: 64, ..job.config() }).unwrap_err().to_string();
    contains(&error, &["128 key groups", "64", "set max_parallelism to 128"]);
    job.resumes_exactly();
}

#[test]
fn a_damaged_file_is_named_and_the_job_resumes_when_it_is_put_back() {
    let job = Suspended::new();
    let (state, manifest) = (job.newest("state-"), job.newest("manifest.json"));
    let intact = std::fs::read(&state).unwrap();
    let mut flipped = intact.clone();
    flipped[intact.len() / 2] ^= 0x40;
    let damage: [(&[u8], &str); 3] = [
        (&flipped, "its checksum does not match"),
        (&intact[..intact.len() - 7], "its checksum does not match"),
        (&intact[..5], "cut short"),
    ];
    for (bytes, reason) in damage {
        std::fs::write(&state, bytes).unwrap();
        let error = job.refused(&counts(&job.faucet, &job.collected));
        contains(&error, &["is damaged", state.to_str().unwrap(), reason, "put the file back"]);
    }
    std::fs::remove_file(&state).unwrap();
    contains(&job.refused(&counts(&job.faucet, &job.collected)), &[state.to_str().unwrap(), "it is missing"]);
    std::fs::write(&state, intact).unwrap();
    let intact = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &intact[..intact.len() / 2]).unwrap();
    let error = job.refused(&counts(&job.faucet, &job.collected));
    contains(&error, &["is damaged", manifest.to_str().unwrap(), "EOF"]);
    std::fs::write(&manifest, intact).unwrap();
    job.resumes_exactly();
}

#[test]
fn a_job_goes_back_to_an_older_checkpoint_only_when_it_is_told_to() {
    let job = Suspended::retaining(3);
    let before = sorted(&job.collected);
    let state = job.newest("state-");
    std::fs::write(&state, "damaged").unwrap();
    let error = job.refused(&counts(&job.faucet, &job.collected));
    let (_, advice) = error.split_once("RestoreFrom::Epoch(").unwrap();
    let older: u64 = advice.split_once(')').unwrap().0.parse().unwrap();
    assert!(older < epoch_of(&state), "{error}");

    let restore = RestoreFrom::Epoch(older);
    let result = run(&counts(&job.faucet, &job.collected), JobConfig { restore, ..job.config() }).unwrap();
    // What came after it is given again; of each key the counts go on without a gap to the last.
    let again = sorted(&job.collected);
    let all: std::collections::BTreeSet<_> = before.iter().chain(&again).copied().collect();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), expected(NUMBERS));
    for key in 0..KEYS {
        let of_key: Vec<i64> = again.iter().filter(|count| count.0 == key).map(|count| count.1).collect();
        assert!(of_key.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{of_key:?}");
    }
    // The job does not meet the damaged checkpoint again: its own are newer.
    assert!(result.epoch > epoch_of(&state), "{} {state:?}", result.epoch);
    run(&counts(&job.faucet, &job.collected), job.config()).unwrap();
    assert!(job.collected.is_empty());
}

#[test]
fn a_job_that_begins_anew_does_not_come_back_to_what_it_left() {
    let job = Suspended::new();
    job.collected.take();
    let restore = RestoreFrom::Nothing;
    let again = Faucet::new(NUMBERS);
    let running = start(&counts(&again, &job.collected), JobConfig { restore, ..job.config() }).unwrap();
    again.release(NUMBERS / 4);
    until_collected(&running, &job.collected, NUMBERS as usize / 4);
    running.cancel();
    running.wait().unwrap_err();
    again.open();
    run(&counts(&again, &job.collected), job.config()).unwrap();
    assert_exact(&job.collected, NUMBERS);
}
