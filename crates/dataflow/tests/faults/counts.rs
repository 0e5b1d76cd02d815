//! The job that most tests run: a running count of each key, into a sink that shows what is committed.
//!
//! Its output is an oracle of exactly-once by itself: of each key every count from 1 on, each of them once.

use std::time::{Duration, Instant};

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobHandle, RestartStrategy};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_testkit::{CollectSink, Collected};

use crate::faucet::Faucet;

pub(crate) const KEYS: u64 = 13;

pub(crate) type Counts = Collected<(u64, i64)>;

/// Counts the numbers of each key.
pub(crate) fn counted(numbers: &Stream<u64>) -> Stream<(u64, i64)> {
    let sums = Reduce::new(|a, b| a + b, |key: &u64, n: &i64| (*key, *n), Emit::Each);
    numbers.map("key", |n| Keyed::new(n % KEYS, 1_i64)).exchange().apply("count", sums)
}

/// Counts the numbers of each key, into `collected`.
pub(crate) fn count(numbers: &Stream<u64>, collected: &Counts) {
    let _ = counted(numbers).apply("collect", CollectSink::new(collected.clone()));
}

/// The job: counts what comes out of `faucet`.
pub(crate) fn counts(faucet: &Faucet, collected: &Counts) -> StreamGraph {
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", faucet.clone(), WatermarkStrategy::no_watermarks());
    count(&numbers, collected);
    graph
}

/// What the job makes of all numbers below `numbers`, sorted.
pub(crate) fn expected(numbers: u64) -> Vec<(u64, i64)> {
    let of_key = |key: u64| (1..=(numbers - key).div_ceil(KEYS) as i64).map(move |n| (key, n));
    (0..KEYS).flat_map(of_key).collect()
}

/// What has been committed, sorted.
pub(crate) fn sorted(collected: &Counts) -> Vec<(u64, i64)> {
    let mut counts = collected.take();
    counts.sort_unstable();
    counts
}

/// Says so in short if what has been committed is not what the job makes of all numbers below `numbers`.
#[track_caller]
pub(crate) fn assert_exact(collected: &Counts, numbers: u64) {
    let (found, expected) = (sorted(collected), expected(numbers));
    let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    let at = differs.unwrap_or(found.len().min(expected.len()));
    let (found, expected) = ((found.len(), found.get(at)), (expected.len(), expected.get(at)));
    assert_eq!(found, expected, "the number of results, and where they first differ, sorted");
}

/// A checkpoint every few milliseconds, and no restart.
pub(crate) fn config(id: &str, storage: &CheckpointStorage) -> JobConfig {
    JobConfig {
        parallelism: 2,
        checkpoint: Some(CheckpointConfig::new(Duration::from_millis(5), storage.clone())),
        restart: Some(RestartStrategy::None),
        ..JobConfig::new(id)
    }
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(100);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 100 s until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until so many results have been committed.
pub(crate) fn until_collected(job: &JobHandle, collected: &Counts, results: usize) {
    until(&format!("{results} results are committed"), || {
        assert!(!job.is_finished(), "the job has ended");
        collected.len() >= results
    });
}
