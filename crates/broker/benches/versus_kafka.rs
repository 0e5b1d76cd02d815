//! The embedded broker and Apache Kafka under the same load, in one run: `cargo bench -p thalweg-broker --bench versus_kafka`.
//!
//! Each runs in a process of its own with its data on disk, and serves 100-byte records in three partitions: to
//! librdkafka with an idempotent producer and as large batches as come, to the same with the batches of Java's
//! clients, and to Kafka's own tools; single records one at a time; and idle consumers. The two take turns, and the
//! median of the rounds counts, since the machine is not the same from one minute to the next. CPU time and memory are
//! the broker's alone. Apache Kafka comes from `scripts/apache-kafka`, and is left out where that cannot run; its
//! tools as well. The first argument is the number of records of each load in all (default 10,000,000); `--alone`
//! leaves out Apache Kafka.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

mod load;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use load::process::{BrokerProcess, Cpu, resident_megabytes, serve_if_asked};
use load::{PARTITIONS, RECORD_BYTES, consume, create_topic, latencies, produce_with, reader, tail};
use rdkafka::consumer::BaseConsumer;

const RECORDS: u32 = 10_000_000;
const ROUNDS: u32 = 5;
/// Not measured: the Java machine compiles what it runs often.
const WARM_UP: u32 = 500_000;
const SINGLES: usize = 1_000;
const IDLE_CONSUMERS: usize = 20;
const IDLE: Duration = Duration::from_secs(10);
/// What Java's producer does by default.
const SMALL_BATCHES: &[(&str, &str)] = &[("batch.size", "16384")];

/// A broker, and what was measured of it.
struct Contender {
    address: String,
    pid: u32,
    /// Name, decimals, and the figures of all rounds.
    rows: Vec<(String, usize, Vec<f64>)>,
}

fn main() {
    if serve_if_asked() {
        return;
    }
    let records = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(RECORDS);
    let alone = std::env::args().any(|arg| arg == "--alone");
    let folder = tempfile::tempdir().unwrap();
    let embedded = BrokerProcess::start(&folder.path().join("embedded"));
    let kafka = if alone { None } else { ApacheKafka::start(&folder.path().join("apache")) };
    let mut contenders = vec![Contender::new(embedded.address(), embedded.pid())];
    contenders.extend(kafka.as_ref().map(|kafka| Contender::new(&kafka.address, kafka.pid)));
    contenders.iter().for_each(Contender::warm_up);
    for round in 0..ROUNDS {
        for contender in &mut contenders {
            contender.throughput("librdkafka", &format!("large-{round}"), records / ROUNDS, &[]);
            contender.throughput("16 KB batches", &format!("small-{round}"), records / ROUNDS, SMALL_BATCHES);
            if kafka.is_some() {
                contender.tools(&format!("tools-{round}"), records / ROUNDS);
            }
            contender.latency(&format!("latency-{round}"));
        }
    }
    contenders.iter_mut().for_each(Contender::rest);
    print(records, &contenders);
}

impl Contender {
    fn new(address: &str, pid: u32) -> Self {
        Self { address: address.to_owned(), pid, rows: Vec::new() }
    }

    fn note(&mut self, name: String, decimals: usize, figure: f64) {
        match self.rows.iter_mut().find(|(known, ..)| *known == name) {
            Some((.., figures)) => figures.push(figure),
            None => self.rows.push((name, decimals, vec![figure])),
        }
    }

    fn warm_up(&self) {
        create_topic(&self.address, "warm-up");
        produce_with(&self.address, "warm-up", WARM_UP, &[]);
        consume(&self.address, "warm-up", WARM_UP);
    }

    /// Notes how fast `act` was, in records a second, and what it cost the broker.
    fn measure(&mut self, what: &str, records: u32, act: impl FnOnce(&str) -> Option<f64>) {
        let before = Cpu::of(self.pid).unwrap();
        let Some(rate) = act(&self.address) else { return };
        let spent = Cpu::of(self.pid).unwrap().since(before);
        let millions = f64::from(records) / 1e6;
        self.note(format!("{what}: thousand records a second"), 0, rate / 1e3);
        self.note(format!("{what}: broker's CPU seconds a million"), 3, spent.all() / millions);
        self.note(format!("{what}: of these the system's"), 3, spent.system / millions);
    }

    fn throughput(&mut self, client: &str, topic: &str, records: u32, settings: &[(&str, &str)]) {
        let rate = |took: Duration| Some(f64::from(records) / took.as_secs_f64());
        create_topic(&self.address, topic);
        self.measure(&format!("{client}, produced"), records, |address| {
            rate(produce_with(address, topic, records, settings))
        });
        self.measure(&format!("{client}, consumed"), records, |address| {
            rate(consume(address, topic, records))
        });
    }

    /// With the programs that Kafka brings for this.
    fn tools(&mut self, topic: &str, records: u32) {
        create_topic(&self.address, topic);
        let (count, size) = (records.to_string(), RECORD_BYTES.to_string());
        self.measure("kafka-producer-perf-test", records, |address| {
            let args =
                ["--topic", topic, "--num-records", &count, "--record-size", &size, "--throughput", "-1"];
            let said = tool("kafka-producer-perf-test", address, &args)?;
            // "… 1000 records sent, 523.4 records/sec (…"
            said.lines().last()?.split_once(" records sent, ")?.1.split_whitespace().next()?.parse().ok()
        });
        self.measure("kafka-consumer-perf-test", records, |address| {
            let args = ["--topic", topic, "--num-records", &count, "--hide-header"];
            let said = tool("kafka-consumer-perf-test", address, &args)?;
            said.lines().last()?.split(',').nth(5)?.trim().parse().ok()
        });
    }

    fn latency(&mut self, topic: &str) {
        create_topic(&self.address, topic);
        let (p50, p99) = tail(latencies(&self.address, topic, SINGLES));
        self.note("a record from producer to consumer, p50, ms".to_owned(), 3, p50.as_secs_f64() * 1e3);
        self.note("a record from producer to consumer, p99, ms".to_owned(), 3, p99.as_secs_f64() * 1e3);
    }

    /// What it takes when nobody wants anything.
    fn rest(&mut self) {
        self.note("memory after all that, MB".to_owned(), 0, resident_megabytes(self.pid).unwrap());
        create_topic(&self.address, "idle");
        let idle: Vec<BaseConsumer> = (0..IDLE_CONSUMERS).map(|_| reader(&self.address, "idle")).collect();
        std::thread::sleep(Duration::from_secs(2));
        let before = Cpu::of(self.pid).unwrap();
        std::thread::sleep(IDLE);
        let spent = Cpu::of(self.pid).unwrap().since(before).all() / IDLE.as_secs_f64();
        self.note(format!("CPU seconds a second with {IDLE_CONSUMERS} idle consumers"), 4, spent);
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
        "{records} records of {RECORD_BYTES} bytes, {PARTITIONS} partitions, data on disk, median of {ROUNDS} rounds"
    );
    println!("{:<62} {:>12} {:>12}", "", "embedded", "Apache Kafka");
    for (name, decimals, _) in &contenders[0].rows {
        let of = |contender: &Contender| {
            let row = contender.rows.iter().find(|(known, ..)| known == name);
            row.map_or("-".to_owned(), |(.., figures)| format!("{:.decimals$}", median(figures)))
        };
        let figures: String = contenders.iter().map(|contender| format!(" {:>12}", of(contender))).collect();
        println!("{name:<62}{figures}");
    }
}

/// An Apache Kafka that was started for this run.
struct ApacheKafka {
    address: String,
    pid: u32,
    data: PathBuf,
}

impl ApacheKafka {
    fn start(data: &Path) -> Option<Self> {
        let output = script("start").arg("--data").arg(data).stderr(Stdio::inherit()).output().ok()?;
        let address = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        let pid = std::fs::read_to_string(data.join("pid")).ok()?.trim().parse().ok()?;
        Some(Self { address, pid, data: data.to_owned() })
    }
}

impl Drop for ApacheKafka {
    fn drop(&mut self) {
        let _ = script("stop").arg("--data").arg(&self.data).stderr(Stdio::null()).status();
    }
}

fn script(command: &str) -> Command {
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/apache-kafka"));
    script.arg(command);
    script
}

/// Runs one of Kafka's tools; returns what it has printed, if it went well.
fn tool(name: &str, address: &str, args: &[&str]) -> Option<String> {
    let mut tool = script("tool");
    tool.arg(name).arg("--bootstrap-server").arg(address).args(args);
    let output = tool.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
