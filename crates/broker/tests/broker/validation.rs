//! What records have to be like: for everybody, and by a topic's settings.

use std::io::{self, Read, Write};

use crate::common::memory;
use crate::common::wire::{NO_PRODUCER, Wire, batch};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use thalweg_broker::{Isolation, OffsetOf};

#[test]
fn a_compacted_topic_refuses_records_without_keys_and_says_which() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    wire.create("t", &[("cleanup.policy", "compact")]);
    let refused = wire.produce("t", batch(&["a", "b"], NO_PRODUCER, false), None);
    assert_eq!(refused.error_code, ResponseError::InvalidRecord.code());
    let message = refused.error_message.unwrap();
    assert!(
        message.starts_with("One or more records have been rejected due to 2 record errors"),
        "{message}"
    );
    let wrong: Vec<_> = refused.record_errors.iter().map(|record| record.batch_index).collect();
    assert_eq!(wrong, [0, 1]);
    let why = refused.record_errors[0].batch_index_error_message.as_ref().unwrap();
    assert_eq!(why.as_str(), "Compacted topic cannot accept message without key in topic partition t-0.");
}

#[test]
fn records_that_are_too_old_are_refused() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    // The test's records are of 1970.
    wire.create("t", &[("message.timestamp.before.max.ms", "1000")]);
    let refused = wire.produce("t", batch(&["a"], NO_PRODUCER, false), None);
    assert_eq!(refused.error_code, ResponseError::InvalidTimestamp.code());
    assert_eq!(
        refused.error_message.unwrap().as_str(),
        "One or more records have been rejected due to invalid timestamp"
    );
}

/// A batch with these records, as they are, whose header says that there are so many and how they are compressed.
fn made_of(records: &[u8], count: i32, codec: i16) -> Bytes {
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32(49 + records.len() as i32);
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(0);
    batch.put_i16(codec);
    batch.put_i32(count - 1);
    batch.put_i64(1_000);
    batch.put_i64(1_000);
    batch.put_i64(-1);
    batch.put_i16(-1);
    batch.put_i32(-1);
    batch.put_i32(count);
    batch.put_slice(records);
    let crc = crc32c::crc32c(&batch[21..]);
    (&mut batch[17..21]).put_u32(crc);
    batch.freeze()
}

/// A record with the value "v": its length, attributes, deltas of time and place, no key, the value, no headers.
fn record(place: u8) -> Vec<u8> {
    vec![2 * 7, 0, 0, 2 * place, 1, 2, b'v', 0]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Each of them used to be stored, and to stop whoever read the partition.
fn undecodable() -> Vec<(&'static str, Bytes)> {
    let two = [record(0), record(1)].concat();
    vec![
        ("junk under gzip", made_of(b"junk", 1, 1)),
        ("junk under snappy", made_of(b"\xff\xffjunk", 1, 2)),
        ("junk under lz4", made_of(b"junk", 1, 3)),
        ("junk under zstd", made_of(b"junk", 1, 4)),
        ("half a stream of gzip", made_of(&gzip(&two)[..20], 2, 1)),
        ("codec 5", made_of(&two, 2, 5)),
        ("codec 7", made_of(&two, 2, 7)),
        ("too many by the header", made_of(&two, i32::MAX, 0)),
        ("too many by the header, compressed", made_of(&gzip(&two), i32::MAX, 1)),
        ("too few by the header", made_of(&two, 1, 0)),
        ("no record", made_of(b"", 1, 0)),
        ("a place twice", made_of(&[record(0), record(0)].concat(), 2, 0)),
        ("places that do not begin at 0", made_of(&[record(1), record(2)].concat(), 2, 0)),
        ("a length that is wrong", made_of(&[2 * 8, 0, 0, 0, 1, 2, b'v', 0], 1, 0)),
        ("headers that are not there", made_of(&[2 * 7, 0, 0, 0, 1, 2, b'v', 2], 1, 0)),
        ("snappy that claims four gigabytes", made_of(&[0xff, 0xff, 0xff, 0xff, 0x0f], 1, 2)),
    ]
}

#[test]
fn records_that_nobody_could_decode_are_refused_and_it_is_said_why() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    for (what, batch) in undecodable() {
        let refused = wire.produce("t", batch, None);
        assert_eq!(refused.error_code, ResponseError::InvalidRecord.code(), "{what}");
        let message = refused.error_message.unwrap_or_default();
        assert!(!message.is_empty(), "{what}: it is not said why");
    }
    let good = [record(0), record(1)].concat();
    for codec in [0, 1] {
        let records = if codec == 1 { gzip(&good) } else { good.clone() };
        assert_eq!(wire.produce("t", made_of(&records, 2, codec), None).error_code, 0, "codec {codec}");
    }
}

#[test]
fn what_would_expand_beyond_measure_is_too_large() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    // One good record, with a value of zeros that is a little too long.
    let len: i64 = 129 << 20;
    let varint = |value: i64| {
        let (mut raw, mut bytes) = ((value as u64) << 1, Vec::new());
        while raw >= 0x80 {
            bytes.push(raw as u8 | 0x80);
            raw >>= 7;
        }
        bytes.push(raw as u8);
        bytes
    };
    let front = [&[0, 0, 0, 1][..], &varint(len)].concat();
    let whole = [varint(len + front.len() as i64 + 1), front].concat();
    let records = whole.as_slice().chain(io::repeat(0).take(len as u64 + 1));
    let batch = made_of(&zstd::encode_all(records, 1).unwrap(), 1, 4);
    assert!(batch.len() < 100_000);
    let refused = wire.produce("t", batch, None);
    assert_eq!(refused.error_code, ResponseError::MessageTooLarge.code());
    assert!(refused.error_message.unwrap().contains("134217728 bytes"));
}

/// What times are looked up by is not taken on trust.
#[test]
fn the_newest_time_of_a_batch_is_that_of_its_records() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    // The second record is of 1,005, and the header says 1,000.
    let records = [record(0), vec![2 * 7, 0, 2 * 5, 2, 1, 2, b'v', 0]].concat();
    assert_eq!(wire.produce("t", made_of(&records, 2, 0), None).error_code, 0);
    let client = broker.client();
    let at = client.offset("t", 0, OffsetOf::Time(1_003, Isolation::ReadUncommitted)).unwrap();
    assert_eq!(at, Some(1));
}
