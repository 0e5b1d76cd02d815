//! Compaction against a list of all records there have ever been.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use proptest::prelude::*;

use crate::log::batch::Marker;
use crate::log::batch::tests::end;
use crate::log::compaction::testing::{NOBODY, PLENTY, Seen, compact, config, keyed, roll, seen};
use crate::log::partition::{AppendRules, Isolation, Partition};
use crate::settings::topic::TopicConfig;

/// What is done to a partition.
#[derive(Debug, Clone)]
enum Act {
    /// Producer 0 has no id, 1 and 2 count sequences, 3 and 4 are transactional.
    Append {
        producer: i64,
        records: Vec<(u8, bool)>,
        codec: i16,
    },
    End {
        producer: i64,
        marker: Marker,
        bumps: bool,
    },
    Roll,
    Compact {
        later_ms: i64,
        keys_bytes: u64,
    },
    Restart {
        loses_indexes: bool,
    },
    DeleteRecords {
        percent: i64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let records = prop::collection::vec((0u8..6, prop::bool::weighted(0.75)), 1..5);
    let marker = prop_oneof![Just(Marker::Commit), Just(Marker::Abort)];
    prop_oneof![
        12 => (0i64..5, records, 0i16..5).prop_map(|(producer, records, codec)| Act::Append { producer, records, codec }),
        4 => (3i64..5, marker, any::<bool>()).prop_map(|(producer, marker, bumps)| Act::End { producer, marker, bumps }),
        3 => Just(Act::Roll),
        3 => (0i64..80, prop_oneof![Just(PLENTY), Just(75)])
            .prop_map(|(later_ms, keys_bytes)| Act::Compact { later_ms, keys_bytes }),
        1 => any::<bool>().prop_map(|loses_indexes| Act::Restart { loses_indexes }),
        1 => (0i64..60).prop_map(|percent| Act::DeleteRecords { percent }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    Aborted,
    Open,
}

#[derive(Debug, Clone)]
struct Written {
    seen: Seen,
    producer: i64,
    fate: Fate,
}

struct Model<'a> {
    directory: Option<&'a Path>,
    partition: Partition,
    config: TopicConfig,
    rules: AppendRules,
    now_ms: i64,
    written: Vec<Written>,
    /// Epoch and next sequence number, by producer.
    producers: BTreeMap<i64, (i16, i32)>,
    /// Whether a restart has found nothing but the log, which may have lost its front.
    lost_indexes: bool,
}

impl<'a> Model<'a> {
    fn new(directory: Option<&'a Path>) -> Self {
        let config = config(&[("internal.segment.bytes", "700"), ("delete.retention.ms", "100")]);
        Self {
            directory,
            partition: match directory {
                Some(directory) => Partition::open(directory, &Arc::default()).unwrap(),
                None => Partition::in_memory(&Arc::default()),
            },
            rules: AppendRules { segment_ms: i64::MAX, ..*config.rules() },
            config,
            now_ms: 1_000,
            written: Vec::new(),
            producers: BTreeMap::new(),
            lost_indexes: false,
        }
    }

    fn act(&mut self, act: &Act) {
        self.now_ms += 1;
        match act {
            Act::Append { producer, records, codec } => self.append(*producer, records, *codec),
            Act::End { producer, marker, bumps } => self.end(*producer, *marker, *bumps),
            Act::Roll => roll(&self.partition),
            Act::Compact { later_ms, keys_bytes } => {
                self.now_ms += later_ms;
                compact(&self.partition, &self.config, self.now_ms, *keys_bytes);
            }
            Act::Restart { loses_indexes } => self.restart(*loses_indexes),
            Act::DeleteRecords { percent } => {
                let bounds = self.partition.bounds();
                let before = bounds.start + (bounds.last_stable - bounds.start) * percent / 100;
                self.partition.delete_records(before).unwrap();
            }
        }
        self.check();
    }

    fn append(&mut self, producer: i64, records: &[(u8, bool)], codec: i16) {
        let keys: Vec<_> = records.iter().map(|(key, has_value)| (format!("k{key}"), *has_value)).collect();
        let parts: Vec<_> =
            keys.iter().map(|(key, has_value)| (key.as_str(), has_value.then_some("value"))).collect();
        let (epoch, sequence) = self.producers.entry(producer).or_default();
        let append = |epoch, sequence| {
            let by = if producer == 0 { NOBODY } else { (producer, epoch, sequence) };
            let batch = keyed(&parts, self.now_ms, codec, by, producer >= 3);
            self.partition.append(&batch, &self.rules, self.now_ms)
        };
        let appended = match append(*epoch, *sequence) {
            // All that is left of it is a marker, which says nothing of its sequence numbers.
            Err(ResponseError::OutOfOrderSequenceNumber) if self.lost_indexes => {
                (*epoch, *sequence) = (*epoch + 1, 0);
                append(*epoch, 0)
            }
            appended => appended,
        };
        let base = appended.unwrap().base_offset;
        *sequence += records.len() as i32;
        let fate = if producer >= 3 { Fate::Open } else { Fate::Committed };
        for (n, (key, has_value)) in (0..).zip(keys) {
            let seen = Seen { offset: base + n, timestamp: self.now_ms + n, key, has_value };
            self.written.push(Written { seen, producer, fate });
        }
    }

    /// As coordinators do it: not without a transaction, and those of the second version begin another epoch.
    fn end(&mut self, producer: i64, marker: Marker, bumps: bool) {
        if self.partition.has_ended(&end(marker, producer, 0)) {
            return;
        }
        let (epoch, sequence) = self.producers.entry(producer).or_default();
        if bumps {
            (*epoch, *sequence) = (*epoch + 1, 0);
        }
        self.partition.append_marker(&end(marker, producer, *epoch), &self.rules, self.now_ms).unwrap();
        let fate = if marker == Marker::Commit { Fate::Committed } else { Fate::Aborted };
        let open = |written: &&mut Written| written.producer == producer && written.fate == Fate::Open;
        self.written.iter_mut().filter(open).for_each(|written| written.fate = fate);
    }

    fn restart(&mut self, loses_indexes: bool) {
        let Some(directory) = self.directory else { return };
        let bounds = self.partition.bounds();
        self.partition.checkpoint(crate::log::pending::Extent::All).unwrap();
        if loses_indexes {
            let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            paths
                .filter(|path| path.extension().is_some_and(|end| end == "index"))
                .for_each(|path| std::fs::remove_file(path).unwrap());
            self.lost_indexes |= bounds.start > 0;
        }
        self.partition = Partition::open(directory, &Arc::default()).unwrap();
        assert_eq!(self.partition.bounds(), bounds);
    }

    fn check(&self) {
        let bounds = self.partition.bounds();
        for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
            for max_bytes in [1, 300, 1 << 20] {
                let mut seen = seen(&self.partition, isolation, max_bytes);
                seen.retain(|seen| {
                    let of = |written: &&Written| written.seen.offset == seen.offset;
                    let written = self.written.iter().find(of).unwrap();
                    assert_eq!(&written.seen, seen);
                    if isolation == Isolation::ReadCommitted {
                        assert_eq!(written.fate, Fate::Committed, "{seen:?} is seen");
                    }
                    // What was aborted goes some time, and until then hides nothing.
                    written.fate != Fate::Aborted
                });
                assert_eq!(self.latest(isolation), latest(seen.iter()), "{isolation:?}");
            }
        }
        // Whatever is not closed is all there.
        let active = self.partition.log().segments.last().unwrap().base_offset().max(bounds.start);
        let whole = self.written.iter().filter(|written| written.seen.offset >= active).count();
        let seen = seen(&self.partition, Isolation::ReadUncommitted, 1 << 20);
        assert_eq!(seen.iter().filter(|seen| seen.offset >= active).count(), whole);
        self.look_up_times(&seen);
    }

    /// The values by key that the list promises to a reader.
    fn latest(&self, isolation: Isolation) -> BTreeMap<String, Option<i64>> {
        let bounds = self.partition.bounds();
        let there = |written: &&Written| {
            let visible = bounds.start..bounds.visible_end(isolation);
            visible.contains(&written.seen.offset)
                && (written.fate == Fate::Committed
                    || written.fate == Fate::Open && isolation == Isolation::ReadUncommitted)
        };
        latest(self.written.iter().filter(there).map(|written| &written.seen))
    }

    /// The offset of a time is that of the first record that is left and that late.
    fn look_up_times(&self, seen: &[Seen]) {
        let newest = self.partition.newest().unwrap().map(|found| found.timestamp);
        assert!(newest >= seen.iter().map(|seen| seen.timestamp).max(), "markers have a time too");
        for at in seen.iter().step_by(7).map(|seen| seen.timestamp) {
            let wanted = seen.iter().find(|seen| seen.timestamp >= at).map(|seen| seen.offset);
            let found = self.partition.offset_of_time(at, Isolation::ReadUncommitted).unwrap();
            assert_eq!(found.map(|found| found.offset), wanted, "{at}");
        }
    }
}

/// The last offset with a value, of each key. A key that was deleted is not there, whether that is still said or not.
fn latest<'a>(seen: impl Iterator<Item = &'a Seen>) -> BTreeMap<String, Option<i64>> {
    let mut latest = BTreeMap::new();
    for seen in seen {
        latest.insert(seen.key.clone(), seen.has_value.then_some(seen.offset));
    }
    latest.retain(|_, offset| offset.is_some());
    latest
}

fn run(directory: Option<&Path>, acts: &[Act]) {
    let mut model = Model::new(directory);
    acts.iter().for_each(|act| model.act(act));
    // In the end everything is decided, closed, and older than any horizon.
    for producer in 3..5 {
        model.end(producer, Marker::Commit, false);
    }
    for _ in 0..3 {
        model.append(0, &[(9, true)], 0);
        roll(&model.partition);
        model.now_ms += 1_000;
        compact(&model.partition, &model.config, model.now_ms, PLENTY);
        model.check();
    }
    let seen = seen(&model.partition, Isolation::ReadUncommitted, 1 << 20);
    let wanted = model.latest(Isolation::ReadCommitted);
    let left: Vec<_> = seen.iter().map(|seen| Some(seen.offset)).collect();
    let mut wanted: Vec<_> = wanted.values().copied().collect();
    wanted.sort_unstable();
    assert_eq!(left, wanted, "nothing superseded is left");
    // Every producer can go on.
    for producer in 0..5 {
        model.append(producer, &[(1, true)], 0);
    }
    model.restart(true);
    for producer in 0..5 {
        model.append(producer, &[(1, true)], 0);
        model.end(producer, Marker::Abort, false);
    }
    model.check();
}

/// A transaction before the first offset that can be read is forgotten, but an emptied batch of it may be left to tell
/// of its producer; as long as it is, so is the marker, or the next start would find the transaction open.
#[test]
fn a_transaction_before_the_start_is_not_opened_again_by_a_restart_without_indexes() {
    let append = |producer, records: &[(u8, bool)], codec| {
        let records = records.to_vec();
        Act::Append { producer, records, codec }
    };
    let end = |producer, marker| Act::End { producer, marker, bumps: false };
    let compact = |later_ms| Act::Compact { later_ms, keys_bytes: PLENTY };
    let mut acts = vec![append(0, &[(0, false)], 0); 4];
    acts.extend([
        end(3, Marker::Commit),
        append(0, &[(0, false)], 0),
        append(4, &[(0, false)], 0),
        end(4, Marker::Abort),
        compact(8),
        append(1, &[(1, true), (2, true), (2, true), (2, true)], 3),
        compact(54),
        Act::Roll,
        append(2, &[(4, true), (1, false), (2, false), (3, true)], 4),
        Act::DeleteRecords { percent: 18 },
        compact(77),
        Act::DeleteRecords { percent: 42 },
    ]);
    let directory = tempfile::tempdir().unwrap();
    run(Some(directory.path()), &acts);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, ..ProptestConfig::default() })]

    #[test]
    fn compacted_files_say_the_same_as_a_list_of_all_records(acts in prop::collection::vec(act(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        run(Some(directory.path()), &acts);
    }

    #[test]
    fn compacted_memory_says_the_same_as_a_list_of_all_records(acts in prop::collection::vec(act(), 1..60)) {
        run(None, &acts);
    }
}
