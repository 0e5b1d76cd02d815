//! Old records go away by themselves.

use std::path::Path;
use std::time::Duration;

use crate::common;
use crate::common::wire::{NO_PRODUCER, Wire, batch, patient_fetch};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchResponse;
use thalweg_broker::{Broker, BrokerConfig, Storage};

const HOUR: Duration = Duration::from_secs(3_600);

/// Start, end and error of what is to be read from `offset` on.
fn fetch(wire: &mut Wire, offset: i64) -> (i64, i64, i16) {
    let fetched: FetchResponse = wire.call(11, &patient_fetch("t", offset, false).with_max_wait_ms(0));
    let partition = &fetched.responses[0].partitions[0];
    (partition.log_start_offset, partition.high_watermark, partition.error_code)
}

fn old_records_go_and_young_ones_stay(broker: &Broker) {
    let mut wire = Wire::connect(broker);
    // The time of appending counts, since the batches here bear times of 1970.
    let settings =
        [("retention.ms", "9000000"), ("segment.ms", "1000"), ("message.timestamp.type", "LogAppendTime")];
    wire.create("t", &settings);
    for hour in 0..4 {
        assert_eq!(wire.produce("t", batch(&["a"], NO_PRODUCER, false), None).base_offset, hour);
        broker.faults().advance_clock(HOUR);
    }
    assert_eq!(fetch(&mut wire, 2), (2, 4, 0));
    assert_eq!(fetch(&mut wire, 1).2, ResponseError::OffsetOutOfRange.code());
    broker.faults().advance_clock(3 * HOUR);
    assert_eq!(fetch(&mut wire, 4), (4, 4, 0));
    assert_eq!(wire.produce("t", batch(&["b"], NO_PRODUCER, false), None).base_offset, 4);
}

#[test]
fn in_memory() {
    old_records_go_and_young_ones_stay(&common::memory());
}

#[test]
fn on_disk_with_their_files() {
    let data = tempfile::tempdir().unwrap();
    let config =
        || BrokerConfig { storage: Storage::Directory(data.path().to_owned()), ..BrokerConfig::default() };
    old_records_go_and_young_ones_stay(&Broker::start(config()).unwrap());
    let files = |path: &Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!(files(&data.path().join("topics/t-0")), 2, "a log and its index");
    let broker = Broker::start(config()).unwrap();
    assert_eq!(fetch(&mut Wire::connect(&broker), 4), (4, 5, 0));
}

#[test]
fn what_must_be_flushed_is_acknowledged_all_the_same() {
    let data = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(data.path().to_owned());
    let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    let mut wire = Wire::connect(&broker);
    wire.create("t", &[("flush.messages", "1"), ("flush.ms", "10"), ("segment.ms", "1")]);
    for n in 0..5 {
        assert_eq!(wire.produce("t", batch(&["a"], NO_PRODUCER, false), None).base_offset, n);
    }
}
