use bytes::Bytes;

use super::*;
use crate::log::batch::tests::{end, plain_batch};
use crate::log::batch::{Marker, walk};
use crate::log::producers::AbortedTransaction;
use crate::log::records::TimedOffset;

const RULES: AppendRules = AppendRules { segment_bytes: 300, ..AppendRules::DEFAULT };

fn offsets(records: &Bytes) -> Vec<i64> {
    walk(records).map(|(header, _)| header.base_offset).collect()
}

fn filled(partition: Partition) -> Partition {
    for n in 0..20 {
        partition.append(&plain_batch(3, 10 * n, (-1, -1, -1), false), &RULES, 0).unwrap();
    }
    partition
}

#[test]
fn reads_are_the_same_in_memory_and_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p-0");
    drop(filled(Partition::open(&path, &Arc::default()).unwrap()));
    assert!(std::fs::read_dir(&path).unwrap().count() > 3);
    for partition in
        [filled(Partition::in_memory(&Arc::default())), Partition::open(&path, &Arc::default()).unwrap()]
    {
        assert_eq!(partition.bounds(), Bounds { start: 0, end: 60, last_stable: 60 });
        let mut next = 4;
        let mut seen = Vec::new();
        while next < 60 {
            let read = partition.read(next, 200, true, Isolation::ReadUncommitted).unwrap();
            assert!(!read.records.is_empty());
            next = walk(&read.records).last().unwrap().0.last_offset() + 1;
            seen.extend(offsets(&read.records));
        }
        assert_eq!(seen, (1..20).map(|n| 3 * n).collect::<Vec<_>>());
        let tiny = partition.read(0, 10, false, Isolation::ReadUncommitted).unwrap();
        assert!(tiny.records.is_empty());
        let tiny = partition.read(0, 10, true, Isolation::ReadUncommitted).unwrap();
        assert_eq!(offsets(&tiny.records), [0]);
        let beyond = partition.read(61, 10, true, Isolation::ReadUncommitted);
        assert_eq!(beyond.unwrap_err(), ResponseError::OffsetOutOfRange);
        let found = partition.offset_of_time(52, Isolation::ReadUncommitted).unwrap();
        assert_eq!(found, Some(TimedOffset { offset: 17, timestamp: 52 }));
        assert_eq!(partition.newest().unwrap(), Some(TimedOffset { offset: 59, timestamp: 192 }));
    }
}

/// `/dev/full` stands for a full disk: it can be opened, and every write to it fails.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported_and_costs_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let partition = Partition::open(directory.path(), &Arc::default()).unwrap();
    let rules = AppendRules { segment_bytes: 200, ..RULES };
    let batch = |sequence| plain_batch(1, 0, (7, 0, sequence), false);
    partition.append(&batch(0), &rules, 0).unwrap();
    partition.append(&batch(1), &rules, 0).unwrap();
    std::os::unix::fs::symlink("/dev/full", directory.path().join("00000000000000000002.log")).unwrap();
    for _ in 0..2 {
        let refused = partition.append(&batch(2), &rules, 0);
        assert_eq!(refused.unwrap_err(), ResponseError::KafkaStorageError);
    }
    assert_eq!(partition.bounds(), Bounds { start: 0, end: 2, last_stable: 2 });
    let read = partition.read(0, 1 << 20, true, Isolation::ReadUncommitted).unwrap();
    assert_eq!(offsets(&read.records), [0, 1]);
    // There is space again, and the producer, which was not acknowledged, tries once more.
    drop(partition);
    std::fs::remove_file(directory.path().join("00000000000000000002.log")).unwrap();
    let partition = Partition::open(directory.path(), &Arc::default()).unwrap();
    assert_eq!(partition.append(&batch(2), &rules, 0).unwrap().base_offset, 2);
}

#[test]
fn a_batch_longer_than_a_read_is_found_behind_short_ones() {
    let directory = tempfile::tempdir().unwrap();
    let partition = Partition::open(directory.path(), &Arc::default()).unwrap();
    let rules = AppendRules { segment_bytes: 1 << 30, ..RULES };
    partition.append(&plain_batch(1, 0, (-1, -1, -1), false), &rules, 0).unwrap();
    let long = plain_batch(100, 0, (-1, -1, -1), false);
    partition.append(&long, &rules, 0).unwrap();
    let read = partition.read(50, 1, true, Isolation::ReadUncommitted).unwrap();
    assert_eq!(read.records.len(), long.len());
}

#[test]
fn a_batch_that_does_not_fit_is_not_passed_over_for_one_of_the_next_segment() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = Partition::open(directory.path(), &Arc::default()).unwrap();
    for partition in [Partition::in_memory(&Arc::default()), on_disk] {
        let rules = AppendRules { segment_bytes: 1, ..RULES };
        for count in [50, 1] {
            partition.append(&plain_batch(count, 0, (-1, -1, -1), false), &rules, 0).unwrap();
        }
        for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
            let read = partition.read(0, 100, false, isolation).unwrap();
            assert!(read.records.is_empty(), "{:?}", offsets(&read.records));
            assert_eq!(offsets(&partition.read(50, 100, false, isolation).unwrap().records), [50]);
        }
    }
}

#[test]
fn committed_readers_stop_at_an_open_transaction_and_learn_of_aborted_ones() {
    let partition = Partition::in_memory(&Arc::default());
    let rules = &AppendRules { segment_bytes: 1 << 30, ..RULES };
    partition.append(&plain_batch(2, 0, (-1, -1, -1), false), rules, 0).unwrap();
    partition.append(&plain_batch(2, 0, (7, 0, 0), true), rules, 0).unwrap();
    partition.append(&plain_batch(2, 0, (-1, -1, -1), false), rules, 0).unwrap();
    assert_eq!(partition.bounds(), Bounds { start: 0, end: 6, last_stable: 2 });
    let read = partition.read(0, 1 << 20, true, Isolation::ReadCommitted).unwrap();
    assert_eq!(offsets(&read.records), [0]);
    partition.append_marker(&end(Marker::Abort, 7, 0), rules, 0).unwrap();
    let read = partition.read(0, 1 << 20, true, Isolation::ReadCommitted).unwrap();
    assert_eq!(offsets(&read.records), [0, 2, 4, 6]);
    let aborted = AbortedTransaction { producer_id: 7, first_offset: 2, last_offset: 6 };
    assert_eq!(read.aborted, [aborted]);
}
