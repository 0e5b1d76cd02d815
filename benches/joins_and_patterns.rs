//! Window join, interval join, a pattern of three steps, sessions: records from memory, parallelism 1, beside a hand-written loop over the same records;
//! and requests to the outside, many at a time, beside the time that they take by themselves.
//!
//! `cargo bench -p thalweg --bench joins_and_patterns [-- RECORDS]`: 4 million records unless it says otherwise.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thalweg::dataflow::source::DataGeneratorSource;
use thalweg::prelude::*;

/// A key, a value, and a time: a thousand keys, a thousand records to the 100 ms.
type Event = (u32, u32, Timestamp);

fn event(n: u64) -> Event {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    ((mixed % 1_000) as u32, (mixed / 1_000 % 100) as u32, (n / 10) as Timestamp)
}

fn env() -> StreamExecutionEnvironment {
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(1);
    env
}

fn events(env: &StreamExecutionEnvironment, records: u64, offset: u64) -> DataStream<Event> {
    let source = DataGeneratorSource::new(move |n: u64| event(2 * n + offset), records);
    let strategy =
        WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|event: &Event, _| event.2);
    env.from_source(source, strategy, "events")
}

/// Runs a job to its end; how many results there were.
fn results<T: thalweg::dataflow::record::Data>(stream: &DataStream<T>) -> u64 {
    let (count, each) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counted = each.clone();
    stream.for_each(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    stream.environment().execute("bench").unwrap();
    count.store(each.load(Ordering::Relaxed), Ordering::Relaxed);
    count.load(Ordering::Relaxed)
}

const WINDOW: i64 = 100;

fn window_join(records: u64) -> u64 {
    let env = env();
    let (left, right) = (events(&env, records / 2, 0), events(&env, records / 2, 1));
    let joined = left.join(&right).where_(|event| event.0).equal_to(|event| event.0);
    results(
        &joined
            .window(TumblingEventTimeWindows::of(Duration::from_millis(WINDOW as u64)))
            .apply(|a, b| a.1 + b.1),
    )
}

fn window_join_loop(records: u64) -> u64 {
    let (mut sides, mut end, mut found): (HashMap<u32, [Vec<u32>; 2]>, _, _) = (HashMap::new(), WINDOW, 0);
    let mut close = |sides: &mut HashMap<u32, [Vec<u32>; 2]>| {
        for [left, right] in sides.drain().map(|(_, sides)| sides) {
            left.iter().for_each(|a| {
                right.iter().for_each(|b| found += u64::from(std::hint::black_box(a + b) < u32::MAX))
            });
        }
    };
    for n in 0..records {
        let (key, value, time) = event(n);
        while time >= end {
            close(&mut sides);
            end += WINDOW;
        }
        sides.entry(key).or_default()[n as usize % 2].push(value);
    }
    close(&mut sides);
    found
}

const BOUND: i64 = 50;

fn interval_join(records: u64) -> u64 {
    let env = env();
    let (left, right) = (events(&env, records / 2, 0), events(&env, records / 2, 1));
    let joined =
        left.key_by(|event| event.0).interval_join(&right.key_by(|event| event.0)).between(-BOUND..=BOUND);
    results(&joined.process(|a, b, context| context.collect(a.1 + b.1)))
}

/// What a side has kept of a key, the oldest first.
type Side = std::collections::VecDeque<(Timestamp, u32)>;

fn interval_join_loop(records: u64) -> u64 {
    let (mut kept, mut found): (HashMap<u32, [Side; 2]>, u64) = (HashMap::new(), 0);
    for n in 0..records {
        let ((key, value, time), side) = (event(n), n as usize % 2);
        let sides = kept.entry(key).or_default();
        for side in sides.iter_mut() {
            while side.front().is_some_and(|(before, _)| *before < time - BOUND) {
                side.pop_front();
            }
        }
        found += sides[1 - side]
            .iter()
            .filter(|(_, other)| std::hint::black_box(other + value) < u32::MAX)
            .count() as u64;
        sides[side].push_back((time, value));
    }
    found
}

fn pattern(records: u64) -> u64 {
    let env = env();
    let three = Pattern::begin_with("low", AfterMatchSkipStrategy::SkipPastLastEvent)
        .where_(|event: &Event| event.1 < 20)
        .followed_by("middle")
        .where_(|event| (40..60).contains(&event.1))
        .followed_by("high")
        .where_(|event| event.1 >= 80)
        .within(Duration::from_secs(1));
    results(
        &Cep::pattern(&events(&env, records, 0).key_by(|event| event.0), &three).select(|found| found.end()),
    )
}

/// What a program would write for this very pattern: of each key the first low one, and whether a middle one has come.
fn pattern_loop(records: u64) -> u64 {
    let (mut begun, mut found): (HashMap<u32, (Timestamp, bool)>, u64) = (HashMap::new(), 0);
    for n in 0..records {
        let (key, value, time) = event(2 * n);
        match (begun.get_mut(&key), value) {
            (Some((since, _)), _) if time - *since >= 1_000 => {
                begun.remove(&key);
            }
            (Some((_, middle)), 40..60) => *middle = true,
            (Some((_, true)), 80..) => {
                begun.remove(&key);
                found += 1;
            }
            (None, 0..20) => {
                begun.insert(key, (time, false));
            }
            _ => {}
        }
    }
    found
}

const GAP: i64 = 200;

fn sessions(records: u64) -> u64 {
    let env = env();
    let keyed = events(&env, records, 0).key_by(|event| event.0);
    results(&keyed.window(EventTimeSessionWindows::with_gap(Duration::from_millis(GAP as u64))).count())
}

fn sessions_loop(records: u64) -> u64 {
    let (mut open, mut found): (HashMap<u32, (Timestamp, u64)>, u64) = (HashMap::new(), 0);
    for n in 0..records {
        let (key, _, time) = event(2 * n);
        let (last, count) = open.entry(key).or_insert((time, 0));
        if time - *last >= GAP {
            (*count, found) = (0, found + 1);
        }
        (*last, *count) = (time, *count + 1);
    }
    found + open.len() as u64
}

const REQUESTS: u64 = 20_000;
const AT_A_TIME: u64 = 100;

async fn ask(key: u64) -> Result<Option<u64>, BoxError> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(Some(key))
}

/// Requests of 5 ms, a hundred at a time.
fn requests() {
    let env = env();
    let keys = env.from_iter(0..REQUESTS);
    let answers = AsyncDataStream::unordered_wait(&keys, ask, Duration::from_secs(10), AT_A_TIME as usize);
    assert_eq!(results(&answers), REQUESTS);
}

/// The same without a stream: 5 ms are more than that, by the timers of the runtime and by who else is on the machine.
fn requests_by_themselves() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let some = |from: u64| async move {
        for key in from..from + REQUESTS / AT_A_TIME {
            assert_eq!(ask(key).await.unwrap(), Some(key));
        }
    };
    let all: Vec<_> = (0..AT_A_TIME).map(|n| runtime.spawn(some(n * REQUESTS / AT_A_TIME))).collect();
    all.into_iter().for_each(|some| runtime.block_on(some).unwrap());
}

/// The best of five, in turns: what is above the requests by themselves is overhead.
fn compare_requests() {
    let mut best = [(Duration::MAX, Duration::MAX); 2];
    for _ in 0..5 {
        for (run, best) in [requests, requests_by_themselves].into_iter().zip(&mut best) {
            let (cpu, since) = (support::cpu_time(), Instant::now());
            run();
            let (cpu, took) = (support::cpu_time() - cpu, since.elapsed());
            *best = (best.0.min(took), best.1.min(cpu));
        }
    }
    let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / REQUESTS as f64;
    println!(
        "{REQUESTS} requests of 5 ms, {AT_A_TIME} at a time: {:.2?} and {:.1} µs of CPU each; by themselves {:.2?} and {:.1} µs",
        best[0].0,
        micros(best[0].1),
        best[1].0,
        micros(best[1].1)
    );
}

fn main() {
    let records = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(4_000_000);
    type Run = fn(u64) -> u64;
    let all: [(&str, Run, Run); 4] = [
        ("window join", window_join, window_join_loop),
        ("interval join", interval_join, interval_join_loop),
        ("pattern of three", pattern, pattern_loop),
        ("sessions", sessions, sessions_loop),
    ];
    for (name, thalweg, by_hand) in all {
        for (who, run) in [("thalweg", thalweg), ("loop", by_hand)] {
            let (cpu, since) = (support::cpu_time(), Instant::now());
            let found = run(records);
            let (cpu, took) = (support::cpu_time() - cpu, since.elapsed());
            println!(
                "{name:17} {who:8} {:6.2} M records/s, {:6.2} M records/CPU-s, {found} results",
                records as f64 / took.as_secs_f64() / 1e6,
                records as f64 / cpu.as_secs_f64().max(0.01) / 1e6,
            );
        }
    }
    compare_requests();
}
