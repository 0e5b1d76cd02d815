use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::state::part_log::PartLog;

/// Restores it into tables for each subtask of `parallelism`.
fn restore(log: &PartLog, parallelism: usize, continues: bool) -> Vec<KeyedTable<u16, String>> {
    restore_within(log, parallelism, continues, None)
}

fn restore_within(
    log: &PartLog,
    parallelism: usize,
    continues: bool,
    memory: Option<&Memory>,
) -> Vec<KeyedTable<u16, String>> {
    let restore =
        |subtask| log.restore_within(KeyedTable::default(), (parallelism, subtask), continues, memory);
    (0..parallelism).map(restore).collect()
}

fn contents(tables: &[KeyedTable<u16, String>]) -> HashMap<u16, String> {
    for table in tables {
        assert_eq!(table.len(), table.iter().count());
    }
    let entries = tables.iter().flat_map(KeyedTable::iter);
    entries.map(|(key, value)| (*key, value.clone())).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u8),
    Append(u16, u8),
    Remove(u16),
    Look(u16),
    Fill(u16),
    Retain(u8),
    Drain,
    /// A barrier; it is encoded after so many further steps.
    Share(u8),
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0_u16..40, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
        20 => (0_u16..40, any::<u8>()).prop_map(|(key, value)| Step::Append(key, value)),
        20 => (0_u16..40).prop_map(Step::Remove),
        20 => (0_u16..40).prop_map(Step::Look),
        1 => (1_u16..2_000).prop_map(Step::Fill),
        1 => any::<u8>().prop_map(Step::Retain),
        1 => Just(Step::Drain),
        12 => (0_u8..6).prop_map(Step::Share),
        1 => (1_usize..4).prop_map(Step::Restart),
    ]
}

proptest! {
    /// Whatever happens to a table, and however late its snapshots are encoded, they hold what was there at their barriers.
    #[test]
    fn snapshots_and_deltas_hold_what_was_there_at_the_barrier(
        steps in prop::collection::vec(step(), 1..200),
        parallelism in 1_usize..5,
        limit in prop_oneof![6 => Just(None), 1 => Just(Some(0)), 1 => (0_u64..50_000).prop_map(Some)],
    ) {
        let mut log = PartLog::default();
        let memory = limit.map(|limit| Memory::new(limit, std::env::temp_dir()));
        let memory = memory.as_ref();
        let mut tables = vec![KeyedTable::<u16, String>::new(&KeyGroups::all(128))];
        memory.into_iter().for_each(|memory| tables[0].bound(memory));
        let mut model: HashMap<u16, String> = HashMap::new();
        let mut pending: Option<(Vec<Encode>, u8, HashMap<u16, String>)> = None;
        let of = |tables: &mut Vec<KeyedTable<u16, String>>, key: u16| {
            let hash = key_hash(&key);
            let index = tables.iter().position(|table| table.groups.position(hash).is_some()).unwrap();
            (index, hash)
        };
        for step in steps {
            // One checkpoint at a time: it has been written before the next barrier.
            let due = matches!(step, Step::Share(_) | Step::Restart(_));
            if let Some((encodes, wait, expected)) = pending.take() {
                if wait == 0 || due {
                    log.add(encodes);
                    prop_assert_eq!(contents(&restore(&log, parallelism, false)), expected);
                } else {
                    pending = Some((encodes, wait - 1, expected));
                }
            }
            match step {
                Step::Insert(key, value) => {
                    let (table, hash) = of(&mut tables, key);
                    prop_assert_eq!(
                        tables[table].insert(hash, &key, value.to_string()), model.insert(key, value.to_string())
                    );
                }
                Step::Append(key, value) => {
                    let (table, hash) = of(&mut tables, key);
                    let merged = tables[table].entry(hash, key).merge(value.to_string(), |a, b| a + &b).1.clone();
                    *model.entry(key).or_default() += &value.to_string();
                    prop_assert_eq!(&merged, &model[&key]);
                    if let Some(text) = tables[table].get_mut(hash, &key) {
                        text.push('!');
                    }
                    model.entry(key).or_default().push('!');
                }
                Step::Look(key) => {
                    let (table, hash) = of(&mut tables, key);
                    let mut seen = None;
                    let look = |found: &u16, value: &mut String| {
                        value.push('~');
                        seen = Some(value.clone());
                        Ok::<_, ()>(*found != key || !value.len().is_multiple_of(3))
                    };
                    prop_assert!(tables[table].look_at(hash, look).is_ok());
                    if let Some(value) = model.get_mut(&key) {
                        value.push('~');
                    }
                    prop_assert_eq!(&seen, &model.get(&key).cloned());
                    if seen.is_some_and(|value| value.len().is_multiple_of(3)) {
                        model.remove(&key);
                    }
                }
                Step::Remove(key) => {
                    let (table, hash) = of(&mut tables, key);
                    prop_assert_eq!(tables[table].remove(hash, &key).map(|(_, value)| value), model.remove(&key));
                }
                Step::Fill(upto) => {
                    for key in 0..upto {
                        let (table, hash) = of(&mut tables, key);
                        tables[table].entry(hash, key).or_insert_with(String::new);
                        model.entry(key).or_default();
                    }
                }
                Step::Retain(odd) => {
                    let keep = |key: &u16, value: &mut String| {
                        value.push('?');
                        !(*key as u8).is_multiple_of(odd % 7 + 2)
                    };
                    tables.iter_mut().for_each(|table| table.retain(keep));
                    model.retain(keep);
                }
                Step::Drain => {
                    let drained: HashMap<u16, String> = tables.iter_mut().flat_map(|table| table.drain().collect::<Vec<_>>()).collect();
                    prop_assert_eq!(&drained, &model);
                    model.clear();
                }
                Step::Share(wait) => {
                    let encodes = tables.iter_mut().map(|table| table.share(false)).collect();
                    pending = Some((encodes, wait, model.clone()));
                }
                Step::Restart(parallelism) => {
                    // What has happened since the last checkpoint is lost.
                    model = contents(&restore(&log, 1, false));
                    tables = restore_within(&log, parallelism, true, memory);
                }
            }
            for key in 0..40 {
                let (table, hash) = of(&mut tables, key);
                prop_assert_eq!(tables[table].get(hash, &key), model.get(&key));
            }
            // All of them are looked at now and then only, as that brings them into memory.
            if memory.is_none() || model.len().is_multiple_of(8) {
                prop_assert_eq!(contents(&tables), model.clone());
            }
        }
        prop_assert_eq!(contents(&tables), model);
    }
}

fn key(table: &mut KeyedTable<u16, String>, key: u16, value: &str) {
    table.insert(key_hash(&key), &key, value.to_owned());
}

/// A key with the hash of all others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Same(u8);

impl std::hash::Hash for Same {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u8(0);
    }
}

#[test]
fn keys_of_one_hash_are_looked_at_one_after_the_other() {
    let mut table = KeyedTable::<Same, u32>::new(&KeyGroups::all(128));
    let hash = key_hash(&Same(0));
    (0..20).for_each(|n| {
        table.insert(hash, &Same(n), 0);
    });
    for round in 1..=2 {
        let mut seen = Vec::new();
        let look = |key: &Same, value: &mut u32| {
            seen.push(key.0);
            *value += 1;
            if *value == 3 { Err("a third time") } else { Ok(key.0.is_multiple_of(2)) }
        };
        assert_eq!(table.look_at(hash, look), Ok(()));
        seen.sort_unstable();
        assert_eq!(seen, (0..20).step_by(round).collect::<Vec<u8>>());
        assert_eq!(table.len(), 10);
    }
    assert!(table.iter().all(|(_, value)| *value == 2));
    assert_eq!(table.look_at(key_hash(&7_u8), |_, _| Err(())), Ok(()));
}

#[test]
fn a_checkpoint_costs_what_has_changed() {
    let mut table = KeyedTable::<u16, String>::new(&KeyGroups::all(128));
    (0..20_000).for_each(|n| key(&mut table, n, "a value of some length"));
    let mut log = PartLog::default();
    log.add([table.share(false)]);
    let whole = log.bytes();
    for round in 0..20 {
        (0..20).for_each(|n| key(&mut table, n * 7 + round, "another"));
        let before = log.bytes();
        log.add([table.share(false)]);
        assert!(log.bytes() - before < whole / 100, "{} of {whole} bytes", log.bytes() - before);
    }
    // It does not grow for ever: what has been changed often enough is written whole.
    for _ in 0..500 {
        (0..400).for_each(|n| key(&mut table, n, "and yet another"));
        log.add([table.share(false)]);
        assert!(log.bytes() < 3 * whole);
    }
    assert_eq!(contents(&restore(&log, 3, false)), contents(&[table]));
}

#[test]
fn a_copy_of_a_table_that_is_shared_goes_its_own_way() {
    let mut table = KeyedTable::<u16, String>::new(&KeyGroups::all(128));
    (0..50).for_each(|n| key(&mut table, n, "before"));
    let encode = table.share(false);
    let mut copy = table.clone();
    key(&mut copy, 1, "copy");
    key(&mut table, 1, "original");
    let mut log = PartLog::default();
    log.add([encode]);
    assert_eq!(contents(&restore(&log, 1, false))[&1], "before");
    assert_eq!(
        (copy.get(key_hash(&1_u16), &1).unwrap().as_str(), table.get(key_hash(&1_u16), &1).unwrap().as_str()),
        ("copy", "original")
    );
}

#[test]
fn what_does_not_fit_goes_to_disk_and_comes_back() {
    let memory = Memory::new(200_000, std::env::temp_dir());
    let mut table = KeyedTable::<u16, String>::new(&KeyGroups::all(128));
    table.bound(&memory);
    (0..20_000).for_each(|n| key(&mut table, n, "a value of some length"));
    // It takes some time until the hand has been everywhere.
    (0..20_000).for_each(|n| key(&mut table, n % 100, "a value of some length"));
    assert!(memory.used() < 400_000, "{} bytes", memory.used());
    assert!(memory.on_disk() > 17_000, "{} on disk", memory.on_disk());
    let mut log = PartLog::default();
    log.add([table.share(false)]);
    (0..20_000).rev().step_by(3).for_each(|n| key(&mut table, n, "another"));
    log.add([table.share(false)]);
    let all = contents(std::slice::from_ref(&table));
    assert_eq!(
        (all.len(), all[&19_999].as_str(), all[&0].as_str()),
        (20_000, "another", "a value of some length")
    );
    assert_eq!(contents(&restore(&log, 2, false)), all);
    assert_eq!(contents(&restore_within(&log, 2, false, Some(&memory))), all);
    drop(table);
    assert_eq!((memory.used(), memory.on_disk()), (0, 0));
}

/// Pages are made beforehand when much is restored; what entries take at first says little of the others.
#[test]
fn much_is_restored_whatever_its_first_entries_weigh() {
    for heavy in [0_u32, 100, 99_000] {
        let mut table: KeyedTable<u32, String> = KeyedTable::default();
        table.open(&KeyGroups::all(16));
        for key in 0..100_000_u32 {
            let length = if key < heavy { 300 } else { key % 3 };
            table.insert(key_hash(&key), &key, "x".repeat(length as usize));
        }
        let mut empty = KeyedTable::default();
        empty.open(&KeyGroups::all(16));
        let (parts, schema) = crate::state::encoded(table.share(true));
        let plan = crate::state::encoding::Plan::new(&schema);
        for (part, bytes) in parts {
            empty.restore(part.group, PartDecoder::new(&plan, &bytes), false).unwrap();
        }
        empty.restored(false);
        assert_eq!(empty.len(), 100_000);
        assert!((0..100_000).all(|key| empty.get(key_hash(&key), &key) == table.get(key_hash(&key), &key)));
        // As many pages as it would have come to have, give or take some.
        let pages = |table: &KeyedTable<u32, String>| table.shards.iter().map(Group::count).sum::<usize>();
        let (made, grown) = (pages(&empty), pages(&table));
        assert!(made >= grown && made <= grown * 9, "{made} pages, where {grown} would do");
    }
}
