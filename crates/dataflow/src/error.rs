//! What can go wrong with a job: what, where, whose fault it is, and whether to try again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::barrier::Epoch;
use crate::record::Origin;

/// An error of a user's function, a connector or a store.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What a closure may return that has nothing to return: nothing, or a `Result`, whose error is handed on.
pub trait Fallible: sealed::Sealed {
    /// The result.
    ///
    /// # Errors
    /// What the closure returned.
    fn into_result(self) -> Result<(), BoxError>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E> Sealed for Result<(), E> {}
}

impl Fallible for () {
    #[inline]
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Fallible for Result<(), E> {
    #[inline]
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// Who a subtask is, for errors, metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorName {
    /// The operator's name, as the user sees it.
    pub name: Arc<str>,
    /// The operator's stable id.
    pub uid: Arc<str>,
    /// Which of its subtasks, from 0.
    pub subtask: usize,
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (uid {}, subtask {})", self.name, self.uid, self.subtask)
    }
}

/// Why a subtask stopped before its time.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The user's function, or a connector, returned an error.
    #[error("operator {operator} failed{}: {error}", on(.origin))]
    Returned {
        /// Whose function it was.
        operator: OperatorName,
        /// Where the record came from.
        origin: Origin,
        /// The error itself.
        error: BoxError,
    },
    /// The user's function panicked.
    #[error("operator {operator} panicked{}: {message}", on(.origin))]
    Panicked {
        /// Whose function it was.
        operator: OperatorName,
        /// Where the record came from.
        origin: Origin,
        /// What the panic said.
        message: String,
    },
    /// The job is being stopped, because another subtask failed or somebody cancelled it.
    #[error("cancelled")]
    Cancelled,
}

/// Which record it was about, unless it was about none: when a batch is closed, a timer fires, a file is opened.
fn on(origin: &Origin) -> String {
    if origin.is_unknown() { String::new() } else { format!(" on {origin}") }
}

/// What a panic said, as far as it was text.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

/// Why a job could not run, or did not end well. Its `Debug` is for people, too, as that is what `main() -> Result` prints: the
/// error, and the causes below it that it has not named.
#[derive(thiserror::Error)]
pub enum JobError {
    /// The graph cannot be run as it is. The program has to change.
    #[error("the job graph is not valid: {0}")]
    Graph(String),
    /// A setting does not fit. The configuration has to change.
    #[error("the job's configuration is not valid: {0}")]
    Config(String),
    /// A subtask failed, and the restart strategy allowed no further attempt.
    #[error("{failure}{}", restarts(*.attempts))]
    Failed {
        /// The last failure.
        failure: Arc<Failure>,
        /// How often the job had been restarted.
        attempts: u32,
    },
    /// A checkpoint could not be written, read, or does not fit the job.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The process did not run for a while (it was stopped, or its machine asleep), and that is what failed it.
    #[error("this process was paused for {paused:?}, as if stopped or asleep, and when it woke up: {error}")]
    Paused {
        /// For how long.
        paused: Duration,
        /// What failed.
        error: Box<JobError>,
    },
    /// The sink's system refused the commit protocol.
    #[error("the transactional sink failed: {0}")]
    Commit(BoxError),
    /// The job was cancelled by its handle.
    #[error("the job was cancelled; what the last completed checkpoint covers is safe")]
    Cancelled,
    /// The machine refused a thread.
    #[error("a thread could not be started: {0}; lower the parallelism or raise the limit of threads")]
    Thread(std::io::Error),
}

impl JobError {
    /// Whether trying again cannot help.
    pub fn is_fatal(&self) -> bool {
        match self {
            JobError::Graph(_) | JobError::Config(_) | JobError::Cancelled | JobError::Thread(_) => true,
            JobError::Failed { failure, .. } => match &**failure {
                Failure::Returned { error, .. } => is_fatal(error),
                _ => false,
            },
            JobError::Checkpoint(error) => error.is_fatal(),
            JobError::Commit(error) => is_fatal(error),
            JobError::Paused { error, .. } => error.is_fatal(),
        }
    }

    /// Whether a sink's system has told us that another instance has taken our place there.
    pub(crate) fn is_fenced(&self) -> bool {
        match self {
            JobError::Failed { failure, .. } => {
                matches!(&**failure, Failure::Returned { error, .. } if error.is::<Fenced>())
            }
            JobError::Commit(error) => error.is::<Fenced>(),
            JobError::Paused { error, .. } => error.is_fenced(),
            _ => false,
        }
    }

    /// What lies below the causes that the text names.
    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JobError::Failed { failure, .. } => match &**failure {
                Failure::Returned { error, .. } => error.source(),
                _ => None,
            },
            JobError::Checkpoint(CheckpointError::Store { error, .. }) | JobError::Commit(error) => {
                error.source()
            }
            _ => None,
        }
    }

    pub(crate) fn with_attempts(self, number: u32) -> Self {
        match self {
            JobError::Paused { paused, error } => {
                JobError::Paused { paused, error: Box::new(error.with_attempts(number)) }
            }
            JobError::Failed { failure, .. } => JobError::Failed { failure, attempts: number },
            other => other,
        }
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_causes(&self.to_string(), self.cause(), f)
    }
}

/// Writes an error for people, for its `Debug`: its text, and on a line each the causes below it that the text does not name.
///
/// # Errors
/// Those of `f`.
pub fn debug(error: &(dyn std::error::Error + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    with_causes(&error.to_string(), error.source(), f)
}

fn with_causes(
    text: &str,
    mut cause: Option<&(dyn std::error::Error + 'static)>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str(text)?;
    let mut said = text.to_owned();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            write!(f, "\n  caused by: {text}")?;
            said.push_str(&text);
        }
        cause = error.source();
    }
    Ok(())
}

fn is_fatal(error: &BoxError) -> bool {
    error.is::<Fatal>()
        || error.is::<Fenced>()
        || error.downcast_ref::<CheckpointError>().is_some_and(CheckpointError::is_fatal)
}

impl CheckpointError {
    /// Whether trying again cannot help: all but a store that is full or out of reach, and a value that could not be encoded.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, CheckpointError::Store { .. } | CheckpointError::Encode { .. })
    }
}

/// What to do without a checkpoint that is damaged. An older one is never taken without being asked for.
fn instead(others: &[Epoch]) -> String {
    match others {
        [] => "put the file back, or start from a savepoint".to_owned(),
        [newest, ..] => format!(
            "put the file back, or go back to an older checkpoint, and give its results again, with \
             RestoreFrom::Epoch({newest}); there are {others:?}"
        ),
    }
}

/// Wraps an error that a restart cannot mend (a fenced producer, a wrong password), so that none is tried.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Fatal(pub BoxError);

/// Wraps the error of a sink's system that does not accept this instance any more, as another one has taken its place there.
/// Whether that is so for good is up to the checkpoint store: who still owns the job there takes its place back, and goes on.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Fenced(pub BoxError);

fn restarts(attempts: u32) -> String {
    match attempts {
        0 => String::new(),
        1 => " (after 1 restart)".to_owned(),
        n => format!(" (after {n} restarts)"),
    }
}

/// What can go wrong with a checkpoint.
#[derive(thiserror::Error)]
pub enum CheckpointError {
    /// The store could not be reached, is full, or refused.
    #[error(
        "checkpoint store {location}: {error}; the previous checkpoint is untouched: when the store has space and can \
         be reached, start the job again, and it goes on from there"
    )]
    Store {
        /// Where.
        location: String,
        /// What the store said.
        error: BoxError,
    },
    /// Another instance of the job has been started, and owns the checkpoints now.
    #[error(
        "another instance of the job ({owner}) took over the checkpoints at {location}; this one stops, \
         and nothing after its last completed checkpoint counts. Two jobs must not share an id"
    )]
    Fenced {
        /// Where.
        location: String,
        /// The process and start time of the other instance.
        owner: String,
    },
    /// A file of the checkpoint is damaged or missing.
    #[error("checkpoint {epoch} is damaged: {file}: {reason}; {}", instead(.others))]
    Corrupt {
        /// Which checkpoint.
        epoch: Epoch,
        /// Which file, and where.
        file: String,
        /// What is wrong with it.
        reason: String,
        /// Older checkpoints that the job may go back to, the newest first. None with a transactional sink: what it has committed
        /// since then would be committed again.
        others: Vec<Epoch>,
    },
    /// A piece of state could not be encoded.
    #[error("operator `{operator}`: its state `{state}` cannot be written to a checkpoint: {reason}")]
    Encode {
        /// Whose state it is (the operator's uid).
        operator: String,
        /// The name of the state.
        state: String,
        /// What its `Serialize` said, or how it panicked.
        reason: String,
    },
    /// A function names two pieces of state alike: at a restore they would be mixed up.
    #[error(
        "operator {operator} names two pieces of state `{state}`: in `states()`, give each a name of its own"
    )]
    NamedTwice {
        /// Whose state it is.
        operator: String,
        /// The name.
        state: String,
    },
    /// The checkpoint was written by a format this build does not know.
    #[error(
        "checkpoint {epoch} has format version {found}, this build reads up to {known}; use the build that wrote it, or a newer one"
    )]
    Version {
        /// Which checkpoint.
        epoch: Epoch,
        /// Its version.
        found: u32,
        /// The newest that this build reads.
        known: u32,
    },
    /// The checkpoint does not fit the job.
    #[error("checkpoint {epoch} does not fit the job: operator `{operator}`: {reason}")]
    Mismatch {
        /// Which checkpoint.
        epoch: Epoch,
        /// The operator it fails at (its uid).
        operator: String,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// No savepoint could be taken. The job is not the worse for it.
    #[error("no savepoint was taken at {location}: {reason}")]
    Savepoint {
        /// Where it was to be.
        location: String,
        /// Why it is not.
        reason: String,
    },
    /// There is no such checkpoint.
    #[error("no checkpoint at {location}{}", .epoch.map(|epoch| format!(" with number {epoch}")).unwrap_or_default())]
    Missing {
        /// Where it was looked for.
        location: String,
        /// Which one, if a certain one was wanted.
        epoch: Option<Epoch>,
    },
}

/// For people, as that is what `main() -> Result` prints.
impl std::fmt::Debug for CheckpointError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        debug(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot send: {source}")]
    struct Outer {
        source: Inner,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    struct Inner {
        source: std::io::Error,
    }

    #[test]
    fn debug_is_for_people_and_says_nothing_twice() {
        let failed = |error: BoxError| {
            let operator = OperatorName { name: "sink".into(), uid: "sink-1".into(), subtask: 0 };
            let failure = Arc::new(Failure::Returned { operator, origin: Origin::default(), error });
            JobError::Failed { failure, attempts: 2 }
        };
        let error = || Outer { source: Inner { source: std::io::Error::other("refused") } };
        let text = "operator `sink` (uid sink-1, subtask 0) failed: cannot send: no connection (after 2 restarts)\n  \
                    caused by: refused";
        assert_eq!(format!("{:?}", failed(error().into())), text);
        // A wrapper hides nothing.
        assert_eq!(format!("{:?}", failed(Fatal(error().into()).into())), text);
        let error = JobError::Config("wrong".to_owned());
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
