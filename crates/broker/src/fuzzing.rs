//! What the fuzzer may reach: everything that takes bytes from outside. Built with `--cfg fuzzing` only; the targets
//! are in `fuzz/`, and `scripts/fuzz` runs them.
//!
//! None of these may panic, hang, or take more memory than its input justifies.

#![allow(clippy::unwrap_used, reason = "what cannot go on here is a finding")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::config::{BrokerConfig, Storage};
use crate::log::partition::Isolation;
use crate::server::connection::{self, Way};
use crate::server::endpoint::{Bound, listeners};
use crate::server::limits::Place;
use crate::state::State;

/// How long the requests of one input may wait for others, of whom there are none.
const PATIENCE: Duration = Duration::from_millis(20);
const TOPIC: &str = "t";

thread_local! {
    static RUNTIME: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    static BOUND: Bound = Bound::new(&listeners(&BrokerConfig::default()).unwrap()[0]).unwrap();
    static FOLDER: PathBuf = std::env::temp_dir().join(format!("thalweg-fuzz-{}", std::process::id()));
}

/// All that a client sends over one connection, to a new broker in memory.
pub fn requests(bytes: &[u8]) {
    let state = Arc::new(State::open(BrokerConfig::default()).unwrap());
    state.create_topic(TOPIC, 2, Default::default()).unwrap();
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
    RUNTIME.with(|runtime| {
        BOUND.with(|bound| {
            let stream = tokio::io::join(bytes, tokio::io::sink());
            let way = Way { listener: &bound.endpoint, local, peer: local, since: Instant::now() };
            let place = Place::take(&state, local.ip(), &bound.endpoint).unwrap();
            let served =
                async { tokio::time::timeout(PATIENCE, connection::serve(&place, way, stream)).await };
            // Whether it was closed in anger or because all was said is the same here.
            drop(runtime.block_on(served));
        });
    });
}

/// A partition's only file of records: whatever it holds, it can be opened and read, and what is appended then stays.
pub fn log(bytes: &[u8]) {
    FOLDER.with(|data| {
        let partition = data.join("topics").join(format!("{TOPIC}-0"));
        empty(data);
        fs::create_dir_all(&partition).unwrap();
        let topics =
            format!(r#"[{{"name":"{TOPIC}","id":"00000000-0000-0000-0000-0000000000aa","partitions":1}}]"#);
        fs::write(data.join("topics.json"), topics).unwrap();
        fs::write(partition.join("00000000000000000000.log"), bytes).unwrap();
        let end = content(data);
        assert_eq!(content(data), end, "what was found is found again");
    });
}

/// Opens a folder, reads all of its only partition, and returns where that ends.
fn content(data: &Path) -> i64 {
    let state = open(data).unwrap();
    let (_, partition) = state.topics.partition(TOPIC, 0).unwrap();
    let bounds = partition.bounds();
    let mut at = bounds.start;
    for _ in 0..100 {
        let Ok(read) = partition.read(at, 1 << 20, true, Isolation::ReadCommitted) else { break };
        let Some((last, _)) = crate::log::batch::walk(&read.records).last() else { break };
        at = last.last_offset() + 1;
    }
    partition.offset_of_time(1, Isolation::ReadCommitted).ok();
    partition.newest().ok();
    bounds.end
}

/// The journals of groups (up to a byte 0) and of transactions: whatever they hold, the broker starts with what is whole,
/// and starts again with the same.
pub fn journal(bytes: &[u8]) {
    FOLDER.with(|data| {
        empty(data);
        fs::create_dir_all(data).unwrap();
        let mut parts = bytes.splitn(2, |byte| *byte == 0);
        for name in ["offsets.journal", "transactions.journal"] {
            // The fuzzer cannot guess a CRC.
            let lines = parts.next().unwrap_or_default().split(|byte| *byte == b'\n');
            let sealed = lines.flat_map(|json| {
                let crc = format!("{:08x} ", crc32c::crc32c(json)).into_bytes();
                [&crc, json, b"\n"].concat()
            });
            fs::write(data.join(name), sealed.collect::<Vec<u8>>()).unwrap();
        }
        drop(open(data));
        drop(open(data));
    });
}

fn open(data: &Path) -> Result<State, crate::error::BrokerError> {
    State::open(BrokerConfig { storage: Storage::Directory(data.to_owned()), ..BrokerConfig::default() })
}

fn empty(data: &Path) {
    // It is not there before the first input.
    let _ = fs::remove_dir_all(data);
}
