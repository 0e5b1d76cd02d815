//! What it takes to store batches of each codec, records of which are looked into before: `cargo bench -p thalweg-broker
//! --bench validation`.
//!
//! It prints the CPU seconds of the whole process for a million records of 100 bytes, in batches of 16 KB (before they are
//! compressed) and of 900 KB, sent by a client that has made its requests before and only writes them to the socket. Run it
//! on two versions by turns to see what has become of it.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, ProduceRequest, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use thalweg_broker::{Broker, BrokerConfig, Storage};

const RECORDS: usize = 2_000_000;
const ROUNDS: usize = 5;

fn main() {
    let codecs = [
        ("plain", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    for (size, records) in [("16 KB", 150), ("900 KB", 8_000)] {
        for (name, codec) in codecs {
            let request = request(&batch(records, codec));
            let mut seconds: Vec<f64> = (0..ROUNDS).map(|_| seconds(&request, RECORDS / records)).collect();
            seconds.sort_by(f64::total_cmp);
            let millions = RECORDS as f64 / 1e6;
            println!(
                "{name:<6} batches of {size:>6}: {:.3} CPU seconds a million (median of {ROUNDS}), request of {} bytes",
                seconds[ROUNDS / 2] / millions,
                request.len()
            );
        }
    }
}

/// CPU seconds that it takes to have a request carried out so many times, on disk.
fn seconds(request: &[u8], times: usize) -> f64 {
    let data = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(data.path().to_owned());
    let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    broker.create_topic("t", 1).unwrap();
    let mut stream = TcpStream::connect(broker.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    let before = cpu();
    for _ in 0..times {
        stream.write_all(request).unwrap();
        let mut len = [0; 4];
        stream.read_exact(&mut len).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(len) as usize];
        stream.read_exact(&mut answer).unwrap();
    }
    let after = cpu();
    let end = broker.client().offset(
        "t",
        0,
        thalweg_broker::OffsetOf::End(thalweg_broker::Isolation::ReadUncommitted),
    );
    assert!(end.unwrap().unwrap() > 0, "nothing was stored");
    after - before
}

/// CPU seconds of this process so far, in user and in kernel mode.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // In ticks, of which there are a hundred a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Records like lines of a log: half of each is the same in all.
fn batch(count: usize, compression: Compression) -> Bytes {
    let mut noise = 0x9e37_79b9_7f4a_7c15u64;
    let record = |n: usize| {
        let mut value = format!("2026-11-29T01:02:03Z INFO request {n:>8} took ").into_bytes();
        while value.len() < 92 {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            value.push(b'a' + (noise % 26) as u8);
        }
        Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            timestamp_type: TimestampType::Creation,
            offset: n as i64,
            sequence: n as i32 - 1,
            timestamp: 1_700_000_000_000 + n as i64,
            key: None,
            value: Some(value.into()),
            headers: Default::default(),
        }
    };
    let records: Vec<Record> = (0..count).map(record).collect();
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &RecordEncodeOptions { version: 2, compression })
        .unwrap();
    bytes.freeze()
}

fn request(batch: &Bytes) -> Vec<u8> {
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch.clone()));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_partition_data(vec![partition]);
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(9)
        .encode(&mut bytes, 2)
        .unwrap();
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![topic]);
    request.encode(&mut bytes, 9).unwrap();
    let len = (bytes.len() - 4) as i32;
    (&mut bytes[..4]).put_i32(len);
    bytes.to_vec()
}
