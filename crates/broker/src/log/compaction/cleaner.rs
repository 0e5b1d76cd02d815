//! The thread that compacts, the dirtiest log first.
//!
//! It looks at all logs when something has changed that may have made one due, but not more often than
//! `log.cleaner.backoff.ms` says, and sleeps until then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::log::compaction::dirt::Dirt;
use crate::log::compaction::pace::Pace;
use crate::log::compaction::steps::Steps;
use crate::log::compaction::{Halted, Rules};
use crate::log::partition::Partition;
use crate::state::State;
use crate::topics::Topic;

/// The longest sleep until a time of the clock, which may be set.
const NAP_MS: i64 = 60_000;

/// Tells the thread that there may be something to compact.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Something has changed since the last look.
    look: bool,
    /// When the clock alone will make something due.
    more_at_ms: Option<i64>,
    /// When the last look was over.
    looked_at_ms: Option<i64>,
    /// Whether the thread is there, and at work.
    runs: bool,
    busy: bool,
}

impl Cleaner {
    /// A log has changed, or what it has to obey.
    pub(crate) fn wake(&self) {
        let mut wanted = self.wanted();
        if !wanted.look {
            wanted.look = true;
            self.changed.notify_all();
        }
    }

    /// The clock was moved. Waits until what became due is done.
    pub(crate) fn settle(&self, state: &State) {
        self.changed.notify_all();
        let mut wanted = self.wanted();
        while wanted.runs && (wanted.busy || wanted.is_due(state)) {
            wanted = self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sleeps until it is time for a look; `false` if there will be none.
    fn wait(&self, state: &State) -> bool {
        let mut wanted = self.wanted();
        wanted.busy = false;
        self.changed.notify_all();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                wanted.runs = false;
                self.changed.notify_all();
                return false;
            }
            wanted = match wanted.due_in_ms(state) {
                None => self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner),
                Some(..=0) => break,
                Some(ms) => {
                    let nap = Duration::from_millis(ms.min(NAP_MS).unsigned_abs());
                    self.changed.wait_timeout(wanted, nap).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        (wanted.busy, wanted.look) = (true, false);
        true
    }

    fn looked(&self, more_at_ms: Option<i64>, now_ms: i64) {
        let mut wanted = self.wanted();
        (wanted.more_at_ms, wanted.looked_at_ms) = (more_at_ms, Some(now_ms));
    }

    fn stop(&self) {
        let _wanted = self.wanted();
        self.stop.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    /// How long it is to the next look, if there will be one.
    fn due_in_ms(&self, state: &State) -> Option<i64> {
        let at_ms = if self.look { i64::MIN } else { self.more_at_ms? };
        let backoff_ms = state.settings.broker().cleaner_backoff_ms;
        let pause_ms = self.looked_at_ms.map_or(i64::MIN, |at_ms| at_ms.saturating_add(backoff_ms));
        Some(at_ms.max(pause_ms).saturating_sub(state.clock.now_ms()))
    }

    fn is_due(&self, state: &State) -> bool {
        self.due_in_ms(state).is_some_and(|ms| ms <= 0)
    }
}

/// The running thread. Dropping it ends it, also in the middle of a log.
#[derive(Debug)]
pub(crate) struct CleanerThread {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl CleanerThread {
    /// Starts it, unless it is not wanted.
    pub(crate) fn start(state: Arc<State>) -> std::io::Result<Self> {
        if !state.settings.broker().cleaner_enable {
            return Ok(Self { state, thread: None });
        }
        let cleaner = state.topics.upkeep().cleaner();
        (cleaner.wanted().runs, cleaner.wanted().look) = (true, true);
        let working = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("thalweg-cleaner".to_owned())
            .spawn(move || work(&working, working.topics.upkeep().cleaner()))?;
        Ok(Self { state, thread: Some(thread) })
    }
}

impl Drop for CleanerThread {
    fn drop(&mut self) {
        self.state.topics.upkeep().cleaner().stop();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but a panic, which has been printed.
            let _ = thread.join();
        }
    }
}

fn work(state: &State, cleaner: &Cleaner) {
    let mut pace = Pace::new(&cleaner.stop, &state.metrics.cleaner);
    while cleaner.wait(state) {
        // Those are tried again at the next look.
        let mut without_space = Vec::new();
        let more_at_ms = loop {
            let (dirtiest, more_at_ms) = dirtiest(state, &without_space);
            let Some(found) = dirtiest.filter(|_| !cleaner.stop.load(Ordering::Relaxed)) else {
                break more_at_ms;
            };
            if !found.compact(state, &mut pace) {
                without_space.push(found.partition);
            }
        };
        let now_ms = state.clock.now_ms();
        cleaner.looked(if without_space.is_empty() { more_at_ms } else { Some(now_ms) }, now_ms);
    }
}

/// A log that is worth compacting.
struct Found {
    topic: Arc<Topic>,
    index: usize,
    partition: Arc<Partition>,
    dirt: Dirt,
}

/// The dirtiest of all logs that are due but for some, and when the clock will make others due.
fn dirtiest(state: &State, but: &[Arc<Partition>]) -> (Option<Found>, Option<i64>) {
    let now_ms = state.clock.now_ms();
    let (mut dirtiest, mut more_at_ms) = (None::<Found>, None::<i64>);
    for topic in state.topics.list() {
        let config = topic.config();
        if !config.compact {
            continue;
        }
        for (index, partition) in topic.partitions().into_iter().enumerate() {
            let Some(dirt) = partition.dirt(&config, now_ms) else { continue };
            more_at_ms = more_at_ms.into_iter().chain(dirt.more_at_ms()).min();
            let dirtier = dirtiest.as_ref().is_none_or(|found| dirt.ratio() > found.dirt.ratio());
            let left_out = but.iter().any(|other| Arc::ptr_eq(other, &partition));
            if dirt.is_due(&config) && dirtier && !left_out {
                dirtiest = Some(Found { topic: Arc::clone(&topic), index, partition, dirt });
            }
        }
    }
    (dirtiest, more_at_ms)
}

impl Found {
    /// Returns whether there was space for it.
    fn compact(&self, state: &State, pace: &mut Pace<'_>) -> bool {
        let (settings, totals) = (state.settings.broker(), &state.metrics.cleaner);
        let config = self.topic.config();
        let rules = Rules {
            config: &config,
            now_ms: state.clock.now_ms(),
            keys_bytes: settings.cleaner_dedupe_buffer_size.unsigned_abs(),
            load_factor: settings.cleaner_load_factor,
            steps: Steps::default(),
        };
        pace.set_limit(settings.cleaner_io_max_bytes_per_second);
        let (topic, partition) = (&self.topic.name, self.index);
        match self.partition.compact(&self.dirt, &rules, pace) {
            Ok(()) => {
                totals.runs.add(1);
                tracing::debug!(topic, partition, "compacted");
            }
            Err(Halted::Stopped) => {}
            Err(Halted::NoSpace(error)) => {
                tracing::warn!(topic, partition, %error, "there is no space for compacting the log now");
                return false;
            }
            Err(Halted::Failed(error)) => {
                tracing::error!(
                    topic, partition, %error,
                    "the log cannot be compacted; it is tried again after the next start"
                );
            }
        }
        true
    }
}
