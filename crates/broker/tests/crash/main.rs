//! Killed with `kill -9` in the middle of everything, over and over, under clients that go on.
//!
//! Each seed runs a broker in a process of its own, and three clients that live through its deaths: an idempotent
//! producer, a transactional one that commits, aborts and now and then dies in mid-transaction, and one that
//! writes a compacted table. Segments are small, so that rolling, retention of sequences, and compaction are under way
//! when the signal comes. In the end: what was acknowledged is there once and in order, a transaction is there
//! whole or not at all, an aborted one is never seen, and the table has the newest values, and after a compaction no others.
//!
//! A few seeds run with every test run; `THALWEG_SEEDS=200 cargo test -p thalweg-broker --test crash` runs many.
//! A seed that fails is named; `THALWEG_SEED=7` runs that one alone. What the seed does not rule is the timing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod process;
mod random;
mod readback;
mod writers;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use process::BrokerProcess;
use random::Random;
use readback::read;
use writers::{Idempotent, Table, Transactional};

const SEEDS: u64 = 4;
/// Seeds that run at a time: most of the time is spent on waiting for the right moment.
const AT_A_TIME: usize = 2;
const KILLS: u64 = 3;
/// Bytes that compaction may read and write in a second. With few of them, kills fall into its reading and writing, with
/// many rather into its swapping of files.
const SLOW: &str = "100000";
const FAST: &str = "1e12";
const PATIENCE: Duration = Duration::from_secs(60);

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
    let kills = (seeds.end - seeds.start) * KILLS;
    let (next, compacting) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                return;
            }
            if let Err(panic) = std::panic::catch_unwind(|| campaign(seed, &compacting)) {
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
    eprintln!("{} of {kills} kills fell into a compaction", compacting.into_inner());
}

/// Whether the broker that was killed has left a compaction behind.
fn is_compacting(data: &Path) -> bool {
    let partitions = std::fs::read_dir(data.join("topics")).unwrap().map(|entry| entry.unwrap().path());
    let mut files = partitions.flat_map(|path| std::fs::read_dir(path).unwrap());
    files.any(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.ends_with(".cleaned") || name.ends_with(".swap")
    })
}

fn campaign(seed: u64, compacting: &AtomicU64) {
    let mut random = Random::new(seed);
    let data = tempfile::tempdir().unwrap();
    let cleaner = if seed.is_multiple_of(2) { FAST } else { SLOW };
    let mut broker = BrokerProcess::start(data.path(), None, cleaner);
    let address = broker.address().to_owned();
    writers::create_topics(&address);

    let idempotent = Idempotent::begin(&address);
    let transactional = Transactional::begin(&address, random.next());
    let table = Table::begin(&address, random.next());
    for _ in 0..KILLS {
        // On a busy machine it takes the clients a while to come back.
        table.wait_for(random.below(1_000));
        std::thread::sleep(Duration::from_millis(random.below(200)));
        broker.kill();
        compacting.fetch_add(is_compacting(data.path()).into(), Relaxed);
        // The same address again, as after a restart by a supervisor.
        broker = BrokerProcess::start(data.path(), Some(&address), cleaner);
    }
    std::thread::sleep(Duration::from_millis(random.below(100)));
    let (sent, transactions, newest) = (idempotent.end(), transactional.end(), table.end());

    check(&address, &sent, &transactions, &newest);
    // What a clean stop leaves behind has to say the same.
    broker.stop();
    let broker = BrokerProcess::start(data.path(), Some(&address), FAST);
    check(&address, &sent, &transactions, &newest);
    writers::close_segments(&address);
    only_the_newest_are_left(&address);
    check(&address, &sent, &transactions, &newest);
    drop(broker);
}

/// Waits until the table is compacted.
fn only_the_newest_are_left(address: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut counts = read(address, writers::TABLE, true).counts();
        counts.remove("end");
        if counts.values().all(|count| *count == 1) {
            return;
        }
        assert!(Instant::now() < deadline, "old versions are still there: {counts:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
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
