//! The embedded broker and Apache Kafka under the same load, in one run: `cargo bench -p thalweg-broker --bench versus_kafka`.
//!
//! Each runs in a process of its own with its data on disk, under librdkafka: an idempotent producer of 100-byte
//! records to three partitions, a consumer of all of them, single records one at a time, and idle consumers. The
//! two take turns, and the median of the rounds counts, since the machine is not the same from one minute to the
//! next. CPU time and memory are the broker's alone. Apache Kafka comes from `scripts/apache-kafka`, and is left
//! out where that cannot run. The first argument is the number of records in all (default 10,000,000).

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

mod load;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use load::process::{BrokerProcess, cpu_seconds, resident_megabytes, serve_if_asked};
use load::{consume, create_topic, latencies, produce, reader, tail};
use rdkafka::consumer::BaseConsumer;

const RECORDS: u32 = 10_000_000;
const ROUNDS: u32 = 5;
/// Not measured: the Java machine compiles what it runs often.
const WARM_UP: u32 = 500_000;
const SINGLES: usize = 1_000;
const IDLE_CONSUMERS: usize = 20;
const IDLE: Duration = Duration::from_secs(10);

/// A broker, and what was measured of it in each round.
struct Contender {
    address: String,
    pid: u32,
    produced: Vec<f64>,
    produce_cpu: Vec<f64>,
    consumed: Vec<f64>,
    consume_cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    megabytes: f64,
    idle_cpu: f64,
}

fn main() {
    if serve_if_asked() {
        return;
    }
    let records = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(RECORDS);
    let folder = tempfile::tempdir().unwrap();
    let embedded = BrokerProcess::start(&folder.path().join("embedded"));
    let kafka = ApacheKafka::start(&folder.path().join("apache"));
    let mut contenders = vec![Contender::new(embedded.address(), embedded.pid())];
    contenders.extend(kafka.as_ref().map(|kafka| Contender::new(&kafka.address, kafka.pid)));
    contenders.iter().for_each(Contender::warm_up);
    for round in 0..ROUNDS {
        for contender in &mut contenders {
            contender.throughput(&format!("throughput-{round}"), records / ROUNDS);
            contender.latency(&format!("latency-{round}"));
        }
    }
    contenders.iter_mut().for_each(Contender::rest);
    print(records, &contenders);
}

impl Contender {
    fn new(address: &str, pid: u32) -> Self {
        Self {
            address: address.to_owned(),
            pid,
            produced: Vec::new(),
            produce_cpu: Vec::new(),
            consumed: Vec::new(),
            consume_cpu: Vec::new(),
            p50: Vec::new(),
            p99: Vec::new(),
            megabytes: 0.0,
            idle_cpu: 0.0,
        }
    }

    fn warm_up(&self) {
        create_topic(&self.address, "warm-up");
        produce(&self.address, "warm-up", WARM_UP);
        consume(&self.address, "warm-up", WARM_UP);
    }

    fn throughput(&mut self, topic: &str, records: u32) {
        let (cpu, millions) = (|| cpu_seconds(self.pid).unwrap(), f64::from(records) / 1e6);
        create_topic(&self.address, topic);
        let before = cpu();
        self.produced.push(f64::from(records) / produce(&self.address, topic, records).as_secs_f64());
        self.produce_cpu.push((cpu() - before) / millions);
        let before = cpu();
        self.consumed.push(f64::from(records) / consume(&self.address, topic, records).as_secs_f64());
        self.consume_cpu.push((cpu() - before) / millions);
    }

    fn latency(&mut self, topic: &str) {
        create_topic(&self.address, topic);
        let (p50, p99) = tail(latencies(&self.address, topic, SINGLES));
        self.p50.push(p50.as_secs_f64() * 1e3);
        self.p99.push(p99.as_secs_f64() * 1e3);
    }

    /// What it takes when nobody wants anything.
    fn rest(&mut self) {
        self.megabytes = resident_megabytes(self.pid).unwrap();
        create_topic(&self.address, "idle");
        let idle: Vec<BaseConsumer> = (0..IDLE_CONSUMERS).map(|_| reader(&self.address, "idle")).collect();
        std::thread::sleep(Duration::from_secs(2));
        let before = cpu_seconds(self.pid).unwrap();
        std::thread::sleep(IDLE);
        self.idle_cpu = (cpu_seconds(self.pid).unwrap() - before) / IDLE.as_secs_f64();
        drop(idle);
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn print(records: u32, contenders: &[Contender]) {
    println!(
        "{records} records of 100 bytes, 3 partitions, librdkafka, data on disk, median of {ROUNDS} rounds"
    );
    println!("{:<52} {:>14} {:>14}", "", "embedded", "Apache Kafka");
    let row = |name: &str, decimals: usize, figure: &dyn Fn(&Contender) -> f64| {
        let figures: String =
            contenders.iter().map(|contender| format!(" {:>14.decimals$}", figure(contender))).collect();
        println!("{name:<52}{figures}");
    };
    row("produced, thousand records a second", 0, &|of| median(&of.produced) / 1e3);
    row("CPU seconds of the broker for a million produced", 3, &|of| median(&of.produce_cpu));
    row("consumed, thousand records a second", 0, &|of| median(&of.consumed) / 1e3);
    row("CPU seconds of the broker for a million consumed", 3, &|of| median(&of.consume_cpu));
    row("a record from producer to consumer, p50, ms", 3, &|of| median(&of.p50));
    row("a record from producer to consumer, p99, ms", 3, &|of| median(&of.p99));
    row("memory after all that, MB", 0, &|of| of.megabytes);
    row("CPU seconds a second with 20 idle consumers", 4, &|of| of.idle_cpu);
}

/// An Apache Kafka that was started for this run.
struct ApacheKafka {
    address: String,
    pid: u32,
    data: PathBuf,
}

impl ApacheKafka {
    fn start(data: &Path) -> Option<Self> {
        let output = script("start", data).stderr(Stdio::inherit()).output().ok()?;
        let address = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        let pid = std::fs::read_to_string(data.join("pid")).ok()?.trim().parse().ok()?;
        Some(Self { address, pid, data: data.to_owned() })
    }
}

impl Drop for ApacheKafka {
    fn drop(&mut self) {
        let _ = script("stop", &self.data).stderr(Stdio::null()).status();
    }
}

fn script(command: &str, data: &Path) -> Command {
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/apache-kafka"));
    script.arg(command).arg("--data").arg(data);
    script
}
