//! Of a compacted topic the last value of each key stays, for every client.

use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::wire::{Wire, patient_fetch};
use crate::common::{self, PATIENCE, config, memory, poll_with, transactional};
use kafka_protocol::messages::FetchResponse;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use thalweg_broker::{Broker, BrokerConfig, Isolation, LocalRecord, ProducerOptions, Storage};

/// Every second of its records, another segment; and old marks of deleted keys go at once.
const SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "1000"),
];
/// More than a cleaner pauses, and more than `delete.retention.ms`.
const A_WHILE: Duration = Duration::from_secs(20);

fn open(data: &Path) -> Broker {
    Broker::start(BrokerConfig { storage: Storage::Directory(data.to_owned()), ..BrokerConfig::default() })
        .unwrap()
}

/// A record at that second.
fn record<'a>(key: &'a str, value: Option<&'a str>, second: i64) -> BaseRecord<'a, str, str> {
    let record = BaseRecord::to("t").key(key).timestamp(second * 1_000 + 1);
    match value {
        Some(value) => record.payload(value),
        None => record,
    }
}

fn put(producer: &BaseProducer, key: &str, value: Option<&str>, second: i64) {
    producer.send(record(key, value, second)).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

/// Offset, key and value of all that is left.
fn left(broker: &Broker, isolation: &str) -> Vec<(i64, String, Option<String>)> {
    let consumer: BaseConsumer = config(broker)
        .set("group.id", "left")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "5")
        .create()
        .unwrap();
    let mut places = TopicPartitionList::new();
    places.add_partition_offset("t", 0, Offset::Offset(0)).unwrap();
    consumer.assign(&places).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut left = Vec::new();
    loop {
        match consumer.poll(PATIENCE).unwrap() {
            Ok(message) => {
                let key = text(message.key().unwrap());
                left.push((message.offset(), key, message.payload().map(text)));
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => return left,
            Err(error) => panic!("{error}"),
        }
    }
}

fn kept(expected: &[(i64, &str, &str)]) -> Vec<(i64, String, Option<String>)> {
    let owned =
        |(offset, key, value): &(i64, &str, &str)| (*offset, (*key).to_owned(), Some((*value).to_owned()));
    expected.iter().map(owned).collect()
}

fn the_last_value_of_each_key_stays(broker: &Broker) {
    Wire::connect(broker).create("t", SETTINGS);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer: BaseProducer = config(broker)
            .set("compression.codec", codec)
            .set("linger.ms", "1000")
            .set("enable.idempotence", "true")
            .create()
            .unwrap();
        for key in ["a", "b", codec] {
            producer.send(record(key, Some(codec), 0)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }
    let producer: BaseProducer = config(broker).create().unwrap();
    put(&producer, "gzip", None, 0);
    put(&producer, "x", Some("1"), 10);
    broker.faults().advance_clock(A_WHILE);
    let mut expected = kept(&[
        (2, "none", "none"),
        (8, "snappy", "snappy"),
        (11, "lz4", "lz4"),
        (12, "a", "zstd"),
        (13, "b", "zstd"),
        (14, "zstd", "zstd"),
    ]);
    expected.push((15, "gzip".to_owned(), None));
    expected.extend(kept(&[(16, "x", "1")]));
    assert_eq!(left(broker, "read_committed"), expected, "the mark of the deleted key is still there");

    put(&producer, "x", Some("2"), 20);
    broker.faults().advance_clock(A_WHILE);
    expected.retain(|(.., value)| value.is_some());
    expected.extend(kept(&[(17, "x", "2")]));
    assert_eq!(left(broker, "read_committed"), expected, "what can still be appended to is not compacted");
    put(&producer, "x", Some("3"), 30);
    broker.faults().advance_clock(A_WHILE);
    expected.remove(6);
    expected.extend(kept(&[(18, "x", "3")]));
    assert_eq!(left(broker, "read_uncommitted"), expected);

    let mut local = broker.client().consumer(Isolation::ReadCommitted);
    local.assign("t", 0, 0);
    let mut offsets = Vec::new();
    while local.position("t", 0) != Some(19) {
        let batches = local.poll(PATIENCE).unwrap();
        assert!(!batches.is_empty());
        for batch in &batches {
            assert!(batch.records().count() > 0, "a batch without records is of no use to anyone");
            offsets.extend(batch.records().map(|record| record.unwrap().offset));
        }
    }
    let expected: Vec<_> = expected.iter().map(|(offset, ..)| *offset).collect();
    assert_eq!(offsets, expected);
}

#[test]
fn in_memory() {
    the_last_value_of_each_key_stays(&memory());
}

#[test]
fn on_disk_and_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let broker = open(data.path());
    the_last_value_of_each_key_stays(&broker);
    let before = left(&broker, "read_committed");
    drop(broker);
    let broker = open(data.path());
    assert_eq!(left(&broker, "read_committed"), before);
    let files = std::fs::read_dir(data.path().join("topics/t-0")).unwrap().count();
    assert_eq!(files, 5, "two logs with their indexes, and up to where the first is compacted");
    let producer: BaseProducer = config(&broker).create().unwrap();
    put(&producer, "x", Some("4"), 40);
    assert_eq!(left(&broker, "read_committed").last().unwrap().0, 19);
}

#[test]
fn what_was_aborted_goes_and_what_was_committed_stays() {
    let broker = memory();
    Wire::connect(&broker).create("t", SETTINGS);
    let producer = transactional(&broker, "id");
    for (n, commits) in [true, true, false].into_iter().enumerate() {
        producer.begin_transaction().unwrap();
        for key in ["a", "b"] {
            producer.send(record(key, Some(&n.to_string()), 0)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        match commits {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
    }
    let plain: BaseProducer = config(&broker).create().unwrap();
    // The markers are of now.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    put(&plain, "x", Some("1"), now as i64 + 60);
    broker.faults().advance_clock(A_WHILE);
    for isolation in ["read_committed", "read_uncommitted"] {
        assert_eq!(
            left(&broker, isolation),
            kept(&[(3, "a", "1"), (4, "b", "1"), (9, "x", "1")]),
            "{isolation}"
        );
    }
}

#[test]
fn a_reader_in_the_middle_of_what_is_gone_goes_on_behind_it() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    wire.create("t", SETTINGS);
    let producer: BaseProducer = config(&broker).create().unwrap();
    for _ in 0..5 {
        put(&producer, "a", Some("1"), 0);
    }
    put(&producer, "a", Some("2"), 10);
    put(&producer, "a", Some("3"), 20);
    broker.faults().advance_clock(A_WHILE);
    let fetched: FetchResponse = wire.call(11, &patient_fetch("t", 2, false).with_max_wait_ms(0));
    let partition = &fetched.responses[0].partitions[0];
    let records = partition.records.as_ref().unwrap();
    assert_eq!(i64::from_be_bytes(*records.first_chunk().unwrap()), 5);
    assert_eq!((partition.log_start_offset, partition.high_watermark), (0, 7));

    let consumer = common::consumer(&broker, "g", &["t"], |_| {});
    assert_eq!(poll_with(&consumer, 2, |message| message.offset()), [5, 6]);
}

/// A broker whose compaction stands still in the middle of its first log.
fn slow(storage: Storage) -> Broker {
    let slow = ("log.cleaner.io.max.bytes.per.second".to_owned(), "1".to_owned());
    let backoff = ("log.cleaner.backoff.ms".to_owned(), "0".to_owned());
    let broker = Broker::start(BrokerConfig {
        storage,
        properties: [slow, backoff].into(),
        ..BrokerConfig::default()
    });
    let broker = broker.unwrap();
    Wire::connect(&broker).create("t", SETTINGS);
    let producer: BaseProducer = config(&broker).create().unwrap();
    for second in [0, 0, 10, 20] {
        put(&producer, "a", Some("1"), second);
    }
    broker
}

#[test]
fn a_stop_interrupts_a_compaction_and_a_start_begins_it_anew() {
    let data = tempfile::tempdir().unwrap();
    drop(slow(Storage::Directory(data.path().to_owned())));
    let broker = open(data.path());
    broker.faults().advance_clock(A_WHILE);
    assert_eq!(left(&broker, "read_committed"), kept(&[(2, "a", "1"), (3, "a", "1")]));
}

#[test]
fn a_topic_can_be_deleted_while_it_is_compacted_and_another_take_its_name() {
    let data = tempfile::tempdir().unwrap();
    for storage in [Storage::Memory, Storage::Directory(data.path().to_owned())] {
        let broker = slow(storage);
        let admin: AdminClient<DefaultClientContext> = config(&broker).create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let deleted = runtime.block_on(admin.delete_topics(&["t"], &AdminOptions::new())).unwrap();
        assert!(deleted.iter().all(Result::is_ok));
        Wire::connect(&broker).create("t", SETTINGS);
        let producer: BaseProducer = config(&broker).create().unwrap();
        put(&producer, "b", Some("1"), 0);
        assert_eq!(left(&broker, "read_committed"), kept(&[(0, "b", "1")]));
    }
}

/// Everything at once: appends, compaction without a pause, and readers from the front.
#[test]
fn readers_and_writers_do_not_notice_a_compaction() {
    let data = tempfile::tempdir().unwrap();
    for storage in [Storage::Memory, Storage::Directory(data.path().to_owned())] {
        let properties = [("log.cleaner.backoff.ms".to_owned(), "0".to_owned())].into();
        let config = BrokerConfig { storage, properties, ..BrokerConfig::default() };
        let broker = Broker::start(config).unwrap();
        let small = [("cleanup.policy", "compact"), ("internal.segment.bytes", "2000")];
        let small = small.into_iter().chain([("min.cleanable.dirty.ratio", "0")]);
        Wire::connect(&broker).create("t", &small.collect::<Vec<_>>());
        let written = AtomicI64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut producer = broker.client().producer(ProducerOptions::default()).unwrap();
                for n in 0..WRITTEN {
                    let (key, value) = ((n % KEYS).to_string(), n.to_string());
                    let record = LocalRecord::to("t").partition(0).key(key.as_bytes());
                    producer.send(record.value(value.as_bytes())).unwrap();
                    if n % 7 == 0 {
                        producer.flush().unwrap();
                        written.store(n, Relaxed);
                    }
                }
                producer.flush().unwrap();
                written.store(WRITTEN, Relaxed);
            });
            while written.load(Relaxed) < WRITTEN {
                read_through(&broker, written.load(Relaxed));
            }
        });
        read_through(&broker, WRITTEN);
        broker.faults().advance_clock(A_WHILE);
        assert!(read_through(&broker, WRITTEN) < 1_000);
    }
}

const KEYS: i64 = 10;
const WRITTEN: i64 = 20_000;

/// Reads from the front until it has come past the record of that number; every key must then have a value that was
/// written as late, and all in order. Returns how many records there were.
fn read_through(broker: &Broker, number: i64) -> usize {
    let mut local = broker.client().consumer(Isolation::ReadCommitted);
    local.assign("t", 0, 0);
    let mut last = vec![-1; KEYS as usize];
    let (mut offset, mut count) = (-1, 0);
    while local.position("t", 0).unwrap() < number {
        for batch in local.poll(PATIENCE).unwrap() {
            for record in batch.records() {
                let record = record.unwrap();
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                let key: usize = text(record.key).parse().unwrap();
                assert!(record.offset > offset);
                assert_eq!(text(record.value), record.offset.to_string());
                (offset, last[key], count) = (record.offset, record.offset, count + 1);
            }
        }
    }
    let latest = (number - KEYS..number).filter(|number| *number >= 0);
    for number in latest {
        assert!(last[(number % KEYS) as usize] >= number, "{number} was not seen, nor a later value");
    }
    count
}

#[test]
fn a_topic_is_compacted_from_when_its_settings_say_so_on() {
    for (enable, gone) in [("true", true), ("false", false)] {
        let properties = [("log.cleaner.enable".to_owned(), enable.to_owned())].into();
        let broker = Broker::start(BrokerConfig { properties, ..BrokerConfig::default() }).unwrap();
        Wire::connect(&broker).create("t", &[("segment.ms", "1000"), ("retention.ms", "-1")]);
        let producer: BaseProducer = config(&broker).create().unwrap();
        for second in [0, 10, 20] {
            put(&producer, "a", Some("1"), second);
        }
        broker.faults().advance_clock(A_WHILE);
        assert_eq!(left(&broker, "read_committed").len(), 3);
        let resource = ResourceSpecifier::Topic("t");
        let altered = SETTINGS
            .iter()
            .fold(AlterConfig::new(resource), |altered, (name, value)| altered.set(name, value));
        let admin: AdminClient<DefaultClientContext> = config(&broker).create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let options = AdminOptions::new();
        let results = runtime.block_on(admin.alter_configs([&altered], &options)).unwrap();
        assert!(results.iter().all(Result::is_ok));
        broker.faults().advance_clock(A_WHILE);
        assert_eq!(left(&broker, "read_committed").len() < 3, gone, "log.cleaner.enable={enable}");
    }
}
