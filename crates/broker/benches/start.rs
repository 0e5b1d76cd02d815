//! How long the broker takes to start with much in its folder: `cargo bench -p thalweg-broker --bench start -- 10`.
//!
//! The argument is the gigabytes of records in three partitions (default 1). It measures from the start of the process to
//! its first answer to a request, on an empty folder, after a clean stop, and after `kill -9` after a client has produced.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

mod load;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use load::process::{BrokerProcess, resident_megabytes, serve_if_asked};
use load::{create_topic, produce_with, tail};
use thalweg_broker::{Broker, BrokerConfig, LocalRecord, ProducerOptions, Storage};

const STARTS: usize = 10;
const VALUE: [u8; 1_000] = [7; 1_000];
/// ApiVersions in version 0, without a client id.
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

fn main() {
    if serve_if_asked() {
        return;
    }
    let gigabytes = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1);
    let folder = tempfile::tempdir().unwrap();
    let mut n = 0;
    report("an empty folder", &mut || {
        n += 1;
        start(&folder.path().join(n.to_string())).1
    });
    let data = folder.path().join("full");
    fill(&data, gigabytes);
    report(&format!("{gigabytes} GB after a clean stop"), &mut || {
        // Processes are killed here, but as they have written nothing, it is still the clean stop that counts.
        start(&data).1
    });
    let mut memory = 0.0;
    report(&format!("{gigabytes} GB after kill -9 once a client has produced"), &mut || {
        let (broker, took) = start(&data);
        memory = resident_megabytes(broker.pid()).unwrap_or(0.0);
        // Some megabytes in each partition that no checkpoint speaks of yet.
        produce_with(broker.address(), "full", 500_000, &[]);
        took
    });
    println!("memory after such a start: {memory:.0} MB");
}

/// Starts a broker and asks it something.
fn start(data: &Path) -> (BrokerProcess, Duration) {
    let begun = Instant::now();
    let broker = BrokerProcess::start(data);
    let mut stream = TcpStream::connect(broker.address()).unwrap();
    stream.write_all(&REQUEST).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    (broker, begun.elapsed())
}

fn fill(data: &Path, gigabytes: u64) {
    let storage = Storage::Directory(data.to_owned());
    let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    create_topic(&broker.bootstrap(), "full");
    let mut producer = broker.client().producer(ProducerOptions::default()).unwrap();
    for n in 0..gigabytes * 1_000_000 {
        producer.send(LocalRecord::to("full").partition((n % 3) as i32).value(&VALUE)).unwrap();
    }
    producer.flush().unwrap();
    broker.stop();
}

fn report(what: &str, start: &mut dyn FnMut() -> Duration) {
    let (p50, longest) = tail((0..STARTS).map(|_| start()).collect());
    println!("start to the first answer, {what}: p50 {p50:.1?}, longest {longest:.1?}");
}
