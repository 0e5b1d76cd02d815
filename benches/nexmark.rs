//! The queries of Nexmark, from the generator into nothing, as SQL: a line for each query.
//!
//! `cargo bench -p thalweg-table --no-default-features --bench nexmark [-- EVENTS] [QUERY…]`: two million events and all queries unless
//! it says otherwise, at parallelism 2. `PARALLELISM=1` sets another. `QUERIES_TO=FILE` writes tables and queries into a file, for another
//! system to run: `scripts/flink-nexmark` has Flink do it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "../crates/table/tests/nexmark/queries.rs"]
mod queries;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use thalweg_dataflow::runtime::{Job, JobConfig};
use thalweg_table::chunk::Chunk;
use thalweg_table::environment::TableEnvironment;
use thalweg_table::functions::user::scalar_function;

/// Of events there are so many in a second of event time.
const RATE: u64 = 100_000;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let events = arguments.iter().find_map(|arg| arg.parse().ok()).unwrap_or(2_000_000_u64);
    let named: Vec<&String> = arguments.iter().filter(|arg| arg.starts_with('q')).collect();
    let parallelism = std::env::var("PARALLELISM").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(events, folder.path());
    let all = || queries::QUERIES.iter().chain(&queries::MORE);
    if let Ok(path) = std::env::var("QUERIES_TO") {
        let mut text = format!("--- tables\n{}\n", queries::tables(&options(events)));
        all().for_each(|(name, query)| text.push_str(&format!("--- {name}\n{query}\n")));
        std::fs::write(path, text).unwrap();
    }
    println!("{events} events, parallelism {parallelism}");
    let (mut logs, mut count) = (0.0, 0);
    for (name, query) in all() {
        if !named.is_empty() && !named.iter().any(|wanted| wanted == name) {
            continue;
        }
        let job = Job::new(JobConfig { parallelism, ..JobConfig::new(name) });
        let rows = Arc::new(AtomicU64::new(0));
        let each = rows.clone();
        environment.stream(query, &job).unwrap_or_else(|error| panic!("{}", error.render(query))).map(
            "blackhole",
            move |chunk: Chunk| {
                each.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            },
        );
        let (cpu, wall) = (support::cpu_time(), Instant::now());
        job.start().unwrap().wait().unwrap();
        let (cpu, wall) = ((support::cpu_time() - cpu).as_secs_f64().max(0.01), wall.elapsed().as_secs_f64());
        let rate = events as f64 / cpu;
        (logs, count) = (logs + rate.ln(), count + 1);
        println!(
            "{name:4} {:8.3} M events/CPU-s, {:8.3} M events/s, {cpu:6.2} CPU-s, {} changes",
            rate / 1e6,
            events as f64 / wall / 1e6,
            rows.load(Ordering::Relaxed)
        );
    }
    println!("geometric mean of {count}: {:.3} M events/CPU-s", (logs / f64::from(count)).exp() / 1e6);
}

fn environment(events: u64, folder: &std::path::Path) -> TableEnvironment {
    let side: String = (0..10_000).map(|n| format!("{n},name {n}\n")).collect();
    std::fs::write(folder.join("side.csv"), side).unwrap();
    let mut environment = TableEnvironment::new();
    environment.create_scalar_function(scalar_function("count_char", |(text, letter): (String, String)| {
        text.matches(&letter).count() as i64
    }));
    let setup = format!("{}\n{}", queries::tables(&options(events)), queries::side(folder));
    environment
        .execute_script(&setup, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(&setup)));
    environment
}

fn options(events: u64) -> String {
    format!("'events.num' = '{events}', 'first-event.rate' = '{RATE}', 'next-event.rate' = '{RATE}'")
}
