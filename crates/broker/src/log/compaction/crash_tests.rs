//! What a crash, a power cut, or a full disk leaves of a compaction.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::log::batch::Marker;
use crate::log::batch::tests::end;
use crate::log::compaction::steps::Steps;
use crate::log::compaction::steps::watch::files;
use crate::log::compaction::swap;
use crate::log::compaction::testing::{
    PLENTY, RULES, append, append_by, compact, config, of, offsets, roll, round, run, seen, segments,
};
use crate::log::compaction::{Halted, Rules};
use crate::log::partition::{Isolation, Partition};
use crate::log::pending::Extent;
use crate::settings::topic::TopicConfig;

/// `/dev/full` stands for a full disk: it can be opened, and every write to it fails.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_delays_a_compaction() {
    let directory = tempfile::tempdir().unwrap();
    let partition = Partition::open(directory.path(), &Arc::default()).unwrap();
    append(&partition, &[("a", Some("1")), ("a", Some("2"))]);
    roll(&partition);
    let cleaned = directory.path().join("00000000000000000000-00000000000000000002.cleaned");
    std::os::unix::fs::symlink("/dev/full", cleaned).unwrap();
    let full = round(&partition, &config(&[]), 0, PLENTY, Steps::default());
    assert!(matches!(full, Err(Halted::NoSpace(_))), "{full:?}");
    assert!(is_tidy(directory.path()));
    compact(&partition, &config(&[]), 0, PLENTY);
    assert_eq!(offsets(&partition), of(&[(1, "a")]));
}

/// Segments with transactions and idempotent producers across them, of which something goes in each.
fn filled(directory: &Path) -> Partition {
    let partition = Partition::open(directory, &Arc::default()).unwrap();
    for n in 0..8 {
        append_by(&partition, (7, 0, 3 * n), &["a", "b", &format!("k{n}")], false);
        append_by(&partition, (8, 0, n), &["a"], true);
        let marker = if n % 3 == 0 { Marker::Abort } else { Marker::Commit };
        partition.append_marker(&end(marker, 8, 0), &RULES, 1_000).unwrap();
        if n % 2 == 1 {
            roll(&partition);
        }
    }
    append(&partition, &[("end", Some("1"))]);
    partition.checkpoint(Extent::All).unwrap();
    partition
}

/// What a crash may not change.
fn outcome(partition: &Partition) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut last = BTreeMap::new();
    for seen in seen(partition, Isolation::ReadCommitted, 1 << 20) {
        last.insert(seen.key, seen.offset);
    }
    let log = partition.log();
    (last, log.bounds(), log.producers.snapshot())
}

/// Segments that are made one, and others that are not.
fn merging() -> TopicConfig {
    config(&[("internal.segment.bytes", "1200")])
}

/// No file is left that belongs to nothing.
fn is_tidy(directory: &Path) -> bool {
    let names = files(directory);
    names.keys().all(|name| {
        let of_a_log = || name.ends_with(".index") && names.contains_key(&name.replace(".index", ".log"));
        name.ends_with(".log") || name.ends_with("-offset") || of_a_log()
    })
}

#[test]
fn a_crash_at_any_step_leaves_the_old_or_the_new() {
    let mut outcomes = Vec::new();
    for step in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let partition = filled(directory);
        let expected = outcome(&partition);
        let finished = round(&partition, &merging(), 2_000, PLENTY, Steps::ending_after(step)).is_ok();
        drop(partition);
        // And another crash, while the first one is being recovered from.
        let left = files(directory);
        for step in 0.. {
            let recovered = swap::resume_by(directory, &Steps::ending_after(step));
            if recovered.is_ok() {
                break;
            }
            let again = tempfile::tempdir().unwrap();
            files(directory)
                .iter()
                .for_each(|(name, content)| fs::write(again.path().join(name), content).unwrap());
            let partition = Partition::open(again.path(), &Arc::default()).unwrap();
            assert_eq!(outcome(&partition), expected);
            files(directory).keys().for_each(|name| fs::remove_file(directory.join(name)).unwrap());
            left.iter().for_each(|(name, content)| fs::write(directory.join(name), content).unwrap());
        }
        let partition = Partition::open(directory, &Arc::default()).unwrap();
        assert_eq!(outcome(&partition), expected, "step {step}");
        assert!(is_tidy(directory), "step {step}");
        outcomes.push(segments(&partition));
        // What was not done is done later.
        compact(&partition, &merging(), 2_000, PLENTY);
        assert_eq!(outcome(&partition), expected, "step {step}, compacted");
        if finished {
            break;
        }
    }
    outcomes.dedup();
    assert_eq!(outcomes, [vec![0, 10, 20, 30, 40], vec![0, 20, 30, 40], vec![0, 20, 40]]);
}

#[test]
fn a_power_cut_at_any_time_leaves_the_old_or_the_new() {
    let directory = tempfile::tempdir().unwrap();
    let partition = filled(directory.path());
    let expected = outcome(&partition);
    let rules = Rules {
        config: &merging(),
        now_ms: 2_000,
        keys_bytes: PLENTY,
        load_factor: 0.9,
        steps: Steps::watching(directory.path()),
    };
    run(&partition, &rules).unwrap();
    let disks = rules.steps.after_power_cuts();
    assert!(disks.len() > 20);
    for disk in disks {
        let directory = tempfile::tempdir().unwrap();
        disk.iter().for_each(|(name, content)| fs::write(directory.path().join(name), content).unwrap());
        let partition = Partition::open(directory.path(), &Arc::default()).unwrap();
        let names: Vec<_> = disk.keys().collect();
        assert_eq!(outcome(&partition), expected, "{names:?}");
        assert!(is_tidy(directory.path()), "{names:?}");
    }
}
