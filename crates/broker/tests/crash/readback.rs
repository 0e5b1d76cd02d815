//! Reads topics from end to end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::writers::{GROUP, PARTITIONS, PLAIN, client, number_of};

const PATIENCE: Duration = Duration::from_secs(60);

/// The numbers of a topic's records, with their keys, by partition and in the order of offsets.
pub(crate) struct Content(Vec<Vec<(Option<String>, u64)>>);

impl Content {
    pub(crate) fn values(&self, partition: usize) -> impl Iterator<Item = u64> {
        self.0[partition].iter().map(|(_, number)| *number)
    }

    pub(crate) fn all(&self) -> Vec<u64> {
        self.0.iter().flatten().map(|(_, number)| *number).collect()
    }

    /// How often each key is there.
    pub(crate) fn counts(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for key in self.0.iter().flatten().filter_map(|(key, _)| key.clone()) {
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    /// The last value of each key.
    pub(crate) fn latest(&self) -> HashMap<String, u64> {
        let keyed = self.0.iter().flatten().filter_map(|(key, number)| Some((key.clone()?, *number)));
        keyed.collect()
    }
}

pub(crate) fn read(address: &str, topic: &str, committed: bool) -> Content {
    let consumer: BaseConsumer = client(address)
        .set("group.id", "readback")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        // What there is, is there.
        .set("fetch.wait.max.ms", "5")
        .set("fetch.queue.backoff.ms", "5")
        .set("isolation.level", if committed { "read_committed" } else { "read_uncommitted" })
        .create()
        .unwrap();
    let mut places = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        // Not "the beginning": librdkafka takes half a second to ask where that is.
        places.add_partition_offset(topic, partition as i32, Offset::Offset(0)).unwrap();
    }
    consumer.assign(&places).unwrap();
    let mut content = vec![Vec::new(); PARTITIONS];
    let mut open = PARTITIONS;
    let deadline = Instant::now() + PATIENCE;
    while open > 0 {
        assert!(Instant::now() < deadline, "{topic}: {open} partitions have not come to their end");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                let key = message.key().map(|key| String::from_utf8(key.to_vec()).unwrap());
                let number = number_of(message.payload().unwrap()).unwrap();
                content[message.partition() as usize].push((key, number));
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("{topic}: {error}"),
        }
    }
    Content(content)
}

/// The offset that the transactions have left behind, 0 if none has.
pub(crate) fn committed_offset(address: &str) -> i64 {
    let consumer: BaseConsumer = client(address).set("group.id", GROUP).create().unwrap();
    let mut places = TopicPartitionList::new();
    places.add_partition(PLAIN, 0);
    let offsets = consumer.committed_offsets(places, PATIENCE).unwrap();
    match offsets.elements()[0].offset() {
        Offset::Offset(offset) => offset,
        _ => 0,
    }
}
