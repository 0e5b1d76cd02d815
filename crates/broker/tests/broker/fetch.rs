//! What a waiting fetch is woken by, and what it is told.

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name, patient_fetch, transactional_id};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DeleteTopicsRequest, EndTxnRequest, FetchRequest, ProducerId,
};
use kafka_protocol::records::RecordBatchDecoder;
use thalweg_broker::{Broker, BrokerConfig, Storage};

const FETCH: i16 = 11;

fn only(mut response: kafka_protocol::messages::FetchResponse) -> PartitionData {
    response.responses.remove(0).partitions.remove(0)
}

fn delete(wire: &mut Wire, topic: &str) {
    let topic = DeleteTopicState::default().with_name(Some(name(topic)));
    let request = DeleteTopicsRequest::default().with_topics(vec![topic]);
    assert_eq!(wire.call(6, &request).responses[0].error_code, 0);
}

/// The fetch would wait for a minute, so that it comes back at all shows that the append has woken it.
#[test]
fn an_append_wakes_a_waiting_fetch() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let (mut reader, mut writer) = (Wire::connect(&broker), Wire::connect(&broker));
    for n in 0..20 {
        reader.send(FETCH, &patient_fetch("t", n, false));
        if n == 0 {
            assert!(reader.is_silent());
        }
        let produced = writer.produce("t", batch(&["v"], NO_PRODUCER, false), None);
        assert_eq!((produced.error_code, produced.base_offset), (0, n));
        let found = only(reader.receive::<FetchRequest>(FETCH));
        assert_eq!((found.error_code, found.high_watermark), (0, n + 1));
    }
}

#[test]
fn a_marker_wakes_a_reader_of_committed_records_and_the_records_before_it_do_not() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let (mut reader, mut writer) = (Wire::connect(&broker), Wire::connect(&broker));
    let (producer, epoch) = writer.init("x");
    let begin = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id("x"))
        .with_v3_and_below_producer_id(ProducerId(producer))
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(vec![
            AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![0]),
        ]);
    assert_eq!(
        writer.call(3, &begin).results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code,
        0
    );
    reader.send(FETCH, &patient_fetch("t", 0, true));
    let produced = writer.produce("t", batch(&["v"], (producer, epoch, 0), true), Some("x"));
    assert_eq!(produced.error_code, 0);
    assert!(reader.is_silent());
    let end = EndTxnRequest::default()
        .with_transactional_id(transactional_id("x"))
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_committed(false);
    assert_eq!(writer.call(3, &end).error_code, 0);
    let found = only(reader.receive::<FetchRequest>(FETCH));
    assert_eq!((found.high_watermark, found.last_stable_offset), (2, 2));
    let aborted = found.aborted_transactions.unwrap();
    assert_eq!(aborted.len(), 1);
    assert_eq!((aborted[0].producer_id.0, aborted[0].first_offset), (producer, 0));
}

#[test]
fn deleting_a_topic_wakes_its_readers() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let (mut reader, mut admin) = (Wire::connect(&broker), Wire::connect(&broker));
    reader.send(FETCH, &patient_fetch("t", 0, false));
    assert!(reader.is_silent());
    delete(&mut admin, "t");
    let found = only(reader.receive::<FetchRequest>(FETCH));
    assert_eq!(found.error_code, ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn a_recreated_topic_is_empty_and_offsets_of_the_old_one_are_out_of_range() {
    let data = tempfile::tempdir().unwrap();
    let config = thalweg_broker::BrokerConfig {
        storage: thalweg_broker::Storage::Directory(data.path().to_owned()),
        ..Default::default()
    };
    let broker = thalweg_broker::Broker::start(config).unwrap();
    let mut wire = Wire::connect(&broker);
    broker.create_topic("t", 1).unwrap();
    wire.produce("t", batch(&["a", "b", "c"], NO_PRODUCER, false), None);
    delete(&mut wire, "t");
    broker.create_topic("t", 1).unwrap();
    let found = only(wire.call(FETCH, &patient_fetch("t", 3, false)));
    assert_eq!(found.error_code, ResponseError::OffsetOutOfRange.code());
    let produced = wire.produce("t", batch(&["d"], NO_PRODUCER, false), None);
    assert_eq!(produced.base_offset, 0);
    assert_eq!(only(wire.call(FETCH, &patient_fetch("t", 0, false))).high_watermark, 1);
}

#[test]
fn a_fetch_stays_below_its_limit_but_for_the_first_batch() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let one = batch(&[&"x".repeat(1_000)], NO_PRODUCER, false);
    for _ in 0..10 {
        wire.produce("t", one.clone(), None);
    }
    let mut len = |max_bytes: usize, partition_max_bytes: usize| {
        let mut request = patient_fetch("t", 0, false).with_max_bytes(max_bytes as i32);
        request.topics[0].partitions[0].partition_max_bytes = partition_max_bytes as i32;
        only(wire.call(FETCH, &request)).records.unwrap().len() / one.len()
    };
    assert_eq!(len(1, 1 << 20), 1, "a batch longer than the limit gets through");
    assert_eq!(len(1 << 20, 1), 1);
    assert_eq!(len(3 * one.len() + 1, 1 << 20), 3);
    assert_eq!(len(1 << 20, 4 * one.len()), 4);
    assert_eq!(len(1 << 20, 1 << 20), 10);
}

/// Longer than what the sockets in between hold, so that the broker has not read them when their topic goes.
#[test]
fn records_that_a_client_has_asked_for_come_also_when_their_files_go_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(folder.path().to_owned());
    let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    broker.create_topic("t", 1).unwrap();
    let (mut reader, mut writer) = (Wire::connect(&broker), Wire::connect(&broker));
    let value = |n: i64| n.to_string().repeat(500_000);
    for n in 10..50 {
        let produced = writer.produce("t", batch(&[&value(n)], NO_PRODUCER, false), None);
        assert_eq!((produced.error_code, produced.base_offset), (0, n - 10));
    }
    let mut fetch = patient_fetch("t", 0, false).with_max_bytes(i32::MAX);
    fetch.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    for version in [4, FETCH, 12] {
        reader.send(version, &fetch);
        if version == 12 {
            // An answer has begun, so it has been made.
            reader.stream.peek(&mut [0]).unwrap();
            delete(&mut writer, "t");
        }
        let mut records = only(reader.receive::<FetchRequest>(version)).records.unwrap();
        let sets = RecordBatchDecoder::decode_all(&mut records).unwrap();
        let values: Vec<_> =
            sets.iter().flat_map(|set| &set.records).map(|record| record.value.clone()).collect();
        assert!(values == (10..50).map(|n| Some(value(n).into())).collect::<Vec<_>>());
    }
}
