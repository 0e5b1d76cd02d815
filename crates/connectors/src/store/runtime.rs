//! The runtime that stores are talked to on: one of the process, with two threads, made when it is first wanted.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static MAKING: Mutex<()> = Mutex::new(());

pub(crate) fn handle() -> io::Result<Handle> {
    let _one_makes_it = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if RUNTIME.get().is_none() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("thalweg-store")
            .enable_all()
            .build()?;
        // Nobody else has set it: this is the only place, under the lock.
        drop(RUNTIME.set(runtime));
    }
    match RUNTIME.get() {
        Some(runtime) => Ok(runtime.handle().clone()),
        None => Err(io::Error::other("no runtime")),
    }
}
