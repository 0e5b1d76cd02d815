//! How fast the in-process client is: records written and read, per second and per CPU second.
//!
//! Run it with `cargo bench -p thalweg-broker --bench local`.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::time::{Duration, Instant};

use thalweg_broker::{
    Broker, BrokerConfig, Isolation, LocalClient, LocalProducer, LocalRecord, ProducerOptions, Storage,
};

const RECORDS: usize = 5_000_000;
const PARTITIONS: i32 = 3;
const VALUE: [u8; 100] = [b'x'; 100];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    for (name, storage) in
        [("in memory", Storage::Memory), ("on disk", Storage::Directory(folder.path().to_owned()))]
    {
        println!("{name}: {RECORDS} records of {} bytes, {PARTITIONS} partitions", VALUE.len());
        let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
        broker.create_topic("plain", PARTITIONS).unwrap();
        broker.create_topic("committed", PARTITIONS).unwrap();
        let client = broker.client();
        let mut plain = client.producer(ProducerOptions::default()).unwrap();
        measure("written", || {
            write(&mut plain, "plain", 0..RECORDS);
            plain.flush().unwrap();
        });
        measure("read", || read(&client, "plain"));
        let transactional_id = Some("bench".to_owned());
        let mut writer =
            client.producer(ProducerOptions { transactional_id, ..ProducerOptions::default() }).unwrap();
        measure("written in transactions of 10000", || {
            for first in (0..RECORDS).step_by(10_000) {
                writer.begin().unwrap();
                write(&mut writer, "committed", first..first + 10_000);
                writer.commit().unwrap();
            }
        });
        measure("read", || read(&client, "committed"));
    }
}

fn write(producer: &mut LocalProducer, topic: &str, range: std::ops::Range<usize>) {
    for n in range {
        let partition = (n % PARTITIONS as usize) as i32;
        producer.send(LocalRecord::to(topic).partition(partition).timestamp(n as i64).value(&VALUE)).unwrap();
    }
}

fn read(client: &LocalClient, topic: &str) {
    let mut consumer = client.consumer(Isolation::ReadCommitted);
    (0..PARTITIONS).for_each(|partition| consumer.assign(topic, partition, 0));
    let (mut count, mut bytes) = (0, 0);
    while count < RECORDS {
        for batch in consumer.poll(Duration::from_secs(10)).unwrap() {
            for record in batch.records() {
                bytes += record.unwrap().value.map_or(0, <[u8]>::len);
                count += 1;
            }
        }
    }
    assert_eq!((count, bytes), (RECORDS, RECORDS * VALUE.len()));
}

fn measure(what: &str, act: impl FnOnce()) {
    let (begun, cpu_before) = (Instant::now(), cpu_seconds());
    act();
    let million = RECORDS as f64 / 1e6;
    let rate = million / begun.elapsed().as_secs_f64();
    match cpu_before.zip(cpu_seconds()) {
        Some((before, after)) => {
            println!("  {what}: {rate:.2} M/s, {:.2} M per CPU second", million / (after - before));
        }
        None => println!("  {what}: {rate:.2} M/s"),
    }
}

/// CPU time of this process, on Linux.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}
