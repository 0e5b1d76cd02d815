//! Topics, from outside of the jobs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::checker::{Output, Seen};

const PATIENCE: Duration = Duration::from_secs(30);

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Makes topics of so many partitions.
///
/// # Errors
/// What the cluster says.
pub fn create(bootstrap: &str, topics: &[(String, i32)]) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let new: Vec<_> = topics
        .iter()
        .map(|(name, partitions)| NewTopic::new(name, *partitions, TopicReplication::Fixed(1)))
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let created = admin.create_topics(&new, &options);
    for result in futures(created)? {
        result.map_err(|(topic, error)| anyhow::anyhow!("cannot create {topic}: {error}"))?;
    }
    Ok(())
}

/// Waits for a future of librdkafka, which needs no runtime.
fn futures<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Writes lines, each to the partition that comes with it.
///
/// # Errors
/// What the cluster says.
pub fn write(bootstrap: &str, topic: &str, lines: impl Iterator<Item = (i32, String)>) -> anyhow::Result<()> {
    let producer: BaseProducer = config(bootstrap).create()?;
    for (partition, line) in lines {
        let mut record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&line);
        while let Err((error, same)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(1));
            record = same;
        }
    }
    Ok(producer.flush(PATIENCE)?)
}

/// What committed readers see in a topic, in the order of each partition, once no transaction is open in it: a job that was killed
/// leaves one, until the cluster gives it up.
///
/// # Errors
/// What the cluster says, and that a transaction stays open.
pub fn read(bootstrap: &str, topic: &str) -> anyhow::Result<Output> {
    let mut config = config(bootstrap);
    config
        .set("group.id", "thalweg-campaign")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create()?;
    let everything: BaseConsumer = config.set("isolation.level", "read_uncommitted").create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let topic_metadata = metadata.topics().first().context("no such topic")?;
    let (mut assigned, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    for partition in topic_metadata.partitions().iter().map(|partition| partition.id()) {
        let (first, end) = everything.fetch_watermarks(topic, partition, PATIENCE)?;
        if first < end {
            assigned.add_partition_offset(topic, partition, Offset::Offset(first))?;
            ends.insert(partition, end);
        }
    }
    consumer.assign(&assigned)?;
    let (mut output, deadline) = (Output::new(), Instant::now() + PATIENCE);
    loop {
        let message = consumer.poll(Duration::from_millis(10));
        if let Some(message) = message {
            let message = message?;
            let text = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
            if message.offset() < ends[&message.partition()] {
                output.push(Seen::parse(&text).ok_or(text));
            }
            continue;
        }
        let positions = consumer.position()?;
        let at_end = positions.elements().iter().all(
            |element| matches!(element.offset(), Offset::Offset(offset) if offset >= ends[&element.partition()]),
        );
        if at_end {
            return Ok(output);
        }
        if Instant::now() > deadline {
            bail!("{topic} cannot be read to its end: a transaction stays open in it");
        }
    }
}
