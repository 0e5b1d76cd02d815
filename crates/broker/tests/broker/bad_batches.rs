//! Batches that nobody can decode, and that are in the log nevertheless: from before they were looked into, or since a disk
//! has forgotten something. Whoever reads in this process can do without them, and none takes more memory than it may.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use bytes::BufMut;
use thalweg_broker::{Broker, BrokerConfig, Isolation, LocalConsumer, LocalError, Storage};

/// A batch of one record that begins at an offset, under a codec.
fn batch(offset: i64, codec: i16, records: &[u8]) -> Vec<u8> {
    let mut batch = Vec::new();
    batch.put_i64(offset);
    batch.put_i32(49 + records.len() as i32);
    batch.put_i32(0);
    batch.put_i8(2);
    batch.put_u32(0);
    batch.put_i16(codec);
    batch.put_i32(0);
    batch.put_i64(1_000);
    batch.put_i64(1_000);
    batch.put_i64(-1);
    batch.put_i16(-1);
    batch.put_i32(-1);
    batch.put_i32(1);
    batch.put_slice(records);
    let crc = crc32c::crc32c(&batch[21..]);
    (&mut batch[17..21]).put_u32(crc);
    batch
}

fn varint(value: i64) -> Vec<u8> {
    let (mut raw, mut bytes) = ((value as u64) << 1, Vec::new());
    while raw >= 0x80 {
        bytes.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    bytes.push(raw as u8);
    bytes
}

/// A record whose value is so many zeros, compressed.
fn zeros(len: u64) -> Vec<u8> {
    let front = [&[0, 0, 0, 1][..], &varint(len as i64)].concat();
    let whole = [varint((front.len() as u64 + len + 1) as i64), front].concat();
    zstd::encode_all(whole.as_slice().chain(io::repeat(0).take(len + 1)), 1).unwrap()
}

/// A broker with a topic that has these batches, one record each.
fn with(data: &Path, batches: &[(i16, &[u8])]) -> Broker {
    let config = || BrokerConfig { storage: Storage::Directory(data.to_owned()), ..BrokerConfig::default() };
    let broker = Broker::start(config()).unwrap();
    broker.create_topic("t", 1).unwrap();
    drop(broker);
    let log = data.join("topics/t-0/00000000000000000000.log");
    let mut log = OpenOptions::new().append(true).open(log).unwrap();
    for (offset, (codec, records)) in (0..).zip(batches) {
        log.write_all(&batch(offset, *codec, records)).unwrap();
    }
    drop(log);
    Broker::start(config()).unwrap()
}

fn consumer(broker: &Broker) -> LocalConsumer {
    let mut consumer = broker.client().consumer(Isolation::ReadUncommitted);
    consumer.assign("t", 0, 0);
    consumer
}

const GOOD: &[u8] = &[2 * 7, 0, 0, 0, 1, 2, b'v', 0];

#[test]
fn what_cannot_be_read_is_passed_over_by_whoever_wants_to() {
    let data = tempfile::tempdir().unwrap();
    let bomb = zeros(129 << 20);
    let claims_four_gigabytes = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 50]].concat();
    let batches: [(i16, &[u8]); 7] = [
        (0, GOOD),
        (1, b"junk"),
        (4, &bomb),
        (2, &claims_four_gigabytes),
        (7, GOOD),
        (3, b"\x04\x22\x4d\x18junk"),
        (0, GOOD),
    ];
    let broker = with(data.path(), &batches);
    let mut consumer = consumer(&broker);
    let (mut seen, mut passed) = (Vec::new(), Vec::new());
    loop {
        match consumer.poll(Duration::ZERO) {
            Ok(batches) if batches.is_empty() => break,
            Ok(batches) => {
                seen.extend(
                    batches.iter().flat_map(|batch| batch.records()).map(|record| record.unwrap().offset),
                );
            }
            Err(error @ LocalError::BadBatch { .. }) => {
                assert!(
                    !error.is_retriable() && error.to_string().contains("partition 0 of topic \"t\""),
                    "{error}"
                );
                // It comes again, until somebody goes past it.
                assert_eq!(consumer.poll(Duration::ZERO).unwrap_err(), error);
                let LocalError::BadBatch { base_offset, next_offset, .. } = error else { unreachable!() };
                passed.push(base_offset);
                consumer.assign("t", 0, next_offset.unwrap());
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((seen, passed), (vec![0, 6], vec![1, 2, 3, 4, 5]));
}

#[test]
fn few_bytes_that_become_many_are_not_all_in_memory_at_once() {
    let data = tempfile::tempdir().unwrap();
    let large = zeros(5 << 20);
    assert!(large.len() < 10_000);
    let broker = with(data.path(), &[(4, &large[..]); 20]);
    let mut consumer = consumer(&broker);
    let mut polls = Vec::new();
    loop {
        let batches = consumer.poll(Duration::ZERO).unwrap();
        if batches.is_empty() {
            break;
        }
        polls.push(batches.len());
    }
    assert_eq!(polls.iter().sum::<usize>(), 20);
    assert!(polls.iter().all(|batches| *batches <= 2), "{polls:?}");
}
