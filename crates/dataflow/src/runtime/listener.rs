//! What a job tells while it runs, cut by cut: for faces, which make their own listeners of it, and for whoever wants to show it.

use std::fmt;
use std::sync::Arc;

use crate::barrier::Barrier;
use crate::time::Timestamp;

/// What happens to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// Its tasks are about to be started: the first time, or anew after a failure.
    Started {
        /// How often it was restarted before.
        restarts: u32,
    },
    /// A cut is on its way from the sources.
    CutBegun {
        /// The cut.
        barrier: Barrier,
        /// When, by the clock of the job (milliseconds).
        at: Timestamp,
    },
    /// All tasks have passed a cut, and what it commits is committed.
    CutDone {
        /// The cut.
        barrier: Barrier,
        /// When it began, by the clock of the job (milliseconds).
        begun: Timestamp,
        /// When it was done (milliseconds).
        at: Timestamp,
        /// So many records the sources have read since the cut before.
        records: u64,
        /// So long (milliseconds) the busiest task has computed since the cut before.
        busy: i64,
    },
}

/// Is told of a job. It is called by the thread that runs the job, and must not keep it waiting.
pub type JobListener = Arc<dyn Fn(&JobEvent) + Send + Sync>;

/// Those who are told of a job.
#[derive(Clone, Default)]
pub struct JobListeners(Vec<JobListener>);

impl JobListeners {
    /// Tells this one, too.
    pub fn add(&mut self, listener: impl Fn(&JobEvent) + Send + Sync + 'static) {
        self.0.push(Arc::new(listener));
    }

    pub(super) fn tell(&self, event: &JobEvent) {
        self.0.iter().for_each(|listener| listener(event));
    }
}

impl fmt::Debug for JobListeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}
