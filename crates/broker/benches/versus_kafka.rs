//! The embedded broker and Apache Kafka under the same load, in one run: `cargo bench -p thalweg-broker --bench versus_kafka`.
//!
//! Each runs in a process of its own with its data on disk, one after the other, under librdkafka: an idempotent
//! producer of 100-byte records to three partitions, a consumer of all of them, single records one at a time, and
//! idle consumers. CPU time and memory are the broker's alone. Apache Kafka comes from `scripts/apache-kafka`, and
//! is left out where that cannot run. The first argument is the number of records (default 10,000,000).

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

mod load;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use load::process::{BrokerProcess, cpu_seconds, resident_megabytes, serve_if_asked};
use load::{consume, create_topic, latencies, produce, reader, tail};
use rdkafka::consumer::BaseConsumer;

const RECORDS: u32 = 10_000_000;
/// Not measured: the Java machine compiles what it runs often.
const WARM_UP: u32 = 500_000;
const SINGLES: usize = 3_000;
const IDLE_CONSUMERS: usize = 20;
const IDLE: Duration = Duration::from_secs(10);

/// The figures of one broker.
struct Figures {
    produced: f64,
    produce_cpu: f64,
    consumed: f64,
    consume_cpu: f64,
    megabytes: f64,
    latency: (Duration, Duration),
    idle_cpu: f64,
}

fn main() {
    if serve_if_asked() {
        return;
    }
    let records = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(RECORDS);
    let folder = tempfile::tempdir().unwrap();
    let embedded = {
        let broker = BrokerProcess::start(&folder.path().join("embedded"));
        measure(broker.address(), broker.pid(), records)
    };
    let kafka = ApacheKafka::start(&folder.path().join("apache"))
        .map(|kafka| measure(&kafka.address, kafka.pid, records));
    print(records, &embedded, kafka.as_ref());
}

fn measure(address: &str, pid: u32, records: u32) -> Figures {
    let cpu = || cpu_seconds(pid).unwrap();
    let millions = f64::from(records) / 1e6;
    create_topic(address, "warm-up");
    produce(address, "warm-up", WARM_UP);
    consume(address, "warm-up", WARM_UP);

    create_topic(address, "throughput");
    let before = cpu();
    let produced = f64::from(records) / produce(address, "throughput", records).as_secs_f64();
    let produce_cpu = (cpu() - before) / millions;
    let megabytes = resident_megabytes(pid).unwrap();
    let before = cpu();
    let consumed = f64::from(records) / consume(address, "throughput", records).as_secs_f64();
    let consume_cpu = (cpu() - before) / millions;

    create_topic(address, "latency");
    let latency = tail(latencies(address, "latency", SINGLES));

    create_topic(address, "idle");
    let idle: Vec<BaseConsumer> = (0..IDLE_CONSUMERS).map(|_| reader(address, "idle")).collect();
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu();
    std::thread::sleep(IDLE);
    let idle_cpu = (cpu() - before) / IDLE.as_secs_f64();
    drop(idle);
    Figures { produced, produce_cpu, consumed, consume_cpu, megabytes, latency, idle_cpu }
}

fn print(records: u32, embedded: &Figures, kafka: Option<&Figures>) {
    println!("{records} records of 100 bytes, 3 partitions, librdkafka, data on disk");
    println!("{:<52} {:>14} {:>14}", "", "embedded", "Apache Kafka");
    let row = |name: &str, figure: &dyn Fn(&Figures) -> String| {
        println!("{name:<52} {:>14} {:>14}", figure(embedded), kafka.map(figure).unwrap_or_default());
    };
    row("produced, thousand records a second", &|f| format!("{:.0}", f.produced / 1e3));
    row("CPU seconds of the broker for a million produced", &|f| format!("{:.3}", f.produce_cpu));
    row("consumed, thousand records a second", &|f| format!("{:.0}", f.consumed / 1e3));
    row("CPU seconds of the broker for a million consumed", &|f| format!("{:.3}", f.consume_cpu));
    row("memory after producing, MB", &|f| format!("{:.0}", f.megabytes));
    row("a record from producer to consumer, p50, ms", &|f| {
        format!("{:.3}", f.latency.0.as_secs_f64() * 1e3)
    });
    row("a record from producer to consumer, p99, ms", &|f| {
        format!("{:.3}", f.latency.1.as_secs_f64() * 1e3)
    });
    row("CPU seconds a second with 20 idle consumers", &|f| format!("{:.4}", f.idle_cpu));
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
