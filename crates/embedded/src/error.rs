//! What can go wrong between a pipeline and its broker.

use std::time::Duration;

use thalweg_broker::{LocalError, ResponseError};
use thalweg_dataflow::error::{BoxError, Fatal, Fenced};

/// An error of the source or the sink.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// A builder was not told everything.
    #[error("{0}")]
    Missing(&'static str),
    /// There is no such topic.
    #[error("there is no topic '{0}'; create it before the job starts")]
    UnknownTopic(String),
    /// A record cannot be read.
    #[error("the record at offset {offset} of {topic}-{partition} cannot be read: {reason}")]
    Decode {
        /// Its topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// What the deserializer said.
        reason: BoxError,
    },
    /// A record cannot be written.
    #[error("a record for topic '{topic}' cannot be written: {reason}")]
    Encode {
        /// The topic.
        topic: String,
        /// What the serializer said.
        reason: BoxError,
    },
    /// A transaction must last from one checkpoint to the commit of the next.
    #[error(
        "transactions time out after {timeout:?}, which is not more than the checkpoint interval of {interval:?}; \
         choose a longer timeout with set_transaction_timeout"
    )]
    TransactionTimeoutTooShort {
        /// The timeout.
        timeout: Duration,
        /// The interval.
        interval: Duration,
    },
    /// The broker aborted a transaction that was open for too long.
    #[error(
        "a transaction was open for {open:?}, and the broker aborts it after {timeout:?}: the process was paused, or checkpoints took \
         too long. Started again, the job resumes at its last committed checkpoint. If it happens again, checkpoint more often, or \
         choose a longer timeout with set_transaction_timeout"
    )]
    TransactionTimedOut {
        /// How long it was open.
        open: Duration,
        /// The timeout.
        timeout: Duration,
    },
    /// A younger instance has fenced this one.
    #[error("another instance of this job took over (transactional id '{0}')")]
    Fenced(String),
    /// The broker refused.
    #[error("cannot {action}: {source}")]
    Broker {
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: LocalError,
    },
}

impl EmbeddedError {
    pub(crate) fn broker(action: &'static str) -> impl FnOnce(LocalError) -> Self {
        move |source| Self::Broker { action, source }
    }

    /// An error of a transactional producer.
    pub(crate) fn transaction(action: &'static str, id: &str) -> impl FnOnce(LocalError) -> Self {
        let id = id.to_owned();
        move |source| match source.code() {
            Some(ResponseError::ProducerFenced | ResponseError::InvalidProducerEpoch) => Self::Fenced(id),
            _ => Self::Broker { action, source },
        }
    }

    /// Whether a restart of the job may help.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::TransactionTimedOut { .. } => true,
            Self::Broker { source, .. } => source.is_retriable(),
            _ => false,
        }
    }

    /// As the engine wants it: what a restart cannot mend is marked as such, and who was fenced is up to the checkpoint store.
    pub(crate) fn boxed(self) -> BoxError {
        if matches!(self, Self::Fenced(_)) {
            return Box::new(Fenced(Box::new(self)));
        }
        if self.is_retriable() { Box::new(self) } else { Box::new(Fatal(Box::new(self))) }
    }
}
