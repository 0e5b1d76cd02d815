//! Transactions as librdkafka drives them.

use std::time::{Duration, Instant};

use crate::common::{self, PATIENCE, config, consumer, memory, poll_values, producer, send, transactional};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use thalweg_broker::Broker;

type Transactional = ThreadedProducer<DefaultProducerContext>;

fn put(producer: &Transactional, topic: &str, value: &str) {
    producer.send(BaseRecord::<(), str>::to(topic).payload(value)).map_err(|(error, _)| error).unwrap();
}

fn committed_reader(broker: &Broker, topic: &str) -> BaseConsumer {
    consumer(broker, "readers", &[topic], |config| {
        config.set("isolation.level", "read_committed").set("fetch.wait.max.ms", "100");
    })
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    match error {
        KafkaError::Transaction(error) => error.code(),
        other => other.rdkafka_error_code().unwrap(),
    }
}

#[test]
fn committed_records_are_read_and_aborted_ones_are_not() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let producer = transactional(&broker, "x");
    for (n, commit) in [true, false, true, false, true].into_iter().enumerate() {
        producer.begin_transaction().unwrap();
        put(&producer, "t", &format!("{n}"));
        producer.flush(PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    let reader = committed_reader(&broker, "t");
    assert_eq!(poll_values(&reader, 3), ["0", "2", "4"]);
    let everything = consumer(&broker, "all", &["t"], |config| {
        config.set("isolation.level", "read_uncommitted");
    });
    assert_eq!(poll_values(&everything, 5), ["0", "1", "2", "3", "4"]);
}

#[test]
fn a_transaction_over_partitions_of_two_topics_is_seen_whole_or_not_at_all() {
    let broker = memory();
    broker.create_topic("a", 2).unwrap();
    broker.create_topic("b", 1).unwrap();
    let producer = transactional(&broker, "x");
    let places = [("a", 0), ("a", 1), ("b", 0)];
    for (n, commit) in [false, true, false, true].into_iter().enumerate() {
        producer.begin_transaction().unwrap();
        for (topic, partition) in places {
            let value = format!("{topic}{partition}-{n}");
            let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
    let reader = consumer(&broker, "g", &["a", "b"], |config| {
        config.set("isolation.level", "read_committed");
    });
    let mut found = poll_values(&reader, 6);
    found.sort();
    assert_eq!(found, ["a0-1", "a0-3", "a1-1", "a1-3", "b0-1", "b0-3"]);
    for (topic, partition) in places {
        // Four records and their markers.
        assert_eq!(reader.fetch_watermarks(topic, partition, PATIENCE).unwrap(), (0, 8));
    }
    assert!(reader.poll(Duration::from_millis(100)).is_none());
}

/// Producers that commit and abort at the same time, and a reader whose fetches end in the middle of their
/// transactions.
#[test]
fn of_many_interleaved_transactions_exactly_the_committed_ones_are_read_and_in_order() {
    const PRODUCERS: usize = 4;
    const ROUNDS: usize = 25;
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let commits = |producer: usize, round: usize| !(producer * 7 + round * 5).is_multiple_of(3);
    let write = |id: usize| {
        let producer: BaseProducer =
            config(&broker).set("transactional.id", format!("x{id}")).set("linger.ms", "0").create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        for round in 0..ROUNDS {
            producer.begin_transaction().unwrap();
            for n in 0..=round % 3 {
                let value = format!("{id}:{round:02}:{n}");
                producer
                    .send(BaseRecord::<(), str>::to("t").payload(&value))
                    .map_err(|(error, _)| error)
                    .unwrap();
                // Sent before the next, so that others come in between.
                while producer.in_flight_count() > 0 {
                    producer.poll(Duration::from_micros(500));
                }
            }
            if commits(id, round) {
                producer.commit_transaction(PATIENCE).unwrap();
            } else {
                producer.abort_transaction(PATIENCE).unwrap();
            }
        }
    };
    let wanted: Vec<Vec<String>> = (0..PRODUCERS)
        .map(|id| {
            let rounds = (0..ROUNDS).filter(|round| commits(id, *round));
            rounds.flat_map(|round| (0..=round % 3).map(move |n| format!("{id}:{round:02}:{n}"))).collect()
        })
        .collect();
    let count = wanted.iter().map(Vec::len).sum();
    let reader = consumer(&broker, "g", &["t"], |config| {
        config.set("isolation.level", "read_committed");
        config.set("fetch.message.max.bytes", "300").set("fetch.wait.max.ms", "100");
    });
    let found = std::thread::scope(|scope| {
        for id in 0..PRODUCERS {
            scope.spawn(move || write(id));
        }
        poll_values(&reader, count)
    });
    for (id, wanted) in wanted.iter().enumerate() {
        let mine: Vec<&String> = found.iter().filter(|value| value.starts_with(&format!("{id}:"))).collect();
        assert_eq!(mine, wanted.iter().collect::<Vec<_>>());
    }
    assert!(reader.poll(Duration::from_millis(100)).is_none());
}

#[test]
fn what_is_open_is_not_read_and_holds_back_what_follows() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let open = transactional(&broker, "x");
    open.begin_transaction().unwrap();
    put(&open, "t", "open");
    open.flush(PATIENCE).unwrap();
    send(&producer(&broker, |_| {}), "t", &["plain".to_owned()]);
    let reader = committed_reader(&broker, "t");
    assert!(reader.poll(Duration::from_millis(1_500)).is_none());
    let (_, latest) = reader.fetch_watermarks("t", 0, PATIENCE).unwrap();
    assert_eq!(latest, 0, "a committed reader's end is the last stable offset");
    open.commit_transaction(PATIENCE).unwrap();
    assert_eq!(poll_values(&reader, 2), ["open", "plain"]);
}

#[test]
fn a_second_producer_of_the_same_id_fences_the_first_and_aborts_what_it_left() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let first = transactional(&broker, "x");
    first.begin_transaction().unwrap();
    put(&first, "t", "lost");
    first.flush(PATIENCE).unwrap();
    let second = transactional(&broker, "x");
    assert_eq!(code(&first.commit_transaction(PATIENCE).unwrap_err()), RDKafkaErrorCode::Fenced);
    second.begin_transaction().unwrap();
    put(&second, "t", "kept");
    second.commit_transaction(PATIENCE).unwrap();
    assert_eq!(poll_values(&committed_reader(&broker, "t"), 1), ["kept"]);
}

#[test]
fn a_transaction_that_is_not_ended_in_time_is_aborted() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let producer = transactional(&broker, "x");
    producer.begin_transaction().unwrap();
    put(&producer, "t", "late");
    producer.flush(PATIENCE).unwrap();
    // The default of `transaction.timeout.ms` is a minute.
    broker.faults().advance_clock(Duration::from_secs(61));
    send(&common::producer(&broker, |_| {}), "t", &["after".to_owned()]);
    assert_eq!(poll_values(&committed_reader(&broker, "t"), 1), ["after"]);
    assert_eq!(code(&producer.commit_transaction(PATIENCE).unwrap_err()), RDKafkaErrorCode::Fenced);
}

#[test]
fn offsets_ride_along_with_their_metadata() {
    let broker = memory();
    broker.create_topic("in", 1).unwrap();
    broker.create_topic("out", 1).unwrap();
    let consumer = consumer(&broker, "job", &["in"], |_| {});
    // The offsets are those of a member, so it has to be one.
    let deadline = Instant::now() + PATIENCE;
    while consumer.assignment().unwrap().count() == 0 {
        assert!(Instant::now() < deadline);
        consumer.poll(Duration::from_millis(20));
    }
    let producer = transactional(&broker, "x");
    let offsets = |offset, metadata: &str| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("in", 0, Offset::Offset(offset)).unwrap();
        list.find_partition("in", 0).unwrap().set_metadata(metadata);
        list
    };
    let committed = |timeout: Duration| {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition("in", 0);
        consumer.committed_offsets(wanted, timeout).map(|found| {
            let found = found.find_partition("in", 0).unwrap();
            (found.offset(), found.metadata().to_owned())
        })
    };
    let group = consumer.group_metadata().unwrap();
    producer.begin_transaction().unwrap();
    put(&producer, "out", "1");
    producer.send_offsets_to_transaction(&offsets(5, "checkpoint 1"), &group, PATIENCE).unwrap();
    let open = committed(Duration::from_millis(500)).unwrap_err();
    assert_eq!(code(&open), RDKafkaErrorCode::OperationTimedOut, "an unstable offset is not told");
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(committed(PATIENCE).unwrap(), (Offset::Offset(5), "checkpoint 1".to_owned()));
    producer.begin_transaction().unwrap();
    producer.send_offsets_to_transaction(&offsets(9, "checkpoint 2"), &group, PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    assert_eq!(committed(PATIENCE).unwrap(), (Offset::Offset(5), "checkpoint 1".to_owned()));
}
