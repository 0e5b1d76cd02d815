//! Versions that `kafka_protocol` does not know, byte by byte as Apache Kafka 4.3 has them.

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name};
use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, DeleteTopicsRequest, MetadataRequest};
use thalweg_broker::{Asked, Fault};
use uuid::Uuid;

const STRANGER: Uuid = Uuid::from_u128(4711);

fn id_of(wire: &mut Wire, topic: &str) -> Uuid {
    let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
    wire.call(12, &MetadataRequest::default().with_topics(Some(vec![topic]))).topics[0].topic_id
}

/// A compact string.
fn text(to: &mut Vec<u8>, text: &str) {
    to.put_u8(text.len() as u8 + 1);
    to.put_slice(text.as_bytes());
}

/// Puts these elements behind their number.
fn array<T>(to: &mut Vec<u8>, elements: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    to.put_u8(elements.len() as u8 + 1);
    elements.iter().for_each(|element| put(to, element));
}

/// A commit of offset 7 in partition 0 of these topics, by someone outside of the group.
fn commit(wire: &mut Wire, topics: &[Uuid]) -> Vec<(Uuid, i16)> {
    let mut body = Vec::new();
    text(&mut body, "g");
    body.put_i32(-1);
    text(&mut body, "");
    body.put_u8(0);
    array(&mut body, topics, |body, id| {
        body.put_slice(id.as_bytes());
        array(body, &[0], |body, partition| {
            body.put_i32(*partition);
            body.put_i64(7);
            body.put_i32(-1);
            text(body, "said");
            body.put_u8(0);
        });
        body.put_u8(0);
    });
    body.put_u8(0);
    let mut answer = wire.call_raw(ApiKey::OffsetCommit, 10, &body);
    assert_eq!(answer.get_i32(), 0, "throttled");
    let outcome = (1..answer.get_u8()).map(|_| {
        let id = Uuid::from_slice(&answer.split_to(16)).unwrap();
        assert_eq!((answer.get_u8(), answer.get_i32()), (2, 0), "one partition: 0");
        let code = answer.get_i16();
        assert_eq!(answer.get_u16(), 0, "no tags of partition and topic");
        (id, code)
    });
    let outcome = outcome.collect();
    assert_eq!(&answer[..], [0], "no tags, and nothing behind them");
    outcome
}

/// Offsets and errors of partition 0 of these topics, or of all that have one.
fn fetch(wire: &mut Wire, topics: Option<&[Uuid]>) -> Vec<(Uuid, i64, i16)> {
    let mut body = Vec::new();
    array(&mut body, &["g"], |body, group| {
        text(body, group);
        body.put_u8(0);
        body.put_i32(-1);
        match topics {
            None => body.put_u8(0),
            Some(topics) => array(body, topics, |body, id| {
                body.put_slice(id.as_bytes());
                array(body, &[0], |body, partition| body.put_i32(*partition));
                body.put_u8(0);
            }),
        }
        body.put_u8(0);
    });
    body.put_slice(&[0, 0]);
    let mut answer = wire.call_raw(ApiKey::OffsetFetch, 10, &body);
    assert_eq!(answer.get_i32(), 0, "throttled");
    assert_eq!(&answer.split_to(3)[..], [2, 2, b'g']);
    let found = (1..answer.get_u8()).map(|_| {
        let id = Uuid::from_slice(&answer.split_to(16)).unwrap();
        assert_eq!((answer.get_u8(), answer.get_i32()), (2, 0), "one partition: 0");
        let (offset, epoch) = (answer.get_i64(), answer.get_i32());
        assert_eq!(epoch, -1);
        let len = usize::from(answer.get_u8()) - 1;
        let metadata = answer.split_to(len);
        assert_eq!(&metadata[..], if offset == 7 { "said" } else { "" }.as_bytes());
        let code = answer.get_i16();
        assert_eq!(answer.get_u16(), 0, "no tags of partition and topic");
        (id, offset, code)
    });
    let found = found.collect();
    assert_eq!(&answer[..], [0, 0, 0, 0], "the group's error and tags, and the end");
    found
}

#[test]
fn offsets_are_committed_and_fetched_by_the_ids_of_topics() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let id = id_of(&mut wire, "t");
    let unknown = ResponseError::UnknownTopicId.code();
    assert_eq!(commit(&mut wire, &[STRANGER, id]), [(STRANGER, unknown), (id, 0)]);
    assert_eq!(fetch(&mut wire, Some(&[id, STRANGER])), [(id, 7, 0), (STRANGER, -1, unknown)]);
    assert_eq!(fetch(&mut wire, None), [(id, 7, 0)]);
    assert_eq!(fetch(&mut wire, Some(&[])), []);
}

#[test]
fn a_topic_of_the_same_name_begins_without_offsets() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let id = id_of(&mut wire, "t");
    commit(&mut wire, &[id]);
    let topic = DeleteTopicState::default().with_name(Some(name("t")));
    wire.call(6, &DeleteTopicsRequest::default().with_topics(vec![topic]));
    broker.create_topic("t", 1).unwrap();
    let unknown = ResponseError::UnknownTopicId.code();
    assert_eq!(fetch(&mut wire, Some(&[id])), [(id, -1, unknown)]);
    let new = id_of(&mut wire, "t");
    assert_eq!(fetch(&mut wire, Some(&[new])), [(new, -1, 0)]);
}

#[test]
fn a_fault_meets_them_as_well() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let id = id_of(&mut wire, "t");
    let error = ResponseError::CoordinatorLoadInProgress;
    let to_t = |asked: &Asked| asked.has_topic("t");
    broker.faults().on(ApiKey::OffsetCommit, to_t, Fault::Fail(error), 1).unwrap();
    assert_eq!(commit(&mut wire, &[id]), [(id, error.code())]);
    assert_eq!(commit(&mut wire, &[id]), [(id, 0)]);
}

/// Offset and error of partition 0 of "t" by this time, in version 11.
fn list(wire: &mut Wire, timestamp: i64) -> (i64, i16) {
    let mut body = Vec::new();
    body.put_i32(-1);
    body.put_u8(0);
    array(&mut body, &["t"], |body, topic| {
        text(body, topic);
        array(body, &[0], |body, partition| {
            body.put_i32(*partition);
            body.put_i32(-1);
            body.put_i64(timestamp);
            body.put_u8(0);
        });
        body.put_u8(0);
    });
    body.put_i32(1_000);
    body.put_u8(0);
    let mut answer = wire.call_raw(ApiKey::ListOffsets, 11, &body);
    assert_eq!(&answer.split_to(4 + 3)[..], [0, 0, 0, 0, 2, 2, b't']);
    assert_eq!((answer.get_u8(), answer.get_i32()), (2, 0), "one partition: 0");
    let code = answer.get_i16();
    let (_, offset, epoch) = (answer.get_i64(), answer.get_i64(), answer.get_i32());
    assert_eq!(epoch, if offset < 0 { -1 } else { 0 });
    assert_eq!(&answer[..], [0, 0, 0]);
    (offset, code)
}

#[test]
fn special_times_are_answered_as_without_remote_storage() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    wire.produce("t", batch(&["a", "b"], NO_PRODUCER, false), None);
    let unsupported = ResponseError::UnsupportedVersion.code();
    // Latest, earliest, of the greatest time, earliest here, latest there, earliest that is not there yet.
    let expected = [(2, 0), (0, 0), (1, 0), (0, 0), (-1, 0), (-1, 0), (-1, unsupported)];
    let listed: Vec<(i64, i16)> = (1..=7).map(|time| list(&mut wire, -time)).collect();
    assert_eq!(listed, expected);
}

#[test]
fn log_dirs_are_not_cordoned() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let answer = wire.call_raw(ApiKey::DescribeLogDirs, 5, &[0, 0]);
    let mut expected = vec![0, 0, 0, 0, 0, 0, 2, 0, 0];
    text(&mut expected, "memory");
    array(&mut expected, &["t"], |to, topic| {
        text(to, topic);
        // One partition, its number, size, lag, and whether it is to be moved; tags.
        to.put_slice(&[[2].as_slice(), &[0; 4], &[0; 8], &[0; 8], &[0], &[0]].concat());
        to.put_u8(0);
    });
    // Bytes of the disk, twice unknown; not cordoned; tags, and those of the whole.
    expected.put_slice(&[[0xff; 16].as_slice(), &[0, 0, 0]].concat());
    assert_eq!(answer, Bytes::from(expected));
}

#[test]
fn they_are_advertised() {
    let broker = memory();
    let response = Wire::connect(&broker).call(0, &ApiVersionsRequest::default());
    let max = |key: ApiKey| {
        response.api_keys.iter().find(|api| api.api_key == key as i16).map(|api| api.max_version)
    };
    let keys = [ApiKey::ListOffsets, ApiKey::OffsetCommit, ApiKey::OffsetFetch, ApiKey::DescribeLogDirs];
    assert_eq!(keys.map(max), [11, 10, 10, 5].map(Some));
}

#[test]
fn who_asks_for_versions_in_one_of_the_future_is_told_in_which_to_ask_again() {
    let broker = memory();
    let answer = Wire::connect(&broker).call_raw(ApiKey::ApiVersions, 9, &[]);
    // The error, whose first byte has been taken for one of the header, and one API with its first version and its last.
    assert_eq!(&answer[..], [35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
}
