//! Crashed and restored at other parallelisms: windows with triggers and evictors, `co_group`, patterns, broadcast state, requests that are made again,
//! state in a closure. Each against a plain computation, as far as there is a short one.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::CollectionSource;
use thalweg_dataflow::state::{States, ValueState};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_datastream::cep::{AfterMatchSkipStrategy, Cep, Pattern};
use thalweg_datastream::evictor::TimeEvictor;
use thalweg_datastream::trigger::DeltaTrigger;
use thalweg_datastream::{
    AsyncDataStream, AsyncRetryStrategy, BroadcastContextOf, BroadcastState, DataStream, GlobalWindows,
    KeyedBroadcastProcessFunction, OnTimer, ProcessContext, StreamExecutionEnvironment,
    TumblingEventTimeWindows,
};
use thalweg_testkit::{Pipeline, Run};

const RECORDS: i64 = 120_000;

/// Sensor, value, time.
type Reading = (u8, i64, i64);

/// Readings of 50 sensors. Times jump about by less than 40 ms.
fn readings() -> Vec<Reading> {
    (0..RECORDS).map(|i| ((i * 7 % 50) as u8, i * 31 % 1000, i / 20 + (i * 13) % 40)).collect()
}

fn of_each_sensor() -> BTreeMap<u8, Vec<Reading>> {
    let mut all: BTreeMap<u8, Vec<Reading>> = BTreeMap::new();
    readings().into_iter().for_each(|reading| all.entry(reading.0).or_default().push(reading));
    all
}

fn source(run: &Run) -> DataStream<Reading> {
    let strategy = WatermarkStrategy::for_bounded_out_of_orderness(ms(40))
        .with_timestamp_assigner(|reading: &Reading, _| reading.2);
    let env = StreamExecutionEnvironment::over(run.job.clone());
    let read = env.from_source(CollectionSource::new(readings()), strategy, "readings");
    DataStream::over(env, run.crash.on(read.stream()))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn check<T: thalweg_dataflow::state::StateData + Ord + std::fmt::Debug>(
    pipeline: &Pipeline<impl Fn(&Run) -> thalweg_dataflow::graph::Stream<T>>,
    mut expected: Vec<T>,
) {
    expected.sort();
    assert_eq!(pipeline.output(), expected);
    pipeline.check();
}

#[test]
fn count_windows_that_slide() {
    let pipeline = Pipeline::new("count windows", |run| {
        let windows = source(run).key_by(|reading| reading.0).count_window_sliding(5, 3);
        let sums = windows.process(|key, _, last, out| {
            out.collect((*key, last.iter().map(|reading| reading.1).sum::<i64>()));
        });
        sums.stream().clone()
    });
    let sums = |(sensor, all): (u8, Vec<Reading>)| {
        let ends: Vec<usize> = (3..=all.len()).step_by(3).collect();
        let sum = |end: usize| all[end.saturating_sub(5)..end].iter().map(|reading| reading.1).sum::<i64>();
        ends.into_iter().map(|end| (sensor, sum(end))).collect::<Vec<_>>()
    };
    check(&pipeline, of_each_sensor().into_iter().flat_map(sums).collect());
}

#[test]
fn a_trigger_by_difference_with_an_evictor_by_time() {
    let pipeline = Pipeline::new("delta trigger", |run| {
        let by_value = DeltaTrigger::of(700.0, |old: &Reading, new: &Reading| (new.1 - old.1).abs() as f64);
        let windows = source(run).key_by(|reading| reading.0).window(GlobalWindows).trigger(by_value);
        let seen = windows.evictor(TimeEvictor::of(ms(300))).process(|key, _, last, out| {
            out.collect((*key, last.len(), last.iter().map(|reading| reading.1).sum::<i64>()));
        });
        seen.stream().clone()
    });
    let mut expected = Vec::new();
    for (sensor, all) in of_each_sensor() {
        let (mut base, mut kept): (Option<i64>, Vec<Reading>) = (None, Vec::new());
        for reading in all {
            kept.push(reading);
            let Some(before) = base else {
                base = Some(reading.1);
                continue;
            };
            if (reading.1 - before).abs() > 700 {
                base = Some(reading.1);
                let newest = kept.iter().map(|reading| reading.2).max().unwrap();
                kept.retain(|reading| reading.2 > newest - 300);
                expected.push((sensor, kept.len(), kept.iter().map(|reading| reading.1).sum::<i64>()));
            }
        }
    }
    check(&pipeline, expected);
}

#[test]
fn both_sides_of_a_window() {
    let pipeline = Pipeline::new("co-group", |run| {
        let all = source(run);
        let (left, right) =
            (all.filter(|reading| reading.1 % 3 == 0), all.filter(|reading| reading.1 % 5 == 0));
        let both = left.co_group(&right).where_(|reading| reading.0).equal_to(|reading| reading.0);
        let both = both.window(TumblingEventTimeWindows::of(ms(50)));
        let sums = both.co_group(|key, window, left, right, out| {
            let sum = |side: &[Reading]| side.iter().map(|reading| reading.1).sum::<i64>();
            out.collect((*key, window.start, left.len(), right.len(), sum(&left) - sum(&right)));
        });
        sums.stream().clone()
    });
    let mut windows: BTreeMap<(u8, i64), (usize, usize, i64)> = BTreeMap::new();
    for (sensor, value, time) in readings() {
        if value % 3 == 0 || value % 5 == 0 {
            let (left, right, sum) = windows.entry((sensor, time - time % 50)).or_default();
            *left += usize::from(value % 3 == 0);
            *right += usize::from(value % 5 == 0);
            *sum += value * (i64::from(value % 3 == 0) - i64::from(value % 5 == 0));
        }
    }
    let row = |((sensor, start), (left, right, sum)): ((u8, i64), (usize, usize, i64))| {
        (sensor, start, left, right, sum)
    };
    check(&pipeline, windows.into_iter().map(row).collect());
}

/// The values of a sensor are fifties and the same.
fn digit(reading: &Reading) -> i64 {
    reading.1 / 50 % 10
}

#[test]
fn a_pattern_that_is_greedy_until_something_comes() {
    let pipeline = Pipeline::new("pattern", |run| {
        let some = source(run).filter(|reading| reading.0 < 20).key_by(|reading| reading.0);
        let skip = AfterMatchSkipStrategy::SkipPastLastEvent;
        let pattern = Pattern::begin_with("zero", skip)
            .where_(|reading: &Reading| digit(reading) == 0)
            .followed_by("threes")
            .where_(|reading| digit(reading) % 3 == 0)
            .one_or_more()
            .greedy()
            .until(|reading| digit(reading) == 9)
            .followed_by("end")
            .where_(|reading| digit(reading) == 1)
            .within(ms(400));
        let found = Cep::pattern(&some, &pattern).select(|found| {
            let threes = found.get("threes");
            let (zero, end) = (found.first("zero").unwrap(), found.first("end").unwrap());
            (zero.0, zero.2, zero.1, threes.len(), threes.iter().map(|reading| reading.1).sum::<i64>(), end.1)
        });
        found.stream().clone()
    });
    let found = pipeline.output();
    assert!(found.len() > 500 && found.iter().any(|found| found.3 > 1), "{} matches", found.len());
    assert!(found.iter().all(|found| found.2 / 50 % 10 == 0 && found.5 / 50 % 10 == 1));
    pipeline.check();
}

/// At the end of event time, of each sensor the number of its readings, and the sum of all rules.
#[derive(Clone, Default)]
struct Ruled(ValueState<u8, u64>);

impl KeyedBroadcastProcessFunction for Ruled {
    type Key = u8;
    type In = Reading;
    type Broadcast = i64;
    type StateKey = i64;
    type StateValue = i64;
    type Out = (u8, u64, usize, i64);

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("count", &mut self.0);
    }

    fn process_element(
        &mut self,
        _: Reading,
        _: &BroadcastState<i64, i64>,
        context: &mut BroadcastContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        let count = self.0.value(context).copied().unwrap_or(0);
        self.0.update(context, count + 1);
        context.register_event_time_timer(i64::MAX - 1);
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        rule: i64,
        rules: &mut BroadcastState<i64, i64>,
        _: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError> {
        // Rules of the same number take each other's place; every seventh is taken back by the next of its number.
        if rule % 7 == 0 {
            rules.remove(&(rule % 100));
        } else {
            rules.put(rule % 100, rule);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _: OnTimer,
        rules: &BroadcastState<i64, i64>,
        context: &mut BroadcastContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        let count = self.0.value(context).copied().unwrap_or(0);
        let sum = rules.entries().map(|(_, rule)| rule).sum();
        context.collect((*context.key(), count, rules.entries().count(), sum));
        Ok(())
    }
}

#[test]
fn rules_beside_a_keyed_stream() {
    let rules = || 0..20_000_i64;
    let pipeline = Pipeline::new("broadcast state", |run| {
        let readings = source(run);
        let rules = readings.environment().from_collection(rules().collect()).broadcast_state();
        readings
            .key_by(|reading| reading.0)
            .connect_broadcast(&rules)
            .process(Ruled::default())
            .stream()
            .clone()
    });
    let mut last: HashMap<i64, i64> = HashMap::new();
    for rule in rules() {
        match rule % 7 == 0 {
            true => drop(last.remove(&(rule % 100))),
            false => drop(last.insert(rule % 100, rule)),
        }
    }
    let expected = of_each_sensor().into_iter();
    let expected = expected.map(|(sensor, all)| (sensor, all.len() as u64, last.len(), last.values().sum()));
    check(&pipeline, expected.collect());
}

#[test]
fn requests_that_are_made_again() {
    let few = |reading: &Reading| reading.2 % 10 == 0;
    let expected = readings().into_iter().filter(few).map(|(sensor, value, _)| (sensor, value * 2)).collect();
    let pipeline = Pipeline::new("requests with retry", move |run| {
        // How often each value was asked for. The first time nothing is found, every fifth fails once, too.
        let asked: Arc<Mutex<HashMap<i64, u32>>> = Arc::default();
        let ask = move |(sensor, value, time): Reading| {
            let asked = asked.clone();
            async move {
                let mut asked = asked.lock().unwrap();
                let times = asked.entry(time * 1000 + value).or_default();
                *times += 1;
                match *times {
                    1 if value % 5 == 0 => Err(BoxError::from("asked too early")),
                    1 | 2 if value % 2 == 0 => Ok(Vec::new()),
                    _ => Ok(vec![(sensor, value * 2)]),
                }
            }
        };
        let again =
            AsyncRetryStrategy::fixed_delay(4, ms(1)).if_result(|found: &Vec<(u8, i64)>| found.is_empty());
        let few = source(run).filter(few).rebalance();
        AsyncDataStream::unordered_wait_with_retry(&few, ask, ms(60_000), 64, again).stream().clone()
    });
    check(&pipeline, expected);
}

#[test]
fn state_in_a_closure() {
    let pipeline = Pipeline::new("flat_map_with_state", |run| {
        let keyed = source(run).key_by(|reading| reading.0);
        // Every hundredth reading of a sensor, with the sum so far; at a thousand it begins anew.
        let hundredths =
            keyed.flat_map_with_state(|(sensor, value, _), state: &mut Option<(u32, i64)>, out| {
                let (count, sum) = state.unwrap_or_default();
                let (count, sum) = (count + 1, sum + value);
                if count % 100 == 0 {
                    out.collect((sensor, count, sum));
                }
                *state = (count < 1000).then_some((count, sum));
            });
        hundredths.stream().clone()
    });
    let mut expected = Vec::new();
    for (sensor, all) in of_each_sensor() {
        for thousand in all.chunks(1000) {
            for count in (100..=thousand.len()).step_by(100) {
                let sum = thousand[..count].iter().map(|reading| reading.1).sum::<i64>();
                expected.push((sensor, count as u32, sum));
            }
        }
    }
    check(&pipeline, expected);
}
