//! The thread that does for the logs what no client should wait for: checkpoints, retention, compaction, flushes.
//!
//! It sleeps until something is left for it to do.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::log::pending::Extent;
use crate::state::State;

/// Tells the thread that there is something to do.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

/// What the thread is asked for.
#[derive(Debug, Default, Clone, Copy)]
struct Wanted {
    checkpoints: bool,
    stop: bool,
}

impl Upkeep {
    /// Some checkpoint is due.
    pub(crate) fn wake(&self) {
        self.wanted().checkpoints = true;
        self.changed.notify_one();
    }

    fn stop(&self) {
        self.wanted().stop = true;
        self.changed.notify_one();
    }

    /// Sleeps until something is wanted.
    fn wait(&self) -> Wanted {
        let idle = |wanted: &mut Wanted| !wanted.checkpoints && !wanted.stop;
        let mut wanted = self.changed.wait_while(self.wanted(), idle).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut wanted)
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running thread. Dropping it ends it, after what must be on disk at a clean stop was written.
#[derive(Debug)]
pub(crate) struct UpkeepThread {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl UpkeepThread {
    pub(crate) fn start(state: Arc<State>) -> std::io::Result<Self> {
        let working = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("thalweg-upkeep".to_owned())
            .spawn(move || while work(&working, working.topics.upkeep().wait()) {})?;
        Ok(Self { state, thread: Some(thread) })
    }
}

impl Drop for UpkeepThread {
    fn drop(&mut self) {
        self.state.topics.upkeep().stop();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but a panic, which has been printed.
            let _ = thread.join();
        }
    }
}

/// Does what is wanted; returns whether there will be more.
fn work(state: &State, wanted: Wanted) -> bool {
    let extent = if wanted.stop { Extent::All } else { Extent::IfMuch };
    for topic in state.topics.list() {
        for partition in topic.partitions() {
            if let Err(error) = partition.checkpoint(extent) {
                tracing::warn!(topic = topic.name, %error, "a checkpoint of the log cannot be written; it is tried again");
            }
        }
    }
    !wanted.stop
}
