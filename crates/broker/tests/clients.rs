//! What librdkafka sees of the broker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{consumer, memory, poll_values, producer, send};
use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::producer::Producer;

#[test]
fn every_codec_comes_back_as_it_went() {
    let broker = memory();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("codec-{codec}");
        broker.create_topic(&topic, 1).unwrap();
        let producer = producer(&broker, |config| {
            config.set("compression.type", codec);
        });
        let values: Vec<String> =
            (0..500).map(|n| format!("{codec} {n} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")).collect();
        send(&producer, &topic, &values);
        let consumer = consumer(&broker, "codecs", &[&topic], |_: &mut ClientConfig| {});
        assert_eq!(poll_values(&consumer, values.len()), values);
        consumer.unsubscribe();
    }
}

#[test]
fn a_topic_is_created_when_it_is_written_to() {
    let broker = memory();
    let producer = producer(&broker, |_| {});
    send(&producer, "new", &["a".to_owned()]);
    let metadata = producer.client().fetch_metadata(Some("new"), Duration::from_secs(5)).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 1);
}
