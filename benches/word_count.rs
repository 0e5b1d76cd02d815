//! Word count over a text file: `DStream`, parallelism 2, beside a hand-written loop on the same file.
//!
//! `cargo bench -p thalweg --bench word_count [-- WORDS]`: 120 million words unless it says otherwise.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use compact_str::CompactString;
use thalweg::dstream::StreamingContext;

fn main() {
    let words = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(120_000_000);
    let path = support::words_file(words);
    let memory = support::peak_memory();
    for (name, count) in [("thalweg", thalweg as fn(&Path) -> (u64, usize)), ("loop", hand_written)] {
        let (cpu, wall) = (support::cpu_time(), Instant::now());
        let (total, distinct) = count(&path);
        let (cpu, wall) = (support::cpu_time() - cpu, wall.elapsed());
        assert_eq!(total, words);
        println!(
            "{name:8} {total} words, {distinct} distinct: {:6.2} M words/CPU-s, {:6.2} M words/s, peak memory {} MB",
            words as f64 / cpu.as_secs_f64() / 1e6,
            words as f64 / wall.as_secs_f64() / 1e6,
            (support::peak_memory() - memory.min(support::peak_memory())) / 1_000_000 + memory / 1_000_000,
        );
    }
}

fn thalweg(path: &Path) -> (u64, usize) {
    let ssc = StreamingContext::new("word-count", Duration::from_secs(1));
    ssc.configure(|config| config.parallelism = 2);
    let totals: Arc<Mutex<HashMap<CompactString, u64>>> = Arc::default();
    let sink = totals.clone();
    let counts = ssc
        .text_file(path)
        .flat_map_each(|line: &String, emit| {
            line.split(' ').for_each(|word| emit((CompactString::from(word), 1_u64)))
        })
        .reduce_by_key(|a, b| a + b);
    let _ = counts.map(move |(word, n)| *sink.lock().unwrap().entry(word).or_insert(0) += n);
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let totals = totals.lock().unwrap();
    (totals.values().sum(), totals.len())
}

fn hand_written(path: &Path) -> (u64, usize) {
    let mut totals: HashMap<String, u64> = HashMap::new();
    let mut reader = BufReader::with_capacity(256 << 10, File::open(path).unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        for word in line.trim_end().split(' ') {
            match totals.get_mut(word) {
                Some(n) => *n += 1,
                None => {
                    totals.insert(word.to_owned(), 1);
                }
            }
        }
        line.clear();
    }
    (totals.values().sum(), totals.len())
}
