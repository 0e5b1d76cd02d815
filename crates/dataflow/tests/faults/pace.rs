//! How fast sources read: generators of watermarks, alignment, back-pressure by rate; and what a job tells while it runs.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_dataflow::OutputTag;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operators::Collect;
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{JobConfig, JobEvent, PidRate, run, start};
use thalweg_dataflow::source::{CollectionSource, DataGeneratorSource, channel};
use thalweg_dataflow::time::Timestamp;
use thalweg_dataflow::watermark::{WatermarkGenerator, WatermarkOutput, WatermarkStrategy};
use thalweg_dataflow::window::aggregate::Count;
use thalweg_dataflow::window::{Lateness, TimeWindow, TumblingEventTimeWindows, WindowAssigner};

/// Says that all is there up to each number.
#[derive(Clone)]
pub(crate) struct Each;

impl WatermarkGenerator<i64> for Each {
    fn on_event(&mut self, event: &i64, _: Timestamp, output: &mut WatermarkOutput) {
        output.emit_watermark(*event);
    }
}

#[test]
fn a_watermark_of_a_generator_stands_right_behind_its_record() {
    // What is late is so by the record before it, though all come in one batch.
    let graph = StreamGraph::new();
    let numbers = vec![5_i64, 9, 7, 12, 30];
    let strategy = WatermarkStrategy::for_generator(Each).with_timestamp_assigner(|n: &i64, _| *n);
    let stream = graph.source("numbers", CollectionSource::new(numbers), strategy);
    let keyed = stream.map("key", |n| Keyed::new((), n));
    let windows = TumblingEventTimeWindows::of(Duration::from_millis(10));
    let (seen, late) = (Arc::new(Mutex::new(Vec::new())), OutputTag::<i64>::new("late"));
    let lateness = Lateness { allowed: 0, tag: Some(late.clone()) };
    let collect = |(): &(), window: TimeWindow, n: u64, out: &mut Collect<'_, (i64, u64)>| {
        out.collect((window.start, n));
        Ok(())
    };
    let windowed = windows.apply(&keyed, "windows", lateness, Count::new(), collect);
    let into = seen.clone();
    windowed.side_output(&late).map("late", move |n| into.lock().unwrap().push((n, 0)));
    let into = seen.clone();
    windowed.map("fired", move |fired| into.lock().unwrap().push(fired));
    run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("generator") }).unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, [(0, 2), (7, 0), (10, 1), (30, 1)]);
}

#[test]
fn a_source_that_is_ahead_of_its_group_waits_for_the_others() {
    let graph = StreamGraph::new();
    let strategy = || {
        WatermarkStrategy::for_monotonous_timestamps()
            .with_timestamp_assigner(|n: &i64, _| *n)
            .with_alignment("both", Duration::from_millis(100))
    };
    let fast = graph.source("fast", DataGeneratorSource::new(|n: u64| n as i64, 100_000), strategy());
    let (sender, slow) = channel(16);
    let slow = graph.source("slow", slow, strategy());
    let furthest = Arc::new(AtomicI64::new(0));
    let reached = furthest.clone();
    fast.map("fast", move |n| reached.fetch_max(n, Ordering::SeqCst));
    slow.map("slow", |_| ());
    let handle = start(&graph, JobConfig { parallelism: 1, ..JobConfig::new("aligned") }).unwrap();
    let settled = |at_least: i64| {
        let until = Instant::now() + Duration::from_secs(20);
        while furthest.load(Ordering::SeqCst) < at_least && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        // It reads no more, however long one waits.
        std::thread::sleep(Duration::from_millis(100));
        furthest.load(Ordering::SeqCst)
    };
    // A batch is read before its time is known, so that it may be so much further.
    let batch = 1_100;
    assert!(settled(0) <= batch);
    sender.send(5_000).unwrap();
    assert!((5_000..=5_100 + batch).contains(&settled(5_000)), "{}", furthest.load(Ordering::SeqCst));
    drop(sender);
    handle.wait().unwrap();
    assert_eq!(furthest.load(Ordering::SeqCst), 99_999, "who has ended is not waited for");
}

#[test]
fn a_rate_follows_what_the_job_can_do_and_listeners_are_told_of_each_cut() {
    let graph = StreamGraph::new();
    graph.batch_interval(50);
    let numbers = graph.source(
        "numbers",
        DataGeneratorSource::new(|n: u64| n, u64::MAX),
        WatermarkStrategy::no_watermarks(),
    );
    let (worked, cuts) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
    let count = worked.clone();
    // A millisecond each: a thousand a second is all that can be done.
    numbers.rebalance().map("slow", move |_| {
        std::thread::sleep(Duration::from_millis(1));
        count.fetch_add(1, Ordering::SeqCst);
    });
    let pid = PidRate { min_rate: 10.0, initial_rate: Some(300.0), ..PidRate::default() };
    let mut config = JobConfig { parallelism: 1, back_pressure: Some(pid), ..JobConfig::new("rated") };
    let told = cuts.clone();
    config.listeners.add(move |event| told.lock().unwrap().push(event.clone()));
    let handle = start(&graph, config).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    handle.stop();
    let result = handle.wait().unwrap();
    let read = result.metrics.sum("numbers", |source| source.records_out.get());
    assert_eq!(read, worked.load(Ordering::SeqCst));
    assert!(read < 2_500, "{read} in a second and a half");
    let events = cuts.lock().unwrap();
    assert_eq!(events[0], JobEvent::Started { restarts: 0 });
    let of_cuts: u64 = events
        .iter()
        .map(|event| if let JobEvent::CutDone { records, .. } = event { *records } else { 0 })
        .sum();
    assert_eq!(of_cuts, read, "each record is of one cut");
    let times: Vec<i64> = events
        .iter()
        .filter_map(
            |event| if let JobEvent::CutDone { barrier, .. } = event { Some(barrier.time) } else { None },
        )
        .collect();
    assert!(times.len() > 3 && times.is_sorted(), "{times:?}");
}

#[test]
fn it_is_told_which_split_holds_the_watermark_back_and_since_when() {
    let graph = StreamGraph::new();
    let strategy = || WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|n: &i64, _| *n);
    let (ahead, first) = channel(4);
    let (behind, second) = channel(4);
    let both = graph.source("ahead", first, strategy()).union(&graph.source("behind", second, strategy()));
    both.rebalance().map("both", |_| ());
    let began = Instant::now();
    let handle = start(&graph, JobConfig { parallelism: 1, ..JobConfig::new("held") }).unwrap();
    ahead.send(1_000).unwrap();
    behind.send(10).unwrap();
    let find =
        |name: &str| handle.watermarks().into_iter().find(|watermark| &*watermark.operator.name == name);
    // Of a job that has just begun nothing is shown yet.
    let at = |name: &str| find(name).map(|watermark| watermark.watermark);
    while (at("ahead"), at("behind"), at("both")) != (Some(999), Some(9), Some(9)) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", handle.watermarks());
        std::thread::sleep(Duration::from_millis(5));
    }
    // The operator behind both has come as far as the slower one, whose split is named.
    let behind_it = find("behind").unwrap();
    let (split, since) = behind_it.held_back_by.clone().unwrap();
    assert!(!split.is_empty() && since > 0, "{split} since {since}");
    let text = behind_it.to_string();
    assert!(
        text.contains("watermark 9") && text.contains(&format!("held back by {split} since {since}")),
        "{text}"
    );
    behind.send(2_000).unwrap();
    while at("both") != Some(999) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", handle.watermarks());
        std::thread::sleep(Duration::from_millis(5));
    }
    drop((ahead, behind));
    handle.wait().unwrap();
}
