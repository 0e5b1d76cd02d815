//! Batches with keys, and what a client reads of a partition, for the tests of compaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::log::batch::{
    BatchHeader, HEADER_LEN, Marker, TRANSACTIONAL, marker_of, put_varint, walk, write_header,
};
use crate::log::codec::compress;
use crate::log::compaction::pace::Pace;
use crate::log::compaction::steps::Steps;
use crate::log::compaction::{Halted, Rules};
use crate::log::partition::{AppendRules, Isolation, Partition};
use crate::log::records::Records;
use crate::log::segment::Segment;
use crate::metrics::CleanerTotals;
use crate::settings::Given;
use crate::settings::broker::BrokerSettings;
use crate::settings::topic::TopicConfig;

/// Of no producer with an id.
pub(super) const NOBODY: (i64, i16, i32) = (-1, -1, -1);
/// Memory for all keys there are.
pub(super) const PLENTY: u64 = 1 << 20;

/// A batch of records, a millisecond apart from `timestamp` on. One without a value says that its key is deleted.
pub(super) fn keyed(
    records: &[(&str, Option<&str>)],
    timestamp: i64,
    codec: i16,
    producer: (i64, i16, i32),
    transactional: bool,
) -> Vec<u8> {
    let mut body = Vec::new();
    for (n, (key, value)) in (0..).zip(records) {
        let mut record = vec![0];
        put_varint(&mut record, n);
        put_varint(&mut record, n);
        for field in [Some(*key), *value] {
            put_varint(&mut record, field.map_or(-1, |field| field.len() as i64));
            record.extend_from_slice(field.unwrap_or_default().as_bytes());
        }
        put_varint(&mut record, 0);
        put_varint(&mut body, record.len() as i64);
        body.extend(record);
    }
    let count = records.len() as i32;
    let mut header = BatchHeader {
        base_offset: 0,
        len: 0,
        attributes: codec | if transactional { TRANSACTIONAL } else { 0 },
        last_offset_delta: count - 1,
        base_timestamp: timestamp,
        max_timestamp: timestamp + i64::from(count) - 1,
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: producer.2,
        record_count: count,
    };
    let mut batch = vec![0; HEADER_LEN];
    batch.extend_from_slice(&compress(&body, &header, None).unwrap());
    header.len = batch.len();
    write_header(&mut batch, &header);
    batch
}

/// A record as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: String,
    pub(super) has_value: bool,
}

/// All batches, from the start on. Reading has to come to the end, however little is left.
pub(super) fn batches(
    partition: &Partition,
    isolation: Isolation,
    max_bytes: usize,
) -> Vec<(BatchHeader, Vec<u8>, bool)> {
    let mut all = Vec::new();
    let mut next = partition.bounds().start;
    let end = partition.bounds().visible_end(isolation);
    while next < end {
        let read = partition.read(next, max_bytes, true, isolation).unwrap();
        assert!(!read.records.is_empty(), "nothing is read from {next} on, though there is up to {end}");
        let mut coming = read.aborted;
        coming.sort_by_key(|aborted| std::cmp::Reverse(aborted.first_offset));
        let mut aborting = HashSet::new();
        for (header, at) in walk(&read.records) {
            let batch = read.records[at..at + header.len].to_vec();
            assert_eq!(BatchHeader::verify(&batch), Ok(header));
            while let Some(aborted) = coming.pop_if(|aborted| aborted.first_offset <= header.last_offset()) {
                aborting.insert(aborted.producer_id);
            }
            if marker_of(&batch) == Some(Marker::Abort) && header.is_control() {
                aborting.remove(&header.producer_id);
            }
            let hidden =
                header.is_control() || header.is_transactional() && aborting.contains(&header.producer_id);
            assert!(header.last_offset() >= next);
            next = header.last_offset() + 1;
            all.push((header, batch, hidden));
        }
    }
    all
}

/// All records that a client sees.
pub(super) fn seen(partition: &Partition, isolation: Isolation, max_bytes: usize) -> Vec<Seen> {
    let start = partition.bounds().start;
    let mut all = Vec::new();
    for (header, batch, hidden) in batches(partition, isolation, max_bytes) {
        if hidden {
            continue;
        }
        let records = Records::open(&batch, &header).unwrap();
        assert!(records.are_whole());
        all.extend(records.iter().filter(|record| record.offset >= start).map(|record| Seen {
            offset: record.offset,
            timestamp: record.timestamp,
            key: String::from_utf8(record.key.unwrap().to_vec()).unwrap(),
            has_value: record.has_value,
        }));
    }
    all
}

/// Offsets and keys of what there is to see.
pub(super) fn offsets(partition: &Partition) -> Vec<(i64, String)> {
    let seen = seen(partition, Isolation::ReadUncommitted, 1 << 20);
    seen.into_iter().map(|seen| (seen.offset, seen.key)).collect()
}

pub(super) fn config(settings: &[(&str, &str)]) -> TopicConfig {
    let compacted = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")];
    let given =
        compacted.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    TopicConfig::new(given.collect::<Given>(), &BrokerSettings::default()).unwrap()
}

/// One round, whatever there is to do.
pub(super) fn round(
    partition: &Partition,
    config: &TopicConfig,
    now_ms: i64,
    keys_bytes: u64,
    steps: Steps,
) -> Result<(), Halted> {
    run(partition, &Rules { config, now_ms, keys_bytes, load_factor: 0.9, steps })
}

/// One round by these rules.
pub(super) fn run(partition: &Partition, rules: &Rules<'_>) -> Result<(), Halted> {
    let (stop, totals) = (AtomicBool::new(false), CleanerTotals::default());
    let mut pace = Pace::new(&stop, &totals);
    partition.compact(&partition.dirt(rules.config, rules.now_ms).unwrap(), rules, &mut pace)
}

/// Rounds until nothing is left to do.
pub(super) fn compact(partition: &Partition, config: &TopicConfig, now_ms: i64, keys_bytes: u64) {
    while partition.dirt(config, now_ms).unwrap().is_due(config) {
        round(partition, config, now_ms, keys_bytes, Steps::default()).unwrap();
    }
}

/// Closes the segment that is appended to, as the next append would if that were too long.
pub(super) fn roll(partition: &Partition) {
    let mut log = partition.log();
    if log.segments.last().unwrap().size() > 0 {
        log.roll().unwrap();
    }
}

pub(super) const RULES: AppendRules = AppendRules::DEFAULT;

/// An empty log in memory.
pub(super) fn memory() -> Partition {
    Partition::in_memory(&Arc::default())
}

/// Appends records of nobody; returns their first offset.
pub(super) fn append(partition: &Partition, records: &[(&str, Option<&str>)]) -> i64 {
    append_at(partition, records, 1_000)
}

pub(super) fn append_at(partition: &Partition, records: &[(&str, Option<&str>)], timestamp: i64) -> i64 {
    let batch = keyed(records, timestamp, 0, NOBODY, false);
    partition.append(&batch, &RULES, timestamp).unwrap().base_offset
}

/// Appends records of a producer.
pub(super) fn append_by(
    partition: &Partition,
    producer: (i64, i16, i32),
    keys: &[&str],
    transactional: bool,
) {
    let records: Vec<_> = keys.iter().map(|key| (*key, Some("v"))).collect();
    partition.append(&keyed(&records, 1_000, 0, producer, transactional), &RULES, 0).unwrap();
}

/// What is expected of [`offsets`].
pub(super) fn of(offsets_and_keys: &[(i64, &str)]) -> Vec<(i64, String)> {
    offsets_and_keys.iter().map(|(offset, key)| (*offset, (*key).to_owned())).collect()
}

/// Of all batches.
pub(super) fn headers(partition: &Partition) -> Vec<BatchHeader> {
    let all = batches(partition, Isolation::ReadUncommitted, 1 << 20);
    all.into_iter().map(|(header, ..)| header).collect()
}

/// First offsets of the segments.
pub(super) fn segments(partition: &Partition) -> Vec<i64> {
    partition.log().segments.iter().map(Segment::base_offset).collect()
}
