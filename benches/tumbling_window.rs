//! Count and sum per key in 1 s tumbling windows of event time: 1,000 keys, records from memory, parallelism 2,
//! keyed exchange; beside a hand-written loop over the same records.
//!
//! `cargo bench -p thalweg --bench tumbling_window [-- RECORDS]`: 100 million records unless it says otherwise.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thalweg::dataflow::error::BoxError;
use thalweg::dataflow::record::BATCH_SIZE;
use thalweg::dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg::datastream::aggregate::{Count, Sum};
use thalweg::datastream::{StreamExecutionEnvironment, TumblingEventTimeWindows, WatermarkStrategy};

/// (key, value); the event time is its own. 100,000 records are a second of event time.
type Reading = (u32, u64);
const KEYS: u32 = 1000;
const PER_SECOND: u64 = 100_000;

fn main() {
    let records = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(100_000_000);
    let memory = Arc::new(readings());
    for (name, run) in [("thalweg", thalweg as fn(u64, &Arc<Vec<Reading>>) -> u64), ("loop", hand_written)] {
        let (cpu, wall) = (support::cpu_time(), Instant::now());
        let windows = run(records, &memory);
        let (cpu, wall) = (support::cpu_time() - cpu, wall.elapsed());
        println!(
            "{name:8} {records} records, {windows} results: {:6.2} M records/s, {:6.2} M records/CPU-s",
            records as f64 / wall.as_secs_f64() / 1e6,
            records as f64 / cpu.as_secs_f64() / 1e6,
        );
    }
}

/// A million records in memory, read over and over with rising times.
fn readings() -> Vec<Reading> {
    let mut random = support::Random::new(11);
    (0..1 << 20).map(|_| ((random.next() % u64::from(KEYS)) as u32, random.next() % 100)).collect()
}

struct Memory {
    records: u64,
    readings: Arc<Vec<Reading>>,
}

struct MemoryReader {
    next: u64,
    step: u64,
    records: u64,
    readings: Arc<Vec<Reading>>,
    split: Option<SplitId>,
}

impl Source for Memory {
    type Item = Reading;
    type Reader = MemoryReader;

    fn reader(&self, context: &SourceContext) -> Result<MemoryReader, BoxError> {
        Ok(MemoryReader {
            next: context.operator.subtask as u64,
            step: context.parallelism as u64,
            records: self.records,
            readings: self.readings.clone(),
            split: None,
        })
    }
}

impl SourceReader for MemoryReader {
    type Item = Reading;
    type Position = u64;

    fn open(&mut self, _: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<Reading>) -> Result<SourceStatus, BoxError> {
        let split = *self.split.get_or_insert_with(|| output.add_split("memory"));
        output.origin(split, self.next, self.next);
        for _ in 0..BATCH_SIZE {
            if self.next >= self.records {
                return Ok(SourceStatus::End);
            }
            let reading = self.readings[self.next as usize % self.readings.len()];
            output.push(reading, (self.next * 1000 / PER_SECOND) as i64);
            self.next += self.step;
        }
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        vec![("memory".to_owned(), self.next)]
    }
}

fn thalweg(records: u64, readings: &Arc<Vec<Reading>>) -> u64 {
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(2);
    let source = Memory { records, readings: readings.clone() };
    let read = env.from_source(source, WatermarkStrategy::for_monotonous_timestamps(), "memory");
    let (results, total) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (each, counted) = (results.clone(), total.clone());
    read.key_by(|reading| reading.0)
        .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
        .aggregate((Count::new(), Sum::new(|reading: &Reading| reading.1)))
        .for_each(move |(_, (count, _))| {
            each.fetch_add(1, Ordering::Relaxed);
            counted.fetch_add(count, Ordering::Relaxed);
        });
    env.execute("tumbling-window").unwrap();
    assert_eq!(total.load(Ordering::Relaxed), records, "every record is in one window");
    results.load(Ordering::Relaxed)
}

fn hand_written(records: u64, readings: &Arc<Vec<Reading>>) -> u64 {
    let (mut window, mut end, mut results): (HashMap<u32, (u64, u64)>, u64, u64) = (HashMap::new(), 1000, 0);
    for i in 0..records {
        let (key, value) = readings[i as usize % readings.len()];
        if i * 1000 / PER_SECOND >= end {
            results += window.drain().filter(|(_, (count, _))| *count > 0).count() as u64;
            end += 1000;
        }
        let slot = window.entry(key).or_insert((0, 0));
        *slot = (slot.0 + 1, slot.1 + value);
    }
    results + window.len() as u64
}
