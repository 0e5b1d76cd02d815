//! Every stateful operation of the face, run in every way that must not matter, against a naive computation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::CollectionSource;
use thalweg_dataflow::state::{ListState, MapState, ReducingState, States, ValueState};
use thalweg_datastream::aggregate::{Average, Count, Max};
use thalweg_datastream::trigger::{CountTrigger, PurgingTrigger};
use thalweg_datastream::{
    AsyncDataStream, DataStream, EventTimeSessionWindows, KeyedCoProcessFunction, KeyedProcessContext,
    KeyedProcessFunction, OnTimer, ProcessWindowFunction, SlidingEventTimeWindows,
    StreamExecutionEnvironment, TumblingEventTimeWindows, WatermarkStrategy, WindowContextOf,
};
use thalweg_testkit::{Pipeline, Run};

const RECORDS: i64 = 200_000;

/// Readings of 50 sensors: (sensor, value, time). Times jump about by less than 40 ms.
fn readings() -> Vec<(u8, i64, i64)> {
    (0..RECORDS).map(|i| ((i * 7 % 50) as u8, i * 31 % 1000, i / 20 + (i * 13) % 40)).collect()
}

fn env(run: &Run) -> StreamExecutionEnvironment {
    StreamExecutionEnvironment::over(run.job.clone())
}

fn source(run: &Run) -> DataStream<(u8, i64, i64)> {
    let strategy = WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_millis(40))
        .with_timestamp_assigner(|reading: &(u8, i64, i64), _| reading.2);
    let env = env(run);
    let read = env.from_source(CollectionSource::new(readings()), strategy, "readings");
    DataStream::over(env, run.crash.on(read.stream()))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The contents of windows of one size that begin every `slide` ms: (sensor, beginning) and values.
fn windows(size: i64, slide: i64) -> BTreeMap<(u8, i64), Vec<i64>> {
    let mut windows: BTreeMap<(u8, i64), Vec<i64>> = BTreeMap::new();
    for (sensor, value, time) in readings() {
        let last = time - time.rem_euclid(slide);
        for n in 0..=size / slide {
            let start = last - n * slide;
            if time < start + size {
                windows.entry((sensor, start)).or_default().push(value);
            }
        }
    }
    windows
}

#[test]
fn tumbling_windows() {
    let pipeline = Pipeline::new("tumbling windows", |run| {
        let keyed = source(run).key_by(|reading| reading.0);
        let windows = keyed.window(TumblingEventTimeWindows::of(ms(100)));
        let counts = windows.aggregate_with(
            (Count::new(), Max::new(|reading: &(u8, i64, i64)| reading.1)),
            |key, window, (count, max), out| out.collect((*key, window.start, count, max)),
        );
        counts.stream().clone()
    });
    let expected: Vec<_> = windows(100, 100)
        .into_iter()
        .map(|((sensor, start), values)| (sensor, start, values.len() as u64, values.iter().max().copied()))
        .collect();
    assert_eq!(pipeline.output(), expected);
    pipeline.check();
}

#[test]
fn sliding_windows() {
    let pipeline = Pipeline::new("sliding windows", |run| {
        let keyed = source(run).key_by(|reading| reading.0);
        let windows = keyed.window(SlidingEventTimeWindows::of(ms(300), ms(200)));
        let sums = windows.process(|key, window, all, out| {
            out.collect((*key, window.start, all.iter().map(|reading| reading.1).sum::<i64>()));
        });
        sums.stream().clone()
    });
    let expected: Vec<_> = windows(300, 200)
        .into_iter()
        .map(|((sensor, start), values)| (sensor, start, values.iter().sum::<i64>()))
        .collect();
    assert_eq!(pipeline.output(), expected);
    pipeline.check();
}

#[test]
fn sessions() {
    // Of each sensor only every 16th stretch of 100 ms, so that there are gaps.
    let present = |(sensor, _, time): &(u8, i64, i64)| (time / 100 + i64::from(*sensor)) % 16 == 0;
    let pipeline = Pipeline::new("sessions", |run| {
        let keyed = source(run).filter(move |reading| present(reading)).key_by(|reading| reading.0);
        let sessions = keyed.window(EventTimeSessionWindows::with_gap(ms(60)));
        let counts = sessions.process(|key, window, all, out| {
            out.collect((*key, window.start, window.end, all.len()));
        });
        counts.stream().clone()
    });
    let mut times: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
    for reading in readings().into_iter().filter(|reading| present(reading)) {
        times.entry(reading.0).or_default().push(reading.2);
    }
    let mut expected: Vec<(u8, i64, i64, usize)> = Vec::new();
    for (sensor, mut times) in times {
        times.sort();
        for time in times {
            match expected.last_mut() {
                Some((of, _, end, count)) if *of == sensor && time <= *end => {
                    (*end, *count) = (time + 60, *count + 1);
                }
                _ => expected.push((sensor, time, time + 60, 1)),
            }
        }
    }
    assert_eq!(pipeline.output(), expected);
    pipeline.check();
}

#[test]
fn windows_of_the_whole_stream() {
    let pipeline = Pipeline::new("window_all", |run| {
        let windows = source(run).window_all(TumblingEventTimeWindows::of(ms(500)));
        let means = windows.aggregate_with(
            Average::new(|reading: &(u8, i64, i64)| reading.1 as f64),
            |(), w, mean, out| {
                out.collect((w.start, mean.unwrap_or(0.0).to_bits()));
            },
        );
        means.stream().clone()
    });
    let mut all: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (_, value, time) in readings() {
        all.entry(time - time % 500).or_default().push(value);
    }
    let mean = |values: Vec<i64>| values.iter().sum::<i64>() as f64 / values.len() as f64;
    let expected: Vec<_> = all.into_iter().map(|(start, values)| (start, mean(values).to_bits())).collect();
    assert_eq!(pipeline.output(), expected);
    pipeline.check();
}

/// With every third record of a window the sum of those three, numbered within the window; and when it is over how many records were in it, and the
/// number of the window among those of its sensor.
#[derive(Clone, Default)]
struct Threes {
    over: ValueState<u8, u64>,
}

impl ProcessWindowFunction for Threes {
    type Key = u8;
    type In = Vec<(u8, i64, i64)>;
    type Out = (u8, i64, u64, i64);
    type WindowState = u64;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("over", &mut self.over);
    }

    fn process(
        &mut self,
        elements: Self::In,
        context: &mut WindowContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        *context.window_state() += 1;
        let (n, sum) = (*context.window_state(), elements.iter().map(|reading| reading.1).sum());
        context.collect((*context.key(), context.window().start, n, sum));
        Ok(())
    }

    fn clear(&mut self, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
        let (fired, over) = (*context.window_state(), self.over.value(context).copied().unwrap_or(0) + 1);
        self.over.update(&context.global_state(), over);
        context.collect((*context.key(), context.window().start, fired, -(over as i64)));
        Ok(())
    }
}

#[test]
fn functions_of_windows_keep_state_of_the_window_and_of_the_key() {
    let pipeline = Pipeline::new("window state", |run| {
        let windows =
            source(run).key_by(|reading| reading.0).window(SlidingEventTimeWindows::of(ms(300), ms(200)));
        let threes = windows.trigger(PurgingTrigger::of(CountTrigger::of(3)));
        threes.process_function(Threes::default()).stream().clone()
    });
    let (mut expected, mut over) = (Vec::new(), BTreeMap::new());
    for ((sensor, start), values) in windows(300, 200) {
        for (n, three) in values.chunks_exact(3).enumerate() {
            expected.push((sensor, start, n as u64 + 1, three.iter().sum()));
        }
        let over: &mut i64 = over.entry(sensor).or_default();
        *over += 1;
        expected.push((sensor, start, values.len() as u64 / 3, -*over));
    }
    expected.sort();
    assert_eq!(pipeline.output(), expected);
    pipeline.check();
}

#[test]
fn sessions_with_state_of_the_window_are_refused() {
    let env = StreamExecutionEnvironment::new();
    let readings = env.from_timed_collection(vec![((1_u8, 2_i64, 3_i64), 3)]).key_by(|reading| reading.0);
    let sessions = readings.window(EventTimeSessionWindows::with_gap(ms(10)));
    let error = sessions.process_function(Threes::default()).execute_and_collect("sessions").unwrap_err();
    assert!(error.to_string().contains("state of a window is not there for session windows"), "{error}");
}

type Maximum = fn(i64, i64) -> i64;

/// At each full second of event time, says of a sensor: how many readings it had so far, the greatest, and how
/// many different ones.
#[derive(Clone)]
struct Reports {
    count: ValueState<u8, u64>,
    greatest: ReducingState<u8, i64, Maximum>,
    seen: MapState<u8, i64, ()>,
    recent: ListState<u8, (i64, i64)>,
}

impl KeyedProcessFunction for Reports {
    type Key = u8;
    type In = (u8, i64, i64);
    type Out = (u8, i64, u64, i64, usize);

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("count", &mut self.count);
        states.keyed("greatest", &mut self.greatest);
        states.keyed("seen", &mut self.seen);
        states.keyed("recent", &mut self.recent);
    }

    fn process_element(
        &mut self,
        (_, value, time): Self::In,
        context: &mut KeyedProcessContext<'_, u8, Self::Out>,
    ) -> Result<(), BoxError> {
        self.recent.add(&context.current_key(), (time, value));
        context.register_event_time_timer(time - time % 1000 + 1000);
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: OnTimer,
        context: &mut KeyedProcessContext<'_, u8, Self::Out>,
    ) -> Result<(), BoxError> {
        let key = context.current_key();
        // Readings of the next second may be there already: they wait for their own timer.
        let (due, later) = self.recent.clear(&key).into_iter().partition(|(time, _)| *time < timer.time);
        self.recent.update(&key, later);
        let due: Vec<(i64, i64)> = due;
        for (_, value) in &due {
            self.greatest.add(&key, *value);
            self.seen.put(&key, *value, ());
        }
        let count = self.count.value(&key).copied().unwrap_or(0) + due.len() as u64;
        self.count.update(&key, count);
        let greatest = self.greatest.get(&key).copied().unwrap_or(0);
        context.collect((*key.key(), timer.time, count, greatest, self.seen.entries(&key).count()));
        Ok(())
    }
}

#[test]
fn a_function_with_state_and_timers() {
    let pipeline = Pipeline::new("process", |run| {
        let reports = Reports {
            count: ValueState::default(),
            greatest: ReducingState::new(|a, b| a.max(b)),
            seen: MapState::default(),
            recent: ListState::default(),
        };
        source(run).key_by(|reading| reading.0).process(reports).stream().clone()
    });
    let mut expected = Vec::new();
    for sensor in 0..50 {
        let mut seconds: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (_, value, time) in readings().into_iter().filter(|reading| reading.0 == sensor) {
            seconds.entry(time - time % 1000 + 1000).or_default().push(value);
        }
        let (mut count, mut seen) = (0, BTreeSet::new());
        for (second, values) in seconds {
            count += values.len() as u64;
            seen.extend(values);
            expected.push((sensor, second, count, *seen.last().unwrap(), seen.len()));
        }
    }
    assert_eq!(pipeline.output(), expected);
    pipeline.check();
}

/// Counts both sides of each key, and says so at the end of event time.
#[derive(Clone, Default)]
struct Sides(ValueState<u8, (u64, u64)>);

impl KeyedCoProcessFunction for Sides {
    type Key = u8;
    type In1 = (u8, i64, i64);
    type In2 = (u8, String);
    type Out = (u8, u64, u64);

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("sides", &mut self.0);
    }

    fn process_element1(
        &mut self,
        _: Self::In1,
        context: &mut KeyedProcessContext<'_, u8, Self::Out>,
    ) -> Result<(), BoxError> {
        let (first, second) = self.0.value(&context.current_key()).copied().unwrap_or_default();
        self.0.update(&context.current_key(), (first + 1, second));
        context.register_event_time_timer(i64::MAX - 1);
        Ok(())
    }

    fn process_element2(
        &mut self,
        _: (u8, String),
        context: &mut KeyedProcessContext<'_, u8, Self::Out>,
    ) -> Result<(), BoxError> {
        let (first, second) = self.0.value(&context.current_key()).copied().unwrap_or_default();
        self.0.update(&context.current_key(), (first, second + 1));
        context.register_event_time_timer(i64::MAX - 1);
        Ok(())
    }

    fn on_timer(
        &mut self,
        _: OnTimer,
        context: &mut KeyedProcessContext<'_, u8, Self::Out>,
    ) -> Result<(), BoxError> {
        let (first, second) = self.0.value(&context.current_key()).copied().unwrap_or_default();
        context.collect((*context.current_key().key(), first, second));
        Ok(())
    }
}

#[test]
fn two_connected_streams() {
    let pipeline = Pipeline::new("connect", |run| {
        let all = source(run);
        let texts =
            all.filter(|reading| reading.1 % 3 == 0).map(|reading| (reading.0, reading.1.to_string()));
        let (first, second) = (all.key_by(|reading| reading.0), texts.key_by(|text| text.0));
        first.connect(&second).process(Sides::default()).stream().clone()
    });
    let count = |keep: fn(i64) -> bool, sensor: u8| {
        readings().iter().filter(|reading| reading.0 == sensor && keep(reading.1)).count() as u64
    };
    let expected: Vec<_> = (0..50)
        .map(|sensor| (sensor, count(|_| true, sensor), count(|value| value % 3 == 0, sensor)))
        .collect();
    assert_eq!(pipeline.output(), expected);
    pipeline.check();
}

/// Requests of which every hundredth takes a while.
async fn ask((sensor, value, time): (u8, i64, i64)) -> Result<Vec<(u8, i64)>, BoxError> {
    if value % 100 == 0 {
        tokio::time::sleep(ms(1)).await;
    }
    Ok(if value % 2 == 0 { vec![(sensor, time)] } else { Vec::new() })
}

#[test]
fn requests_to_the_outside() {
    let few = |reading: &(u8, i64, i64)| reading.2 % 10 == 0;
    let mut expected: Vec<_> =
        readings().into_iter().filter(few).filter(|reading| reading.1 % 2 == 0).collect();
    expected.sort_by_key(|reading| (reading.0, reading.2));
    let expected: Vec<(u8, i64)> = expected.into_iter().map(|(sensor, _, time)| (sensor, time)).collect();
    for ordered in [true, false] {
        let pipeline = Pipeline::new("requests", move |run| {
            let few = source(run).filter(few).rebalance();
            let asked = match ordered {
                true => AsyncDataStream::ordered_wait(&few, ask, ms(60_000), 64),
                false => AsyncDataStream::unordered_wait(&few, ask, ms(60_000), 64),
            };
            asked.stream().clone()
        });
        assert_eq!(pipeline.output(), expected);
        pipeline.check();
    }
}
