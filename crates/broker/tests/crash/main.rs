//! Killed with `kill -9` in the middle of everything, over and over, under clients that go on.
//!
//! Each seed runs a broker in a process of its own, and three clients that live through its deaths: an idempotent
//! producer, a transactional one that commits, aborts and now and then dies in mid-transaction, and one that
//! writes a compacted table. Segments are small, so that rolling, retention of sequences, and compaction are under way
//! when the signal comes. In the end: what was acknowledged is there once and in order, a transaction is there
//! whole or not at all, an aborted one is never seen, and the table has the newest values.
//!
//! A few seeds run with every test run; `THALWEG_SEEDS=200 cargo test -p thalweg-broker --test crash` runs many.
//! A seed that fails is named; `THALWEG_SEED=7` runs that one alone. What the seed does not rule is the timing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod process;
mod random;
mod readback;
mod writers;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use process::BrokerProcess;
use random::Random;
use readback::read;
use writers::{Idempotent, Table, Transactional};

const SEEDS: u64 = 4;
/// Seeds that run at a time: most of the time is spent on waiting for the right moment.
const AT_A_TIME: usize = 2;
const KILLS: u64 = 3;

#[test]
#[ignore = "it is the broker of the other tests, started by them"]
fn broker_process() {
    process::be_the_broker();
}

#[test]
fn nothing_acknowledged_is_lost_doubled_or_torn() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("THALWEG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("THALWEG_SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                return;
            }
            if let Err(panic) = std::panic::catch_unwind(|| campaign(seed)) {
                eprintln!("seed {seed} failed; THALWEG_SEED={seed} runs it alone");
                std::panic::resume_unwind(panic);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(worker);
        }
    });
}

fn campaign(seed: u64) {
    let mut random = Random::new(seed);
    let data = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(data.path(), None);
    let address = broker.address().to_owned();
    writers::create_topics(&address);

    let idempotent = Idempotent::begin(&address);
    let transactional = Transactional::begin(&address, random.next());
    let table = Table::begin(&address, random.next());
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(30 + random.below(400)));
        broker.kill();
        // The same address again, as after a restart by a supervisor.
        broker = BrokerProcess::start(data.path(), Some(&address));
    }
    std::thread::sleep(Duration::from_millis(random.below(100)));
    let (sent, transactions, newest) = (idempotent.end(), transactional.end(), table.end());

    check(&address, &sent, &transactions, &newest);
    // What a clean stop leaves behind has to say the same.
    broker.stop();
    let broker = BrokerProcess::start(data.path(), Some(&address));
    check(&address, &sent, &transactions, &newest);
    drop(broker);
}

fn check(address: &str, sent: &[Vec<u64>], transactions: &writers::Transactions, newest: &[(u64, u64)]) {
    let plain = read(address, writers::PLAIN, false);
    for (partition, sent) in sent.iter().enumerate() {
        let found: Vec<u64> = plain.values(partition).collect();
        assert_eq!(found.len(), sent.len(), "partition {partition}: number of records");
        assert_eq!(&found, sent, "partition {partition}: the records and their order");
    }

    let committed = read(address, writers::TRANSACTIONAL, true);
    let mut parts = committed.all();
    parts.sort_unstable();
    let mut wanted: Vec<u64> =
        transactions.committed.iter().flat_map(|n| std::iter::repeat_n(*n, writers::PARTITIONS)).collect();
    wanted.sort_unstable();
    assert_eq!(parts, wanted, "the committed transactions, one record in each partition");
    let last = transactions.committed.last().copied().unwrap_or(0);
    assert_eq!(readback::committed_offset(address), last as i64, "the offset that came with the last one");

    let table = read(address, writers::TABLE, true);
    let latest = table.latest();
    for (key, &(acknowledged, sent)) in newest.iter().enumerate() {
        let found = latest.get(&key.to_string()).copied().unwrap_or(0);
        assert!((acknowledged..=sent).contains(&found), "key {key}: {found}, not {acknowledged} to {sent}");
    }
}
