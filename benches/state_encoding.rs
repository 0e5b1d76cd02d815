//! What it costs that state is read by name: values written and read back, as checkpoints do it by their schema and as postcard
//! does it by position. The two take turns, and of each the fastest of several rounds counts.
//!
//! `cargo bench -p thalweg --bench state_encoding [-- WORD …]`: only values whose names have one of the words in them. It should be no more than 1.2 times the time, and 1.3 times the bytes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;
use std::fmt::Debug;
use std::hint::black_box;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thalweg::dataflow::hash::key_hash;
use thalweg::dataflow::key_group::KeyGroups;
use thalweg::dataflow::state::evolution::StateEncoder;
use thalweg::dataflow::state::{Key, KeyedState, KeyedTable, StateData};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Account {
    owner: String,
    balance: i64,
    opened: u64,
    limit: Option<f64>,
    tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Event {
    Opened,
    Moved { from: u32, to: u32, amount: i64 },
    Noted(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    user: u64,
    began: i64,
    events: Vec<Event>,
    seen: HashMap<u32, u64>,
}

const VALUES: usize = 20_000;

/// How often the two take turns.
const ROUNDS: usize = 100;

fn postcard_encode<T: Serialize>(values: &[T], bytes: &mut Vec<u8>) {
    for value in values {
        *bytes = postcard::to_extend(value, std::mem::take(bytes)).unwrap();
    }
}

fn postcard_decode<T: DeserializeOwned>(mut bytes: &[u8], mut each: impl FnMut(T)) {
    while !bytes.is_empty() {
        let (value, rest) = postcard::take_from_bytes(bytes).unwrap();
        each(value);
        bytes = rest;
    }
}

fn timed(fastest: &mut Duration, run: impl FnOnce()) {
    // What was freed before is put together by the allocator now, and not while the clock runs.
    drop(black_box(Vec::<u8>::with_capacity(8 << 20)));
    let since = Instant::now();
    run();
    *fastest = (*fastest).min(since.elapsed());
}

/// The figures of both sides.
fn show(name: &str, other: &str, values: usize, times: [Duration; 4], bytes: [usize; 2], more: &str) {
    let each = |time: Duration| time.as_secs_f64() * 1e9 / values as f64;
    let [write, write_other, read, read_other] = times.map(each);
    let [bytes, bytes_other] = bytes.map(|bytes| bytes as f64 / values as f64);
    println!(
        "{name:32} write {write:6.1} ns, {other} {write_other:6.1} ({:.2}); read {read:6.1} ns, {other} {read_other:6.1} ({:.2}); \
         {bytes:5.1} bytes, {other} {bytes_other:5.1} ({:.2}){more}",
        write / write_other,
        read / read_other,
        bytes / bytes_other,
    );
}

/// State as it was written before it had a schema: of each key group its length, then its entries, by position.
struct Former<K, V> {
    groups: KeyGroups,
    shards: Vec<HashTable<(K, V)>>,
}

impl<K: Key, V: StateData> Former<K, V> {
    fn new() -> Self {
        let groups = KeyGroups::all(128);
        let shards = groups.owned().map(|_| HashTable::new()).collect();
        Self { groups, shards }
    }

    fn insert(&mut self, key: &K, value: V) {
        let hash = key_hash(key);
        let shard = &mut self.shards[self.groups.position(hash).unwrap()];
        match shard.entry(hash, |(other, _)| other == key, |(other, _)| key_hash(other)) {
            Entry::Occupied(entry) => entry.into_mut().1 = value,
            Entry::Vacant(entry) => drop(entry.insert((key.clone(), value))),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for shard in &self.shards {
            bytes = postcard::to_extend(&(shard.len() as u64), bytes).unwrap();
            for entry in shard {
                bytes = postcard::to_extend(entry, bytes).unwrap();
            }
        }
        bytes
    }

    fn restore(&mut self, mut bytes: &[u8]) {
        for _ in 0..self.shards.len() {
            let (length, mut rest) = postcard::take_from_bytes::<u64>(bytes).unwrap();
            for _ in 0..length {
                let ((key, value), after) = postcard::take_from_bytes::<(K, V)>(rest).unwrap();
                self.insert(&key, value);
                rest = after;
            }
            bytes = rest;
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(HashTable::len).sum()
    }
}

/// Whether the values of this name were asked for.
fn wanted(name: &str) -> bool {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-')).peekable();
    words.peek().is_none() || words.any(|word| name.contains(&word))
}

/// State as jobs keep it: a keyed table is written, group by group, and read into an empty one.
fn compare_tables<K: Key, V: StateData + PartialEq>(
    name: &str,
    make: impl Fn(&mut support::Random) -> (K, V),
) {
    if !wanted(name) {
        return;
    }
    let mut random = support::Random::new(7);
    let empty = || {
        let mut table = KeyedTable::<K, V>::default();
        table.open(&KeyGroups::all(128));
        table
    };
    let (mut table, mut former) = (empty(), Former::new());
    let entries: Vec<(K, V)> = (0..VALUES).map(|_| make(&mut random)).collect();
    // One after the other, so that what each owns lies as close together.
    entries.iter().for_each(|(key, value)| former.insert(key, value.clone()));
    entries.iter().for_each(|(key, value)| drop(table.insert(key_hash(key), key, value.clone())));
    let values = table.iter().count();
    let mut encoder = StateEncoder::new();
    let (mut ours, mut theirs) = (encoder.encode_keyed(&mut table).unwrap(), Vec::new());
    let decoder = encoder.decoder().unwrap();
    let mut fastest = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        timed(&mut fastest[0], || ours = encoder.encode_keyed(&mut table).unwrap());
        timed(&mut fastest[1], || theirs = former.encode());
        let mut read = empty();
        timed(&mut fastest[2], || decoder.restore(&ours, &mut read).unwrap());
        let found = |(key, value): (&K, &V)| read.get(key_hash(key), key) == Some(value);
        assert!(read.iter().count() == values && table.iter().all(found));
        let mut read = Former::<K, V>::new();
        timed(&mut fastest[3], || read.restore(&theirs));
        assert!(read.len() == values);
    }
    show(name, "before", values, fastest, [ours.size(), theirs.len()], "");
}

fn compare<T>(name: &str, make: impl Fn(&mut support::Random) -> T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    if !wanted(name) {
        return;
    }
    let mut random = support::Random::new(7);
    let values: Vec<T> = (0..VALUES).map(|_| make(&mut random)).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut encoder = StateEncoder::new();
    let since = Instant::now();
    encoder.encode(&values, &mut ours).unwrap();
    let first = since.elapsed();
    let decoder = encoder.decoder().unwrap();
    let mut read = Vec::with_capacity(values.len());
    decoder.decode(&ours, |value: T| read.push(value)).unwrap();
    assert_eq!(read, values, "what was written comes back");
    drop(read);
    let mut fastest = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        ours.clear();
        timed(&mut fastest[0], || encoder.encode(&values, &mut ours).unwrap());
        theirs.clear();
        timed(&mut fastest[1], || postcard_encode(&values, &mut theirs));
        timed(&mut fastest[2], || {
            decoder
                .decode(&ours, |value: T| {
                    black_box(value);
                })
                .unwrap()
        });
        timed(&mut fastest[3], || {
            postcard_decode(&theirs, |value: T| {
                black_box(value);
            })
        });
    }
    let first = first.as_secs_f64() * 1e9 / values.len() as f64;
    let more = format!(
        "; {} bytes of schema; the first time, when all is read back, {first:.0} ns",
        decoder.schema_size()
    );
    show(name, "postcard", values.len(), fastest, [ours.len(), theirs.len()], &more);
}

fn word(random: &mut support::Random) -> String {
    (0..2 + random.next() % 9).map(|_| char::from(b'a' + (random.next() % 26) as u8)).collect()
}

fn event(random: &mut support::Random) -> Event {
    match random.next() % 4 {
        0 => Event::Opened,
        1 => Event::Noted(word(random)),
        _ => Event::Moved {
            from: random.next() as u32 % 10_000,
            to: random.next() as u32 % 10_000,
            amount: random.next() as i64 % 100_000,
        },
    }
}

fn account(random: &mut support::Random) -> Account {
    Account {
        owner: word(random),
        balance: random.next() as i64 % 1_000_000,
        opened: 1_700_000_000_000 + random.next() % 1_000_000_000,
        limit: random.next().is_multiple_of(2).then(|| random.unit()),
        tags: (0..random.next() % 4).map(|_| word(random)).collect(),
    }
}

fn session(random: &mut support::Random) -> Session {
    Session {
        user: random.next() % 1_000_000,
        began: 1_700_000_000_000 + (random.next() % 1_000_000_000) as i64,
        events: (0..random.next() % 8).map(|_| event(random)).collect(),
        seen: (0..random.next() % 4).map(|_| (random.next() as u32, random.next() % 100)).collect(),
    }
}

fn main() {
    println!(
        "a value of {VALUES}, the fastest of {ROUNDS} rounds; in brackets how many times that of postcard"
    );
    println!("keyed state, as it was written before it had a schema, and restored into an empty table:");
    let id = |random: &mut support::Random| random.next() % 1_000_000;
    compare_tables("u64 -> u64", |random| (id(random), random.next() % 1000));
    compare_tables("String -> u64", |random| (word(random), random.next() % 1000));
    compare_tables("u64 -> String of 100", |random| (id(random), word(random).repeat(60)[..100].to_owned()));
    compare_tables("u64 -> (f64, u64, i64)", |random| {
        (id(random), (random.unit(), random.next() % 1000, random.next() as i64))
    });
    compare_tables("u64 -> struct Account", |random| (id(random), account(random)));
    compare_tables("u64 -> enum Event", |random| (id(random), event(random)));
    compare_tables("String -> struct Session", |random| (word(random), session(random)));
    println!("values alone, without a table:");
    compare("u64", |random| random.next() % 1_000_000);
    compare("String", word);
    compare("(f64, u64, i64)", |random| (random.unit(), random.next() % 1000, random.next() as i64));
    compare("struct Account", account);
    compare("enum Event", event);
    compare("struct Session", session);
}
