//! Faults that tests set, and how a real client gets over them.

use std::time::{Duration, Instant};

use crate::common::wire::{NO_PRODUCER, Wire, batch, name, patient_fetch, transactional_id};
use crate::common::{PATIENCE, config, consumer, memory, poll_values, producer, send, transactional};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, FetchRequest, ProduceRequest, ProducerId,
};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use thalweg_broker::{ApiKey, Asked, Broker, Fault, Injected, Lost, ResponseError};

fn any(_: &Asked) -> bool {
    true
}

/// The next request of an API meets a fault.
fn once(broker: &Broker, api: ApiKey, fault: Fault) -> Injected {
    broker.faults().on(api, any, fault, 1).unwrap()
}

fn values(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:03}")).collect()
}

/// Does something for each case, all at the same time, because most of it is waiting.
fn for_each<T: Send>(cases: impl IntoIterator<Item = T>, act: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| act(case));
        }
    });
}

/// Every record is there once and in order, whatever has happened to the first batches.
#[test]
fn an_idempotent_producer_gets_over_every_fault_and_nothing_is_doubled() {
    let faults = [
        Fault::Fail(ResponseError::NotLeaderOrFollower),
        Fault::Fail(ResponseError::KafkaStorageError),
        Fault::Delay(Duration::from_millis(50)),
        Fault::Drop(Lost::Request),
        Fault::Drop(Lost::Answer),
        Fault::Disconnect(Lost::Request),
        Fault::Disconnect(Lost::Answer),
    ];
    for_each(faults, |fault| {
        let broker = memory();
        broker.create_topic("t", 1).unwrap();
        let to_t = |asked: &Asked| asked.has_topic("t") && asked.client_id == "careful";
        let injected = broker.faults().on(ApiKey::Produce, to_t, fault, 2).unwrap();
        let careful = producer(&broker, |config| {
            config.set("client.id", "careful").set("enable.idempotence", "true");
            config.set("batch.num.messages", "10").set("retry.backoff.ms", "5");
            config.set("socket.timeout.ms", "300").set("reconnect.backoff.ms", "5");
        });
        send(&careful, "t", &values(50));
        assert_eq!(injected.hits(), 2, "{fault:?}");
        let reader = consumer(&broker, "g", &["t"], |_| {});
        assert_eq!(poll_values(&reader, 50), values(50), "{fault:?}");
        assert_eq!(reader.fetch_watermarks("t", 0, PATIENCE).unwrap(), (0, 50), "{fault:?}");
    });
}

#[test]
fn a_transaction_gets_over_a_fault_in_each_of_its_steps() {
    let again = ResponseError::CoordinatorLoadInProgress;
    let steps = [
        (ApiKey::FindCoordinator, Fault::Fail(ResponseError::CoordinatorNotAvailable)),
        (ApiKey::InitProducerId, Fault::Fail(again)),
        (ApiKey::AddPartitionsToTxn, Fault::Fail(ResponseError::ConcurrentTransactions)),
        (ApiKey::AddOffsetsToTxn, Fault::Fail(again)),
        (ApiKey::TxnOffsetCommit, Fault::Fail(again)),
        (ApiKey::EndTxn, Fault::Fail(again)),
        (ApiKey::EndTxn, Fault::Disconnect(Lost::Request)),
        (ApiKey::EndTxn, Fault::Disconnect(Lost::Answer)),
        (ApiKey::EndTxn, Fault::Drop(Lost::Answer)),
    ];
    for_each(steps, |(api, fault)| {
        let broker = memory();
        broker.create_topic("in", 1).unwrap();
        broker.create_topic("out", 1).unwrap();
        let injected = once(&broker, api, fault);
        let writer: rdkafka::producer::BaseProducer = config(&broker)
            .set("transactional.id", "x")
            .set("retry.backoff.ms", "5")
            .set("socket.timeout.ms", "1000")
            .set("reconnect.backoff.ms", "5")
            // It must be more than the timeout of the socket.
            .set("transaction.timeout.ms", "30000")
            .create()
            .unwrap();
        let reader = consumer(&broker, "g", &["out"], |config| {
            config.set("isolation.level", "read_committed");
        });
        writer.init_transactions(PATIENCE).unwrap();
        writer.begin_transaction().unwrap();
        let record = BaseRecord::<(), str>::to("out").payload("once");
        writer.send(record).map_err(|(error, _)| error).unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("in", 0, Offset::Offset(7)).unwrap();
        let group = consumer(&broker, "job", &["in"], |_| {}).group_metadata().unwrap();
        writer.send_offsets_to_transaction(&offsets, &group, PATIENCE).unwrap();
        writer.commit_transaction(PATIENCE).unwrap();
        assert_eq!(injected.hits(), 1, "{api:?} {fault:?}");
        assert_eq!(poll_values(&reader, 1), ["once"], "{api:?} {fault:?}");
        // The record and its marker.
        assert_eq!(reader.fetch_watermarks("out", 0, PATIENCE).unwrap(), (0, 2), "{api:?} {fault:?}");
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition("in", 0);
        let asker = consumer(&broker, "job", &["in"], |_| {});
        let committed = asker.committed_offsets(wanted, PATIENCE).unwrap();
        assert_eq!(committed.find_partition("in", 0).unwrap().offset(), Offset::Offset(7), "{api:?}");
    });
}

#[test]
fn a_consumer_gets_over_a_fault_in_each_of_its_requests() {
    let again = ResponseError::CoordinatorLoadInProgress;
    let steps = [
        (ApiKey::Metadata, ResponseError::LeaderNotAvailable),
        (ApiKey::FindCoordinator, ResponseError::CoordinatorNotAvailable),
        (ApiKey::JoinGroup, again),
        (ApiKey::JoinGroup, ResponseError::UnknownMemberId),
        (ApiKey::SyncGroup, ResponseError::RebalanceInProgress),
        (ApiKey::OffsetFetch, again),
        (ApiKey::OffsetFetch, ResponseError::UnstableOffsetCommit),
        (ApiKey::ListOffsets, ResponseError::NotLeaderOrFollower),
        (ApiKey::Fetch, ResponseError::NotLeaderOrFollower),
        (ApiKey::Fetch, ResponseError::UnknownTopicOrPartition),
        (ApiKey::Heartbeat, ResponseError::RebalanceInProgress),
        (ApiKey::OffsetCommit, again),
    ];
    for_each(steps, |(api, error)| {
        let broker = memory();
        broker.create_topic("t", 1).unwrap();
        send(&producer(&broker, |_| {}), "t", &values(1));
        let injected = once(&broker, api, Fault::Fail(error));
        let reader = consumer(&broker, "g", &["t"], |config| {
            config.set("retry.backoff.ms", "5").set("enable.auto.commit", "true");
            config.set("auto.commit.interval.ms", "100").set("topic.metadata.refresh.interval.ms", "100");
            config.set("heartbeat.interval.ms", "100").set("fetch.wait.max.ms", "50");
        });
        // Clients report some of these and go on all the same.
        let mut found = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while found.is_empty() || injected.hits() == 0 {
            assert!(Instant::now() < deadline, "{api:?} {error:?}: {found:?}, {} hits", injected.hits());
            if let Some(Ok(message)) = reader.poll(Duration::from_millis(20)) {
                found.push(rdkafka::Message::payload(&message).unwrap().to_vec());
            }
        }
        assert_eq!(found[0], b"000", "{api:?} {error:?}");
    });
}

#[test]
fn a_dropped_request_leaves_its_connection_silent_and_others_alone() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let (mut unlucky, mut other) = (Wire::connect(&broker), Wire::connect(&broker));
    once(&broker, ApiKey::Fetch, Fault::Drop(Lost::Request));
    unlucky.send(11, &patient_fetch("t", 0, false));
    unlucky.send(11, &patient_fetch("t", 0, false).with_max_wait_ms(0));
    assert!(unlucky.is_silent());
    assert_eq!(other.produce("t", batch(&["v"], NO_PRODUCER, false), None).error_code, 0);
    let found = other.call(11, &patient_fetch("t", 0, false));
    assert_eq!(found.responses[0].partitions[0].high_watermark, 1);
    assert!(unlucky.is_silent());
}

#[test]
fn a_delayed_request_is_carried_out_later() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let (mut slow, mut other) = (Wire::connect(&broker), Wire::connect(&broker));
    once(&broker, ApiKey::Fetch, Fault::Delay(Duration::from_secs(1)));
    slow.send(11, &patient_fetch("t", 0, false).with_max_wait_ms(0));
    assert!(slow.is_silent());
    // What comes before the delay is over is seen, though the fetch does not wait.
    assert_eq!(other.produce("t", batch(&["v"], NO_PRODUCER, false), None).error_code, 0);
    assert_eq!(slow.receive::<FetchRequest>(11).responses[0].partitions[0].high_watermark, 1);
}

/// With no answer to fail, the client has to learn it from the end of the connection.
#[test]
fn a_produce_request_without_acknowledgement_fails_by_disconnecting() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    once(&broker, ApiKey::Produce, Fault::Fail(ResponseError::NotLeaderOrFollower));
    let mut wire = Wire::connect(&broker);
    wire.send(9, &ProduceRequest::default().with_acks(0));
    assert!(wire.is_closed());
}

#[test]
fn a_fault_can_be_lifted_and_one_that_makes_no_sense_is_refused() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let fault = Fault::Fail(ResponseError::NotLeaderOrFollower);
    let injected = broker.faults().on(ApiKey::Produce, any, fault, usize::MAX).unwrap();
    let mut wire = Wire::connect(&broker);
    let mut produce = || wire.produce("t", batch(&["v"], NO_PRODUCER, false), None).error_code;
    let refused = ResponseError::NotLeaderOrFollower.code();
    assert_eq!([produce(), produce()], [refused, refused]);
    injected.lift();
    assert_eq!((produce(), injected.hits()), (0, 2));
    assert!(broker.faults().on(ApiKey::ApiVersions, any, fault, 1).is_err());
    assert!(broker.faults().fill_disk("t", 1).is_err());
}

fn begin(wire: &mut Wire, id: &str, (producer, epoch): (i64, i16)) -> i16 {
    let topic = AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![0]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id(id))
        .with_v3_and_below_producer_id(ProducerId(producer))
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(vec![topic]);
    wire.call(3, &request).results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
}

#[test]
fn a_transaction_whose_markers_are_held_is_decided_and_not_seen() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let (id, epoch) = wire.init("x");
    assert_eq!(begin(&mut wire, "x", (id, epoch)), 0);
    assert_eq!(wire.produce("t", batch(&["v"], (id, epoch, 0), true), Some("x")).error_code, 0);
    broker.faults().hold_markers("x", None);
    let end = EndTxnRequest::default()
        .with_transactional_id(transactional_id("x"))
        .with_producer_id(ProducerId(id))
        .with_producer_epoch(epoch)
        .with_committed(true);
    assert_eq!(wire.call(3, &end).error_code, 0);
    let mut bounds = || {
        let mut found = wire.call(11, &patient_fetch("t", 0, true).with_max_wait_ms(0));
        let partition = found.responses.remove(0).partitions.remove(0);
        (partition.last_stable_offset, partition.high_watermark)
    };
    assert_eq!(bounds(), (0, 1));
    let mut wire = Wire::connect(&broker);
    let concurrent = ResponseError::ConcurrentTransactions.code();
    assert_eq!(begin(&mut wire, "x", (id, epoch)), concurrent);
    assert_eq!(wire.call(3, &end).error_code, concurrent, "to be asked again until it is seen");
    broker.faults().release_markers("x");
    assert_eq!(bounds(), (2, 2));
    assert_eq!(wire.call(3, &end).error_code, 0);
    assert_eq!(begin(&mut wire, "x", (id, epoch)), 0);
}

#[test]
fn a_producer_whose_markers_are_held_waits_and_goes_on_when_they_are_released() {
    let broker = memory();
    broker.create_topic("t", 2).unwrap();
    let writer = transactional(&broker, "x");
    let put = |partition, value| {
        let record = BaseRecord::<(), str>::to("t").partition(partition).payload(value);
        writer.send(record).map_err(|(error, _)| error).unwrap();
    };
    let reader = consumer(&broker, "g", &["t"], |config| {
        config.set("isolation.level", "read_committed").set("fetch.wait.max.ms", "50");
    });
    broker.faults().hold_markers("x", Some(("t", 1)));
    writer.begin_transaction().unwrap();
    put(0, "seen");
    put(1, "held");
    writer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(poll_values(&reader, 1), ["seen"], "the marker of the other partition is not held");
    writer.begin_transaction().unwrap();
    put(0, "next");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(reader.poll(Duration::from_millis(300)).is_none());
            broker.faults().release_markers("x");
        });
        writer.commit_transaction(PATIENCE).unwrap();
    });
    let mut rest = poll_values(&reader, 2);
    rest.sort();
    assert_eq!(rest, ["held", "next"]);
}

#[test]
fn a_full_disk_refuses_records_and_takes_them_when_there_is_space() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let writer = producer(&broker, |config| {
        config.set("enable.idempotence", "true").set("retry.backoff.ms", "5");
    });
    send(&writer, "t", &values(1));
    broker.faults().fill_disk("t", 0).unwrap();
    let refused = wire.produce("t", batch(&["v"], NO_PRODUCER, false), None);
    assert_eq!(refused.error_code, ResponseError::KafkaStorageError.code());
    std::thread::scope(|scope| {
        let refused = broker.faults().on(ApiKey::Produce, any, Fault::Delay(Duration::ZERO), 3).unwrap();
        scope.spawn(|| send(&writer, "t", &values(10)[1..]));
        while refused.hits() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        broker.faults().free_disk("t", 0).unwrap();
    });
    let reader = consumer(&broker, "g", &["t"], |_| {});
    assert_eq!(poll_values(&reader, 10), values(10));
}
