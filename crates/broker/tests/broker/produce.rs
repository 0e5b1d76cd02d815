//! What a producer is told: about damage, repetitions, gaps and being fenced.

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name, transactional_id};
use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId, InitProducerIdRequest,
    ProduceRequest, ProducerId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;

#[test]
fn damaged_batches_are_refused_and_leave_nothing_behind() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let good = batch(&["a", "b"], NO_PRODUCER, false);
    let changed = |at: usize, value: u8| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[at] = value;
        bytes.freeze()
    };
    let cases: [(Bytes, ResponseError); 6] = [
        (changed(good.len() - 1, 9), ResponseError::CorruptMessage),
        (changed(20, good[20] ^ 1), ResponseError::CorruptMessage),
        (good.slice(..good.len() - 1), ResponseError::CorruptMessage),
        (Bytes::new(), ResponseError::CorruptMessage),
        (changed(16, 1), ResponseError::UnsupportedForMessageFormat),
        ([&good[..], &good[..]].concat().into(), ResponseError::InvalidRecord),
    ];
    for (bytes, error) in cases {
        assert_eq!(wire.produce("t", bytes, None).error_code, error.code(), "{error:?}");
    }
    let long = batch(&[&"x".repeat(1_100_000)], NO_PRODUCER, false);
    assert_eq!(wire.produce("t", long, None).error_code, ResponseError::MessageTooLarge.code());
    assert_eq!(
        wire.produce("none", good.clone(), None).error_code,
        ResponseError::UnknownTopicOrPartition.code()
    );
    assert_eq!(wire.produce("t", good, None).base_offset, 0);
}

#[test]
fn a_repeated_batch_is_acknowledged_with_its_first_offset_and_a_gap_is_refused() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let id = wire.call(4, &InitProducerIdRequest::default().with_transactional_id(None)).producer_id.0;
    let mut send = |epoch, sequence, values: &[&str]| {
        let produced = wire.produce("t", batch(values, (id, epoch, sequence), false), None);
        (produced.error_code, produced.base_offset)
    };
    let gap = (ResponseError::OutOfOrderSequenceNumber.code(), -1);
    assert_eq!(send(0, 0, &["a", "b"]), (0, 0));
    assert_eq!(send(0, 2, &["c"]), (0, 2));
    assert_eq!(send(0, 0, &["a", "b"]), (0, 0));
    assert_eq!(send(0, 4, &["e"]), gap);
    assert_eq!(send(0, 3, &["d"]), (0, 3));
    assert_eq!(send(1, 4, &["e"]), gap, "a new epoch counts from 0");
    assert_eq!(send(1, 0, &["e"]), (0, 4));
    assert_eq!(send(0, 4, &["e"]), (ResponseError::InvalidProducerEpoch.code(), -1));
}

#[test]
fn a_producer_that_wants_no_answer_gets_none_and_is_disconnected_when_it_fails() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let request = |topic: &str| {
        let data = PartitionProduceData::default().with_records(Some(batch(&["v"], NO_PRODUCER, false)));
        let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
        ProduceRequest::default().with_acks(0).with_topic_data(vec![topic])
    };
    wire.send(9, &request("t"));
    assert_eq!(wire.produce("t", batch(&["w"], NO_PRODUCER, false), None).base_offset, 1);
    wire.send(9, &request("none"));
    assert!(wire.is_closed());
}

#[test]
fn a_fenced_producer_is_refused_whatever_it_asks() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let (id, old) = wire.init("x");
    let (same, new) = wire.init("x");
    assert_eq!((same, new), (id, old + 1));
    let group = || GroupId(StrBytes::from_static_str("g"));
    let fenced = ResponseError::ProducerFenced.code();

    let mut add = |epoch| {
        let topic = AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional_id("x"))
            .with_v3_and_below_producer_id(ProducerId(id))
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(vec![topic]);
        wire.call(3, &request).results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    };
    assert_eq!((add(old), add(new)), (fenced, 0));

    let mut add_offsets = |epoch| {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(transactional_id("x"))
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
            .with_group_id(group());
        wire.call(3, &request).error_code
    };
    assert_eq!((add_offsets(old), add_offsets(new)), (fenced, 0));

    let invalid = ResponseError::InvalidProducerEpoch.code();
    let mut commit_offsets = |epoch| {
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(name("t"))
            .with_partitions(vec![TxnOffsetCommitRequestPartition::default()]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(transactional_id("x"))
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
            .with_group_id(group())
            .with_topics(vec![topic]);
        wire.call(3, &request).topics[0].partitions[0].error_code
    };
    assert_eq!((commit_offsets(old), commit_offsets(new)), (invalid, 0));

    let mut produce = |epoch| wire.produce("t", batch(&["v"], (id, epoch, 0), true), Some("x")).error_code;
    assert_eq!((produce(old), produce(new)), (invalid, 0));

    let mut end = |epoch| {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional_id("x"))
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
            .with_committed(true);
        wire.call(3, &request).error_code
    };
    assert_eq!((end(old), end(new)), (fenced, 0));
    let unasked = wire.produce("t", batch(&["v"], (id, new, 1), true), Some("x"));
    assert_eq!(unasked.error_code, ResponseError::InvalidTxnState.code(), "the partition was not added");
}
