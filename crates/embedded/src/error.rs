//! What can go wrong between a pipeline and its broker.

use std::time::Duration;

use thalweg_broker::{LocalError, ResponseError};
use thalweg_dataflow::error::{BoxError, Fatal, Fenced};

/// An error of the source or the sink.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// A builder was not told everything.
    #[error("{0}")]
    Missing(&'static str),
    /// There is no such topic.
    #[error("there is no topic '{0}'; create it before the job starts")]
    UnknownTopic(String),
    /// A bound leaves out a partition that is read.
    #[error("set_bounded leaves out {topic}-{partition}, which is read; say where to end in every partition")]
    Unbounded {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// There is no committed offset to begin at.
    #[error(
        "group '{group}' has committed no offset for {topic}-{partition}; let OffsetsInitializer::Committed fall back to earliest or \
         latest if it is to begin there"
    )]
    NoCommittedOffset {
        /// The consumer group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The source is to go on where its log does not reach.
    #[error("{}", out_of_range(topic, *partition, *offset, *start, *end))]
    OffsetOutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// Where the log begins.
        start: i64,
        /// Where it ends: the offset of its next record.
        end: i64,
    },
    /// The topic was deleted, and another one has its name now.
    #[error(
        "topic '{topic}' was made anew: offset {offset} of partition {partition} belongs to the old one, of which nothing can be read any \
         more. {GO_ON}"
    )]
    TopicMadeAnew {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How far the old one had been read.
        offset: i64,
    },
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
         too long. Started again, the job resumes at its last committed checkpoint. If it happens again, checkpoint more often, \
         choose a longer timeout with set_transaction_timeout, or, where one record takes long, have unaligned checkpoints"
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

/// What ends the messages about positions that fit no more.
const GO_ON: &str = "To go on without what is lost, say where with set_offset_reset_strategy (OffsetResetStrategy::Earliest or Latest), \
                     or set_fail_on_data_loss(false)";

fn out_of_range(topic: &str, partition: i32, offset: i64, start: i64, end: i64) -> String {
    let place = format!("offset {offset} of {topic}-{partition}");
    if offset < start {
        return format!(
            "{place} is not kept any more: the log begins at {start}, as what was before it was deleted. Keep records for longer \
             (retention.ms, retention.bytes). {GO_ON}"
        );
    }
    format!(
        "{place} is beyond the end of its log, which is at {end}: records were lost, or the offset was never right. {GO_ON}"
    )
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

/// For people, as that is what `main() -> Result` prints.
impl std::fmt::Debug for EmbeddedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        thalweg_dataflow::error::debug(self, f)
    }
}
