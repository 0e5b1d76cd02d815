//! The settings of a job.

use std::time::Duration;

use super::{JobListeners, PidRate, RestartStrategy};
use crate::checkpoint::CheckpointStorage;
use crate::error::JobError;
use crate::key_group::DEFAULT_MAX_PARALLELISM;
use crate::state::Memory;
use crate::time::Clock;

/// The settings of a job. Begin with [`JobConfig::new`], and change what is to differ.
#[derive(Clone, Debug)]
pub struct JobConfig {
    /// The job's id: its checkpoints, consumer group and transactional ids are found by it, across restarts of
    /// the process.
    pub id: String,
    /// The number of subtasks of operators that do not say otherwise. Default: the number of cores, at most 128.
    pub parallelism: usize,
    /// The number of key groups. It cannot change over a restore. Default: 128.
    pub max_parallelism: u16,
    /// Whether, how often and where state is written down. Default: not at all.
    pub checkpoint: Option<CheckpointConfig>,
    /// Unaligned checkpoints: after so long a barrier that is still on its way overtakes the records before it, where it may
    /// ([`Stream::unaligned`](crate::graph::Stream::unaligned)), and these become a part of the checkpoint. Zero: always and at once. `None`, the
    /// default: it waits for its turn. Savepoints, and the last barrier of a run, always do.
    ///
    /// For jobs in which a record takes seconds. Each checkpoint is then larger by what is under way. Not for jobs with batches: what lies
    /// before a barrier is a batch there.
    pub unaligned_after: Option<Duration>,
    /// Where the job begins. Default: at its latest checkpoint if there is one.
    pub restore: RestoreFrom,
    /// Whether state that no operator of the job claims any more is dropped when the job is restored (Flink's
    /// `allowNonRestoredState`). Otherwise the job is refused, with a list of what would be lost. Default: no.
    pub allow_non_restored_state: bool,
    /// What to do when it fails. Default: nothing without checkpoints, else exponential from 1 s to 1 min.
    pub restart: Option<RestartStrategy>,
    /// How much memory the job may take. Default: as much as its state needs.
    pub memory: Option<MemoryConfig>,
    /// How many batches an edge between two threads holds before its writer waits. Default: 16.
    pub channel_capacity: usize,
    /// How long a half-filled batch may lie about under load; it travels at once when the input idles. Default: 10 ms.
    pub buffer_timeout: Duration,
    /// How the rate of sources follows what the job can do, batch by batch. Default: not; edges hold them back alone. Without batches it is of
    /// no effect.
    pub back_pressure: Option<PidRate>,
    /// Whether it is said in a line what the job has done when it has ended. Default: yes; not of those that are a part of something else.
    pub tell_totals: bool,
    /// Who is told of what happens.
    pub listeners: JobListeners,
    /// The clock. Default: the machine's.
    pub clock: Clock,
}

/// How much memory a job may take, and where the rest of its state goes.
///
/// | of the limit | is for |
/// |---|---|
/// | five eighths | keyed state |
/// | an eighth | what sources have read ahead, all partitions of all subtasks together: at most 64 MiB a source |
/// | an eighth | what is queued between tasks: at most 16 MiB a task, and one batch of each writer beyond that |
/// | an eighth | what sinks have not got rid of: at most 64 MiB a subtask |
///
/// State past its share goes to disk, coldest first, and comes back when its key is written to: a job with several times as much state
/// completes, more slowly. Counted is what keyed state takes, by estimate: `ValueState`, `ListState`, `MapState` and their like, running
/// aggregates, joins and the tables of SQL. Open windows and timers stay in memory, and are not counted.
///
/// Whatever is queued makes its writer wait, so nothing is lost. What the user has set of a connector (`queued.max.messages.kbytes`,
/// `queue.buffering.max.kbytes`) counts. Without a limit the bounds in the table hold, and state is unbounded.
///
/// The files are of use to the running process only: they have no names and are gone with it. Checkpoints hold all state, wherever it is.
/// A value is kept on disk as serde writes it: what has `#[serde(skip)]` is forgotten there, as it is in a checkpoint.
#[derive(Clone, Debug)]
pub struct MemoryConfig {
    /// In bytes.
    pub limit: u64,
    /// Where the rest goes: a folder on a fast disk, not one that lies in memory. Default: the system's folder for temporary files.
    pub folder: std::path::PathBuf,
}

impl MemoryConfig {
    /// So many bytes; the rest goes to the system's folder for temporary files.
    pub fn new(limit: u64) -> Self {
        Self { limit, folder: std::env::temp_dir() }
    }

    /// What sources, edges, and sinks may hold, each kind of them.
    pub(crate) fn queued(&self) -> u64 {
        self.limit / 8
    }

    /// The memory of one attempt. That the rest can go where it is to go is seen before the job starts.
    pub(super) fn open(&self) -> Result<Memory, JobError> {
        let memory = Memory::new(self.limit - 3 * self.queued(), &self.folder);
        memory.file().map_err(|error| {
            JobError::Config(format!(
                "no file can be made in {}, where state is to go that needs more than {} bytes of memory: {error}",
                self.folder.display(),
                self.limit
            ))
        })?;
        Ok(memory)
    }
}

/// Whether, how often and where state is written down.
#[derive(Clone, Debug)]
pub struct CheckpointConfig {
    /// The time between checkpoints: a multiple of a millisecond. With micro-batches, rounded up to whole batches.
    pub interval: Duration,
    /// Where.
    pub storage: CheckpointStorage,
    /// How many completed checkpoints are kept. Default: 1. The newest is never removed.
    pub retained: usize,
}

impl CheckpointConfig {
    /// Every `interval`, at `storage`; the latest one is kept.
    pub fn new(interval: Duration, storage: CheckpointStorage) -> Self {
        Self { interval, storage, retained: 1 }
    }
}

/// Where a job begins.
#[derive(Clone, Debug, Default)]
pub enum RestoreFrom {
    /// At its latest completed checkpoint, if it has one; else from nothing.
    #[default]
    Latest,
    /// At this checkpoint of its own, one of those that are [retained](CheckpointConfig::retained). What was
    /// committed after it is given again.
    Epoch(crate::barrier::Epoch),
    /// At this savepoint, if the job has no checkpoint of its own yet; a job that failed later resumes from its own.
    Savepoint(CheckpointStorage),
    /// From nothing. Checkpoints that it has make room for the new ones.
    Nothing,
}

impl JobConfig {
    /// The defaults, for the job with this id.
    pub fn new(id: &str) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            id: id.to_owned(),
            parallelism: cores.min(usize::from(DEFAULT_MAX_PARALLELISM)),
            max_parallelism: DEFAULT_MAX_PARALLELISM,
            checkpoint: None,
            unaligned_after: None,
            restore: RestoreFrom::default(),
            allow_non_restored_state: false,
            restart: None,
            memory: None,
            channel_capacity: 16,
            buffer_timeout: Duration::from_millis(10),
            back_pressure: None,
            tell_totals: true,
            listeners: JobListeners::default(),
            clock: Clock::System,
        }
    }

    /// The restart strategy in force.
    pub(crate) fn restart_strategy(&self) -> RestartStrategy {
        match (&self.restart, &self.checkpoint) {
            (Some(strategy), _) => strategy.clone(),
            // Without a checkpoint a restart would begin from nothing, and give results twice.
            (None, None) => RestartStrategy::None,
            (None, Some(_)) => RestartStrategy::Exponential {
                initial: Duration::from_secs(1),
                max: Duration::from_secs(60),
                multiplier: 2.0,
                reset_after: Duration::from_secs(3600),
            },
        }
    }
}
