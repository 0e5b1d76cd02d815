//! The files of a sink: when one ends, and what they are called.

use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::time::{Timestamp, at_least_millis};

/// When a file gets no more records (Flink's `DefaultRollingPolicy`). Other than there, each also ends with a checkpoint, by which it becomes
/// visible; so this is for checkpoints that are far apart.
///
/// ```
/// use std::time::Duration;
/// use thalweg_connectors::files::RollingPolicy;
///
/// let policy = RollingPolicy::default().with_max_part_size(128 << 20).with_rollover_interval(Duration::from_secs(900));
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RollingPolicy {
    pub(crate) bytes: Option<u64>,
    /// Milliseconds.
    pub(crate) age: Option<i64>,
    /// Milliseconds.
    pub(crate) inactivity: Option<i64>,
}

impl RollingPolicy {
    /// A file that has grown to so many bytes gets no more.
    #[must_use]
    pub fn with_max_part_size(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    /// A file that was begun so long ago gets no more; by the clock of the job.
    #[must_use]
    pub fn with_rollover_interval(self, interval: Duration) -> Self {
        Self { age: Some(at_least_millis(interval)), ..self }
    }

    /// A file that has got nothing for so long gets no more; by the clock of the job.
    #[must_use]
    pub fn with_inactivity_interval(self, interval: Duration) -> Self {
        Self { inactivity: Some(at_least_millis(interval)), ..self }
    }

    /// When a file is to be ended by the clock, if that is to be.
    pub(crate) fn due(&self, begun: Timestamp, written: Timestamp) -> Option<Timestamp> {
        let age = self.age.map(|age| begun.saturating_add(age));
        let inactivity = self.inactivity.map(|inactivity| written.saturating_add(inactivity));
        age.into_iter().chain(inactivity).min()
    }
}

/// What the names of the files begin and end with.
#[derive(Clone, Debug)]
pub(super) struct PartNames {
    pub(super) prefix: String,
    pub(super) suffix: String,
}

impl Default for PartNames {
    fn default() -> Self {
        Self { prefix: "part".to_owned(), suffix: String::new() }
    }
}

impl PartNames {
    pub(super) fn check(&self) -> Result<(), BoxError> {
        let Self { prefix, suffix } = self;
        if prefix.is_empty()
            || prefix.starts_with(['.', '_'])
            || [prefix, suffix].iter().any(|part| part.contains('/'))
        {
            return Err(format!(
                "files named `{prefix}-…{suffix}`: the prefix must not be empty or begin with `.` or `_`, which readers pass over, and neither may \
                 have a `/`; buckets make folders"
            )
            .into());
        }
        Ok(())
    }
}
