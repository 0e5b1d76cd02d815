//! How fast a log is compacted: a gigabyte of records of 100 bytes, with a million keys, in one round.
//!
//! Run it with `cargo bench -p thalweg-broker --bench compact`.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thalweg_broker::{Broker, BrokerConfig, LocalRecord, ProducerOptions, Storage};

const RECORDS: u64 = 10_000_000;
const KEYS: u64 = 1_000_000;
const DAY: Duration = Duration::from_secs(86_400);

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(folder.path().to_owned());
    let properties = [
        ("log.cleanup.policy", "compact"),
        ("log.segment.bytes", "67108864"),
        ("log.cleaner.min.compaction.lag.ms", "86400000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let broker = Broker::start(BrokerConfig { storage, properties, ..BrokerConfig::default() }).unwrap();
    broker.create_topic("table", 1).unwrap();
    write(&broker);
    let before = megabytes(folder.path());
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    // What it waits for is the age of the records.
    broker.faults().advance_clock(2 * DAY);
    let (took, cpu_after) = (begun.elapsed(), cpu_seconds());
    let after = megabytes(folder.path());
    print!("{before} MB compacted to {after} MB in {:.1} s", took.as_secs_f64());
    match cpu.zip(cpu_after) {
        Some((before, after)) => println!(", {:.1} CPU seconds", after - before),
        None => println!(),
    }
}

fn write(broker: &Broker) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut producer = broker.client().producer(ProducerOptions::default()).unwrap();
    let mut random = 1_u64;
    for _ in 0..RECORDS {
        // A linear congruential generator; its low bits are not random.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = (random >> 33) % KEYS;
        let record = LocalRecord::to("table").partition(0).timestamp(now);
        producer.send(record.key(&key.to_be_bytes()).value(&[7; 92])).unwrap();
    }
    producer.flush().unwrap();
}

/// The size of the topic's only log.
fn megabytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder.join("topics/table-0")).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    bytes / 1_000_000
}

/// CPU time of this process, on Linux.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}
