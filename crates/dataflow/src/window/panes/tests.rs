use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::key_group::group_of;
use crate::state::encoding::Plan;
use crate::state::part_log::PartLog;
use crate::state::{Encode, KeyedState, PartDecoder, encoded, restored};

/// What should be in panes: of each start and key.
type Model = BTreeMap<(Timestamp, u32), i64>;

fn contents(panes: &Panes<u32, i64>) -> Model {
    let mut contents = BTreeMap::new();
    for (start, table) in panes.iter() {
        let all: Result<(), ()> = table.try_for_each(|key, n| {
            assert_eq!(table.get(key_hash(key), key), Some(n));
            assert_eq!(contents.insert((start, *key), *n), None);
            Ok(())
        });
        all.unwrap();
    }
    contents
}

proptest! {
    /// Whatever form a pane has, and whoever reads it meanwhile.
    #[test]
    fn panes_hold_what_was_added(
        steps in prop::collection::vec((0_u8..12, 0_i64..6, 0_u32..5), 0..150), large: bool,
    ) {
        let mut panes: Panes<u32, i64> = Panes::default();
        panes.open(&KeyGroups::all(128));
        let mut model: Model = BTreeMap::new();
        if large {
            let place = panes.find(3);
            for key in 0..2 * UNDIVIDED as u32 {
                *panes.accumulator(place, key_hash(&key), key, || 0) += 1;
                model.insert((3, key), 1);
            }
        }
        let mut snapshots = Vec::new();
        for (step, start, key) in steps {
            match step {
                0 => snapshots.push((panes.share(true), model.clone())),
                1 => {
                    panes.remove_while(|pane| pane < start);
                    model = model.split_off(&(start, 0));
                }
                2 => panes = restored(&mut panes, Panes::default()),
                _ => {
                    let place = panes.find(start);
                    *panes.accumulator(place, key_hash(&key), key, || 0) += 1;
                    *model.entry((start, key)).or_insert(0) += 1;
                }
            }
        }
        prop_assert_eq!(contents(&panes), model);
        for (encode, model) in snapshots {
            let mut panes: Panes<u32, i64> = Panes::default();
            panes.open(&KeyGroups::all(128));
            let (parts, schema) = encoded(encode);
            let plan = Plan::new(&schema);
            for (part, bytes) in parts {
                panes.restore(part.group, PartDecoder::new(&plan, &bytes), false).unwrap();
            }
            prop_assert_eq!(contents(&panes), model);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(Timestamp, u32),
    /// Very many keys.
    Fill(Timestamp),
    /// Panes that begin before are over.
    Over(Timestamp),
    /// A barrier; it is encoded after so many further steps.
    Share(u8),
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (0_i64..6, 0_u32..9).prop_map(|(start, key)| Step::Add(start, key)),
        1 => (0_i64..6).prop_map(Step::Fill),
        4 => (1_i64..3).prop_map(Step::Over),
        10 => (0_u8..6).prop_map(Step::Share),
        1 => (1_usize..4).prop_map(Step::Restart),
    ]
}

proptest! {
    /// However late snapshots are encoded, and at whatever parallelism they are restored.
    #[test]
    fn deltas_hold_what_was_there_at_the_barrier(steps in prop::collection::vec(step(), 1..150), parallelism in 1_usize..5) {
        let restore = |log: &PartLog, parallelism: usize, continues: bool| -> Vec<Panes<u32, i64>> {
            (0..parallelism).map(|subtask| log.restore(Panes::default(), (parallelism, subtask), continues)).collect()
        };
        let all = |subtasks: &[Panes<u32, i64>]| -> Model {
            subtasks.iter().flat_map(contents).collect()
        };
        let mut log = PartLog::default();
        let mut subtasks = restore(&log, 1, false);
        let mut model = BTreeMap::new();
        let mut pending: Option<(Vec<Encode>, u8, Model)> = None;
        // What is over is over; a restart goes back to what it was at the barrier.
        let (mut now, mut then) = (0, 0);
        let add = |subtasks: &mut Vec<Panes<u32, i64>>, model: &mut Model, start, key| {
            let group = group_of(key_hash(&key), 128);
            let panes = subtasks.iter_mut().find(|panes| panes.groups.owned().contains(&group)).unwrap();
            let place = panes.find(start);
            *panes.accumulator(place, key_hash(&key), key, || 0) += 1;
            *model.entry((start, key)).or_insert(0) += 1;
        };
        for step in steps {
            let due = matches!(step, Step::Share(_) | Step::Restart(_));
            if let Some((encodes, wait, expected)) = pending.take() {
                if wait == 0 || due {
                    log.add(encodes);
                    prop_assert_eq!(all(&restore(&log, parallelism, false)), expected);
                } else {
                    pending = Some((encodes, wait - 1, expected));
                }
            }
            match step {
                Step::Add(start, key) => add(&mut subtasks, &mut model, now + start, key),
                Step::Fill(start) => {
                    (0..2 * UNDIVIDED as u32).for_each(|key| add(&mut subtasks, &mut model, now + start, key));
                }
                Step::Over(by) => {
                    now += by;
                    subtasks.iter_mut().for_each(|panes| panes.remove_while(|start| start < now));
                    model = model.split_off(&(now, 0));
                }
                Step::Share(wait) => {
                    let encodes = subtasks.iter_mut().map(|panes| panes.share(false)).collect();
                    pending = Some((encodes, wait, model.clone()));
                    then = now;
                }
                Step::Restart(parallelism) => {
                    model = all(&restore(&log, 1, false));
                    subtasks = restore(&log, parallelism, true);
                    now = then;
                }
            }
            prop_assert_eq!(&all(&subtasks), &model);
        }
    }
}

#[test]
fn a_checkpoint_costs_what_has_changed() {
    let mut panes: Panes<u32, i64> = Panes::default();
    panes.open(&KeyGroups::all(128));
    let add = |panes: &mut Panes<u32, i64>, start, keys: std::ops::Range<u32>| {
        let place = panes.find(start);
        keys.for_each(|key| *panes.accumulator(place, key_hash(&key), key, || 0) += 1);
    };
    // One that is divided, and many small ones.
    add(&mut panes, 1, 0..20_000);
    (2..2_000).for_each(|start| add(&mut panes, start, 0..1));
    let mut log = PartLog::default();
    log.add([panes.share(false)]);
    let whole = log.bytes();
    let mut written = |panes: &mut Panes<u32, i64>| {
        let before = log.bytes();
        log.add([panes.share(false)]);
        log.bytes() - before
    };
    assert_eq!(written(&mut panes), 0);
    add(&mut panes, 1, 0..50);
    add(&mut panes, 2_000, 0..50);
    let bytes = written(&mut panes);
    assert!(bytes > 100 && bytes < whole / 50, "{bytes} of {whole} bytes");
    assert_eq!(written(&mut panes), 0);
    // That a pane is over is told in a few bytes for each group.
    panes.remove_while(|start| start < 2);
    let bytes = written(&mut panes);
    assert!(bytes < 128 * 16, "{bytes} bytes");
    assert_eq!(contents(&log.restore(Panes::default(), (1, 0), true)), contents(&panes));
}
