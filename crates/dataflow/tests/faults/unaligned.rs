//! Barriers that overtake records: how soon they are through, and that what was under way comes back, once, at any parallelism.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::faucet::Faucet;
use super::pace::Each;
use proptest::prelude::*;
use thalweg_dataflow::OutputTag;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::{Either, Stream, StreamGraph};
use thalweg_dataflow::operators::{Collect, Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobHandle, RestartStrategy, run, start};
use thalweg_dataflow::source::{CollectionSource, DataGeneratorSource};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_dataflow::window::aggregate::Count;
use thalweg_dataflow::window::{Lateness, TimeWindow, TumblingEventTimeWindows, WindowAssigner};
use thalweg_testkit::{CollectSink, Collected, Pipeline};

/// Lets slow operators work on a record each time it is told to; on all when nobody is there any more to tell them.
#[derive(Clone)]
struct Permits(Weak<AtomicU64>);

impl Permits {
    fn new() -> (Arc<AtomicU64>, Self) {
        let permits = Arc::new(AtomicU64::new(0));
        (permits.clone(), Self(Arc::downgrade(&permits)))
    }

    fn take(&self) {
        while let Some(permits) = self.0.upgrade() {
            if permits.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return;
            }
            drop(permits);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Lets records be worked on, one after the other, until a checkpoint after this one is through.
fn give_until_checkpoint(give: &AtomicU64, after: u64, handle: &JobHandle) {
    // A record takes long, as the operator is to find out.
    std::thread::sleep(Duration::from_millis(100));
    let is_there = || handle.progress().committed_epoch > after;
    wait_for("a checkpoint", || {
        give.store(1, SeqCst);
        // To be through it needs one of each subtask, and some time to be written.
        let given = Instant::now();
        while !is_there() && given.elapsed() < Duration::from_millis(200) {
            std::thread::sleep(Duration::from_millis(2));
        }
        is_there()
    });
    give.store(0, SeqCst);
}

fn config(folder: &std::path::Path, parallelism: usize, unaligned_after: Option<Duration>) -> JobConfig {
    let storage = CheckpointStorage::local(folder).unwrap();
    let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(20), storage));
    let restart = Some(RestartStrategy::None);
    JobConfig { checkpoint, unaligned_after, parallelism, restart, ..JobConfig::new("unaligned") }
}

const NUMBERS: u64 = 40;

/// Numbers, evenly or by key to an operator that wants a permit for each of them. What waits for more does not end.
fn slow(permits: &Permits, by_key: bool, waits: bool, collected: &Collected<u64>) -> StreamGraph {
    slow_of(NUMBERS, permits, by_key, waits, collected)
}

/// The same of the first of them.
fn slow_of(
    released: u64,
    permits: &Permits,
    by_key: bool,
    waits: bool,
    collected: &Collected<u64>,
) -> StreamGraph {
    let graph = StreamGraph::new();
    let faucet = Faucet::new(NUMBERS);
    faucet.release(released);
    let faucet = if waits { faucet.waiting() } else { faucet };
    let numbers = graph.source("numbers", faucet, WatermarkStrategy::no_watermarks());
    let permits = permits.clone();
    let slow: Stream<u64> = if by_key {
        let keyed = numbers.map("key", |n| Keyed::new(n % 4, n)).exchange().unaligned();
        keyed.map("slow", move |keyed| {
            permits.take();
            keyed.value
        })
    } else {
        numbers.rebalance().unaligned().map("slow", move |n| {
            permits.take();
            n
        })
    };
    let _ = slow.apply("collect", CollectSink::new(collected.clone())).uid("collect");
    graph
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_there() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn worked_on(handle: &JobHandle) -> u64 {
    handle.metrics().sum("slow", |slow| slow.records_in.get())
}

fn read(handle: &JobHandle) -> u64 {
    handle.metrics().sum("numbers", |numbers| numbers.records_out.get())
}

#[test]
fn a_barrier_is_through_when_the_record_at_hand_is_and_what_it_has_overtaken_comes_back() {
    for (by_key, parallelisms) in [(false, [1, 3]), (true, [3, 2]), (true, [1, 1])] {
        let (folder, collected) = (tempfile::tempdir().unwrap(), Collected::default());
        let (give, permits) = Permits::new();
        let graph = slow(&permits, by_key, true, &collected);
        let handle = start(&graph, config(folder.path(), parallelisms[0], Some(Duration::ZERO))).unwrap();
        // All have been read, and some of them wait in front of the operator, which works on the first.
        wait_for("the source reads on", || read(&handle) == NUMBERS && worked_on(&handle) > 0);
        give_until_checkpoint(&give, 0, &handle);
        let few = worked_on(&handle);
        assert!(few < NUMBERS / 2, "{few} records have been worked on");
        give_until_checkpoint(&give, handle.progress().committed_epoch, &handle);
        handle.cancel();
        drop(give);
        let _ = handle.wait();
        // Crashed; what was under way is nowhere but in the checkpoint.
        let graph = slow(&permits, by_key, false, &collected);
        let result = run(&graph, config(folder.path(), parallelisms[1], Some(Duration::ZERO))).unwrap();
        assert_eq!(
            result.metrics.sum("numbers", |numbers| numbers.records_out.get()),
            0,
            "all had been read"
        );
        let mut all = collected.take();
        all.sort_unstable();
        assert_eq!(all, (0..NUMBERS).collect::<Vec<_>>(), "by key: {by_key}, at {parallelisms:?}");
    }
}

#[test]
fn what_has_been_in_a_checkpoint_before_goes_before_what_came_later() {
    let (folder, collected) = (tempfile::tempdir().unwrap(), Collected::default());
    for (parallelism, released) in [(1, NUMBERS / 2), (2, NUMBERS)] {
        let (give, permits) = Permits::new();
        let graph = slow_of(released, &permits, true, true, &collected);
        let handle = start(&graph, config(folder.path(), parallelism, Some(Duration::ZERO))).unwrap();
        wait_for("the rest is read", || read(&handle) == NUMBERS / 2 && worked_on(&handle) > 0);
        // The first may have been begun before all was read; the second is of all of it.
        give_until_checkpoint(&give, handle.progress().committed_epoch, &handle);
        give_until_checkpoint(&give, handle.progress().committed_epoch, &handle);
        let done = worked_on(&handle);
        assert!(done < NUMBERS / 2 - 4, "{done} were worked on: what was under way before is to be so still");
        handle.cancel();
        drop(give);
        let _ = handle.wait();
    }
    let (give, permits) = Permits::new();
    drop(give);
    run(&slow(&permits, true, false, &collected), config(folder.path(), 1, Some(Duration::ZERO))).unwrap();
    let all = collected.take();
    for key in 0..4 {
        let of_key: Vec<u64> = all.iter().copied().filter(|n| n % 4 == key).collect();
        assert_eq!(of_key, (0..NUMBERS).filter(|n| n % 4 == key).collect::<Vec<_>>());
    }
}

#[test]
fn what_was_under_way_is_restored_by_a_job_with_aligned_checkpoints_and_refused_where_its_edge_is_gone() {
    let (folder, collected) = (tempfile::tempdir().unwrap(), Collected::default());
    let (give, permits) = Permits::new();
    let handle =
        start(&slow(&permits, true, true, &collected), config(folder.path(), 2, Some(Duration::ZERO)))
            .unwrap();
    wait_for("the source reads on", || read(&handle) == NUMBERS && worked_on(&handle) > 0);
    give_until_checkpoint(&give, 0, &handle);
    handle.cancel();
    drop(give);
    let _ = handle.wait();
    // The same operator, but what is under way to it is not kept in checkpoints any more: it must not be lost silently.
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", Faucet::new(NUMBERS), WatermarkStrategy::no_watermarks());
    let keyed = numbers.map("key", |n| Keyed::new(n % 4, n)).exchange();
    let _ = keyed
        .map("slow", |keyed| keyed.value)
        .apply("collect", CollectSink::new(collected.clone()))
        .uid("collect");
    let error = run(&graph, config(folder.path(), 2, None)).unwrap_err().to_string();
    assert!(
        error.contains("records under way") && error.contains("no operator of the job claims"),
        "{error}"
    );
    run(&slow(&permits, true, false, &collected), config(folder.path(), 2, None)).unwrap();
    let mut all = collected.take();
    all.sort_unstable();
    assert_eq!(all, (0..NUMBERS).collect::<Vec<_>>());
}

#[test]
fn a_barrier_overtakes_only_after_its_time_and_a_savepoint_never_does() {
    let (folder, collected) = (tempfile::tempdir().unwrap(), Collected::default());
    let (give, permits) = Permits::new();
    let graph = slow(&permits, false, true, &collected);
    let handle = start(&graph, config(folder.path(), 1, Some(Duration::from_secs(3600)))).unwrap();
    wait_for("the source reads on", || read(&handle) == NUMBERS && worked_on(&handle) > 0);
    give.store(1, SeqCst);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(handle.progress().committed_epoch, 0, "it waits for its turn");
    drop(give);
    handle.stop();
    handle.wait().unwrap();
    assert_eq!(collected.len(), NUMBERS as usize);

    let (folder, target, collected) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Collected::default());
    let (give, permits) = Permits::new();
    let graph = slow(&permits, true, true, &collected);
    let handle = start(&graph, config(folder.path(), 2, Some(Duration::ZERO))).unwrap();
    wait_for("the source reads on", || read(&handle) == NUMBERS && worked_on(&handle) > 0);
    let savepoint = std::thread::scope(|scope| {
        let storage = CheckpointStorage::local(target.path()).unwrap();
        let savepoint = scope.spawn(|| handle.savepoint(storage));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!savepoint.is_finished(), "there are still records before it");
        give.store(NUMBERS, SeqCst);
        savepoint.join().unwrap()
    });
    savepoint.unwrap();
    handle.stop();
    handle.wait().unwrap();
    assert_eq!(collected.len(), NUMBERS as usize);
}

#[test]
fn what_was_late_among_overtaken_records_is_late_after_a_restore() {
    let (folder, late) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(0)));
    let job = |permits: &Permits| {
        let graph = StreamGraph::new();
        // 3 comes behind the watermark of 12, by which the window of 5 is over.
        let source = DataGeneratorSource::new(
            |n: u64| [5, 12, 3].get(n as usize).copied().unwrap_or(100 + n as i64),
            10_000,
        );
        let strategy = WatermarkStrategy::for_generator(Each).with_timestamp_assigner(|n: &i64, _| *n);
        let numbers = graph.source("numbers", source, strategy);
        let keyed = numbers.map("key", |n| Keyed::new((), n)).exchange().unaligned();
        let permits = permits.clone();
        let slow = keyed.map("slow", move |keyed| {
            permits.take();
            keyed
        });
        let windows = TumblingEventTimeWindows::of(Duration::from_millis(10));
        let tag = OutputTag::<i64>::new("late");
        let lateness = Lateness { allowed: 0, tag: Some(tag.clone()) };
        let collect = |(): &(), _: TimeWindow, _: u64, _: &mut Collect<'_, ()>| Ok(());
        let windowed = windows.apply(&slow, "windows", lateness, Count::new(), collect);
        let late = late.clone();
        windowed.side_output(&tag).map("late", move |n| {
            late.fetch_or(1 << n, SeqCst);
        });
        graph
    };
    let (give, permits) = Permits::new();
    let handle = start(&job(&permits), config(folder.path(), 1, Some(Duration::ZERO))).unwrap();
    wait_for("the first is worked on", || worked_on(&handle) > 0);
    give_until_checkpoint(&give, 0, &handle);
    assert!(worked_on(&handle) <= 2, "the third is to be under way");
    handle.cancel();
    drop(give);
    let _ = handle.wait();
    late.store(0, SeqCst);
    run(&job(&permits), config(folder.path(), 1, Some(Duration::ZERO))).unwrap();
    assert_eq!(late.load(SeqCst), 1 << 3);
}

#[test]
fn however_many_barriers_overtake_records_there_are_not_more_and_more_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let graph = StreamGraph::new();
    let endless = DataGeneratorSource::new(|n: u64| n, u64::MAX);
    let numbers = graph.source("numbers", endless, WatermarkStrategy::no_watermarks());
    let keyed = numbers.map("key", |n| Keyed::new(n % 4, n)).exchange().unaligned();
    keyed.map("slow", |_| std::thread::sleep(Duration::from_millis(30)));
    let handle = start(&graph, config(folder.path(), 1, Some(Duration::ZERO))).unwrap();
    let under_way = || read(&handle) - worked_on(&handle);
    wait_for("some checkpoints", || handle.progress().committed_epoch >= 5);
    let early = under_way();
    wait_for("many checkpoints", || handle.progress().committed_epoch >= 30);
    let late = under_way();
    handle.cancel();
    let _ = handle.wait();
    assert!(late <= early + 10, "{early} were under way, and then {late}");
}

#[test]
fn a_job_with_batches_is_refused_and_so_is_a_forwarded_stream() {
    let folder = tempfile::tempdir().unwrap();
    let graph = StreamGraph::new();
    graph.batch_interval(100);
    let source = CollectionSource::new(vec![1_i64]);
    graph.source("numbers", source, WatermarkStrategy::no_watermarks()).map("see", |_| ());
    let error = run(&graph, config(folder.path(), 1, Some(Duration::ZERO))).unwrap_err().to_string();
    assert!(error.contains("unaligned checkpoints in a job with batches"), "{error}");
    let graph = StreamGraph::new();
    let source = CollectionSource::new(vec![1_i64]);
    graph.source("numbers", source, WatermarkStrategy::no_watermarks()).unaligned().map("see", |_| ());
    let error = run(&graph, config(folder.path(), 1, None)).unwrap_err().to_string();
    assert!(error.contains("forwarded or broadcast"), "{error}");
}

#[test]
fn windows_and_sums_behind_overtaken_records_are_those_of_a_run_without_checkpoints() {
    Pipeline::new("windows", |run| {
        let items = (0..120_000_i64).map(|n| (n, n / 7 - (n % 5) * 3)).collect();
        let strategy = WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_millis(20));
        let numbers = run.job.graph().source("numbers", CollectionSource::with_timestamps(items), strategy);
        let keyed = run.crash.on(&numbers).map("key", |n| Keyed::new(n % 50, n)).exchange().unaligned();
        let windows = TumblingEventTimeWindows::of(Duration::from_millis(100));
        let collect = |key: &i64, window: TimeWindow, n: u64, out: &mut Collect<'_, (i64, i64, u64)>| {
            out.collect((window.start, *key, n));
            Ok(())
        };
        windows.apply(&keyed, "windows", Lateness::default(), Count::new(), collect)
    })
    .check();
    Pipeline::new("two inputs", |run| {
        let graph = run.job.graph();
        let source = |name: &str, items: Vec<i64>| {
            graph.source(name, CollectionSource::new(items), WatermarkStrategy::no_watermarks())
        };
        let left =
            run.crash.on(&source("left", (0..100_000).collect())).map("key", |n| Keyed::new(n % 30, n));
        let right = source("right", (0..1000).collect()).map("key too", |n| Keyed::new(n % 30, n));
        let both = left.either(&right).exchange().unaligned();
        let one = |keyed: Either<Keyed<i64, i64>, Keyed<i64, i64>>| match keyed {
            Either::Left(keyed) => Keyed::new(keyed.key, 1_i64),
            Either::Right(keyed) => Keyed::new(keyed.key, 1_000_000),
        };
        let ones = both.map("one", one).exchange().unaligned();
        ones.apply("sum", Reduce::new(|a, b| a + b, |key: &i64, sum: &i64| (*key, *sum), Emit::AtEnd))
    })
    .check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever is under way when it crashes, and at whatever parallelism it goes on: each number once, and those of a key in their order.
    #[test]
    fn nothing_is_lost_doubled_or_put_out_of_order(
        permits_before in 1_u64..20,
        parallelisms in proptest::collection::vec(1_usize..5, 3),
    ) {
        let (folder, collected) = (tempfile::tempdir().unwrap(), Collected::default());
        for (run, parallelism) in parallelisms.iter().enumerate() {
            let (give, permits) = Permits::new();
            let is_last = run + 1 == parallelisms.len();
            let graph = slow(&permits, true, !is_last, &collected);
            let handle = start(&graph, config(folder.path(), *parallelism, Some(Duration::from_millis(1)))).unwrap();
            give.store(permits_before, SeqCst);
            if !is_last {
                let restored = handle.progress().committed_epoch;
                let begun = Instant::now();
                while handle.progress().committed_epoch <= restored && begun.elapsed() < Duration::from_millis(200) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                handle.cancel();
                drop(give);
                let _ = handle.wait();
            } else {
                drop(give);
                handle.wait().unwrap();
            }
        }
        let all = collected.take();
        for key in 0..4 {
            let of_key: Vec<u64> = all.iter().copied().filter(|n| n % 4 == key).collect();
            prop_assert_eq!(of_key, (0..NUMBERS).filter(|n| n % 4 == key).collect::<Vec<_>>());
        }
    }
}
