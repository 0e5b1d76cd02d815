//! Streams that cross over twice, with a kill in the middle: the output is that of a run without.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_bridge::{ToDStream, ToDataStream};
use thalweg_dataflow::source::CollectionSource;
use thalweg_datastream::{
    DataStream, StreamExecutionEnvironment, TumblingEventTimeWindows, WatermarkStrategy,
};
use thalweg_dstream::StreamingContext;
use thalweg_testkit::{Pipeline, Run};

const RECORDS: i64 = 200_000;
const BATCH: Duration = Duration::from_millis(5);

/// (key, event time): 40 keys, 100 records a millisecond.
fn records() -> Vec<(i64, i64)> {
    (0..RECORDS).map(|i| (i * 7 % 40, i / 100)).collect()
}

fn strategy() -> WatermarkStrategy<(i64, i64)> {
    WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|record: &(i64, i64), _| record.1)
}

fn continuous(run: &Run) -> DataStream<(i64, i64)> {
    let env = StreamExecutionEnvironment::over(run.job.clone());
    let read = env.from_source(CollectionSource::new(records()), strategy(), "records");
    DataStream::over(env, run.crash.on(read.stream()))
}

/// Records of each key in each 100 ms of event time.
fn per_window() -> BTreeMap<(i64, i64), i64> {
    let mut counts = BTreeMap::new();
    for (key, time) in records() {
        *counts.entry((time - time % 100, key)).or_insert(0) += 1;
    }
    counts
}

#[test]
fn from_batches_to_event_time_and_back() {
    let pipeline = Pipeline::new("DStream -> DataStream -> DStream", |run| {
        let ssc = StreamingContext::over(run.job.clone(), BATCH);
        let read = ssc.from_source(CollectionSource::new(records()), strategy(), "records");
        let read = ssc.stream(run.crash.on(read.stream()));
        // Where a batch ends depends on the clock: a window must not care how its records were put into batches.
        let partial = read.map(|(key, time)| ((key, time - time % 100), 1)).reduce_by_key(|a, b| a + b);
        let windows = partial
            .to_data_stream()
            .key_by(|((key, _), _)| *key)
            .window(TumblingEventTimeWindows::of(Duration::from_secs(3600)));
        let sums = windows.process(|key, _, partial, out| {
            let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
            for ((_, start), n) in partial {
                *counts.entry(start).or_insert(0) += n;
            }
            counts.into_iter().for_each(|(start, n)| out.collect(((start, *key), n)));
        });
        // Each pair comes once, so a sum over all batches is its count.
        let running =
            sums.to_dstream(Duration::from_millis(10)).update_state_by_key(|_, new, old: Option<i64>| {
                (!new.is_empty() || old.is_some()).then(|| old.unwrap_or(0) + new.iter().sum::<i64>())
            });
        let last = running.to_data_stream().key_by(|(window, _)| *window);
        last.window(TumblingEventTimeWindows::of(Duration::from_secs(1_000_000_000)))
            .max(|(_, n)| *n)
            .stream()
            .clone()
    });
    assert_eq!(pipeline.output(), per_window().into_iter().collect::<Vec<_>>());
    pipeline.check();
}

#[test]
fn from_event_time_to_batches_and_back() {
    let pipeline = Pipeline::new("DataStream -> DStream -> DataStream", |run| {
        let counts = continuous(run)
            .key_by(|record| record.0)
            .window(TumblingEventTimeWindows::of(Duration::from_millis(100)))
            .aggregate_with(thalweg_datastream::aggregate::Count::new(), |key, window, n, out| {
                out.collect((window.start / 1000, (*key, n as i64)));
            });
        let per_second =
            counts.to_dstream(BATCH).map(|(second, (_, n))| (second, n)).reduce_by_key(|a, b| a + b);
        // A window's result may be reduced in one batch or in several; the watermark says when all are there.
        let total = per_second
            .to_data_stream()
            .key_by(|(second, _)| *second)
            .window(TumblingEventTimeWindows::of(Duration::from_secs(1)));
        total.sum(|(_, n)| *n).stream().clone()
    });
    let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
    for ((start, _), n) in per_window() {
        *expected.entry(start / 1000).or_insert(0) += n;
    }
    assert_eq!(pipeline.output(), expected.into_iter().collect::<Vec<_>>());
    pipeline.check();
}

#[test]
fn batches_without_event_time_bring_watermarks_of_their_own() {
    let ssc = StreamingContext::new("watermarks", BATCH);
    ssc.configure(|config| config.parallelism = 1);
    let log: Arc<Mutex<Vec<(&str, i64)>>> = Arc::default();
    let (read, fired) = (log.clone(), log.clone());
    let numbers = ssc.queue_stream((0..20).map(|batch| vec![batch; 10]).collect()).to_data_stream();
    let numbers = numbers.map(move |n| {
        read.lock().unwrap().push(("read", n));
        n
    });
    let least = numbers.window_all(TumblingEventTimeWindows::of(BATCH)).min(|n| *n);
    least.for_each(move |((), n)| fired.lock().unwrap().push(("fired", n)));
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let log = log.lock().unwrap();
    let first = log.iter().position(|(what, _)| *what == "fired").unwrap();
    let last = log.iter().rposition(|(what, _)| *what == "read").unwrap();
    assert!(first < last, "the first window waits for its own batch, not for the end: {log:?}");
}
