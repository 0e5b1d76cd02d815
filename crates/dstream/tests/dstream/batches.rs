//! Operations of one batch, and state over batches: right, whatever the parallelism, and after crashes and
//! restores.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use std::time::Duration;

use crate::common::{INTERVAL, Pair, clock, pairs, queue};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operators::{State, StateSpec};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::runtime::{CheckpointConfig, Job, JobConfig, RestartStrategy};
use thalweg_dataflow::source::RddQueue;
use thalweg_dstream::{DStream, Rdd, StreamingContext};
use thalweg_testkit::{CollectSink, Collected, CrashPoint, Pipeline, Run};

/// What an operation gave, in words: so that the results of several are one stream.
fn line(operation: &str, result: impl Debug) -> String {
    format!("{operation}: {result:?}")
}

fn lines<T: Data + Debug>(operation: &'static str, results: &DStream<T>) -> DStream<String> {
    results.map(move |result| line(operation, result))
}

fn union(streams: Vec<DStream<String>>) -> Stream<String> {
    streams.into_iter().reduce(|a, b| a.union(&b)).unwrap().stream().clone()
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
}

/// The batches, and the empty one at their end.
fn and_empty(batches: &[Vec<Pair>]) -> impl Iterator<Item = &[Pair]> {
    batches.iter().map(Vec::as_slice).chain([[].as_slice()])
}

fn groups(batch: &[Pair]) -> BTreeMap<u8, Vec<i64>> {
    let mut groups: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
    batch.iter().for_each(|(key, value)| groups.entry(*key).or_default().push(*value));
    groups.into_iter().map(|(key, values)| (key, sorted(values))).collect()
}

/// Compares a pipeline with what is expected of it, then runs it in every way.
fn check(name: &str, expected: Vec<String>, build: impl Fn(&Run) -> Stream<String>) {
    let pipeline = Pipeline::new(name, build);
    assert_eq!(pipeline.output(), sorted(expected));
    pipeline.check();
}

#[test]
fn what_is_reduced_and_grouped() {
    let batches = pairs(32, 240, 40);
    let mut expected = Vec::new();
    for batch in and_empty(&batches) {
        expected.push(line("count", batch.len()));
        expected.extend(batch.iter().map(|(_, value)| *value).max().map(|max| line("reduce", max)));
        for (key, values) in groups(batch) {
            expected.push(line("reduce_by_key", (key, values.iter().sum::<i64>())));
            expected.push(line("group_by_key", (key, &values)));
            expected.push(line("count_by_value", (key, values.len())));
            let even = values.iter().filter(|value| *value % 2 == 0);
            expected.extend(even.map(|value| line("values", (key, value / 2))));
        }
    }
    check("reduced and grouped", expected, |run| {
        let stream = queue(run, &clock(), batches.clone());
        let halves = |value| if value % 2 == 0 { Some(value / 2) } else { None };
        union(vec![
            lines("count", &stream.count()),
            lines("reduce", &stream.map(|(_, value)| value).reduce(i64::max)),
            lines("reduce_by_key", &stream.reduce_by_key(|a, b| a + b)),
            lines("group_by_key", &stream.group_by_key().map_values(sorted)),
            lines("count_by_value", &stream.map(|(key, _)| key).count_by_value()),
            lines("values", &stream.flat_map_values(halves)),
        ])
    });
}

#[test]
fn state_of_keys_comes_begins_and_ends() {
    let batches = pairs(32, 240, 60);
    // The number of values of each key, until there are seventy: then it is counted anew.
    let update = |key: &u8, new: Vec<i64>, count: Option<usize>| {
        let count = count.unwrap_or(usize::from(*key)) + new.len();
        Some(count).filter(|count| *count < 70)
    };
    let (mut state, mut expected) = (BTreeMap::new(), Vec::new());
    for batch in and_empty(&batches) {
        let mut new = groups(batch);
        let keys: BTreeSet<u8> = state.keys().chain(new.keys()).copied().collect();
        for key in keys {
            let count = update(&key, new.remove(&key).unwrap_or_default(), state.remove(&key));
            count.map(|count| state.insert(key, count));
        }
        expected.extend(state.iter().map(|(key, count)| line("state", (key, count))));
    }
    check("state", expected, |run| {
        let stream = queue(run, &clock(), batches.clone());
        union(vec![lines("state", &stream.update_state_by_key(update))])
    });
}

#[test]
fn state_that_is_given_and_times_out() {
    // Each key is there in some batches, and then not for several.
    let is_there = |batch: usize, (key, _): &Pair| (batch / 4 + usize::from(*key)).is_multiple_of(3);
    let mut batches = pairs(36, 240, 60);
    for (number, batch) in batches.iter_mut().enumerate() {
        // As many records in every batch; key 200 stands for those that are not there.
        batch.iter_mut().filter(|pair| !is_there(number, pair)).for_each(|pair| pair.0 = 200);
    }
    let initial = groups(&batches[0]).into_keys().filter(|key| *key < 200);
    let initial: Vec<(u8, i64)> = initial.map(|key| (key, 1_000_000 + i64::from(key))).collect();
    let timeout = 3 * INTERVAL;
    let (mut state, mut expected) = (BTreeMap::<u8, (i64, i64)>::new(), Vec::new());
    state.extend(initial.iter().map(|(key, count)| (*key, (*count, INTERVAL))));
    for (number, batch) in and_empty(&batches).enumerate() {
        let now = (number as i64 + 1) * INTERVAL;
        for (key, values) in groups(batch) {
            let (count, _) = state.get(&key).copied().unwrap_or_default();
            expected.extend((1..=values.len()).map(|n| line("mapped", (key, count + n as i64, false))));
            state.insert(key, (count + values.len() as i64, now));
        }
        let over: Vec<u8> =
            state.iter().filter(|(_, (_, last))| now - last > timeout).map(|(key, _)| *key).collect();
        for key in over {
            let (count, _) = state.remove(&key).unwrap();
            expected.push(line("mapped", (key, count, true)));
        }
        expected.extend(state.iter().map(|(key, (count, _))| line("kept", (key, count))));
    }
    check("map_with_state", expected, |run| {
        let stream = queue(run, &clock(), batches.clone());
        let count = StateSpec::function(|key: &u8, value: Option<i64>, state: &mut State<'_, i64>| {
            let count = state.get_option().unwrap_or(0) + i64::from(value.is_some());
            if !state.is_timing_out() {
                state.update(count);
            }
            Some((*key, count, state.is_timing_out()))
        });
        let count =
            count.initial_state(initial.clone()).timeout(Duration::from_millis(timeout.unsigned_abs()));
        let mapped = stream.map_with_state(count);
        union(vec![lines("mapped", &mapped.mapped()), lines("kept", &mapped.state_snapshots())])
    });
}

/// A queue keeps nothing, as Spark's: what was taken and not committed before a crash is lost, and nothing else; and the state of before goes on.
#[test]
fn a_queue_that_is_fed_goes_on_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let restart = RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO };
    let checkpoint =
        CheckpointConfig::new(Duration::from_millis(5), CheckpointStorage::local(folder.path()).unwrap());
    let config = JobConfig {
        parallelism: 2,
        checkpoint: Some(checkpoint),
        restart: Some(restart),
        ..JobConfig::new("fed")
    };
    let (job, crash) = (Job::new(config), CrashPoint::after(3, 100));
    let ssc = StreamingContext::over(job, Duration::from_millis(5));
    let queue = RddQueue::new();
    let stream = ssc.stream(crash.on(ssc.queue_stream_from(&queue, true, Vec::new()).stream()));
    let counts =
        stream.map(|n: i64| (n % 2, n)).update_state_by_key(|_, new, count: Option<(usize, i64)>| {
            let (known, newest) = count.unwrap_or_default();
            Some((known + new.len(), new.into_iter().max().unwrap_or(0).max(newest)))
        });
    let collected = Collected::default();
    let _ = counts.stream().apply("collect", CollectSink::new(collected.clone())).uid("collected");
    ssc.start().unwrap();
    for batch in 0..200 {
        queue.push((batch * 10..batch * 10 + 10).collect());
        std::thread::sleep(Duration::from_millis(1));
    }
    queue.close();
    ssc.await_termination().unwrap();
    assert!(crash.is_over());
    let found: Vec<(i64, (usize, i64))> = collected.take();
    for rest in [0, 1] {
        let (known, newest) =
            found.iter().filter(|(key, _)| *key == rest).map(|(_, count)| *count).max().unwrap();
        assert_eq!(newest, 1998 + rest, "what came after the crash was read");
        assert!(known <= 1000, "{known}: nothing is counted twice");
        // At the most what was on its way in a few batches is lost.
        assert!(known >= 700, "{known}: more is lost than was on its way");
    }
}

/// Pairs whose value is odd, and others, without some keys each.
fn side(odd: bool) -> impl Fn(&Pair) -> bool + Clone + Send + 'static {
    move |(key, value)| (value % 2 == 1) == odd && (key % 5 == 0) <= odd && (key % 7 == 0) <= !odd
}

fn or_none(values: &[i64]) -> Vec<Option<i64>> {
    if values.is_empty() { vec![None] } else { values.iter().copied().map(Some).collect() }
}

#[test]
fn what_two_streams_have_in_common_and_what_not() {
    let batches = pairs(32, 240, 97);
    let mut expected = Vec::new();
    for batch in &batches {
        let of = |odd| groups(&batch.iter().copied().filter(side(odd)).collect::<Vec<_>>());
        let (mut left, mut right) = (of(true), of(false));
        let keys: BTreeSet<u8> = left.keys().chain(right.keys()).copied().collect();
        for key in keys {
            let (left, right) =
                (left.remove(&key).unwrap_or_default(), right.remove(&key).unwrap_or_default());
            expected.push(line("cogroup", (key, (&left, &right))));
            for a in or_none(&left) {
                for b in or_none(&right) {
                    expected.push(line("full", (key, (a, b))));
                    expected.extend(a.map(|a| line("left", (key, (a, b)))));
                    expected.extend(b.map(|b| line("right", (key, (a, b)))));
                    expected.extend(a.zip(b).map(|both| line("join", (key, both))));
                }
            }
        }
    }
    check("joins", expected, |run| {
        let stream = queue(run, &clock(), batches.clone());
        let (left, right) = (stream.filter(side(true)), stream.filter(side(false)));
        let cogroup = left.cogroup(&right).map_values(|(left, right)| (sorted(left), sorted(right)));
        union(vec![
            lines("cogroup", &cogroup),
            lines("join", &left.join(&right)),
            lines("left", &left.left_outer_join(&right)),
            lines("right", &left.right_outer_join(&right)),
            lines("full", &left.full_outer_join(&right)),
        ])
    });
}

#[test]
fn whole_batches_are_transformed() {
    let batches = pairs(32, 240, 40);
    let mut expected = Vec::new();
    for batch in and_empty(&batches) {
        let descending = sorted(batch.to_vec()).into_iter().rev();
        expected.extend(descending.take(3).enumerate().map(|(rank, pair)| line("top", (rank, pair))));
        let keys = groups(batch).len();
        expected.push(line("sizes", (batch.len(), keys)));
    }
    check("transform", expected, |run| {
        let stream = queue(run, &clock(), batches.clone());
        let top = stream.transform(|rdd, time| {
            assert_eq!(time % INTERVAL, 0);
            let ranked = rdd.sort_by(|pair| *pair, false).zip_with_index().map(|(pair, rank)| (rank, pair));
            ranked.filter(|(rank, _)| *rank < 3)
        });
        let keys = stream.map(|(key, _)| key);
        let sizes = stream.transform_with(&keys, |pairs, keys: Rdd<u8>, _| {
            Rdd::parallelize(vec![(pairs.count(), keys.distinct().count())], 1)
        });
        union(vec![lines("top", &top), lines("sizes", &sizes)])
    });
}
