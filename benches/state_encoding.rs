//! What it costs that state is read by name: values written and read back, as checkpoints do it by their schema and as postcard
//! does it by position. The two take turns, and of each the fastest of several rounds counts.
//!
//! `cargo bench -p thalweg --bench state_encoding`. It should be no more than 1.2 times the time, and 1.3 times the bytes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;
use std::fmt::Debug;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thalweg::dataflow::state::evolution::StateEncoder;

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

/// How often the two take turns.
const ROUNDS: usize = 15;

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
    let since = Instant::now();
    run();
    *fastest = (*fastest).min(since.elapsed());
}

fn compare<T>(name: &str, make: impl Fn(&mut support::Random) -> T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let mut random = support::Random::new(7);
    let values: Vec<T> = (0..100_000).map(|_| make(&mut random)).collect();
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
    let each = |time: Duration| time.as_secs_f64() * 1e9 / values.len() as f64;
    let [write, write_postcard, read, read_postcard] = fastest.map(each);
    let size = |bytes: &[u8]| bytes.len() as f64 / values.len() as f64;
    println!(
        "{name:24} write {write:6.1} ns, postcard {write_postcard:6.1} ({:.2}); read {read:6.1} ns, postcard {read_postcard:6.1} ({:.2}); \
         {:5.1} bytes, postcard {:5.1} ({:.2}), and {} of schema; the first snapshot, which is read back, {:.1} ns",
        write / write_postcard,
        read / read_postcard,
        size(&ours),
        size(&theirs),
        size(&ours) / size(&theirs),
        decoder.schema_size(),
        each(first),
    );
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

fn main() {
    println!("a value of 100,000, the fastest of {ROUNDS} rounds; in brackets how many times that of postcard");
    compare("(u64, u64)", |random| (random.next() % 1_000_000, random.next() % 1000));
    compare("(String, u64)", |random| (word(random), random.next() % 1000));
    compare("(u64, String of 100)", |random| (random.next(), word(random).repeat(60)[..100].to_owned()));
    compare("(u64, (f64, u64, i64))", |random| {
        (random.next() % 1_000_000, (random.unit(), random.next() % 1000, random.next() as i64))
    });
    compare("(u64, struct Account)", |random| {
        let account = Account {
            owner: word(random),
            balance: random.next() as i64 % 1_000_000,
            opened: 1_700_000_000_000 + random.next() % 1_000_000_000,
            limit: (random.next() % 2 == 0).then(|| random.unit()),
            tags: (0..random.next() % 4).map(|_| word(random)).collect(),
        };
        (random.next() % 1_000_000, account)
    });
    compare("(u64, enum Event)", |random| (random.next() % 1_000_000, event(random)));
    compare("(String, struct Session)", |random| {
        let session = Session {
            user: random.next() % 1_000_000,
            began: 1_700_000_000_000 + (random.next() % 1_000_000_000) as i64,
            events: (0..random.next() % 8).map(|_| event(random)).collect(),
            seen: (0..random.next() % 4).map(|_| (random.next() as u32, random.next() % 100)).collect(),
        };
        (word(random), session)
    });
}
