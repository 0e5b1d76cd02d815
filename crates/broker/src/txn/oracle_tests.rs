//! Many steps of two clients of one transactional id, and of a broker that crashes between them, compared with a naive
//! idea of transactions: who may write, and which records count in the end.

use std::collections::BTreeMap;
use std::path::Path;

use kafka_protocol::ResponseError;
use proptest::prelude::*;

use super::transaction::{Part, ProducerKey, Version};
use crate::config::{BrokerConfig, Storage};
use crate::log::batch::{Marker, tests::plain_batch, walk};
use crate::log::partition::{Isolation, Origin};
use crate::state::State;

const PARTITIONS: i32 = 2;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A client begins anew and takes over.
    Start(usize),
    /// It asks who it is, saying who it was.
    Ask(usize),
    Write(usize, i32),
    End(usize, Marker),
    /// The same with what it was called before its last end, as if that had not been answered.
    EndAgain(usize, Marker),
    /// The open transaction is not ended in time.
    TimeOut,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..2usize;
    let marker = prop_oneof![Just(Marker::Commit), Just(Marker::Abort)];
    prop_oneof![
        2 => client.clone().prop_map(Step::Start),
        1 => client.clone().prop_map(Step::Ask),
        8 => (client.clone(), 0..PARTITIONS).prop_map(|(client, partition)| Step::Write(client, partition)),
        4 => (client.clone(), marker.clone()).prop_map(|(client, marker)| Step::End(client, marker)),
        2 => (client, marker).prop_map(|(client, marker)| Step::EndAgain(client, marker)),
        1 => Just(Step::TimeOut),
        1 => Just(Step::Crash),
    ]
}

/// What a client knows: its name, the one before the last end, and how many records it wrote where in this epoch.
#[derive(Debug, Clone)]
struct Client {
    version: Version,
    key: Option<ProducerKey>,
    before: Option<ProducerKey>,
    sequences: BTreeMap<i32, i32>,
    /// Partitions it has added, which clients of the first version remember.
    added: Vec<i32>,
}

impl Client {
    fn renamed(&mut self, key: ProducerKey) {
        if self.key != Some(key) {
            self.sequences.clear();
        }
        self.key = Some(key);
        self.added.clear();
    }
}

/// The naive idea: who is in charge, what is open, and what counts.
#[derive(Debug, Default)]
struct Oracle {
    in_charge: Option<usize>,
    /// Where the records of the open transaction are.
    open: Vec<(i32, i64)>,
    has_begun: bool,
    committed: Vec<(i32, i64)>,
}

impl Oracle {
    fn close(&mut self, marker: Marker) {
        let open = std::mem::take(&mut self.open);
        if marker == Marker::Commit {
            self.committed.extend(open);
        }
        self.has_begun = false;
    }
}

fn open(data: &Path) -> State {
    let storage = Storage::Directory(data.to_owned());
    let state = State::open(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    if state.topics.get("t").is_none() {
        state.create_topic("t", PARTITIONS, Default::default()).unwrap();
    }
    state
}

fn write(state: &State, client: &mut Client, partition: i32) -> Result<i64, ResponseError> {
    let key = client.key.ok_or(ResponseError::InvalidProducerIdMapping)?;
    let place = ("t".to_owned(), partition);
    if client.version == Version::Two || !client.added.contains(&partition) {
        state.transactions.add(state, "x", key, [Part::Partition(&place)])?;
        client.added.push(partition);
    }
    let sequence = client.sequences.entry(partition).or_default();
    let now_ms = state.clock.now_ms();
    let batch = plain_batch(1, now_ms, (key.id, key.epoch, *sequence), true);
    let topic = state.topics.get("t").unwrap();
    let appended =
        state.append(&topic, partition, (Origin::Client, &batch), Some("x"), client.version, now_ms)?;
    *sequence += 1;
    Ok(appended.base_offset)
}

fn end(state: &State, client: &mut Client, key: ProducerKey, marker: Marker) -> Result<(), ResponseError> {
    let next = state.transactions.end(state, "x", key, marker, client.version)?;
    client.before = Some(key);
    client.renamed(next);
    Ok(())
}

/// The offsets of records that a reader of committed ones gets.
fn committed(state: &State) -> Vec<(i32, i64)> {
    let mut found = Vec::new();
    for index in 0..PARTITIONS {
        let (_, partition) = state.topics.partition("t", index).unwrap();
        let (mut at, end) = (0, partition.bounds().last_stable);
        while at < end {
            let read = partition.read(at, 1 << 20, true, Isolation::ReadCommitted).unwrap();
            for (header, _) in walk(&read.records) {
                at = header.last_offset() + 1;
                let offset = header.base_offset;
                let is_aborted = read.aborted.iter().any(|one| {
                    one.producer_id == header.producer_id
                        && (one.first_offset..one.last_offset).contains(&offset)
                });
                if !header.is_control() && !is_aborted {
                    found.push((index, offset));
                }
            }
        }
    }
    found
}

fn run(steps: &[Step], versions: [Version; 2]) {
    let data = tempfile::tempdir().unwrap();
    let mut state = open(data.path());
    let mut oracle = Oracle::default();
    let mut clients = versions.map(|version| Client {
        version,
        key: None,
        before: None,
        sequences: BTreeMap::new(),
        added: Vec::new(),
    });
    for step in steps {
        match *step {
            Step::Start(n) => {
                let key = state.transactions.init(&state, "x", 60_000, None).unwrap();
                oracle.close(Marker::Abort);
                oracle.in_charge = Some(n);
                (clients[n].before, clients[n].key) = (None, None);
                clients[n].renamed(key);
            }
            Step::Ask(n) => {
                let Some(key) = clients[n].key else { continue };
                let told = state.transactions.init(&state, "x", 60_000, Some(key));
                // Whoever asks for what was its own ends what is open, even if it is told that it is fenced.
                oracle.close(Marker::Abort);
                assert_eq!(told.is_ok(), oracle.in_charge == Some(n), "{told:?}");
                if let Ok(key) = told {
                    clients[n].before = None;
                    clients[n].renamed(key);
                }
            }
            Step::Write(n, partition) => {
                let appended = write(&state, &mut clients[n], partition);
                if oracle.in_charge != Some(n) {
                    appended.unwrap_err();
                    continue;
                }
                // Aborted for its lateness, it is refused until it has ended that.
                if let Ok(offset) = appended {
                    oracle.open.push((partition, offset));
                    oracle.has_begun = true;
                }
            }
            Step::End(n, marker) => {
                let Some(key) = clients[n].key else { continue };
                let ended = end(&state, &mut clients[n], key, marker);
                if oracle.in_charge != Some(n) {
                    ended.unwrap_err();
                } else if oracle.has_begun {
                    assert_eq!(ended, Ok(()));
                    oracle.close(marker);
                }
            }
            Step::EndAgain(n, marker) => {
                let Some(key) = clients[n].before else { continue };
                let is_second = clients[n].version == Version::Two;
                if !is_second {
                    // Is the same as asking once more.
                    continue;
                }
                let now = clients[n].clone();
                let ended = end(&state, &mut clients[n], key, marker);
                if ended.is_ok() {
                    assert_eq!(clients[n].key, now.key, "it is told what it was told");
                    assert!(oracle.in_charge == Some(n) && !oracle.has_begun);
                }
                clients[n] = now;
            }
            Step::TimeOut => {
                state.transactions.tick(&state, state.clock.now_ms() + 120_000);
                oracle.close(Marker::Abort);
            }
            Step::Crash => {
                drop(state);
                state = open(data.path());
            }
        }
        let mut wanted = oracle.committed.clone();
        wanted.sort_unstable();
        let seen = committed(&state);
        // What is behind an open record is not seen yet.
        assert!(seen.iter().all(|record| wanted.binary_search(record).is_ok()), "{seen:?}, not {wanted:?}");
        if oracle.open.is_empty() {
            assert_eq!(seen, wanted, "after {step:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn what_counts_is_what_was_committed_by_whoever_was_in_charge(
        steps in prop::collection::vec(step(), 1..60),
        seconds in (any::<bool>(), any::<bool>()),
    ) {
        let version = |second| if second { Version::Two } else { Version::One };
        run(&steps, [version(seconds.0), version(seconds.1)]);
    }
}
