//! Fetch sessions over the wire: what a client has to say, and what it is told.

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProduceRequest};

const VERSION: i16 = 11;
/// Opens a session.
const OPEN: (i32, i32) = (0, 0);

/// A fetch of partitions of "t" from these offsets on.
fn fetch((id, epoch): (i32, i32), wanted: &[(i32, i64)]) -> FetchRequest {
    let partition = |(index, offset): &(i32, i64)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    };
    let partitions: Vec<FetchPartition> = wanted.iter().map(partition).collect();
    let topic = FetchTopic::default().with_topic(name("t")).with_partitions(partitions);
    FetchRequest::default()
        .with_session_id(id)
        .with_session_epoch(epoch)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(if wanted.is_empty() { Vec::new() } else { vec![topic] })
}

/// The partitions of an answer in its order, with the bytes of their records.
fn told(response: &FetchResponse) -> Vec<(i32, usize)> {
    assert_eq!(response.error_code, 0);
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| (partition.partition_index, partition.records.as_ref().unwrap().len()))
        .collect()
}

fn produce(wire: &mut Wire, partition: i32) -> usize {
    let records = batch(&["value"], NO_PRODUCER, false);
    let len = records.len();
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(name("t")).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![topic]);
    assert_eq!(wire.call(9, &request).responses[0].partition_responses[0].error_code, 0);
    len
}

#[test]
fn answers_of_a_session_hold_what_is_new_and_requests_what_has_changed() {
    let broker = memory();
    broker.create_topic("t", 3).unwrap();
    let (mut wire, mut writer) = (Wire::connect(&broker), Wire::connect(&broker));
    let opened = wire.call(VERSION, &fetch(OPEN, &[(0, 0), (1, 0), (2, 0)]));
    let id = opened.session_id;
    assert_ne!(id, 0);
    assert_eq!(told(&opened), [(0, 0), (1, 0), (2, 0)], "the first answer tells all");
    let quiet = wire.call(VERSION, &fetch((id, 1), &[]));
    assert_eq!((quiet.session_id, told(&quiet)), (id, vec![]));
    let len = produce(&mut writer, 1);
    assert_eq!(told(&wire.call(VERSION, &fetch((id, 2), &[]))), [(1, len)]);
    // The client goes on behind what it has got; nothing else is said.
    assert_eq!(told(&wire.call(VERSION, &fetch((id, 3), &[(1, 1)]))), []);
    let forgotten = ForgottenTopic::default().with_topic(name("t")).with_partitions(vec![2]);
    let request = fetch((id, 4), &[]).with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(told(&wire.call(VERSION, &request)), []);
    produce(&mut writer, 2);
    assert_eq!(told(&wire.call(VERSION, &fetch((id, 5), &[]))), []);
}

#[test]
fn a_fetch_of_a_session_waits_for_partitions_that_it_does_not_name() {
    let broker = memory();
    broker.create_topic("t", 2).unwrap();
    let (mut wire, mut writer) = (Wire::connect(&broker), Wire::connect(&broker));
    let id = wire.call(VERSION, &fetch(OPEN, &[(0, 0), (1, 0)])).session_id;
    wire.send(VERSION, &fetch((id, 1), &[]).with_max_wait_ms(60_000));
    assert!(wire.is_silent());
    let len = produce(&mut writer, 1);
    assert_eq!(told(&wire.receive::<FetchRequest>(VERSION)), [(1, len)]);
}

#[test]
fn no_partition_is_forgotten_when_answers_are_small() {
    let broker = memory();
    broker.create_topic("t", 3).unwrap();
    let mut wire = Wire::connect(&broker);
    let mut len = 0;
    for partition in [0, 1, 2, 0, 1, 2] {
        len = produce(&mut wire, partition);
    }
    let small = |request: FetchRequest| request.with_max_bytes(len as i32);
    let mut offsets = [0; 3];
    let opened = wire.call(VERSION, &small(fetch(OPEN, &[(0, 0), (1, 0), (2, 0)])));
    let id = opened.session_id;
    let mut with_records = Vec::new();
    let mut response = opened;
    for epoch in 1..=6 {
        let had: Vec<i32> = told(&response).iter().filter(|(_, len)| *len > 0).map(|(n, _)| *n).collect();
        let next: Vec<(i32, i64)> = had
            .iter()
            .map(|partition| {
                offsets[*partition as usize] += 1;
                (*partition, offsets[*partition as usize])
            })
            .collect();
        with_records.extend(had);
        response = wire.call(VERSION, &small(fetch((id, epoch), &next)));
    }
    assert_eq!(with_records, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_client_that_is_out_of_step_is_told_so() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let id = wire.call(VERSION, &fetch(OPEN, &[(0, 0)])).session_id;
    let mut code = |turn| wire.call(VERSION, &fetch(turn, &[])).error_code;
    let (unknown, epoch) = (ResponseError::FetchSessionIdNotFound, ResponseError::InvalidFetchSessionEpoch);
    assert_eq!(code((id, 2)), epoch.code());
    assert_eq!(code((id, 1)), 0);
    assert_eq!(code((id, 1)), epoch.code());
    assert_eq!(code((id ^ 1, 1)), unknown.code());
    assert_eq!(code((id, -1)), 0, "closed");
    assert_eq!(code((id, 2)), unknown.code());
}

#[test]
fn a_fetch_for_itself_opens_no_session_and_one_behind_the_end_is_told_where_that_is() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    assert_eq!(wire.call(VERSION, &fetch((0, -1), &[(0, 0)])).session_id, 0);
    let mut behind = fetch((0, -1), &[(0, 5)]);
    behind.topics[0].partitions[0].last_fetched_epoch = 0;
    let found = wire.call(12, &behind).responses.remove(0).partitions.remove(0);
    assert_eq!((found.error_code, found.diverging_epoch.epoch, found.diverging_epoch.end_offset), (0, 0, 0));
    behind.topics[0].partitions[0].current_leader_epoch = 1;
    let found = wire.call(12, &behind).responses.remove(0).partitions.remove(0);
    assert_eq!(found.error_code, ResponseError::UnknownLeaderEpoch.code());
}
