//! What Spark answers, over DStreams: a line of the input is a batch, `key value` with `;` between.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use thalweg::dataflow::runtime::JobEvent;
use thalweg::dataflow::state::StateData;
use thalweg::dataflow::time::{Clock, ManualClock};
use thalweg::prelude::*;

use super::read;

/// How a record is written, as `conformance.py` does.
trait Text {
    fn text(&self) -> String;
}

macro_rules! plain {
    ($($plain:ty),*) => {$(
        impl Text for $plain {
            fn text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

plain!(i64, u64, String);

impl<A: Text, B: Text> Text for (A, B) {
    fn text(&self) -> String {
        format!("({}, {})", self.0.text(), self.1.text())
    }
}

impl<T: Text> Text for Vec<T> {
    fn text(&self) -> String {
        let all: Vec<String> = self.iter().map(Text::text).collect();
        format!("[{}]", all.join(", "))
    }
}

impl<T: Text> Text for Option<T> {
    fn text(&self) -> String {
        self.as_ref().map_or("-".to_owned(), Text::text)
    }
}

/// Of each pipeline its batches, by their times.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<&'static str, Batches>>>);

/// What came, by the time of its batch.
type Batches = BTreeMap<Timestamp, Vec<String>>;

impl Seen {
    fn keep<T: StateData + Text + Debug>(&self, name: &'static str, stream: &DStream<T>) {
        let seen = self.0.clone();
        seen.lock().unwrap().insert(name, BTreeMap::new());
        stream.map(|record| record.text()).foreach_rdd(move |rdd, time| {
            let mut records = rdd.collect();
            records.sort();
            seen.lock().unwrap().entry(name).or_default().insert(time, records);
        });
    }
}

const INTERVAL: Duration = Duration::from_millis(100);

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
}

fn build(ssc: &StreamingContext, batches: &[Vec<(String, i64)>], seen: &Seen) {
    let other = batches.iter().map(|batch| {
        let above = batch.iter().rev().map(|(key, value)| (key.clone(), value + 100));
        above.take(2).collect()
    });
    let (pairs, right) =
        (ssc.queue_stream(batches.to_vec()).uid("pairs"), ssc.queue_stream(other.collect()).uid("right"));
    let (keys, values) = (pairs.map(|(key, _)| key), pairs.map(|(_, value)| value));
    let add = |a: i64, b: i64| a + b;
    let sub = |a: i64, b: i64| a - b;
    let count = |_: &String, new: Vec<i64>, old: Option<i64>| Some(old.unwrap_or(0) + new.len() as i64);
    let until_12 = |_: &String, new: Vec<i64>, old: Option<i64>| {
        let sum = old.unwrap_or(0) + new.iter().sum::<i64>();
        (sum <= 12).then_some(sum)
    };
    let initial = vec![("a".to_owned(), 100_i64), ("z".to_owned(), 7)];
    let (one, two, three) = (INTERVAL, 2 * INTERVAL, 3 * INTERVAL);

    seen.keep("map_filter", &pairs.filter(|(_, value)| value % 2 == 0).map(|(_, value)| value * 10));
    seen.keep("flat_map_values", &pairs.flat_map_values(|value| 0..value % 3));
    seen.keep("count", &pairs.count());
    seen.keep("count_by_value", &keys.count_by_value());
    seen.keep("reduce", &values.reduce(add));
    seen.keep("reduce_by_key", &pairs.reduce_by_key(add));
    seen.keep("group_by_key", &pairs.group_by_key().map_values(sorted));
    seen.keep(
        "combine_by_key",
        &pairs.combine_by_key(|value| (value, 1_i64), |(sum, n), value| (sum + value, n + 1)),
    );
    seen.keep("union", &pairs.union(&right));
    seen.keep("join", &pairs.join(&right));
    seen.keep("left_outer_join", &pairs.left_outer_join(&right));
    seen.keep("right_outer_join", &pairs.right_outer_join(&right));
    seen.keep("full_outer_join", &pairs.full_outer_join(&right));
    seen.keep("cogroup", &pairs.cogroup(&right).map_values(|(left, right)| (sorted(left), sorted(right))));
    let two_greatest = pairs.transform(|rdd, _| {
        let ranked = rdd.sort_by(|(_, value)| *value, false).zip_with_index();
        ranked.filter(|(_, rank)| *rank < 2).map(|(pair, _)| pair)
    });
    seen.keep("transform", &two_greatest);
    let only_left = pairs.transform_with(&right, |left, right, _| {
        let others: Vec<String> = right.collect().into_iter().map(|(key, _)| key).collect();
        left.map(|(key, _)| key).distinct().filter(move |key| !others.contains(key))
    });
    seen.keep("transform_with", &only_left);
    seen.keep("update_state_by_key", &pairs.update_state_by_key(count).uid("count"));
    seen.keep("update_state_ends", &pairs.update_state_by_key(until_12).uid("until-12"));
    seen.keep(
        "update_state_initial",
        &pairs.update_state_by_key_with_initial_state(initial, count).uid("initial"),
    );
    seen.keep("window", &pairs.window(three, one));
    seen.keep("window_sliding_two", &pairs.window(three, two));
    seen.keep("window_tumbling", &pairs.window(two, two));
    seen.keep("count_by_window", &pairs.count_by_window(three, one));
    seen.keep("count_by_value_and_window", &keys.count_by_value_and_window(three, one));
    seen.keep("reduce_by_window", &values.reduce_by_window(add, three, two));
    seen.keep("reduce_by_window_inverse", &values.reduce_by_window(add, three, one));
    seen.keep("reduce_by_key_and_window", &pairs.reduce_by_key_and_window(add, three, one));
    seen.keep(
        "reduce_by_key_and_window_inverse",
        &pairs.reduce_by_key_and_window_with_inverse(add, sub, three, one),
    );
    seen.keep("group_by_key_and_window", &pairs.group_by_key_and_window(two, one).map_values(sorted));
    seen.keep("window_of_window", &pairs.window(two, one).count().window(two, one));
}

/// What differs on purpose: with an inverse, Spark keeps keys that are not in the window any more unless a filter is given.
fn adapted(name: &str, line: &str) -> String {
    match name {
        "reduce_by_key_and_window_inverse" => {
            line.split(" | ").filter(|record| !record.ends_with(", 0)")).collect::<Vec<_>>().join(" | ")
        }
        _ => line.to_owned(),
    }
}

#[test]
fn every_pipeline_gives_what_spark_gives() {
    let input = read("spark.in");
    let record = |text: &str| {
        let (key, value) = text.trim().split_once(' ').unwrap();
        (key.to_owned(), value.parse().unwrap())
    };
    let batch = |line: &str| line.split(';').filter(|text| !text.trim().is_empty()).map(record).collect();
    let batches: Vec<Vec<(String, i64)>> = input.lines().map(batch).collect();
    let (seen, clock) = (Seen::default(), ManualClock::new(0));
    let ssc = StreamingContext::new("conformance", INTERVAL);
    ssc.configure(|config| (config.clock, config.parallelism) = (Clock::Manual(clock.clone()), 1));
    build(&ssc, &batches, &seen);
    // The first batch is the first interval after the start, so time goes on from there.
    let (sender, started) = std::sync::mpsc::sync_channel(1);
    ssc.configure(|config| {
        config.listeners.add(move |event| {
            if matches!(event, JobEvent::Started { .. }) {
                let _ = sender.try_send(());
            }
        });
    });
    ssc.start().unwrap();
    started.recv().unwrap();
    // Each batch is over when the one before is through.
    for batch in 1..=batches.len() as i64 {
        clock.advance(INTERVAL);
        let time = batch * INTERVAL.as_millis() as i64;
        while ssc.progress().is_none_or(|progress| progress.batch_time < time) {
            assert!(
                !ssc.await_termination_or_timeout(Duration::from_millis(1)) || batch == batches.len() as i64
            );
        }
    }
    ssc.stop(true);
    ssc.await_termination().unwrap();
    let seen = seen.0.lock().unwrap();
    let mut wrong = Vec::new();
    for (name, found) in seen.iter() {
        for (index, expected) in read(&format!("{name}.spark.out")).lines().enumerate() {
            let found = found.get(&((index as i64 + 1) * INTERVAL.as_millis() as i64));
            let found = found.map_or("no batch".to_owned(), |records| records.join(" | "));
            let expected = adapted(name, expected);
            if found != expected {
                wrong.push(format!("{name}, batch {}: here {found:?}, Spark has {expected:?}", index + 1));
            }
        }
    }
    assert!(seen.len() >= 30, "{}", seen.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
