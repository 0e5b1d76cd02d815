//! What an administrator sees of transactions, and does about those that hang.

use std::time::Duration;

use crate::common::memory;
use crate::common::wire::{Wire, batch, name, patient_fetch, transactional_id};
use bytes::{Buf, BufMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState};
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiKey, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, GroupId, ListTransactionsRequest, ProducerId,
    WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{Broker, BrokerConfig};

/// Producer id and epoch.
type Key = (i64, i16);

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn begin(wire: &mut Wire, id: &str, key: Key) {
    let topic = AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![0]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id(id))
        .with_v3_and_below_producer_id(ProducerId(key.0))
        .with_v3_and_below_producer_epoch(key.1)
        .with_v3_and_below_topics(vec![topic]);
    let added = wire.call(3, &request);
    let code = added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
    assert_eq!(code, 0);
}

fn end(wire: &mut Wire, id: &str, key: Key, committed: bool) -> i16 {
    let request = EndTxnRequest::default()
        .with_transactional_id(transactional_id(id))
        .with_producer_id(ProducerId(key.0))
        .with_producer_epoch(key.1)
        .with_committed(committed);
    wire.call(3, &request).error_code
}

fn write(wire: &mut Wire, id: &str, key: Key, sequence: i32) -> i16 {
    wire.produce("t", batch(&["v"], (key.0, key.1, sequence), true), Some(id)).error_code
}

fn list(wire: &mut Wire, request: ListTransactionsRequest) -> Vec<(String, String)> {
    let listed = wire.call(2, &request);
    assert_eq!(listed.error_code, 0);
    let states = listed.transaction_states.into_iter();
    states.map(|one| (one.transactional_id.to_string(), one.transaction_state.to_string())).collect()
}

fn describe(wire: &mut Wire, id: &str) -> TransactionState {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id(id)]);
    wire.call(0, &request).transaction_states.remove(0)
}

fn describe_partition(wire: &mut Wire, topic: &str, partition: i32) -> PartitionResponse {
    let topic = TopicRequest::default().with_name(name(topic)).with_partition_indexes(vec![partition]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    wire.call(0, &request).topics.remove(0).partitions.remove(0)
}

fn producers(wire: &mut Wire) -> Vec<ProducerState> {
    describe_partition(wire, "t", 0).active_producers
}

/// Last stable offset and end of partition 0.
fn bounds(wire: &mut Wire) -> (i64, i64) {
    let fetched = wire.call(11, &patient_fetch("t", 0, true).with_max_wait_ms(0));
    let partition = &fetched.responses[0].partitions[0];
    (partition.last_stable_offset, partition.high_watermark)
}

#[test]
fn transactional_ids_are_listed_by_state_producer_age_and_name() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let (old, young) = (wire.init("old"), wire.init("young"));
    wire.init("idle");
    begin(&mut wire, "old", old);
    broker.faults().advance_clock(Duration::from_secs(30));
    begin(&mut wire, "young", young);
    let mut found = |request: ListTransactionsRequest| {
        list(&mut wire, request).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let all = ListTransactionsRequest::default;
    assert_eq!(found(all()), ["idle", "old", "young"]);
    let states =
        |states: &[&str]| all().with_state_filters(states.iter().map(|state| string(state)).collect());
    assert_eq!(found(states(&["Ongoing"])), ["old", "young"]);
    assert_eq!(found(states(&["Empty", "Dead"])), ["idle"]);
    assert_eq!(found(states(&["Nonsense"])), [""; 0]);
    assert_eq!(found(all().with_producer_id_filters(vec![ProducerId(old.0)])), ["old"]);
    // What was not begun is as old as can be.
    assert_eq!(found(all().with_duration_filter(20_000)), ["idle", "old"]);
    let pattern = |pattern| all().with_transactional_id_pattern(Some(string(pattern)));
    assert_eq!(found(pattern("o.*|idl")), ["old"]);
    assert_eq!(found(pattern("")), ["idle", "old", "young"]);
    let unknown = wire.call(2, &states(&["Ongoing", "Nonsense"]));
    assert_eq!(unknown.unknown_state_filters, [string("Nonsense")]);
    let invalid = wire.call(2, &pattern("("));
    assert_eq!(invalid.error_code, ResponseError::InvalidRegularExpression.code());
}

#[test]
fn a_transaction_is_described_with_what_is_in_it() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let key = wire.init("x");
    let fresh = describe(&mut wire, "x");
    assert_eq!((&*fresh.transaction_state, fresh.transaction_start_time_ms), ("Empty", -1));
    begin(&mut wire, "x", key);
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(transactional_id("x"))
        .with_producer_id(ProducerId(key.0))
        .with_producer_epoch(key.1)
        .with_group_id(GroupId(string("readers")));
    assert_eq!(wire.call(4, &request).error_code, 0);
    let open = describe(&mut wire, "x");
    assert_eq!((open.producer_id.0, open.producer_epoch), key);
    assert_eq!((&*open.transaction_state, open.transaction_timeout_ms), ("Ongoing", 60_000));
    assert!(open.transaction_start_time_ms > 0);
    let topics: Vec<_> =
        open.topics.iter().map(|one| (one.topic.to_string(), one.partitions.clone())).collect();
    assert_eq!(topics, [("__consumer_offsets".to_owned(), vec![28]), ("t".to_owned(), vec![0])]);
    assert_eq!(end(&mut wire, "x", key, true), 0);
    let over = describe(&mut wire, "x");
    assert_eq!((&*over.transaction_state, over.topics.len()), ("CompleteCommit", 0));
    let unknown = ResponseError::TransactionalIdNotFound.code();
    assert_eq!(describe(&mut wire, "nobody").error_code, unknown);
    assert_eq!(describe(&mut wire, "").error_code, ResponseError::InvalidRequest.code());
}

#[test]
fn producers_are_described_until_they_have_been_idle_for_long() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let key = wire.init("x");
    // Its records say that they are of 1970, so nobody has written for long.
    assert_eq!(wire.produce("t", batch(&["v"; 3], (77, 0, 0), false), None).error_code, 0);
    begin(&mut wire, "x", key);
    assert_eq!(write(&mut wire, "x", key, 0), 0);
    let found: Vec<_> = producers(&mut wire)
        .iter()
        .map(|one| (one.producer_id.0, one.last_sequence, one.last_timestamp, one.coordinator_epoch))
        .collect();
    assert_eq!(found, [(key.0, 0, 1_000, -1), (77, 2, 1_002, -1)]);
    let open: Vec<_> = producers(&mut wire).iter().map(|one| one.current_txn_start_offset).collect();
    assert_eq!(open, [3, -1]);
    let ids = |wire: &mut Wire| producers(wire).iter().map(|one| one.producer_id.0).collect::<Vec<_>>();
    broker.faults().advance_clock(Duration::from_secs(601));
    assert_eq!(ids(&mut wire), [key.0], "it has an open transaction, or had until just now");
    let ended = producers(&mut wire).remove(0);
    assert_eq!((ended.current_txn_start_offset, ended.coordinator_epoch, ended.producer_epoch), (-1, 0, 1));
    broker.faults().advance_clock(Duration::from_secs(23 * 3_600));
    assert_eq!(ids(&mut wire), [key.0]);
    broker.faults().advance_clock(Duration::from_secs(2 * 3_600));
    assert_eq!(ids(&mut wire), [0; 0]);
    // It goes on as if nothing was, for it may have been away for as long.
    assert_eq!(wire.produce("t", batch(&["v"], (77, 0, 3), false), None).error_code, 0);
    let (unknown, invalid) = (ResponseError::UnknownTopicOrPartition, ResponseError::InvalidTopicException);
    assert_eq!(describe_partition(&mut wire, "t", 1).error_code, unknown.code());
    assert_eq!(describe_partition(&mut wire, "nope", 0).error_code, unknown.code());
    assert_eq!(describe_partition(&mut wire, "no/pe", 0).error_code, invalid.code());
}

/// A broker that believes producers of the first version.
fn credulous() -> Broker {
    let properties = [("transaction.partition.verification.enable".to_owned(), "false".to_owned())].into();
    let broker = Broker::start(BrokerConfig { properties, ..BrokerConfig::default() }).unwrap();
    broker.create_topic("t", 1).unwrap();
    broker
}

fn abort(key: Key, coordinator_epoch: i32) -> WriteTxnMarkersRequest {
    let topic = WritableTxnMarkerTopic::default().with_name(name("t")).with_partition_indexes(vec![0, 9]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(key.0))
        .with_producer_epoch(key.1)
        .with_coordinator_epoch(coordinator_epoch)
        .with_topics(vec![topic]);
    WriteTxnMarkersRequest::default().with_markers(vec![marker])
}

#[test]
fn a_transaction_that_hangs_is_found_and_ended_by_hand() {
    let broker = credulous();
    let mut wire = Wire::connect(&broker);
    let key = wire.init("x");
    assert_eq!(write(&mut wire, "x", key, 0), 0, "nobody has asked its coordinator");
    assert_eq!(bounds(&mut wire), (0, 1));
    // What the search for hanging transactions is made of.
    let open = producers(&mut wire).remove(0);
    assert_eq!((open.producer_id.0, open.current_txn_start_offset), (key.0, 0));
    let by_producer = ListTransactionsRequest::default().with_producer_id_filters(vec![ProducerId(key.0)]);
    assert_eq!(list(&mut wire, by_producer), [("x".to_owned(), "Empty".to_owned())]);
    assert!(describe(&mut wire, "x").topics.is_empty());
    let mut codes = |key, coordinator_epoch| {
        let written = wire.call(1, &abort(key, coordinator_epoch)).markers.remove(0);
        assert_eq!(written.producer_id.0, key.0);
        written.topics[0].partitions.iter().map(|one| one.error_code).collect::<Vec<_>>()
    };
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(codes((key.0, -1), 5), [ResponseError::InvalidProducerEpoch.code(), unknown]);
    assert_eq!(codes(key, 5), [0, unknown]);
    assert_eq!(codes(key, 4), [ResponseError::TransactionCoordinatorFenced.code(), unknown]);
    assert_eq!(bounds(&mut wire), (2, 2));
    assert_eq!(producers(&mut wire).remove(0).coordinator_epoch, 5);
}

#[test]
fn markers_of_one_producer_are_answered_together() {
    let broker = credulous();
    let mut wire = Wire::connect(&broker);
    let mut request = abort((7, 3), 1);
    request.markers.extend(abort((8, 0), 0).markers);
    // Comes from a coordinator that was replaced.
    request.markers.extend(abort((7, 3), 0).markers);
    let answer = wire.call(1, &request).markers;
    let codes: Vec<_> =
        answer.iter().map(|one| (one.producer_id.0, one.topics[0].partitions[0].error_code)).collect();
    assert_eq!(codes, [(7, ResponseError::TransactionCoordinatorFenced.code()), (8, 0)]);
    assert!(wire.call(1, &WriteTxnMarkersRequest::default()).markers.is_empty());
}

/// Version 2 of the request, which `kafka_protocol` does not know, says of which version the transaction is.
#[test]
fn a_marker_of_the_second_version_must_be_of_a_later_epoch_than_the_records() {
    let broker = credulous();
    let mut wire = Wire::connect(&broker);
    let key = wire.init("x");
    assert_eq!(write(&mut wire, "x", key, 0), 0);
    let mut code = |epoch: i16, version: u8| {
        let mut body = Vec::new();
        body.put_u8(2);
        body.put_i64(key.0);
        body.put_i16(epoch);
        body.put_u8(0);
        body.put_slice(&[2, 2, b't', 2]);
        body.put_i32(0);
        body.put_u8(0);
        body.put_i32(0);
        body.put_u8(version);
        // A field that says otherwise, and no others of the request.
        body.put_slice(&[1, 0, 1, 2, 0]);
        let mut answer = wire.call_raw(ApiKey::WriteTxnMarkers, 2, &body);
        assert_eq!((answer.get_u8(), answer.get_i64()), (2, key.0));
        assert_eq!(&answer.split_to(4)[..], [2, 2, b't', 2]);
        assert_eq!(answer.get_i32(), 0);
        let code = answer.get_i16();
        assert_eq!(&answer[..], [0, 0, 0, 0], "no tags of partition, topic, marker and answer");
        code
    };
    assert_eq!(code(key.1, 2), ResponseError::InvalidProducerEpoch.code());
    assert_eq!(code(key.1 + 1, 2), 0);
    assert_eq!(code(key.1 + 1, 2), 0, "asked again");
    assert_eq!(code(key.1 + 1, 0), 0);
    assert_eq!(bounds(&mut wire), (4, 4));
}
