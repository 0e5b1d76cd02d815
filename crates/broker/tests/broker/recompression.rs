//! `compression.type` of a topic: what is stored is compressed as it says, and what is read is what was sent.

use crate::common::wire::{NO_PRODUCER, Wire, batch, name, patient_fetch};
use crate::common::{self, memory, poll_values};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, FetchRequest};
use kafka_protocol::protocol::StrBytes;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

#[test]
fn batches_are_stored_as_the_topic_says_and_read_as_they_were_sent() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    let types = [("uncompressed", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4), ("producer", 0)];
    for (codec, number) in types {
        let config =
            CreatableTopicConfig::default().with_name(text("compression.type")).with_value(Some(text(codec)));
        let topic = CreatableTopic::default()
            .with_name(name(codec))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(vec![config]);
        let created = wire.call(7, &CreateTopicsRequest::default().with_topics(vec![topic]));
        assert_eq!(created.topics[0].error_code, 0, "{:?}", created.topics[0].error_message);
        let values = ["a".repeat(1_000), "b".repeat(1_000)];
        let sent = batch(&[&values[0], &values[1]], NO_PRODUCER, false);
        assert_eq!(wire.produce(codec, sent.clone(), None).error_code, 0);
        wire.send(11, &patient_fetch(codec, 0, false));
        let fetched = wire.receive::<FetchRequest>(11).responses.remove(0).partitions.remove(0);
        let stored = fetched.records.unwrap();
        assert_eq!(i16::from_be_bytes([stored[21], stored[22]]) & 7, number, "{codec}");
        assert_eq!(number != 0, stored.len() < sent.len());
        let consumer = common::consumer(&broker, codec, &[codec], |config| {
            config.set("check.crcs", "true");
        });
        assert_eq!(poll_values(&consumer, 2), values);
    }
    // What a producer has compressed is opened where the topic wants it so.
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let producer = common::producer(&broker, |config| {
            config.set("compression.type", codec);
        });
        let values: Vec<String> = (0..100).map(|n| format!("{codec} {n}")).collect();
        for topic in ["uncompressed", "gzip"] {
            common::send(&producer, topic, &values);
        }
    }
    for topic in ["uncompressed", "gzip"] {
        let consumer = common::consumer(&broker, "all", &[topic], |_| {});
        assert_eq!(poll_values(&consumer, 402).len(), 402);
    }
}
