//! The rules of compaction, one by one.

use std::fs;
use std::sync::Arc;

use crate::log::batch::tests::end;
use crate::log::batch::{BatchHeader, Marker};
use crate::log::compaction::pace::Pace;
use crate::log::compaction::steps::Steps;
use crate::log::compaction::steps::watch::files;
use crate::log::compaction::testing::{
    NOBODY, PLENTY, RULES, append, append_at, append_by, batches, compact, config, headers, keyed, memory,
    of, offsets, roll, round, seen, segments,
};
use crate::log::compaction::{Halted, Rules};
use crate::log::partition::{Isolation, Partition};
use crate::log::pending::Extent;

#[test]
fn of_each_key_the_last_value_stays_at_its_offset() {
    for codec in 0..=4 {
        let partition = memory();
        let first =
            keyed(&[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))], 100, codec, (7, 0, 5), false);
        partition.append(&first, &RULES, 0).unwrap();
        let whole = keyed(&[("d", Some("1")), ("e", Some("1"))], 200, codec, NOBODY, false);
        partition.append(&whole, &RULES, 0).unwrap();
        append_at(&partition, &[("a", Some("2")), ("a", Some("3"))], 300);
        roll(&partition);
        append_at(&partition, &[("e", Some("2"))], 400);
        compact(&partition, &config(&[]), 0, PLENTY);

        let kept = of(&[(1, "b"), (2, "c"), (3, "d"), (4, "e"), (6, "a"), (7, "e")]);
        assert_eq!(offsets(&partition), kept, "what is appended to is not compacted");
        let seen = seen(&partition, Isolation::ReadUncommitted, 1);
        let times: Vec<_> = seen.iter().map(|seen| seen.timestamp).collect();
        assert_eq!(times, [101, 102, 200, 201, 301, 400]);

        let [(changed, ..), (_, untouched, _), ..] = &batches(&partition, Isolation::ReadUncommitted, 1)[..]
        else {
            panic!("batches are missing");
        };
        let before = BatchHeader::parse(&first).unwrap();
        let len = changed.len;
        assert_eq!(*changed, BatchHeader { base_offset: 0, record_count: 2, len, ..before });
        assert_eq!(untouched[61..], whole[61..], "a batch of which all stays is copied");
    }
}

#[test]
fn a_deleted_key_is_said_to_be_deleted_until_its_horizon() {
    let partition = memory();
    let config = config(&[("delete.retention.ms", "500")]);
    append_at(&partition, &[("a", Some("1")), ("b", Some("1"))], 100);
    append_at(&partition, &[("a", None)], 150);
    roll(&partition);
    append(&partition, &[("x", Some("1"))]);
    compact(&partition, &config, 10_000, PLENTY);
    assert_eq!(offsets(&partition), of(&[(1, "b"), (2, "a"), (3, "x")]));
    let horizon = |n: usize| headers(&partition)[n].delete_horizon_ms();
    assert_eq!((horizon(0), horizon(1)), (None, Some(10_500)), "it begins with the first compaction");
    let times: Vec<_> =
        seen(&partition, Isolation::ReadUncommitted, 1).iter().map(|seen| seen.timestamp).collect();
    assert_eq!(times, [101, 150, 1_000]);
    for (now_ms, kept) in [(10_499, vec![1, 2]), (10_500, vec![1])] {
        roll(&partition);
        append(&partition, &[("x", Some("1"))]);
        compact(&partition, &config, now_ms, PLENTY);
        let left: Vec<_> =
            offsets(&partition).iter().map(|(offset, _)| *offset).filter(|at| *at < 3).collect();
        assert_eq!(left, kept, "at {now_ms}");
    }
}

#[test]
fn it_is_time_when_enough_is_dirty_or_something_is_too_old() {
    let partition = memory();
    let half = config(&[("min.cleanable.dirty.ratio", "0.5"), ("max.compaction.lag.ms", "1000")]);
    let is_due = |now_ms| partition.dirt(&half, now_ms).unwrap().is_due(&half);
    append_at(&partition, &[("a", Some("1"))], 100);
    assert!(!is_due(0), "nothing is closed");
    roll(&partition);
    assert!(is_due(0), "all of it is dirty");
    compact(&partition, &half, 0, PLENTY);
    assert!(!is_due(9_999_999));
    append_at(&partition, &[("b", Some("1"))], 200);
    assert!(!is_due(0));
    roll(&partition);
    assert!(!is_due(0), "half is not more than half");
    assert_eq!(partition.dirt(&half, 0).unwrap().more_at_ms(), Some(1_201));
    assert!(!is_due(1_200) && is_due(1_201), "what is older than the lag allows");
    append_at(&partition, &[("c", Some("1"))], 200);
    roll(&partition);
    assert!(is_due(0));
}

#[test]
fn what_is_young_is_not_compacted_and_nothing_behind_it() {
    let partition = memory();
    let lag = config(&[("min.compaction.lag.ms", "1000")]);
    for timestamp in [100, 900, 200] {
        append_at(&partition, &[("a", Some("1")), ("a", Some("2"))], timestamp);
        roll(&partition);
    }
    compact(&partition, &lag, 1_500, PLENTY);
    assert_eq!(offsets(&partition).len(), 5);
    let dirt = partition.dirt(&lag, 1_500).unwrap();
    assert!(!dirt.is_due(&lag) && dirt.more_at_ms() == Some(1_901));
    compact(&partition, &lag, 1_901, PLENTY);
    assert_eq!(offsets(&partition), of(&[(5, "a")]));
}

#[test]
fn an_open_transaction_is_not_compacted_and_nothing_behind_it() {
    let partition = memory();
    let config = config(&[]);
    append(&partition, &[("a", Some("1")), ("a", Some("2"))]);
    roll(&partition);
    append_by(&partition, (7, 0, 0), &["a", "a"], true);
    roll(&partition);
    append(&partition, &[("a", Some("1")), ("a", Some("2"))]);
    roll(&partition);
    compact(&partition, &config, 0, PLENTY);
    assert_eq!(offsets(&partition).len(), 5);
    partition.append_marker(&end(Marker::Commit, 7, 0), &RULES, 0).unwrap();
    compact(&partition, &config, 0, PLENTY);
    assert_eq!(offsets(&partition), of(&[(5, "a")]));
}

#[test]
fn aborted_records_go_and_the_marker_when_nobody_needs_it() {
    let partition = memory();
    let config = config(&[("delete.retention.ms", "500")]);
    append(&partition, &[("a", Some("1"))]);
    append_by(&partition, (7, 0, 0), &["a", "b"], true);
    partition.append_marker(&end(Marker::Abort, 7, 0), &RULES, 1_000).unwrap();
    append_by(&partition, (7, 0, 2), &["c"], true);
    partition.append_marker(&end(Marker::Commit, 7, 0), &RULES, 1_000).unwrap();
    roll(&partition);
    let places = || headers(&partition).iter().map(|header| header.base_offset).collect::<Vec<_>>();
    let aborted = || partition.log().producers.aborted_in(0, 100).len();
    assert_eq!((places(), aborted()), (vec![0, 1, 3, 4, 5], 1));
    compact(&partition, &config, 1_000, PLENTY);
    assert_eq!((places(), aborted()), (vec![0, 3, 4, 5], 1), "somebody may be reading what it hid");
    for (now_ms, kept) in [(2_000, vec![0, 3, 4, 5]), (2_499, vec![0, 3, 4, 5]), (2_500, vec![0, 4, 5])] {
        append(&partition, &[("x", Some("1"))]);
        roll(&partition);
        compact(&partition, &config, now_ms, PLENTY);
        let left: Vec<_> = places().into_iter().filter(|place| *place < 6).collect();
        assert_eq!((left, aborted()), (kept, 0), "at {now_ms}");
    }
    assert!(headers(&partition)[0].delete_horizon_ms().is_none());
}

#[test]
fn a_producer_goes_on_in_its_sequence_though_all_it_wrote_is_superseded() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Partition::open(directory.path(), &Arc::default()).unwrap();
    let partition = open();
    append_by(&partition, (7, 3, 0), &["a", "b", "c"], false);
    append_by(&partition, (7, 3, 3), &["a", "b"], false);
    append_by(&partition, (8, 0, 0), &["a"], true);
    partition.append_marker(&end(Marker::Abort, 8, 1), &RULES, 0).unwrap();
    append(&partition, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    roll(&partition);
    for _ in 0..3 {
        append(&partition, &[("x", Some("1"))]);
        roll(&partition);
        compact(&partition, &config(&[("delete.retention.ms", "0")]), 1 << 40, PLENTY);
    }
    let by = |id| headers(&partition).into_iter().filter(move |header| header.producer_id == id);
    let [empty] = by(7).collect::<Vec<_>>()[..] else { panic!("only the last batch stays") };
    assert_eq!((empty.base_offset, empty.last_offset(), empty.last_sequence()), (3, 4, 4));
    assert_eq!((empty.record_count, empty.len, empty.max_timestamp), (0, 61, 1_001));
    let [marker] = by(8).collect::<Vec<_>>()[..] else { panic!("the marker stays, for its epoch") };
    assert!(marker.is_control() && marker.record_count == 0);
    drop(partition);
    for loses_indexes in [false, true] {
        if loses_indexes {
            for path in files(directory.path()).into_keys().filter(|name| name.ends_with(".index")) {
                fs::remove_file(directory.path().join(path)).unwrap();
            }
        }
        let partition = open();
        let next = partition.append(&keyed(&[("z", None)], 0, 0, (7, 3, 6), false), &RULES, 0);
        assert!(next.is_err(), "there is a gap");
        let old = partition.append(&keyed(&[("z", None)], 0, 0, (8, 0, 1), true), &RULES, 0);
        assert!(old.is_err(), "it is fenced");
        assert_eq!(partition.bounds().last_stable, partition.bounds().end);
    }
    append_by(&open(), (7, 3, 5), &["a"], false);
}

#[test]
fn more_keys_than_fit_are_done_in_several_rounds() {
    let partition = memory();
    let config = config(&[]);
    let keys: Vec<_> = (0..40).map(|n| format!("k{n}")).collect();
    for value in ["1", "2", "3"] {
        for key in &keys {
            append(&partition, &[(key, Some(value))]);
        }
        roll(&partition);
    }
    // Room for seven.
    let mut ends = Vec::new();
    while partition.dirt(&config, 0).unwrap().is_due(&config) {
        round(&partition, &config, 0, 200, Steps::default()).unwrap();
        ends.push(partition.log().clean_offset);
        assert!(ends.len() <= 40, "it goes on: {ends:?}");
    }
    assert_eq!((ends.len(), ends[0], ends.last()), (18, 7, Some(&120)));
    let left: Vec<_> = offsets(&partition).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(left, (80..120).collect::<Vec<_>>());
}

#[test]
fn what_is_left_of_small_segments_goes_into_one() {
    let partition = memory();
    for n in 0..9 {
        append(&partition, &[("a", Some("1")), (&format!("k{n}"), Some("1"))]);
        roll(&partition);
    }
    let size = partition.log().segments[0].size();
    compact(&partition, &config(&[("internal.segment.bytes", &(size * 4).to_string())]), 0, PLENTY);
    assert_eq!(segments(&partition), [0, 8, 16, 18]);
    let left: Vec<_> = offsets(&partition).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(left, [1, 3, 5, 7, 9, 11, 13, 15, 16, 17]);
}

#[test]
fn a_log_of_which_nothing_goes_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let partition = Partition::open(directory.path(), &Arc::default()).unwrap();
    append(&partition, &[("a", Some("1")), ("b", Some("1"))]);
    roll(&partition);
    let (before, generation) = (files(directory.path()), partition.log().generation);
    compact(&partition, &config(&[]), 0, PLENTY);
    assert_eq!(partition.log().generation, generation);
    let mut after = files(directory.path());
    assert_eq!(after.remove("clean-offset").as_deref(), Some(&b"2\n"[..]));
    after.retain(|name, _| before.contains_key(name));
    assert_eq!(after, before);
    let again = Partition::open(directory.path(), &Arc::default()).unwrap();
    assert_eq!(again.log().clean_offset, 2);
}

#[test]
fn retention_goes_past_what_compaction_has_emptied() {
    let directory = tempfile::tempdir().unwrap();
    for partition in [memory(), Partition::open(directory.path(), &Arc::default()).unwrap()] {
        let both = config(&[
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "1000"),
            ("internal.segment.bytes", "1"),
        ]);
        for (key, timestamp) in [("a", 100), ("a", 200), ("b", 5_000), ("c", 5_100)] {
            append_at(&partition, &[(key, Some("1"))], timestamp);
            roll(&partition);
        }
        compact(&partition, &both, 5_200, PLENTY);
        assert_eq!((segments(&partition), partition.log().segments[0].size()), (vec![0, 1, 2, 3, 4], 0));
        partition.retain(&both, 1_200).unwrap();
        assert_eq!(partition.bounds().start, 0, "what is before goes with it, and not sooner");
        partition.retain(&both, 1_201).unwrap();
        assert_eq!((partition.bounds().start, segments(&partition)), (2, vec![2, 3, 4]));
        assert_eq!(offsets(&partition), of(&[(2, "b"), (3, "c")]));
        append_at(&partition, &[("b", Some("1")), ("c", Some("1"))], 5_300);
        roll(&partition);
        compact(&partition, &both, 5_400, PLENTY);
        partition.retain(&both, 9_999).unwrap();
        assert_eq!((partition.bounds().start, partition.bounds().end), (6, 6));
    }
}

#[test]
fn what_is_before_the_start_goes() {
    let partition = memory();
    append(&partition, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    append(&partition, &[("a", Some("2"))]);
    roll(&partition);
    partition.delete_records(2).unwrap();
    compact(&partition, &config(&[]), 0, PLENTY);
    assert_eq!(partition.bounds().start, 2);
    assert_eq!(offsets(&partition), of(&[(2, "c"), (3, "a")]));
    assert_eq!(headers(&partition)[0].record_count, 1);
}

#[test]
fn a_deleted_topic_and_deleted_records_stop_a_round() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p");
    let partition = Partition::open(&path, &Arc::default()).unwrap();
    append(&partition, &[("a", Some("1")), ("a", Some("2"))]);
    roll(&partition);
    append(&partition, &[("a", Some("3"))]);
    roll(&partition);
    let (config, dirt) = (config(&[]), partition.dirt(&config(&[]), 0).unwrap());
    partition.delete_records(2).unwrap();
    compact(&partition, &config, 0, PLENTY);
    assert_eq!(offsets(&partition), of(&[(2, "a")]));
    partition.delete().unwrap();
    let rules =
        Rules { config: &config, now_ms: 0, keys_bytes: PLENTY, load_factor: 0.9, steps: Steps::default() };
    let (stop, totals) = Default::default();
    let mut pace = Pace::new(&stop, &totals);
    assert!(matches!(partition.compact(&dirt, &rules, &mut pace), Err(Halted::Stopped)));
    assert!(!path.exists() && partition.dirt(&config, 0).is_none());
}

#[test]
fn a_damaged_log_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let partition = Partition::open(directory.path(), &Arc::default()).unwrap();
    append(&partition, &[("a", Some("1")), ("a", Some("2"))]);
    append(&partition, &[("a", Some("3"))]);
    roll(&partition);
    partition.checkpoint(Extent::All).unwrap();
    let log = directory.path().join("00000000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[70] ^= 1;
    fs::write(&log, bytes).unwrap();
    let failed = round(&partition, &config(&[]), 0, PLENTY, Steps::default());
    assert!(matches!(failed, Err(Halted::Failed(_))));
    assert!(partition.is_uncleanable() && partition.dirt(&config(&[]), 0).is_none());
    assert!(files(directory.path()).keys().all(|name| !name.ends_with(".cleaned")));
}
