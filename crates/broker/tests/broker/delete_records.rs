//! Records that a client deletes are gone for every reader, and after a restart.

use std::path::Path;

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch, name, patient_fetch};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, DeleteRecordsRequest, ListOffsetsRequest};
use thalweg_broker::{Broker, BrokerConfig, Storage};

fn open(data: &Path) -> Broker {
    Broker::start(BrokerConfig { storage: Storage::Directory(data.to_owned()), ..BrokerConfig::default() })
        .unwrap()
}

/// Deletes what is before `offset`; returns the error and the first offset left.
fn delete(wire: &mut Wire, topic: &str, offset: i64) -> (i16, i64) {
    let partition = DeleteRecordsPartition::default().with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
    let partition = wire.call(2, &request).topics.remove(0).partitions.remove(0);
    (partition.error_code, partition.low_watermark)
}

fn offset_of(wire: &mut Wire, timestamp: i64) -> i64 {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    wire.call(7, &request).topics.remove(0).partitions.remove(0).offset
}

fn fetch_error(wire: &mut Wire, offset: i64) -> i16 {
    let response = wire.call(11, &patient_fetch("t", offset, false).with_max_wait_ms(0));
    response.responses[0].partitions[0].error_code
}

fn deleted_records_are_gone(broker: &Broker) {
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(broker);
    for _ in 0..3 {
        assert_eq!(wire.produce("t", batch(&["a", "b"], NO_PRODUCER, false), None).error_code, 0);
    }
    let out_of_range = ResponseError::OffsetOutOfRange.code();
    assert_eq!(delete(&mut wire, "t", 7), (out_of_range, -1));
    assert_eq!(delete(&mut wire, "t", -2), (out_of_range, -1));
    assert_eq!(delete(&mut wire, "none", 0), (ResponseError::UnknownTopicOrPartition.code(), -1));
    assert_eq!(delete(&mut wire, "t", 3), (0, 3));
    assert_eq!(delete(&mut wire, "t", 1), (0, 3), "it does not come back");
    assert_eq!((fetch_error(&mut wire, 2), fetch_error(&mut wire, 3)), (out_of_range, 0));
    assert_eq!((offset_of(&mut wire, -2), offset_of(&mut wire, 0)), (3, 3));
}

#[test]
fn in_memory() {
    let broker = memory();
    deleted_records_are_gone(&broker);
    let mut wire = Wire::connect(&broker);
    assert_eq!(delete(&mut wire, "t", -1), (0, 6));
    assert_eq!(offset_of(&mut wire, 0), -1);
    assert_eq!(wire.produce("t", batch(&["c"], NO_PRODUCER, false), None).base_offset, 6);
}

#[test]
fn on_disk_and_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    deleted_records_are_gone(&open(data.path()));
    {
        let broker = open(data.path());
        let mut wire = Wire::connect(&broker);
        assert_eq!((offset_of(&mut wire, -2), offset_of(&mut wire, -1)), (3, 6));
        assert_eq!(delete(&mut wire, "t", -1), (0, 6));
    }
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    assert_eq!((offset_of(&mut wire, -2), offset_of(&mut wire, -1)), (6, 6));
    assert_eq!(wire.produce("t", batch(&["c"], NO_PRODUCER, false), None).base_offset, 6);
}
