//! The in-process client, against clients over the socket: what one writes the other reads, and alike.

use std::time::{Duration, Instant};

use crate::common::{PATIENCE, consumer, memory, poll_values, poll_with, producer, send, transactional};
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use thalweg_broker::{
    Batch, Broker, BrokerConfig, GroupOffset, Isolation, LocalClient, LocalConsumer, LocalError,
    LocalProducer, LocalRecord, OffsetOf, ProducerOptions, ResponseError, Storage,
};

fn values(batches: &[Batch]) -> Vec<String> {
    let records = batches.iter().flat_map(Batch::records);
    records.map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap()).collect()
}

fn read(consumer: &mut LocalConsumer, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    while found.len() < count {
        assert!(Instant::now() < deadline, "only {found:?}");
        found.extend(values(&consumer.poll(Duration::from_millis(100)).unwrap()));
    }
    found
}

fn transactional_local(client: &LocalClient, id: &str) -> LocalProducer {
    let transactional_id = Some(id.to_owned());
    client.producer(ProducerOptions { transactional_id, ..ProducerOptions::default() }).unwrap()
}

fn put(producer: &mut LocalProducer, topic: &str, value: &str) {
    producer.send(LocalRecord::to(topic).partition(0).value(value.as_bytes())).unwrap();
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{n:04}")).collect()
}

/// Every codec that librdkafka knows, with keys, headers and nulls.
#[test]
fn what_a_client_writes_is_read_in_process() {
    let data = tempfile::tempdir().unwrap();
    for storage in [Storage::Memory, Storage::Directory(data.path().to_owned())] {
        let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            broker.create_topic(codec, 1).unwrap();
            let writer = producer(&broker, |config| {
                config.set("compression.codec", codec).set("batch.num.messages", "100");
            });
            for n in 0..1_000 {
                let (key, value) = (format!("key {}", n % 7), format!("value {n} {}", "x".repeat(n % 50)));
                let header = Header { key: "n", value: Some(&n.to_string()) };
                let headers =
                    OwnedHeaders::new().insert(header).insert(Header::<&str> { key: "none", value: None });
                let record = BaseRecord::to(codec).key(&key).timestamp(1_000 + n as i64).headers(headers);
                let record = if n % 10 == 3 { record } else { record.payload(&value) };
                writer.send(record).map_err(|(error, _)| error).unwrap();
            }
            writer.flush(PATIENCE).unwrap();
            let mut reader = broker.client().consumer(Isolation::ReadCommitted);
            reader.assign(codec, 0, 17);
            let (mut n, deadline) = (17, Instant::now() + PATIENCE);
            while n < 1_000 {
                assert!(Instant::now() < deadline);
                for batch in reader.poll(Duration::from_millis(100)).unwrap() {
                    for record in batch.records() {
                        let record = record.unwrap();
                        assert_eq!(
                            (record.offset, record.timestamp),
                            (n as i64, 1_000 + n as i64),
                            "{codec}"
                        );
                        assert_eq!(record.key, Some(format!("key {}", n % 7).as_bytes()));
                        let value = format!("value {n} {}", "x".repeat(n % 50));
                        assert_eq!(record.value, (n % 10 != 3).then_some(value.as_bytes()));
                        let headers: Vec<_> = record.headers().collect();
                        assert_eq!(headers, [("n", Some(n.to_string().as_bytes())), ("none", None)]);
                        assert_eq!(record.value.map(|value| batch.keep(value)).as_deref(), record.value);
                        n += 1;
                    }
                }
            }
            assert_eq!(reader.position(codec, 0), Some(1_000));
        }
    }
}

#[test]
fn what_is_written_in_process_is_read_by_a_client() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let options = ProducerOptions { batch_bytes: 500, ..ProducerOptions::default() };
    let mut writer = broker.client().producer(options).unwrap();
    for n in 0..100 {
        let (value, n) = (format!("value {n}"), format!("{n}"));
        let headers = [("n", Some(n.as_bytes())), ("none", None)];
        let record = LocalRecord::to("t").value(value.as_bytes()).headers(&headers).timestamp(77);
        writer.send(if n == "9" { record } else { record.key(n.as_bytes()) }).unwrap();
    }
    writer.flush().unwrap();
    let reader = consumer(&broker, "g", &["t"], |_| {});
    let found = poll_with(&reader, 100, |message| {
        let headers = message.headers().unwrap();
        assert_eq!((headers.count(), headers.get(1).value, headers.get(0).key), (2, None, "n"));
        assert_eq!(message.timestamp().to_millis(), Some(77));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (message.key().map(text), text(message.payload().unwrap()))
    });
    let wanted = |n: usize| ((n != 9).then(|| n.to_string()), format!("value {n}"));
    assert_eq!(found, (0..100).map(wanted).collect::<Vec<_>>());
}

/// The Java client, and librdkafka when told so, put a key where we do.
#[test]
fn keys_go_where_other_clients_put_them() {
    let broker = memory();
    broker.create_topic("t", 7).unwrap();
    let other = producer(&broker, |config| {
        config.set("partitioner", "murmur2");
    });
    let mut writer = broker.client().producer(ProducerOptions::default()).unwrap();
    for n in 0..200 {
        let key = "k".repeat(n % 9) + &n.to_string();
        other.send(BaseRecord::to("t").key(&key).payload("")).map_err(|(error, _)| error).unwrap();
        writer.send(LocalRecord::to("t").key(key.as_bytes())).unwrap();
    }
    other.flush(PATIENCE).unwrap();
    writer.flush().unwrap();
    for partition in 0..7 {
        let mut reader = broker.client().consumer(Isolation::ReadCommitted);
        reader.assign("t", partition, 0);
        let mut keys = [Vec::new(), Vec::new()];
        for batch in reader.poll(Duration::ZERO).unwrap() {
            for record in batch.records() {
                let record = record.unwrap();
                keys[usize::from(record.value.is_none())].push(record.key.unwrap().to_vec());
            }
        }
        assert!(!keys[0].is_empty());
        assert_eq!(keys[0], keys[1], "partition {partition}");
    }
}

#[test]
fn transactions_are_seen_whole_or_not_at_all_on_both_sides() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let client = broker.client();
    let (mut local, remote) = (transactional_local(&client, "local"), transactional(&broker, "remote"));
    let mut wanted = Vec::new();
    for n in 0..40 {
        let (value, commit) = (format!("{n}"), n % 3 != 0);
        if n % 2 == 0 {
            local.begin().unwrap();
            put(&mut local, "t", &value);
            if n % 4 == 0 {
                local.flush().unwrap();
            }
            if commit { local.commit() } else { local.abort() }.unwrap();
        } else {
            remote.begin_transaction().unwrap();
            let record = BaseRecord::<(), str>::to("t").payload(&value);
            remote.send(record).map_err(|(error, _)| error).unwrap();
            remote.flush(PATIENCE).unwrap();
            if commit { remote.commit_transaction(PATIENCE) } else { remote.abort_transaction(PATIENCE) }
                .unwrap();
        }
        if commit {
            wanted.push(value);
        }
    }
    let mut reader = client.consumer(Isolation::ReadCommitted);
    reader.assign("t", 0, 0);
    assert_eq!(read(&mut reader, wanted.len()), wanted);
    assert!(reader.poll(Duration::ZERO).unwrap().is_empty());
    let other = consumer(&broker, "g", &["t"], |config| {
        config.set("isolation.level", "read_committed");
    });
    assert_eq!(poll_values(&other, wanted.len()), wanted);
    let mut everything = client.consumer(Isolation::ReadUncommitted);
    everything.assign("t", 0, 0);
    // Those that were aborted before they were flushed were never written.
    let all = read(&mut everything, wanted.len() + 10);
    assert!(all.len() > wanted.len() && wanted.iter().all(|value| all.contains(value)));
}

#[test]
fn an_open_transaction_holds_back_committed_readers_only() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let client = broker.client();
    let mut writer = transactional_local(&client, "x");
    writer.begin().unwrap();
    put(&mut writer, "t", "open");
    writer.flush().unwrap();
    let end = |isolation| client.offset("t", 0, OffsetOf::End(isolation)).unwrap();
    assert_eq!((end(Isolation::ReadUncommitted), end(Isolation::ReadCommitted)), (Some(1), Some(0)));
    let mut reader = client.consumer(Isolation::ReadCommitted);
    reader.assign("t", 0, 0);
    assert!(reader.poll(Duration::ZERO).unwrap().is_empty());
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| read(&mut reader, 1));
        writer.commit().unwrap();
        assert_eq!(reading.join().unwrap(), ["open"]);
    });
}

#[test]
fn a_waiting_poll_is_woken_by_a_client_and_by_the_end_of_the_broker() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    broker.create_topic("u", 1).unwrap();
    let mut reader = broker.client().consumer(Isolation::ReadCommitted);
    reader.assign("t", 0, 0);
    reader.assign("u", 0, 0);
    let (polled, polls) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        loop {
            let result = reader.poll(Duration::MAX);
            let failed = result.is_err();
            polled.send(result.map(|batches| values(&batches))).unwrap();
            if failed {
                break;
            }
        }
    });
    let writer = producer(&broker, |_| {});
    for (n, topic) in ["t", "u", "u", "t"].into_iter().enumerate() {
        send(&writer, topic, &[n.to_string()]);
        assert_eq!(polls.recv_timeout(PATIENCE).unwrap(), Ok(vec![n.to_string()]));
    }
    drop(writer);
    broker.stop();
    assert_eq!(polls.recv_timeout(PATIENCE).unwrap(), Err(LocalError::Stopped));
    reading.join().unwrap();
}

#[test]
fn who_cannot_wait_is_called() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let client = broker.client();
    let mut reader = client.consumer(Isolation::ReadCommitted);
    reader.assign("t", 0, 0);
    let (called, calls) = std::sync::mpsc::channel();
    let wake = move || called.send(()).unwrap_or_default();
    assert_eq!(reader.wake_when_ready(wake.clone()), Ok(false));
    let mut writer = client.producer(ProducerOptions::default()).unwrap();
    put(&mut writer, "t", "v");
    assert!(calls.try_recv().is_err());
    writer.flush().unwrap();
    assert!(calls.try_recv().is_ok());
    assert_eq!(reader.wake_when_ready(wake), Ok(true));
    assert!(client.is_of_same_broker(&broker.client()) && !client.is_of_same_broker(&memory().client()));
}

#[test]
fn a_client_does_not_keep_the_data_folder() {
    let data = tempfile::tempdir().unwrap();
    let start = || {
        let storage = Storage::Directory(data.path().to_owned());
        Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap()
    };
    let first = start();
    let client = first.client();
    let mut writer = client.producer(ProducerOptions::default()).unwrap();
    put(&mut writer, "made", "kept");
    writer.flush().unwrap();
    put(&mut writer, "made", "late");
    drop(first);
    assert_eq!(writer.flush(), Err(LocalError::Stopped));
    assert_eq!(client.topics(), Err(LocalError::Stopped));
    let second = start();
    let mut reader = second.client().consumer(Isolation::ReadCommitted);
    reader.assign("made", 0, 0);
    assert_eq!(read(&mut reader, 1), ["kept"]);
}

#[test]
fn a_second_producer_of_an_id_fences_the_first() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let client = broker.client();
    let mut first = transactional_local(&client, "x");
    first.begin().unwrap();
    put(&mut first, "t", "lost");
    first.flush().unwrap();
    let other = transactional(&broker, "x");
    put(&mut first, "t", "late");
    assert_eq!(first.flush().unwrap_err().code(), Some(ResponseError::ProducerFenced));
    assert_eq!(first.commit().unwrap_err().code(), Some(ResponseError::ProducerFenced));
    let mut second = transactional_local(&client, "x");
    other.begin_transaction().unwrap();
    let record = BaseRecord::<(), str>::to("t").payload("late");
    other.send(record).map_err(|(error, _)| error).unwrap();
    assert!(other.commit_transaction(PATIENCE).is_err());
    second.begin().unwrap();
    put(&mut second, "t", "kept");
    second.commit().unwrap();
    let mut reader = client.consumer(Isolation::ReadCommitted);
    reader.assign("t", 0, 0);
    assert_eq!(read(&mut reader, 1), ["kept"]);
}

#[test]
fn offsets_of_groups_are_the_same_on_both_sides_and_ride_along_with_transactions() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let client = broker.client();
    let at = |offset, metadata: &str| GroupOffset {
        topic: "t".to_owned(),
        partition: 0,
        offset,
        metadata: metadata.to_owned(),
    };
    assert_eq!(client.committed("g", "t", 0), Ok(None));
    client.commit("g", &[at(3, "note")]).unwrap();
    assert_eq!(client.committed("g", "t", 0), Ok(Some(at(3, "note"))));
    let mut writer = transactional_local(&client, "x");
    writer.begin().unwrap();
    writer.send_offsets("g", &[at(5, "")]).unwrap();
    let unstable = client.committed("g", "t", 0).unwrap_err();
    assert_eq!(unstable.code(), Some(ResponseError::UnstableOffsetCommit));
    assert!(unstable.is_retriable());
    writer.abort().unwrap();
    assert_eq!(client.committed("g", "t", 0), Ok(Some(at(3, "note"))));
    writer.begin().unwrap();
    writer.send_offsets("g", &[at(7, "")]).unwrap();
    writer.commit().unwrap();
    send(&producer(&broker, |_| {}), "t", &numbers(0..9));
    let reader = consumer(&broker, "g", &["t"], |_| {});
    assert_eq!(poll_values(&reader, 2), ["0007", "0008"]);
    reader.commit_consumer_state(rdkafka::consumer::CommitMode::Sync).unwrap();
    assert_eq!(client.committed("g", "t", 0).unwrap().unwrap().offset, 9);
    let with_members = client.commit("g", &[at(0, "")]).unwrap_err();
    assert_eq!(with_members.code(), Some(ResponseError::UnknownMemberId));
    let missing = GroupOffset { partition: 1, ..at(0, "") };
    let missing = client.commit("h", &[missing]).unwrap_err();
    assert_eq!(missing.code(), Some(ResponseError::UnknownTopicOrPartition));
}

#[test]
fn offsets_are_found_by_time_and_positions_out_of_range_are_told() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let client = broker.client();
    let mut writer = client.producer(ProducerOptions::default()).unwrap();
    for n in 0..100 {
        writer.send(LocalRecord::to("t").timestamp(1_000 + 10 * n).value(b"v")).unwrap();
    }
    writer.flush().unwrap();
    let offset = |of| client.offset("t", 0, of).unwrap();
    assert_eq!(offset(OffsetOf::Start), Some(0));
    assert_eq!(offset(OffsetOf::End(Isolation::ReadCommitted)), Some(100));
    assert_eq!(offset(OffsetOf::Time(1_501, Isolation::ReadCommitted)), Some(51));
    assert_eq!(offset(OffsetOf::Time(9_999, Isolation::ReadCommitted)), None);
    assert_eq!(offset(OffsetOf::Newest), Some(99));
    assert_eq!(client.topics(), Ok(vec![("t".to_owned(), 1)]));
    assert_eq!((client.partition_count("t"), client.partition_count("u")), (Ok(Some(1)), Ok(None)));
    let mut reader = client.consumer(Isolation::ReadCommitted);
    reader.assign("t", 0, 101);
    let error = reader.poll(Duration::ZERO).unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::OffsetOutOfRange));
    reader.assign("t", 0, 99);
    assert_eq!(read(&mut reader, 1), ["v"]);
    reader.unassign("t", 0);
    assert!(reader.poll(Duration::ZERO).unwrap().is_empty());
}

#[test]
fn a_full_disk_keeps_the_batch_for_the_next_attempt_and_a_record_too_long_is_dropped() {
    let broker = memory();
    broker.create_topic("t", 2).unwrap();
    let client = broker.client();
    let mut writer = client.producer(ProducerOptions::default()).unwrap();
    broker.faults().fill_disk("t", 0).unwrap();
    put(&mut writer, "t", "first");
    writer.send(LocalRecord::to("t").partition(1).value(b"other")).unwrap();
    let full = writer.flush().unwrap_err();
    assert_eq!(full.code(), Some(ResponseError::KafkaStorageError));
    assert!(full.is_retriable());
    assert_eq!(client.offset("t", 1, OffsetOf::End(Isolation::ReadCommitted)), Ok(Some(1)));
    broker.faults().free_disk("t", 0).unwrap();
    put(&mut writer, "t", "second");
    writer.flush().unwrap();
    put(&mut writer, "t", &"x".repeat(2 << 20));
    let long = writer.flush().unwrap_err();
    assert_eq!(long.code(), Some(ResponseError::MessageTooLarge));
    put(&mut writer, "t", "third");
    writer.flush().unwrap();
    let mut reader = client.consumer(Isolation::ReadCommitted);
    reader.assign("t", 0, 0);
    assert_eq!(read(&mut reader, 3), ["first", "second", "third"]);
}

#[test]
fn misuse_is_refused() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let client = broker.client();
    let state = |error: LocalError| error.code() == Some(ResponseError::InvalidTxnState);
    let mut plain = client.producer(ProducerOptions::default()).unwrap();
    assert!(state(plain.begin().unwrap_err()) && state(plain.commit().unwrap_err()));
    let mut writer = transactional_local(&client, "x");
    assert!(state(writer.send(LocalRecord::to("t")).unwrap_err()));
    assert!(state(writer.send_offsets("g", &[]).unwrap_err()));
    writer.begin().unwrap();
    assert!(state(writer.begin().unwrap_err()));
    // Nothing was written, so nothing is ended.
    writer.commit().unwrap();
    for partition in [-1, 1] {
        let error = plain.send(LocalRecord::to("t").partition(partition)).unwrap_err();
        assert_eq!(error.code(), Some(ResponseError::UnknownTopicOrPartition));
    }
    let mut reader = client.consumer(Isolation::ReadCommitted);
    reader.assign("t", 1, 0);
    let error = reader.poll(Duration::ZERO).unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::UnknownTopicOrPartition));
}
