//! How fast the broker is, with librdkafka in the same process: `cargo bench -p thalweg-broker`.
//!
//! It prints, for a broker in memory and for one on disk: records produced a second (100 bytes each, three
//! partitions, one producer) and read again, with the CPU seconds of the whole process, client included; how
//! long a transaction takes; how long a single record is under way; and how long the broker takes to start.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use thalweg_broker::{Broker, BrokerConfig, Storage};

const RECORDS: u32 = 2_000_000;
const TRANSACTIONS: usize = 1_000;
const SINGLES: usize = 2_000;
const STARTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let folder = tempfile::tempdir().unwrap();
    for (name, storage) in
        [("memory", Storage::Memory), ("disk", Storage::Directory(folder.path().to_owned()))]
    {
        let broker = start(storage);
        println!("{name}:");
        throughput(&broker);
        transactions(&broker);
        latency(&broker);
    }
    starts(folder.path());
}

fn start(storage: Storage) -> Broker {
    Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap()
}

fn client(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config
}

fn reader(broker: &Broker, topic: &str) -> BaseConsumer {
    let reader: BaseConsumer =
        client(broker).set("group.id", "bench").set("enable.auto.commit", "false").create().unwrap();
    let mut places = TopicPartitionList::new();
    for partition in 0..3 {
        places.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    reader.assign(&places).unwrap();
    reader
}

fn throughput(broker: &Broker) {
    broker.create_topic("throughput", 3).unwrap();
    let producer: BaseProducer = client(broker)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    let payload = [7; 100];
    let cpu = cpu_seconds();
    let begun = Instant::now();
    for n in 0..RECORDS {
        let mut record = BaseRecord::<(), [u8]>::to("throughput").partition((n % 3) as i32).payload(&payload);
        while let Err((error, back)) = producer.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            producer.poll(Duration::from_millis(1));
            record = back;
        }
        if n % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(PATIENCE).unwrap();
    report("produced", begun.elapsed(), cpu);

    let reader = reader(broker, "throughput");
    let cpu = cpu_seconds();
    let begun = Instant::now();
    let mut left = RECORDS;
    while left > 0 {
        left -= u32::from(reader.poll(PATIENCE).unwrap().unwrap().payload_len() == payload.len());
    }
    report("consumed", begun.elapsed(), cpu);
}

fn report(what: &str, took: Duration, cpu_before: Option<f64>) {
    let millions = f64::from(RECORDS) / 1e6;
    print!("  {what:<9} {:>10.0} records/s", f64::from(RECORDS) / took.as_secs_f64());
    match cpu_before.zip(cpu_seconds()) {
        Some((before, after)) => println!(", {:.2} CPU seconds a million", (after - before) / millions),
        None => println!(),
    }
}

/// What a pipeline does at the end of each epoch.
fn transactions(broker: &Broker) {
    broker.create_topic("out", 3).unwrap();
    let producer: BaseProducer =
        client(broker).set("transactional.id", "bench").set("linger.ms", "0").create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let group = reader(broker, "throughput").group_metadata().unwrap();
    let (mut whole, mut commits) = (Vec::new(), Vec::new());
    for n in 0..TRANSACTIONS {
        let begun = Instant::now();
        producer.begin_transaction().unwrap();
        for partition in 0..3 {
            let record = BaseRecord::<(), str>::to("out").partition(partition).payload("value");
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        // `flush` of rust-rdkafka waits in steps of 100 ms.
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_micros(200));
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("throughput", 0, Offset::Offset(n as i64)).unwrap();
        producer.send_offsets_to_transaction(&offsets, &group, PATIENCE).unwrap();
        let committing = Instant::now();
        producer.commit_transaction(PATIENCE).unwrap();
        commits.push(committing.elapsed());
        whole.push(begun.elapsed());
    }
    println!("  transaction of 3 records and an offset: {}; its commit: {}", tail(whole), tail(commits));
}

fn latency(broker: &Broker) {
    broker.create_topic("latency", 3).unwrap();
    let producer: ThreadedProducer<DefaultProducerContext> =
        client(broker).set("linger.ms", "0").create().unwrap();
    let reader = reader(broker, "latency");
    let times = (0..SINGLES).map(|n| {
        let begun = Instant::now();
        let record = BaseRecord::<(), str>::to("latency").partition((n % 3) as i32).payload("value");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        reader.poll(PATIENCE).unwrap().unwrap();
        begun.elapsed()
    });
    println!("  a record from producer to consumer: {}", tail(times.collect()));
}

fn starts(folder: &Path) {
    let empty = tempfile::tempdir().unwrap();
    let mut n = 0;
    let time = |storage: &mut dyn FnMut() -> Storage| {
        let starts = (0..STARTS).map(|_| {
            let storage = storage();
            let begun = Instant::now();
            let broker = start(storage);
            let took = begun.elapsed();
            drop(broker);
            took
        });
        tail(starts.collect())
    };
    println!("start in memory: {}", time(&mut || Storage::Memory));
    let mut fresh = || {
        n += 1;
        Storage::Directory(empty.path().join(n.to_string()))
    };
    println!("start on an empty folder: {}", time(&mut fresh));
    println!("start on the folder of above: {}", time(&mut || Storage::Directory(folder.to_owned())));
    let begun = Instant::now();
    drop(start(Storage::Memory));
    println!("start and stop: {:?}", begun.elapsed());
}

/// Median and 99th percentile.
fn tail(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("p50 {:.2?}, p99 {:.2?}", times[times.len() / 2], times[times.len() * 99 / 100])
}

/// What this process has used so far, where `/proc` tells.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything, the 12th and 13th field are ticks of a hundredth of a second.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}
