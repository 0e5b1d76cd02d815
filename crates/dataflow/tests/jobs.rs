//! Whole jobs on real threads: results, ends, kills and restores.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::JobError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy, run, start};
use thalweg_dataflow::source::CollectionSource;
use thalweg_dataflow::watermark::WatermarkStrategy;

type Results = Arc<Mutex<Vec<(String, i64)>>>;

fn words(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("word-{}", i * i % 97)).collect()
}

fn expected(n: usize) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for word in words(n) {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

/// A running word count; the highest count of each word is the last.
fn count(
    graph: &StreamGraph,
    n: usize,
    fail: impl FnMut(&str) + Clone + Send + 'static,
) -> (Stream<()>, Results) {
    let results: Results = Arc::default();
    let sink = results.clone();
    let source = graph.source("words", CollectionSource::new(words(n)), WatermarkStrategy::no_watermarks());
    let mut fail = fail;
    let stream = source
        .map("key", move |word: String| {
            fail(&word);
            Keyed::new(word, 1_i64)
        })
        .exchange()
        .apply("count", Reduce::new(|a, b| a + b, |word: &String, n: &i64| (word.clone(), *n), Emit::Each))
        .map("collect", move |result| sink.lock().unwrap().push(result));
    (stream, results)
}

fn highest(results: &Results) -> BTreeMap<String, i64> {
    let mut highest = BTreeMap::new();
    for (word, n) in results.lock().unwrap().iter() {
        let entry = highest.entry(word.clone()).or_insert(0);
        *entry = (*entry).max(*n);
    }
    highest
}

#[test]
fn a_bounded_job_ends_with_all_its_results() {
    for parallelism in [1, 2, 4] {
        let graph = StreamGraph::new();
        let (_, results) = count(&graph, 20_000, |_| {});
        let result = run(&graph, JobConfig { parallelism, ..JobConfig::new("count") }).unwrap();
        assert_eq!(highest(&results), expected(20_000));
        assert_eq!(results.lock().unwrap().len(), 20_000);
        assert_eq!(result.metrics.sum("count", |metrics| metrics.records_in.get()), 20_000);
    }
}

#[test]
fn a_panic_names_the_operator_and_the_origin() {
    let graph = StreamGraph::new();
    let (_, _) = count(&graph, 5_000, |word| assert!(word != "word-1", "cannot bear {word}"));
    let error = run(&graph, JobConfig::new("panic")).unwrap_err().to_string();
    assert!(error.contains("`key`") && error.contains("cannot bear word-1"), "{error}");
    assert!(error.contains("items"), "the origin: {error}");
}

#[test]
fn a_failure_is_restarted_from_the_last_checkpoint_with_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let graph = StreamGraph::new();
    let seen = Arc::new(AtomicUsize::new(0));
    // Fails twice, in the middle, at times when checkpoints have been completed.
    let (_, results) = count(&graph, 400_000, move |_| {
        let n = seen.fetch_add(1, Ordering::Relaxed);
        if n.is_multiple_of(1000) {
            std::thread::sleep(Duration::from_micros(200));
        }
        assert!(n != 150_000 && n != 300_000, "injected");
    });
    let config = JobConfig {
        parallelism: 2,
        checkpoint: Some(CheckpointConfig::new(Duration::from_millis(5), storage)),
        restart: Some(RestartStrategy::FixedDelay { attempts: 3, delay: Duration::ZERO }),
        ..JobConfig::new("restarted")
    };
    let result = run(&graph, config).unwrap();
    assert_eq!(result.restarts, 2);
    assert!(result.epoch > 2, "{}", result.epoch);
    assert_eq!(highest(&results), expected(400_000));
    // It did not simply begin again from nothing.
    assert!(results.lock().unwrap().len() < 3 * 400_000);
}

#[test]
fn a_suspended_job_is_resumed_at_another_parallelism() {
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let all: Results = Arc::default();
    let (mut resumed, mut ended) = (0, false);
    for parallelism in [1, 2, 4, 2, 1, 4, 2, 1].into_iter().cycle().take(400) {
        let graph = StreamGraph::new();
        let (_, results) = count(&graph, 100_000, |word| {
            if word == "word-0" {
                std::thread::sleep(Duration::from_micros(20));
            }
        });
        let config = JobConfig {
            parallelism,
            checkpoint: Some(CheckpointConfig::new(Duration::from_secs(60), storage.clone())),
            ..JobConfig::new("resumed")
        };
        let handle = start(&graph, config).unwrap();
        // Somewhere on its way, however busy the machine is.
        let until = Instant::now() + Duration::from_secs(10);
        while results.lock().unwrap().len() < 1_500 && !handle.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        handle.suspend();
        handle.wait().unwrap();
        let results = std::mem::take(&mut *results.lock().unwrap());
        all.lock().unwrap().extend(results);
        if all.lock().unwrap().len() >= 100_000 {
            ended = true;
            break;
        }
        resumed += 1;
    }
    assert!(ended && resumed > 1, "{resumed} {}", all.lock().unwrap().len());
    // Suspending and resuming is exact, even for a sink that knows nothing of epochs.
    assert_eq!(all.lock().unwrap().len(), 100_000);
    assert_eq!(highest(&all), expected(100_000));
}

#[test]
fn an_operator_of_another_name_is_told_from_the_checkpointed_one() {
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let config = || JobConfig {
        checkpoint: Some(CheckpointConfig::new(Duration::from_secs(60), storage.clone())),
        ..JobConfig::new("changed")
    };
    let graph = StreamGraph::new();
    let (_, _) = count(&graph, 100, |_| {});
    run(&graph, config()).unwrap();
    let graph = StreamGraph::new();
    let sums = Reduce::new(|a: i64, b: i64| a + b, |_: &String, n: &i64| *n, Emit::Each);
    let source = graph.source("words", CollectionSource::new(words(1)), WatermarkStrategy::no_watermarks());
    let _ = source.map("key", |word| Keyed::new(word, 1)).exchange().apply("sum", sums);
    let error = run(&graph, config()).unwrap_err();
    assert!(matches!(error, JobError::Checkpoint(_)), "{error}");
    assert!(
        error.to_string().contains("operator `count-") && error.to_string().contains(".uid(\"count-"),
        "{error}"
    );
}
