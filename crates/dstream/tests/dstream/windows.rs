//! Windows over batches hold what they should, at every batch time that there was, through crashes and
//! restores.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use crate::common::{INTERVAL, Pair, clock, pairs, queue, run_with_crashes};
use thalweg_dataflow::state::StateData;
use thalweg_dstream::{DStream, Rdd};
use thalweg_testkit::{CollectSink, Collected};

/// An operation, the time of a batch of its stream, and the batch, sorted, in words.
type Batch = (String, i64, String);

/// Lengths and slides, in batches.
const EXTENTS: [(i64, i64); 3] = [(4, 1), (3, 2), (2, 3)];

fn in_words<T: Ord + Debug>(mut batch: Vec<T>) -> String {
    batch.sort();
    format!("{batch:?}")
}

fn batches<T: StateData + Ord + Debug>(name: &str, stream: &DStream<T>) -> DStream<Batch> {
    let name = name.to_owned();
    stream
        .transform(move |rdd, time| Rdd::parallelize(vec![(name.clone(), time, in_words(rdd.collect()))], 1))
}

fn sums(records: &[Pair]) -> BTreeMap<u8, i64> {
    let mut sums = BTreeMap::new();
    records.iter().for_each(|(key, value)| *sums.entry(*key).or_insert(0) += value);
    sums
}

/// What there should be at `time`, when the window holds `records`.
fn expected(extent: (i64, i64), time: i64, records: &[Pair]) -> Vec<Batch> {
    let pairs = |map: BTreeMap<u8, i64>| in_words(map.into_iter().collect());
    let ones: Vec<Pair> = records.iter().map(|(key, _)| (*key, 1)).collect();
    let mut groups: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
    records.iter().for_each(|(key, value)| groups.entry(*key).or_default().push(*value));
    groups.values_mut().for_each(|values| values.sort());
    let greatest: Vec<i64> = records.iter().map(|(_, value)| *value).max().into_iter().collect();
    let all = [
        ("window", in_words(records.to_vec())),
        ("reduce", in_words(greatest)),
        ("count", in_words(vec![records.len()])),
        ("count by value", pairs(sums(&ones))),
        ("reduce by key", pairs(sums(records))),
        ("reduce by key, with inverse", pairs(sums(records))),
        ("group by key", in_words(groups.into_iter().collect())),
    ];
    all.into_iter().map(|(name, batch)| (format!("{name} {extent:?}"), time, batch)).collect()
}

#[test]
fn every_window_holds_the_batches_of_its_time() {
    let input = pairs(40, 60, 25);
    let (inputs, windows) = (Collected::<(i64, Vec<Pair>)>::default(), Collected::<Batch>::default());
    let clock = clock();
    run_with_crashes(|run| {
        let stream = queue(run, &clock, input.clone());
        let timed = stream.transform(|rdd, time| Rdd::parallelize(vec![(time, rdd.collect())], 1));
        let _ = timed.sink_to(CollectSink::new(inputs.clone())).uid("inputs");
        // Their batches differ in length, so that no union of the face would take them: it is one of the
        // engine.
        let mut all = Vec::new();
        for extent in EXTENTS {
            let [length, slide] =
                [extent.0, extent.1].map(|batches| Duration::from_millis((batches * INTERVAL) as u64));
            let window = stream.window(length, slide);
            assert_eq!(window.slide_duration(), slide);
            let (keys, values) = (stream.map(|(key, _)| key), stream.map(|(_, value)| value));
            let inverse =
                stream.reduce_by_key_and_window_with_inverse(|a, b| a + b, |a, b| a - b, length, slide);
            let groups = stream.group_by_key_and_window(length, slide).map_values(|mut values| {
                values.sort();
                values
            });
            let name = |name: &str| format!("{name} {extent:?}");
            all.extend([
                batches(&name("window"), &window),
                batches(&name("reduce"), &values.reduce_by_window(i64::max, length, slide)),
                batches(&name("count"), &stream.count_by_window(length, slide)),
                batches(&name("count by value"), &keys.count_by_value_and_window(length, slide)),
                batches(
                    &name("reduce by key"),
                    &stream.reduce_by_key_and_window(|a, b| a + b, length, slide),
                ),
                batches(&name("reduce by key, with inverse"), &inverse),
                batches(&name("group by key"), &groups),
            ]);
        }
        let all = all.iter().map(|batches| batches.stream().clone()).reduce(|a, b| a.union(&b)).unwrap();
        let _ = all.apply("windows", CollectSink::new(windows.clone()));
    });
    let mut inputs = inputs.take();
    inputs.sort();
    let read: usize = inputs.iter().map(|(_, batch)| batch.len()).sum();
    assert_eq!((inputs.len(), read), (41, 40 * 60), "each batch once, and the empty one at the end");
    let end = inputs.last().unwrap().0;
    let mut all = Vec::new();
    for (length, slide) in EXTENTS {
        for (time, _) in inputs.iter().filter(|(time, _)| time % (slide * INTERVAL) == 0 || *time == end) {
            let within = inputs.iter().filter(|(at, _)| *at > time - length * INTERVAL && at <= time);
            let records: Vec<Pair> = within.flat_map(|(_, batch)| batch).copied().collect();
            all.extend(expected((length, slide), *time, &records));
        }
    }
    let mut windows = windows.take();
    windows.sort();
    all.sort();
    for (found, expected) in windows.iter().zip(&all) {
        assert_eq!(found, expected);
    }
    assert_eq!(windows.len(), all.len());
}
