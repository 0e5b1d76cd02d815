//! A watermark that jumps over many windows of one key, and what an open window takes of memory: tumbling and sliding
//! windows, sessions.
//!
//! `cargo bench -p thalweg --bench window_firing`. Times should grow with the number of windows, not with its square.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use thalweg::dataflow::harness::Harness;
use thalweg::dataflow::operator::Operator;
use thalweg::dataflow::operators::Collect;
use thalweg::dataflow::record::Keyed;
use thalweg::dataflow::window::aggregate::Count;
use thalweg::dataflow::window::{
    Aligned, AlignedWindows, EventTimeSessionWindows, Lateness, SessionWindows, SlidingEventTimeWindows,
    TimeWindow, TumblingEventTimeWindows,
};

type Counted = (String, i64, u64);

#[expect(clippy::ptr_arg, reason = "the key is a `String`, and the function is handed what the key is")]
fn result(
    key: &String,
    window: TimeWindow,
    n: u64,
    out: &mut Collect<'_, Counted>,
) -> Result<(), thalweg::dataflow::error::BoxError> {
    out.collect((key.clone(), window.start, n));
    Ok(())
}

fn aligned(windows: Aligned) -> impl Operator<In = Keyed<String, ()>, Out = Counted> {
    AlignedWindows::new(windows, Lateness::default(), Count::new(), result)
}

fn sessions() -> impl Operator<In = Keyed<String, ()>, Out = Counted> {
    SessionWindows::new(
        EventTimeSessionWindows::with_gap(Duration::from_millis(500)),
        Lateness::default(),
        Count::new(),
        result,
    )
}

/// One record a second, of one key or of many.
fn fill(harness: &mut Harness<impl Operator<In = Keyed<String, ()>>>, records: i64, keys: i64) {
    (0..records).for_each(|n| harness.push(Keyed::new(format!("key-{}", n % keys), ()), n * 1000));
}

fn fire(name: &str, records: i64, operator: impl Operator<In = Keyed<String, ()>, Out = Counted>) {
    let mut harness = Harness::new(operator);
    let since = Instant::now();
    fill(&mut harness, records, 1);
    let filled = since.elapsed();
    let since = Instant::now();
    harness.watermark(i64::MAX);
    let fired = since.elapsed();
    let results = harness.values().len();
    println!(
        "{name:22} {records:7} records of one key in {:6.1} ms; a watermark fires {results:7} windows in {:8.1} ms, {:6.2} us each",
        filled.as_secs_f64() * 1e3,
        fired.as_secs_f64() * 1e3,
        fired.as_secs_f64() * 1e6 / results as f64,
    );
}

fn memory(name: &str, keys: i64, operator: impl Operator<In = Keyed<String, ()>, Out = Counted>) {
    const WINDOWS: i64 = 100_000;
    let mut harness = Harness::new(operator);
    let before = support::resident_memory();
    fill(&mut harness, WINDOWS, keys);
    let taken = support::resident_memory().saturating_sub(before);
    println!(
        "{name:22} {WINDOWS:7} open windows of {keys:6} keys with one record each take {:6.1} MB, {:4} bytes each",
        taken as f64 / 1e6,
        taken / WINDOWS as u64
    );
    // What is freed stays with the process, and would be counted for the next: so nothing is.
    std::mem::forget(harness);
}

fn main() {
    let seconds = Duration::from_secs;
    let tumbling = || TumblingEventTimeWindows::of(seconds(1));
    let sliding = || SlidingEventTimeWindows::of(seconds(4), seconds(1));
    for keys in [1, 100, 100_000] {
        memory("tumbling", keys, aligned(tumbling()));
        memory("sessions", keys, sessions());
    }
    for records in [2_000, 8_000, 20_000, 80_000] {
        fire("tumbling, 1 s", records, aligned(tumbling()));
        fire("sliding, 4 s every 1 s", records, aligned(sliding()));
        fire("sessions, gap 0.5 s", records, sessions());
    }
}
