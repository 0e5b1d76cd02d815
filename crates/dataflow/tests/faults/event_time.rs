//! Splits and sources that are slower than others, idle, or over before them.

use std::time::Duration;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operators::BatchFold;
use thalweg_dataflow::runtime::{JobConfig, JobHandle, run, start};
use thalweg_dataflow::time::{MAX_WATERMARK, MIN_WATERMARK};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_testkit::{CollectSink, Collected};

use crate::counts::{KEYS, config, until};
use crate::faucet::{Faucet, SPLITS, name};
use crate::windows::{Windows, count_in_windows, in_windows, sorted_windows};

const NUMBERS: u64 = 4000;

fn started(
    faucet: &Faucet,
    strategy: WatermarkStrategy<u64>,
    collected: &Windows,
) -> (tempfile::TempDir, JobHandle) {
    let (folder, graph) = (tempfile::tempdir().unwrap(), StreamGraph::new());
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    count_in_windows(&graph.source("numbers", faucet.clone(), strategy), collected);
    let config = JobConfig { parallelism: 1, ..config("job", &storage) };
    (folder, start(&graph, config).unwrap())
}

/// What the source shows: the records that it has read, its watermark, and the split that holds it back.
fn shown(job: &JobHandle) -> (u64, i64, Option<String>) {
    let metrics = job.metrics();
    let mut operators = metrics.operators.iter();
    let Some((_, source)) = operators.find(|(operator, _)| &*operator.name == "numbers") else {
        return (0, MIN_WATERMARK, None);
    };
    (source.records_in.get(), source.watermark(), source.held_back_by().map(|split| split.to_string()))
}

#[test]
fn a_split_without_records_holds_the_watermark_back_and_is_named() {
    let (faucet, collected) = (Faucet::new(NUMBERS), Windows::default());
    let (_folder, job) = started(&faucet, WatermarkStrategy::for_monotonous_timestamps(), &collected);
    (0..3).for_each(|split| faucet.release_split(split, 600));
    until("the others are read, and the one without records is named", || {
        shown(&job) == (1800, MIN_WATERMARK, Some(name(3)))
    });
    // Number 400 * 4 + 3 is the next of split 3; so the others wait for what comes after number 1599.
    faucet.release_split(3, 400);
    until("it has caught up for a while", || shown(&job) == (2200, 1598, Some(name(3))));
    faucet.release_split(3, 700);
    until("another one is the slowest", || shown(&job) == (2500, 2395, Some(name(0))));
    faucet.open();
    let result = job.wait().unwrap();
    assert_eq!(result.metrics.operators[0].1.held_back_by(), None);
    assert_eq!(result.metrics.sum("windows", |metrics| metrics.late_records.get()), 0);
    assert!(sorted_windows(&collected) == in_windows(0..NUMBERS));
}

#[test]
fn a_split_that_idles_does_not_hold_the_watermark_back() {
    let (faucet, collected) = (Faucet::new(NUMBERS), Windows::default());
    let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(Duration::from_millis(20));
    let (_folder, job) = started(&faucet, strategy, &collected);
    (0..3).for_each(|split| faucet.release_split(split, 600));
    until("two windows have fired without it", || collected.len() == 2 * KEYS as usize);
    let without: u64 = collected.take().into_iter().map(|(.., count)| count).sum();
    assert_eq!(without, 1500);
    // What it has for them now is late, and counted as such; the rest is not lost.
    faucet.open();
    let result = job.wait().unwrap();
    let late = result.metrics.sum("windows", |metrics| metrics.late_records.get());
    let counted: u64 = collected.take().into_iter().map(|(.., count)| count).sum();
    assert!(late >= 500, "{late}");
    assert_eq!(without + counted + late, NUMBERS);
}

#[test]
fn a_subtask_without_splits_does_not_hold_the_watermark_back() {
    let (folder, graph) = (tempfile::tempdir().unwrap(), StreamGraph::new());
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let (faucet, collected) = (Faucet::new(NUMBERS), Windows::default());
    let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(Duration::from_millis(20));
    count_in_windows(&graph.source("numbers", faucet.waiting(), strategy), &collected);
    let job = start(&graph, JobConfig { parallelism: SPLITS + 2, ..config("job", &storage) }).unwrap();
    faucet.release(2400);
    until("two windows have fired", || collected.len() == 2 * KEYS as usize);
    job.stop();
    job.wait().unwrap();
    assert!(sorted_windows(&collected) == in_windows(0..2400));
}

#[test]
fn a_source_that_ends_long_before_another_neither_holds_it_back_nor_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let (short, long, windows, batches) =
        (Faucet::new(400), Faucet::new(NUMBERS), Windows::default(), Collected::default());
    let graph = || {
        let graph = StreamGraph::new();
        graph.batch_interval(10);
        let monotonous = WatermarkStrategy::for_monotonous_timestamps;
        let short = graph.source("short", short.clone(), monotonous());
        let both = short.union(&graph.source("long", long.clone(), monotonous()));
        count_in_windows(&both, &windows);
        // Per batch, over the same union: how many there were.
        let shares = both.apply("shares", BatchFold::new(0_u64, |n, _| n + 1, |a, b| a + b, 10));
        let whole =
            shares.rebalance().apply("batches", BatchFold::new(0_u64, |a, b| a + b, |a, b| a + b, 10));
        let _ = whole.parallelism(1).apply("sizes", CollectSink::new(batches.clone())).parallelism(1);
        graph
    };
    let config = || JobConfig { parallelism: SPLITS, ..config("job", &storage) };
    let job = start(&graph(), config()).unwrap();
    short.open();
    until("the short one is over", || {
        let metrics = job.metrics();
        let mut source = metrics.operators.iter().filter(|(operator, _)| &*operator.name == "short");
        source.all(|(_, source)| source.watermark() == MAX_WATERMARK)
    });
    long.release(2400);
    until("two windows have fired", || windows.len() == 2 * KEYS as usize);
    let committed = job.progress().committed_epoch;
    until("checkpoints go on", || job.progress().committed_epoch > committed);
    long.open();
    let result = job.wait().unwrap();
    for (operator, metrics) in &result.metrics.operators {
        if !["key", "collect", "sizes"].contains(&&*operator.name) {
            assert_eq!(metrics.watermark(), MAX_WATERMARK, "{operator}");
        }
    }
    assert!(sorted_windows(&windows) == in_windows((0..400).chain(0..NUMBERS)));
    assert_eq!(batches.take().into_iter().sum::<u64>(), 400 + NUMBERS);

    // The last checkpoint knows that all is done.
    let resumed = run(&graph(), config()).unwrap();
    assert!(resumed.epoch > result.epoch);
    assert!(windows.is_empty());
    assert_eq!(batches.take().into_iter().sum::<u64>(), 0);
}
