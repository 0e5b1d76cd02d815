//! How fast the broker is, with librdkafka in the same process: `cargo bench -p thalweg-broker`.
//!
//! It prints, for a broker in memory and for one on disk: records produced a second (100 bytes each, three
//! partitions, one producer) and read again, with the CPU seconds of the whole process, client included; how
//! long a transaction takes; how long a single record is under way; and how long the broker takes to start.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

mod load;

use std::path::Path;
use std::time::{Duration, Instant};

use load::process::cpu_seconds;
use load::{PATIENCE, client, reader};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use thalweg_broker::{Broker, BrokerConfig, Storage};

const RECORDS: u32 = 2_000_000;
const TRANSACTIONS: usize = 1_000;
const SINGLES: usize = 2_000;
const STARTS: usize = 20;

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

fn throughput(broker: &Broker) {
    broker.create_topic("throughput", 3).unwrap();
    let address = broker.bootstrap();
    let cpu = cpu_seconds(std::process::id());
    report("produced", load::produce(&address, "throughput", RECORDS), cpu);
    let cpu = cpu_seconds(std::process::id());
    report("consumed", load::consume(&address, "throughput", RECORDS), cpu);
}

fn report(what: &str, took: Duration, cpu_before: Option<f64>) {
    let millions = f64::from(RECORDS) / 1e6;
    print!("  {what:<9} {:>10.0} records/s", f64::from(RECORDS) / took.as_secs_f64());
    match cpu_before.zip(cpu_seconds(std::process::id())) {
        Some((before, after)) => println!(", {:.2} CPU seconds a million", (after - before) / millions),
        None => println!(),
    }
}

/// What a pipeline does at the end of each epoch.
fn transactions(broker: &Broker) {
    broker.create_topic("out", 3).unwrap();
    let producer: BaseProducer =
        client(&broker.bootstrap()).set("transactional.id", "bench").set("linger.ms", "0").create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let group = reader(&broker.bootstrap(), "throughput").group_metadata().unwrap();
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
    let times = load::latencies(&broker.bootstrap(), "latency", SINGLES);
    println!("  a record from producer to consumer: {}", tail(times));
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
fn tail(times: Vec<Duration>) -> String {
    let (p50, p99) = load::tail(times);
    format!("p50 {p50:.2?}, p99 {p99:.2?}")
}
