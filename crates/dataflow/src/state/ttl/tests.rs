use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::key_group::KeyGroups;
use crate::record::Keyed;
use crate::state::part_log::PartLog;
use crate::state::{
    AggregatingState, Encode, KeyedState, ListState, MapState, Memory, ReducingState, ValueState,
};
use crate::time::Timestamp;
use crate::window::aggregate::Count;

const TTL: i64 = 10;

type Add = fn(u32, u32) -> u32;

/// State of each kind, of one subtask.
struct Kinds {
    groups: KeyGroups,
    value: ValueState<u16, u32>,
    list: ListState<u16, u32>,
    map: MapState<u16, u8, u32>,
    sum: ReducingState<u16, u32, Add>,
    count: AggregatingState<u16, Count<()>>,
}

impl Kinds {
    fn new(config: Option<StateTtlConfig>, (parallelism, subtask): (usize, usize)) -> Self {
        let add: Add = |a, b| a + b;
        let groups = KeyGroups::of_subtask(128, parallelism, subtask);
        match config {
            Some(config) => Self {
                groups,
                value: ValueState::with_ttl(config),
                list: ListState::with_ttl(config),
                map: MapState::with_ttl(config),
                sum: ReducingState::with_ttl(add, config),
                count: AggregatingState::with_ttl(Count::new(), config),
            },
            None => Self {
                groups,
                value: ValueState::default(),
                list: ListState::default(),
                map: MapState::default(),
                sum: ReducingState::new(add),
                count: AggregatingState::new(Count::new()),
            },
        }
    }

    fn all(&mut self) -> [&mut dyn KeyedState; 5] {
        [&mut self.value, &mut self.list, &mut self.map, &mut self.sum, &mut self.count]
    }

    fn each(&mut self, mut each: impl FnMut(usize, &mut dyn KeyedState)) {
        self.all().into_iter().enumerate().for_each(|(index, state)| each(index, state));
    }
}

/// All subtasks, and the checkpoints of each piece of state.
struct Subject {
    config: Option<StateTtlConfig>,
    memory: Option<Memory>,
    subtasks: Vec<Kinds>,
    logs: [PartLog; 5],
    pending: Option<Vec<Vec<Encode>>>,
    now: Timestamp,
}

impl Subject {
    fn new(config: Option<StateTtlConfig>, memory: Option<Memory>) -> Self {
        let mut kinds = Kinds::new(config, (1, 0));
        kinds.each(|_, state| {
            state.open(&KeyGroups::all(128));
            memory.iter().for_each(|memory| state.bound(memory));
        });
        Self { config, memory, subtasks: vec![kinds], logs: Default::default(), pending: None, now: 0 }
    }

    fn of(&mut self, key: u16) -> &mut Kinds {
        let hash = crate::hash::key_hash(&key);
        self.subtasks.iter_mut().find(|kinds| kinds.groups.position(hash).is_some()).unwrap()
    }

    fn pass(&mut self, time: i64) {
        self.now += time;
        let (now, perishes) = (self.now, self.config.is_some());
        self.subtasks
            .iter_mut()
            .for_each(|kinds| kinds.each(|_, state| assert_eq!(state.tick(now), perishes)));
    }

    fn share(&mut self) {
        let mut encodes: Vec<Vec<Encode>> = (0..5).map(|_| Vec::new()).collect();
        for kinds in &mut self.subtasks {
            kinds.each(|index, state| encodes[index].push(state.share(false)));
        }
        self.pending = Some(encodes);
    }

    fn encode(&mut self) {
        if let Some(encodes) = self.pending.take() {
            self.logs.iter_mut().zip(encodes).for_each(|(log, encodes)| log.add(encodes));
        }
    }

    /// As of the last checkpoint.
    fn restart(&mut self, parallelism: usize) {
        let Self { config, memory, logs, now, .. } = self;
        self.subtasks = (0..parallelism)
            .map(|subtask| {
                let (of, mut kinds) = ((parallelism, subtask), Kinds::new(*config, (parallelism, subtask)));
                kinds.each(|index, state| {
                    state.open(&KeyGroups::of_subtask(128, parallelism, subtask));
                    memory.iter().for_each(|memory| state.bound(memory));
                    state.tick(*now);
                    logs[index].restore_into(state, of, true);
                });
                kinds
            })
            .collect();
    }
}

/// Something, and when it was touched.
type At<T> = (T, Timestamp);

/// The same, as one would write it down.
#[derive(Clone, Default)]
struct Model {
    value: BTreeMap<u16, At<u32>>,
    list: BTreeMap<u16, Vec<At<u32>>>,
    map: BTreeMap<u16, BTreeMap<u8, At<u32>>>,
    sum: BTreeMap<u16, At<u32>>,
    count: BTreeMap<u16, At<u64>>,
}

impl Model {
    fn expire(&mut self, now: Timestamp, ttl: i64) {
        let alive = |time: Timestamp| time + ttl > now;
        self.value.retain(|_, (_, time)| alive(*time));
        self.list.values_mut().for_each(|list| list.retain(|(_, time)| alive(*time)));
        self.map.values_mut().for_each(|map| map.retain(|_, (_, time)| alive(*time)));
        self.sum.retain(|_, (_, time)| alive(*time));
        self.count.retain(|_, (_, time)| alive(*time));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Update(u16, u32),
    Append(u16, u32),
    Put(u16, u8, u32),
    RemoveEntry(u16, u8),
    Add(u16, u32),
    Clear(u16),
    Replace(u16, u32),
    Read(u16),
    ReadEntry(u16, u8),
    Pass(i64),
    Share,
    Encode,
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop_oneof![0_u16..6, 0_u16..1500];
    prop_oneof![
        6 => (key(), 0_u32..9).prop_map(|(key, value)| Step::Update(key, value)),
        6 => (key(), 0_u32..9).prop_map(|(key, value)| Step::Append(key, value)),
        6 => (key(), 0_u8..3, 0_u32..9).prop_map(|(key, user_key, value)| Step::Put(key, user_key, value)),
        2 => (key(), 0_u8..3).prop_map(|(key, user_key)| Step::RemoveEntry(key, user_key)),
        6 => (key(), 0_u32..9).prop_map(|(key, value)| Step::Add(key, value)),
        1 => key().prop_map(Step::Clear),
        1 => (key(), 0_u32..9).prop_map(|(key, value)| Step::Replace(key, value)),
        4 => key().prop_map(Step::Read),
        4 => (key(), 0_u8..3).prop_map(|(key, user_key)| Step::ReadEntry(key, user_key)),
        12 => prop_oneof![4 => 1_i64..5, 1 => 9_i64..12].prop_map(Step::Pass),
        4 => Just(Step::Share),
        4 => Just(Step::Encode),
        1 => (1_usize..4).prop_map(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn what_has_expired_is_as_if_it_had_been_removed(
        steps in prop::collection::vec(step(), 1..150),
        reads_count in any::<bool>(),
        on_disk in prop::bool::weighted(0.25),
    ) {
        let mut config = StateTtlConfig::new(Duration::from_millis(TTL as u64));
        if reads_count {
            config = config.update_ttl_on_read_and_write();
        }
        let memory = on_disk.then(|| Memory::new(0, std::env::temp_dir()));
        let mut subject = Subject::new(Some(config), memory);
        let (mut model, mut shared, mut durable) = (Model::default(), None, None);
        for step in steps {
            let now = subject.now;
            let touched = |at: &mut Timestamp| if reads_count { *at = now };
            match step {
                Step::Update(key, value) => {
                    let before = subject.of(key).value.update(&Keyed::new(key, ()).at(), value);
                    prop_assert_eq!(before, model.value.insert(key, (value, now)).map(|(value, _)| value));
                }
                Step::Append(key, value) => {
                    subject.of(key).list.add(&Keyed::new(key, ()).at(), value);
                    model.list.entry(key).or_default().push((value, now));
                }
                Step::Put(key, user_key, value) => {
                    let before = subject.of(key).map.put(&Keyed::new(key, ()).at(), user_key, value);
                    let expected = model.map.entry(key).or_default().insert(user_key, (value, now));
                    prop_assert_eq!(before, expected.map(|(value, _)| value));
                }
                Step::RemoveEntry(key, user_key) => {
                    let before = subject.of(key).map.remove(&Keyed::new(key, ()).at(), &user_key);
                    let expected = model.map.entry(key).or_default().remove(&user_key);
                    prop_assert_eq!(before, expected.map(|(value, _)| value));
                }
                Step::Add(key, value) => {
                    let kinds = subject.of(key);
                    let sum = *kinds.sum.add(&Keyed::new(key, ()).at(), value);
                    kinds.count.add(&Keyed::new(key, ()).at(), ());
                    let expected = model.sum.entry(key).or_insert((0, now));
                    *expected = (expected.0 + value, now);
                    prop_assert_eq!(sum, expected.0);
                    let count = model.count.entry(key).or_insert((0, now));
                    *count = (count.0 + 1, now);
                }
                Step::Clear(key) => {
                    let (kinds, keyed) = (subject.of(key), Keyed::new(key, ()));
                    prop_assert_eq!(kinds.value.clear(&keyed.at()), model.value.remove(&key).map(|(value, _)| value));
                    let list: Vec<u32> = model.list.remove(&key).into_iter().flatten().map(|(value, _)| value).collect();
                    prop_assert_eq!(kinds.list.clear(&keyed.at()), list);
                    let map = model.map.remove(&key).into_iter().flatten().map(|(key, (value, _))| (key, value)).collect();
                    prop_assert_eq!(kinds.map.clear(&keyed.at()), map);
                    prop_assert_eq!(kinds.sum.clear(&keyed.at()), model.sum.remove(&key).map(|(value, _)| value));
                    kinds.count.clear(&keyed.at());
                    model.count.remove(&key);
                }
                Step::Replace(key, value) => {
                    let before = subject.of(key).list.update(&Keyed::new(key, ()).at(), vec![value, value + 1]);
                    let expected = model.list.insert(key, vec![(value, now), (value + 1, now)]);
                    prop_assert_eq!(before, expected.into_iter().flatten().map(|(value, _)| value).collect::<Vec<_>>());
                }
                Step::ReadEntry(key, user_key) => {
                    let found = subject.of(key).map.get(&Keyed::new(key, ()).at(), &user_key).copied();
                    let expected = model.map.entry(key).or_default().get_mut(&user_key);
                    prop_assert_eq!(found, expected.map(|(value, time)| { touched(time); *value }));
                }
                Step::Read(key) => read(&mut subject, &mut model, key, reads_count)?,
                Step::Pass(time) => {
                    subject.pass(time);
                    model.expire(now + time, TTL);
                }
                Step::Share => {
                    if subject.pending.is_none() {
                        subject.share();
                        shared = Some(model.clone());
                    }
                }
                Step::Encode => {
                    subject.encode();
                    durable = shared.take().or(durable);
                }
                Step::Restart(parallelism) => {
                    subject.encode();
                    durable = shared.take().or(durable);
                    if let Some(durable) = &durable {
                        model = durable.clone();
                        model.expire(now, TTL);
                        subject.restart(parallelism);
                        for key in 0..1500 {
                            read(&mut subject, &mut model, key, reads_count)?;
                        }
                    }
                }
            }
        }
        for key in 0..1500 {
            read(&mut subject, &mut model, key, reads_count)?;
        }
    }
}

/// Reads all that there is of a key, and compares.
fn read(subject: &mut Subject, model: &mut Model, key: u16, reads_count: bool) -> Result<(), TestCaseError> {
    let now = subject.now;
    let touched = |at: &mut Timestamp| {
        if reads_count {
            *at = now
        }
    };
    let (kinds, keyed) = (subject.of(key), Keyed::new(key, ()));
    let value = model.value.get_mut(&key).map(|(value, time)| {
        touched(time);
        *value
    });
    prop_assert_eq!(kinds.value.value(&keyed.at()).copied(), value);
    let list = model.list.entry(key).or_default().iter_mut();
    let list: Vec<u32> = list
        .map(|(value, time)| {
            touched(time);
            *value
        })
        .collect();
    prop_assert_eq!(kinds.list.get(&keyed.at()), list);
    let map: BTreeMap<u8, u32> = kinds.map.entries(&keyed.at()).map(|(key, value)| (*key, *value)).collect();
    let expected = model.map.entry(key).or_default().iter_mut();
    let expected = expected
        .map(|(key, (value, time))| {
            touched(time);
            (*key, *value)
        })
        .collect();
    prop_assert_eq!(map, expected);
    let sum = model.sum.get_mut(&key).map(|(value, time)| {
        touched(time);
        *value
    });
    prop_assert_eq!(kinds.sum.get(&keyed.at()).copied(), sum);
    let count = model.count.get_mut(&key).map(|(value, time)| {
        touched(time);
        *value
    });
    prop_assert_eq!(kinds.count.get(&keyed.at()), count);
    Ok(())
}

#[test]
fn what_has_expired_leaves_memory_and_is_not_written() {
    let config = StateTtlConfig::new(Duration::from_secs(10));
    let mut table: crate::state::KeyedTable<u32, u64> = crate::state::KeyedTable::with_ttl(config);
    table.open(&KeyGroups::all(128));
    let mut log = PartLog::default();
    for now in 0..60_000_i64 {
        table.tick(now);
        // A new key each millisecond, of which none is ever touched again.
        table.insert(crate::hash::key_hash(&(now as u32)), &(now as u32), 1);
        assert!(table.len() < 20_000 + 2 * 128 * 512 / 100, "{} at {now}", table.len());
        if now % 5_000 == 4_999 {
            log.add([table.share(true)]);
            let restored: crate::state::KeyedTable<u32, u64> =
                log.restore(crate::state::KeyedTable::default(), (1, 0), false);
            assert_eq!(restored.len() as i64, (now + 1).min(10_000));
        }
    }
}

#[test]
fn a_time_to_live_is_given_to_state_that_had_none_and_taken_from_it() {
    let config = StateTtlConfig::new(Duration::from_millis(TTL as u64));
    let mut subject = Subject::new(None, None);
    let key = Keyed::new(7, ());
    let kinds = subject.of(7);
    kinds.value.update(&key.at(), 1);
    kinds.list.add(&key.at(), 2);
    kinds.map.put(&key.at(), 3, 4);
    let there = |subject: &mut Subject| {
        let kinds = subject.of(7);
        let list = kinds.list.get(&Keyed::new(7, ()).at()).to_vec();
        (
            kinds.value.value(&Keyed::new(7, ()).at()).copied(),
            list,
            kinds.map.contains(&Keyed::new(7, ()).at(), &3),
        )
    };
    subject.pass(1_000);
    let restart = |subject: &mut Subject, config| {
        subject.share();
        subject.encode();
        subject.config = config;
        subject.restart(2);
    };
    // It is as old as the restart.
    restart(&mut subject, Some(config));
    subject.pass(TTL - 1);
    assert_eq!(there(&mut subject), (Some(1), vec![2], true));
    subject.pass(1);
    assert_eq!(there(&mut subject), (None, vec![], false));
    // What had not expired is kept for ever.
    let key = Keyed::new(7, ());
    subject.of(7).value.update(&key.at(), 5);
    subject.of(7).list.add(&key.at(), 6);
    subject.of(7).map.put(&key.at(), 3, 4);
    subject.pass(TTL - 1);
    restart(&mut subject, None);
    subject.pass(1_000_000);
    assert_eq!(there(&mut subject), (Some(5), vec![6], true));
}
