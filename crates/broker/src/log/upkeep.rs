//! The thread that does for the logs what no client should wait for: checkpoints, retention, flushes.
//!
//! It sleeps until something is left for it to do.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::log::compaction::cleaner::Cleaner;
use crate::log::pending::Extent;
use crate::settings::broker::BrokerSettings;
use crate::state::State;

/// Kafka's pause between starting and looking for old records the first time.
const FIRST_RETENTION_MS: i64 = 30_000;

/// Tells the thread that there is something to do.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    /// Tells the thread that compacts.
    cleaner: Cleaner,
}

/// What the thread is asked for.
#[derive(Debug, Default)]
struct Wanted {
    checkpoints: bool,
    retention: bool,
    /// When the next flush is due.
    flush_at: Option<Instant>,
    stop: bool,
    /// When to look for old records, by the broker's clock.
    retention_at_ms: Option<i64>,
    /// Whether the thread has not finished what it was asked for.
    busy: bool,
}

/// What the thread has to do now.
#[derive(Debug, Clone, Copy)]
struct Chores {
    retention: bool,
    stop: bool,
}

impl Upkeep {
    /// What tells the thread that compacts that there may be something to do.
    pub(crate) fn cleaner(&self) -> &Cleaner {
        &self.cleaner
    }

    /// Some checkpoint is due.
    pub(crate) fn wake(&self) {
        self.wanted().checkpoints = true;
        self.changed.notify_all();
    }

    /// Something has to be flushed by then.
    pub(crate) fn flush_at(&self, at: Instant) {
        let mut wanted = self.wanted();
        if wanted.flush_at.is_none_or(|earlier| at < earlier) {
            wanted.flush_at = Some(at);
            self.changed.notify_all();
        }
    }

    /// Asks for what is due at this time of the broker's clock; returns when there will be more.
    pub(crate) fn tick(&self, settings: &BrokerSettings, now_ms: i64) -> i64 {
        let interval_ms = settings.retention_check_interval_ms;
        let mut wanted = self.wanted();
        let first_ms = now_ms.saturating_add(interval_ms.min(FIRST_RETENTION_MS));
        let mut at_ms = *wanted.retention_at_ms.get_or_insert(first_ms);
        if at_ms <= now_ms {
            at_ms = now_ms.saturating_add(interval_ms);
            (wanted.retention, wanted.retention_at_ms) = (true, Some(at_ms));
            self.changed.notify_all();
        }
        at_ms
    }

    /// Waits until all that was asked for is done.
    pub(crate) fn settle(&self) {
        let busy =
            |wanted: &mut Wanted| !wanted.stop && (wanted.busy || wanted.checkpoints || wanted.retention);
        drop(self.changed.wait_while(self.wanted(), busy));
    }

    fn stop(&self) {
        self.wanted().stop = true;
        self.changed.notify_all();
    }

    /// Sleeps until there is something to do.
    fn wait(&self) -> Chores {
        let mut wanted = self.wanted();
        wanted.busy = false;
        self.changed.notify_all();
        loop {
            let left = wanted.flush_at.map(|at| at.saturating_duration_since(Instant::now()));
            if wanted.checkpoints || wanted.retention || wanted.stop || left == Some(Duration::ZERO) {
                break;
            }
            wanted = match left {
                Some(left) => {
                    self.changed.wait_timeout(wanted, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let chores = Chores { retention: wanted.retention, stop: wanted.stop };
        wanted.busy = true;
        (wanted.checkpoints, wanted.retention, wanted.flush_at) = (false, false, None);
        chores
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

/// Does what is to be done; returns whether there will be more.
fn work(state: &State, chores: Chores) -> bool {
    let extent = if chores.stop { Extent::All } else { Extent::IfMuch };
    let (now, now_ms) = (Instant::now(), state.clock.now_ms());
    for topic in state.topics.list() {
        let config = topic.config();
        for partition in topic.partitions() {
            match partition.flush_due(now) {
                Ok(next) => next.into_iter().for_each(|at| state.topics.upkeep().flush_at(at)),
                Err(error) => tracing::error!(topic = topic.name, %error, "the log cannot be flushed"),
            }
            if chores.retention
                && !chores.stop
                && let Err(error) = partition.retain(&config, now_ms)
            {
                tracing::warn!(topic = topic.name, %error, "old records cannot be removed now");
            }
            if let Err(error) = partition.checkpoint(extent) {
                tracing::warn!(topic = topic.name, %error, "a checkpoint of the log cannot be written now");
            }
        }
    }
    !chores.stop
}
