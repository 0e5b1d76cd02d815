//! Time that is put forward: what was to happen later has happened when the call returns.

use std::time::Duration;

use crate::common::memory;
use crate::common::wire::{Wire, batch, name, transactional_id};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, GroupId, HeartbeatRequest, JoinGroupRequest, ProducerId,
    SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_session_ends_and_the_next_member_need_not_wait() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    let group = || GroupId(StrBytes::from_static_str("g"));
    let join = JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(600_000)
        .with_rebalance_timeout_ms(600_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str("range"))
                .with_metadata(Bytes::new()),
        ]);
    let joined = wire.call(3, &join);
    assert_eq!(joined.error_code, 0);
    let sync = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    assert_eq!(wire.call(2, &sync).error_code, 0);
    let beat = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    broker.faults().advance_clock(Duration::from_secs(599));
    assert_eq!(wire.call(2, &beat).error_code, 0);
    broker.faults().advance_clock(Duration::from_secs(601));
    assert_eq!(wire.call(2, &beat).error_code, ResponseError::UnknownMemberId.code());
    let again = wire.call(3, &join);
    assert_eq!((again.error_code, again.members.len()), (0, 1));
}

#[test]
fn a_forgotten_transaction_is_aborted_and_its_producer_fenced() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let (producer, epoch) = wire.init("x");
    let topic = AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![0]);
    let begin = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id("x"))
        .with_v3_and_below_producer_id(ProducerId(producer))
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(vec![topic]);
    wire.call(3, &begin);
    let produced = wire.produce("t", batch(&["v"], (producer, epoch, 0), true), Some("x"));
    assert_eq!(produced.error_code, 0);
    broker.faults().advance_clock(HOUR);
    let late = wire.produce("t", batch(&["w"], (producer, epoch, 1), true), Some("x"));
    assert_eq!(late.error_code, ResponseError::InvalidProducerEpoch.code());
    let end = EndTxnRequest::default()
        .with_transactional_id(transactional_id("x"))
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
        .with_committed(true);
    assert_eq!(wire.call(3, &end).error_code, ResponseError::ProducerFenced.code());
}
