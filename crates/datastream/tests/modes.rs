//! Batch mode, and lengths that are refused.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::state::{States, ValueState};
use thalweg_datastream::aggregate::Count;
use thalweg_datastream::trigger::CountTrigger;
use thalweg_datastream::{
    ContextOf, EventTimeSessionWindows, KeyedProcessFunction, RuntimeMode, SlidingEventTimeWindows,
    StreamExecutionEnvironment, TumblingEventTimeWindows,
};

fn batch(parallelism: usize) -> StreamExecutionEnvironment {
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(parallelism).set_runtime_mode(RuntimeMode::Batch);
    env
}

/// Numbers of some keys, in no order of time at all.
fn numbers() -> Vec<(u8, i64)> {
    (0..5_000).map(|n| ((n % 7) as u8, n * 7_919 % 5_003)).collect()
}

/// Says of each record which was before it.
#[derive(Clone, Default)]
struct Before(ValueState<u8, i64>);

impl KeyedProcessFunction for Before {
    type Key = u8;
    type In = (u8, i64);
    type Out = (u8, Option<i64>, i64);

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("before", &mut self.0);
    }

    fn process_element(
        &mut self,
        (key, n): (u8, i64),
        context: &mut ContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        let before = self.0.update(context, n);
        context.collect((key, before, n));
        Ok(())
    }
}

#[test]
fn a_keyed_function_sees_each_key_in_the_order_of_time() {
    for parallelism in [1, 3] {
        let timed = numbers().into_iter().map(|number| (number, number.1)).collect();
        let seen = batch(parallelism).from_timed_collection(timed).rebalance().key_by(|number| number.0);
        let mut seen = seen.process(Before::default()).execute_and_collect("order").unwrap();
        seen.sort_unstable();
        let mut expected = Vec::new();
        for key in 0..7 {
            let mut of_key: Vec<i64> =
                numbers().into_iter().filter(|number| number.0 == key).map(|number| number.1).collect();
            of_key.sort_unstable();
            expected.extend(
                of_key
                    .iter()
                    .enumerate()
                    .map(|(index, n)| (key, index.checked_sub(1).map(|before| of_key[before]), *n)),
            );
        }
        expected.sort_unstable();
        assert_eq!(seen, expected, "{parallelism}");
    }
}

#[test]
fn running_results_come_once_and_nothing_is_late() {
    let mut sums: BTreeMap<u8, i64> = BTreeMap::new();
    numbers().into_iter().for_each(|(key, n)| *sums.entry(key).or_insert(0) += n);
    let collected = |mut found: Vec<(u8, i64)>| {
        found.sort_unstable();
        found
    };
    let expected: Vec<(u8, i64)> = sums.clone().into_iter().collect();
    let keyed = |env: &StreamExecutionEnvironment| env.from_collection(numbers()).key_by(|number| number.0);
    let env = batch(2);
    let found = keyed(&env).sum(|number| number.1).execute_and_collect("sum").unwrap();
    assert_eq!(collected(found), expected);
    let env = batch(2);
    let found = keyed(&env).reduce(|a, b| (a.0, a.1 + b.1)).execute_and_collect("reduce").unwrap();
    assert_eq!(collected(found), expected);
    let env = batch(2);
    let found = keyed(&env).aggregate(Count::new()).execute_and_collect("count").unwrap();
    let counts: Vec<u64> = found.iter().map(|(_, n)| *n).collect();
    assert_eq!((counts.len(), counts.iter().sum()), (7, 5_000_u64));
    // Watermarks of a bound of nothing would make most of them late.
    let env = batch(2);
    let timed = env.from_collection(numbers()).assign_ascending_timestamps(|number| number.1);
    let windows =
        timed.key_by(|number| number.0).window(TumblingEventTimeWindows::of(Duration::from_secs(10)));
    assert_eq!(collected(windows.sum(|number| number.1).execute_and_collect("windows").unwrap()), expected);
}

#[test]
fn half_milliseconds_are_no_length_of_a_window() {
    let half = Duration::from_micros(1_500);
    let refusal = |build: &dyn Fn(&StreamExecutionEnvironment)| {
        let env = StreamExecutionEnvironment::new();
        build(&env);
        env.execute("halves").unwrap_err().to_string()
    };
    let tumbling = refusal(&|env| {
        env.from_collection(vec![1])
            .key_by(|n| *n)
            .window(TumblingEventTimeWindows::of(half))
            .count()
            .print();
    });
    assert!(tumbling.contains("1.5ms") && tumbling.contains("whole number of milliseconds"), "{tumbling}");
    let sliding = refusal(&|env| {
        let windows = SlidingEventTimeWindows::with_offset(2 * half, 2 * half, half);
        env.from_collection(vec![1])
            .key_by(|n| *n)
            .window(windows)
            .trigger(CountTrigger::of(1))
            .reduce(|a, _| a)
            .print();
    });
    assert!(sliding.contains("1.5ms"), "{sliding}");
    let session = refusal(&|env| {
        env.from_collection(vec![1])
            .key_by(|n| *n)
            .window(EventTimeSessionWindows::with_gap(half))
            .count()
            .print();
    });
    assert!(session.contains("sessions with a gap of 1.5ms"), "{session}");
    // What has a trigger is refused as well.
    let nothing = refusal(&|env| {
        let windows = TumblingEventTimeWindows::of(Duration::ZERO);
        env.from_collection(vec![1])
            .key_by(|n| *n)
            .window(windows)
            .trigger(CountTrigger::of(1))
            .reduce(|a, _| a)
            .print();
    });
    assert!(nothing.contains("at least 1 ms"), "{nothing}");
}
