//! SQL: windows of rows made up, words of a text file, and how long the first row takes.
//!
//! `cargo bench -p thalweg-table --no-default-features --bench sql [-- windows | words | first]`: all three unless it says which.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use thalweg_dataflow::runtime::{Job, JobConfig};
use thalweg_table::chunk::Chunk;
use thalweg_table::environment::TableEnvironment;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|of| of == name);
    if wanted("windows") {
        windows(40_000_000);
    }
    if wanted("words") {
        words(20_000_000);
    }
    if wanted("first") {
        first_row();
    }
}

fn environment(script: &str) -> TableEnvironment {
    let mut environment = TableEnvironment::new();
    environment
        .execute_script(script, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(script)));
    environment
}

/// Runs a query; the sum of the column `sum` of what is left in the end, and the number of changes.
fn run(environment: &TableEnvironment, query: &str, sum: usize) -> (i64, u64) {
    let job = Job::new(JobConfig { parallelism: 2, ..JobConfig::new("sql") });
    let (total, changes) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(0)));
    let (summed, counted) = (total.clone(), changes.clone());
    let rows = environment.stream(query, &job).unwrap_or_else(|error| panic!("{}", error.render(query)));
    rows.map("sum", move |chunk: Chunk| {
        let values = chunk.rows().column(sum).as_primitive::<Int64Type>();
        let of = (0..chunk.len()).map(|row| values.value(row) * chunk.sign(row)).sum();
        summed.fetch_add(of, Ordering::Relaxed);
        counted.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    });
    job.start().unwrap().wait().unwrap();
    (total.load(Ordering::Relaxed), changes.load(Ordering::Relaxed))
}

fn timed(name: &str, count: u64, what: &str, run: impl FnOnce() -> u64) {
    let (cpu, wall) = (support::cpu_time(), Instant::now());
    let changes = run();
    let (cpu, wall) = ((support::cpu_time() - cpu).as_secs_f64(), wall.elapsed().as_secs_f64());
    let million = count as f64 / 1e6;
    println!(
        "{name}: {million} M {what}, {changes} changes: {:.2} M/s, {:.2} M/CPU-s",
        million / wall,
        million / cpu
    );
}

/// Count and sum of 1,000 keys in windows of a second, 100,000 rows each.
fn windows(rows: u64) {
    let environment = environment(&format!(
        "CREATE TABLE readings (n BIGINT, k INT, v BIGINT, ts AS TO_TIMESTAMP_LTZ(n / 100, 3),
           WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
         ) WITH ('connector' = 'datagen', 'rows-per-second' = '1000000000', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0',
           'fields.n.end' = '{}', 'fields.k.min' = '0', 'fields.k.max' = '999', 'fields.v.min' = '0', 'fields.v.max' = '99');",
        rows - 1
    ));
    let query = "SELECT k, COUNT(*) AS n, SUM(v) AS total
        FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY k, window_start, window_end";
    timed("windows", rows, "rows", || {
        let (count, changes) = run(&environment, query, 1);
        assert_eq!(count as u64, rows, "every row is in one window");
        changes
    });
}

/// How often each word comes in a text file, ten words a line.
fn words(words: u64) {
    let path = support::words_file(words);
    let environment = environment(&format!(
        "CREATE TABLE text (line STRING) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'raw');",
        path.display()
    ));
    let query =
        "SELECT word, COUNT(*) AS n FROM text CROSS JOIN UNNEST(SPLIT(line, ' ')) AS t(word) GROUP BY word";
    timed("words", words, "words", || {
        let (count, changes) = run(&environment, query, 1);
        assert_eq!(count as u64, words, "every word is counted once");
        changes
    });
}

/// From nothing to the first row of a query, in this process.
fn first_row() {
    let begun = Instant::now();
    let environment = environment(
        "CREATE TABLE orders (id BIGINT, price DOUBLE, ts AS PROCTIME()) WITH ('connector' = 'datagen', 'rows-per-second' = '10');",
    );
    let job = Job::new(JobConfig::new("first"));
    let (sender, first) = std::sync::mpsc::channel();
    let rows = environment.stream("SELECT id, price * 2 FROM orders WHERE price IS NOT NULL", &job).unwrap();
    rows.map("first", move |_: Chunk| sender.send(Instant::now()).ok());
    let job = job.start().unwrap();
    let at = first.recv().unwrap();
    println!("first row: {:.1} ms", (at - begun).as_secs_f64() * 1e3);
    job.stop();
    job.wait().unwrap();
}
