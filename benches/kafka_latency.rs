//! How long a record takes from topic through a `map` to topic, and how many go through in a second.
//!
//! `THALWEG_KAFKA=host:port cargo bench -p thalweg --bench kafka_latency [-- RECORDS_PER_SECOND]`: 20,000 unless it says
//! otherwise. Without the variable an embedded broker is started, in a process of its own.
//!
//! First, 5 s long, a producer writes at that rate, and a consumer takes the time of each record when it has come through: at least
//! once, and exactly once with epochs of 50 ms. Then two million records are read from one topic and written to another, as fast as
//! it goes.
//!
//! `LINGER=5` sets the sink's `linger.ms`, which keeps the sink from sending when it has nothing else to do: as it was before it did.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/broker.rs"]
mod broker;
mod support;

use std::time::{Duration, Instant, SystemTime};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use thalweg::kafka::admin::KafkaAdmin;
use thalweg::kafka::config::KafkaProperties;
use thalweg::kafka::{KafkaSinkBuilder, KafkaSourceBuilder};
use thalweg::prelude::*;

const SECONDS: u64 = 5;
const MANY: u64 = 2_000_000;

fn main() {
    let rate: u64 = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(20_000);
    let broker = std::env::var("THALWEG_KAFKA").is_err().then(broker::BrokerProcess::start);
    let bootstrap = match &broker {
        Some(broker) => broker.bootstrap.clone(),
        None => std::env::var("THALWEG_KAFKA").unwrap(),
    };
    for (name, guarantee) in [
        ("at least once", DeliveryGuarantee::AtLeastOnce),
        ("exactly once, 50 ms", DeliveryGuarantee::ExactlyOnce),
    ] {
        let mut latencies = latencies(&bootstrap, rate, guarantee);
        latencies.sort_unstable();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
        println!(
            "{name:20} {rate} records/s: p50 {:6.2} ms, p90 {:6.2} ms, p99 {:6.2} ms, most {:6.2} ms of {} records",
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0),
            latencies.len()
        );
    }
    let (took, cpu) = throughput(&bootstrap);
    println!(
        "throughput           {MANY} records of 100 bytes: {:5.2} M records/s, {:5.2} M records/CPU-s",
        MANY as f64 / took.as_secs_f64() / 1e6,
        MANY as f64 / cpu.as_secs_f64() / 1e6,
    );
}

fn now_micros() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64
}

/// New topics for input and output.
fn topics(bootstrap: &str) -> (String, String) {
    let run = now_micros();
    let (input, output) = (format!("bench-in-{run}"), format!("bench-out-{run}"));
    let admin = KafkaAdmin::new(&KafkaProperties::new(bootstrap)).unwrap();
    admin.create_topic(&input, 1).unwrap();
    admin.create_topic(&output, 1).unwrap();
    (input, output)
}

fn source(bootstrap: &str, topic: &str) -> KafkaSourceBuilder<()> {
    KafkaSource::builder(bootstrap).set_topics([topic])
}

fn sink(bootstrap: &str, topic: &str) -> KafkaSinkBuilder<()> {
    let sink = KafkaSink::builder(bootstrap).set_topic(topic);
    match std::env::var("LINGER") {
        Ok(linger) => sink.set_property("linger.ms", linger),
        Err(_) => sink,
    }
}

/// The time that each record took, in microseconds.
fn latencies(bootstrap: &str, rate: u64, guarantee: DeliveryGuarantee) -> Vec<u64> {
    let (input, output) = topics(bootstrap);
    let checkpoints = tempfile::tempdir().unwrap();
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(1);
    if guarantee == DeliveryGuarantee::ExactlyOnce {
        env.enable_checkpointing(Duration::from_millis(50), checkpoints.path()).unwrap();
    }
    let read = source(bootstrap, &input).set_deserializer(values::<i64>()).build().unwrap();
    let write = sink(bootstrap, &output)
        .set_delivery_guarantee(guarantee)
        .set_serializer(values::<i64>())
        .build()
        .unwrap();
    let _ = env.from_source(read, WatermarkStrategy::no_watermarks(), "in").map(|sent| sent).sink_to(write);
    let job = env.execute_async(&format!("bench-{output}")).unwrap();

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("linger.ms", "0").set("group.id", "latency");
    config.set("isolation.level", "read_committed").set("fetch.queue.backoff.ms", "5");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut assigned = TopicPartitionList::new();
    assigned.add_partition_offset(&output, 0, Offset::Beginning).unwrap();
    consumer.assign(&assigned).unwrap();
    let total = rate * SECONDS;
    let producer: BaseProducer = config.create().unwrap();
    let feeding = std::thread::spawn(move || {
        let begin = Instant::now() + Duration::from_secs(1);
        for n in 0..total {
            let due = begin + Duration::from_secs_f64(n as f64 / rate as f64);
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(wait);
            }
            let sent = (now_micros() as i64).to_be_bytes();
            while producer.send(BaseRecord::<(), [u8]>::to(&input).payload(&sent)).is_err() {
                producer.poll(Duration::from_millis(1));
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(10)).unwrap();
    });
    let mut latencies = Vec::new();
    while (latencies.len() as u64) < total {
        // A poll may end early without a record.
        let patience = Instant::now() + Duration::from_secs(20);
        let record = loop {
            match consumer.poll(Duration::from_secs(1)) {
                Some(record) => break record.unwrap(),
                None => assert!(Instant::now() < patience, "no record in 20 s"),
            }
        };
        let sent = i64::from_be_bytes(record.payload().unwrap().try_into().unwrap());
        latencies.push(now_micros().saturating_sub(sent as u64));
    }
    feeding.join().unwrap();
    job.stop();
    job.wait().unwrap();
    latencies
}

fn throughput(bootstrap: &str) -> (Duration, Duration) {
    let (input, output) = topics(bootstrap);
    let feed = StreamExecutionEnvironment::new();
    feed.set_parallelism(1);
    let write =
        KafkaSink::builder(bootstrap).set_topic(&input).set_serializer(values::<String>()).build().unwrap();
    let _ = feed.from_collection((0..MANY as u32).collect()).map(|n| format!("{n:0100}")).sink_to(write);
    feed.execute(&format!("feed-{output}")).unwrap();
    let (cpu, wall) = (support::cpu_time(), Instant::now());
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(1);
    let read = source(bootstrap, &input)
        .set_bounded(OffsetsInitializer::latest())
        .set_deserializer(values::<String>())
        .build()
        .unwrap();
    let write = sink(bootstrap, &output).set_serializer(values::<String>()).build().unwrap();
    let _ = env.from_source(read, WatermarkStrategy::no_watermarks(), "in").map(|line| line).sink_to(write);
    env.execute(&format!("bench-{output}")).unwrap();
    (wall.elapsed(), support::cpu_time() - cpu)
}
