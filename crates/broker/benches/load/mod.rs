//! What the benchmarks put on a broker, through librdkafka, and how they measure it.

#![allow(dead_code, reason = "every benchmark takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

pub(crate) mod process;

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub(crate) const PARTITIONS: i32 = 3;
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const RECORD_BYTES: usize = 100;
const PAYLOAD: [u8; RECORD_BYTES] = [7; RECORD_BYTES];

pub(crate) fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

pub(crate) fn create_topic(address: &str, name: &str) {
    let admin: AdminClient<DefaultClientContext> = client(address).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
    runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap().remove(0).unwrap();
}

/// A consumer that reads all of a topic from its beginning.
pub(crate) fn reader(address: &str, topic: &str) -> BaseConsumer {
    let reader: BaseConsumer = client(address)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        // Or else it sleeps a second whenever it has fetched ahead far enough, and that is what would be measured.
        .set("fetch.queue.backoff.ms", "1")
        .create()
        .unwrap();
    let mut places = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        // Not "the beginning": librdkafka takes half a second to ask where that is.
        places.add_partition_offset(topic, partition, Offset::Offset(0)).unwrap();
    }
    reader.assign(&places).unwrap();
    reader
}

/// Writes `count` records of 100 bytes with an idempotent producer, and waits for the last acknowledgement.
pub(crate) fn produce(address: &str, topic: &str, count: u32) -> Duration {
    produce_with(address, topic, count, &[])
}

/// The same with settings of the producer.
pub(crate) fn produce_with(address: &str, topic: &str, count: u32, settings: &[(&str, &str)]) -> Duration {
    let mut config = client(address);
    config.set("enable.idempotence", "true").set("linger.ms", "5");
    config.set("queue.buffering.max.messages", "1000000");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let producer: BaseProducer = config.create().unwrap();
    let begun = Instant::now();
    for n in 0..count {
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(n as i32 % PARTITIONS).payload(&PAYLOAD);
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
    begun.elapsed()
}

/// Reads `count` records.
pub(crate) fn consume(address: &str, topic: &str, count: u32) -> Duration {
    let reader = reader(address, topic);
    let begun = Instant::now();
    let mut left = count;
    while left > 0 {
        left -= u32::from(reader.poll(PATIENCE).unwrap().unwrap().payload_len() == PAYLOAD.len());
    }
    begun.elapsed()
}

/// How long single records are under way from producer to consumer, one after the other.
pub(crate) fn latencies(address: &str, topic: &str, count: usize) -> Vec<Duration> {
    let producer: ThreadedProducer<DefaultProducerContext> =
        client(address).set("linger.ms", "0").create().unwrap();
    let reader = reader(address, topic);
    let mut times = (0..count).map(|n| {
        let begun = Instant::now();
        let record = BaseRecord::<(), str>::to(topic).partition(n as i32 % PARTITIONS).payload("value");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        reader.poll(PATIENCE).unwrap().unwrap();
        begun.elapsed()
    });
    // The first ones find connections and fetches not yet under way.
    times.by_ref().take(count / 10).for_each(drop);
    times.collect()
}

/// Median and 99th percentile.
pub(crate) fn tail(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
