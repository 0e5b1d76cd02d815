//! Brokers and clients for the tests.

#![allow(dead_code, reason = "every test binary takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub(crate) mod certificates;
pub(crate) mod group;
pub(crate) mod wire;

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use thalweg_broker::{Broker, BrokerConfig};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A broker on a free port, in memory.
pub(crate) fn memory() -> Broker {
    Broker::start(BrokerConfig::default()).unwrap()
}

pub(crate) fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config
}

pub(crate) fn producer(broker: &Broker, set: impl FnOnce(&mut ClientConfig)) -> BaseProducer {
    let mut config = config(broker);
    config.set("linger.ms", "1");
    set(&mut config);
    config.create().unwrap()
}

/// A transactional producer that is ready to begin.
pub(crate) fn transactional(broker: &Broker, id: &str) -> ThreadedProducer<DefaultProducerContext> {
    let producer: ThreadedProducer<_> = config(broker).set("transactional.id", id).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

pub(crate) fn consumer(
    broker: &Broker,
    group: &str,
    topics: &[&str],
    set: impl FnOnce(&mut ClientConfig),
) -> BaseConsumer {
    let mut config = config(broker);
    config.set("group.id", group).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    config.set("heartbeat.interval.ms", "100").set("session.timeout.ms", "6000");
    set(&mut config);
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(topics).unwrap();
    consumer
}

/// Sends records without keys and waits until they are acknowledged.
pub(crate) fn send(producer: &BaseProducer, topic: &str, values: &[String]) {
    for value in values {
        producer.send(BaseRecord::<(), str>::to(topic).payload(value)).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
}

/// Waits for that many records.
pub(crate) fn poll_values(consumer: &BaseConsumer, count: usize) -> Vec<String> {
    poll_with(consumer, count, |message| String::from_utf8(message.payload().unwrap().to_vec()).unwrap())
}

pub(crate) fn poll_with<T>(
    consumer: &BaseConsumer,
    count: usize,
    read: impl Fn(&BorrowedMessage<'_>) -> T,
) -> Vec<T> {
    let deadline = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    while found.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} records came", found.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            found.push(read(&message.unwrap()));
        }
    }
    found
}
