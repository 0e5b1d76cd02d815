//! What librdkafka sees of the broker.

use crate::common::{PATIENCE, consumer, memory, poll_values, producer, send};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use thalweg_broker::{Broker, BrokerConfig};

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
    let broker = Broker::start(BrokerConfig { default_partitions: 3, ..BrokerConfig::default() }).unwrap();
    let producer = producer(&broker, |_| {});
    send(&producer, "new", &["a".to_owned()]);
    let metadata = producer.client().fetch_metadata(Some("new"), PATIENCE).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
}

#[test]
fn no_topic_is_created_where_that_is_not_wanted() {
    let broker =
        Broker::start(BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() }).unwrap();
    let producer = producer(&broker, |_| {});
    let metadata = producer.client().fetch_metadata(Some("new"), PATIENCE).unwrap();
    let error = metadata.topics()[0].error();
    assert_eq!(error, Some(rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
    assert!(producer.client().fetch_metadata(None, PATIENCE).unwrap().topics().is_empty());
}

#[test]
fn offsets_are_found_by_time() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let producer = producer(&broker, |_| {});
    for time in [1_000, 3_000, 2_000, 4_000] {
        let record = BaseRecord::<(), str>::to("t").payload("v").timestamp(time);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        // A batch for each, so that the index is searched and not one batch alone.
        producer.flush(PATIENCE).unwrap();
    }
    let consumer = consumer(&broker, "g", &["t"], |_| {});
    let offset_at = |time| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(time)).unwrap();
        consumer.offsets_for_times(list, PATIENCE).unwrap().elements()[0].offset()
    };
    let found: Vec<Offset> = [0, 1_000, 1_001, 2_000, 3_001, 4_001].map(offset_at).to_vec();
    let wanted = [0, 0, 1, 1, 3].map(Offset::Offset);
    assert_eq!(found[..5], wanted);
    assert_eq!(found[5], Offset::End);
    assert_eq!(consumer.fetch_watermarks("t", 0, PATIENCE).unwrap(), (0, 4));
}
