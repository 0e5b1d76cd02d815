//! What can go wrong with a Kafka: whose fault it is, whether to try again, and what to do.

use std::time::Duration;

use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;
use thalweg_dataflow::error::{Fatal, Fenced};

pub use thalweg_dataflow::error::{BoxError, Fallible};

/// An error of the Kafka source or sink.
///
/// [`fault`](KafkaError::fault) and [`is_retriable`](KafkaError::is_retriable) tell a restart strategy what to
/// make of it.
#[derive(thiserror::Error)]
pub enum KafkaError {
    /// No broker answered in time.
    #[error(
        "no answer from Kafka at {bootstrap}{}{}; is the address right, and does the broker run?",
        within(*waited), last_error(last)
    )]
    Unreachable {
        /// The addresses that were tried.
        bootstrap: String,
        /// How long, if it was waited for.
        waited: Option<Duration>,
        /// What librdkafka reported last, if it did.
        last: Option<String>,
    },

    /// A topic is not there, and the cluster did not create it.
    #[error(
        "there is no topic '{topic}' in the cluster at {bootstrap}, or this user may not see it; create it, or correct its name"
    )]
    UnknownTopic {
        /// The topic.
        topic: String,
        /// The cluster.
        bootstrap: String,
    },

    /// A topic has no such partition.
    #[error("topic '{topic}' has no partition {partition}; it has {count}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
        /// How many there are, counted from 0.
        count: i32,
    },

    /// Another instance with the same transactional id writes now.
    #[error(
        "another instance of this job took over (transactional id '{transactional_id}'). What this instance had not committed is \
         discarded, and the other one writes it; if both are meant to run, give them different job names"
    )]
    Fenced {
        /// The id that both use.
        transactional_id: String,
    },

    /// The broker does not accept these credentials, or the TLS handshake failed.
    #[error(
        "Kafka at {bootstrap} refuses the connection: {reason}; check the properties security.*, sasl.* and ssl.*"
    )]
    Authentication {
        /// The cluster.
        bootstrap: String,
        /// librdkafka's words.
        reason: String,
    },

    /// The user is known, but may not do this.
    #[error("Kafka does not allow to {action}: {reason}; ask for the access rights, or use another user")]
    NotAuthorized {
        /// What was to be done.
        action: String,
        /// librdkafka's words.
        reason: String,
    },

    /// The transaction timeout is longer than the broker allows.
    #[error(
        "the property transaction.timeout.ms = {timeout_ms} is longer than the cluster allows (transaction.max.timeout.ms of the \
         broker); set it lower, but longer than the checkpoint interval and the commit that follows"
    )]
    TransactionTimeoutTooLong {
        /// The timeout, in milliseconds.
        timeout_ms: u64,
    },

    /// The checkpoint interval leaves a transaction no time to commit.
    #[error(
        "a transaction stays open for the checkpoint interval of {interval:?}, but the broker aborts it after \
         transaction.timeout.ms = {timeout_ms}; checkpoint more often, or set the property higher"
    )]
    TransactionTimeoutTooShort {
        /// The timeout, in milliseconds.
        timeout_ms: u64,
        /// The interval between checkpoints.
        interval: Duration,
    },

    /// A transaction was open for longer than the broker allows.
    #[error(
        "a transaction was open for {open:?}, and the broker aborts it after transaction.timeout.ms = {timeout_ms}: the process was \
         paused, or checkpoints took too long. Started again, the job resumes at its last committed checkpoint. If it happens again, \
         checkpoint more often, set the property higher, or, where one record takes long, have unaligned checkpoints"
    )]
    TransactionTimedOut {
        /// How long it was open.
        open: Duration,
        /// The timeout, in milliseconds.
        timeout_ms: u64,
    },

    /// A property is not there, has no use, or is not the user's to set.
    #[error("Kafka property '{property}': {reason}")]
    Property {
        /// Its name.
        property: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A topic pattern is not a regular expression.
    #[error("the topic pattern '{pattern}' is not a regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },

    /// There is no committed offset to begin at.
    #[error(
        "group '{group}' has committed no offset for partition {partition} of '{topic}'; \
         let OffsetsInitializer::committed_offsets fall back to earliest or latest if it is to begin there"
    )]
    NoCommittedOffset {
        /// The consumer group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },

    /// The source is to go on where its log does not reach: records were deleted before they were read, or were lost, or the offset
    /// was never right.
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
        /// Where the log ends: the offset of its next record.
        end: i64,
    },

    /// The topic was deleted, and another one has its name now.
    #[error(
        "topic '{topic}' was made anew (its id was {was}, and is {is}): offset {offset} of partition {partition} belongs to the old one, \
         of which nothing can be read any more. {GO_ON}"
    )]
    TopicMadeAnew {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How far the old one had been read.
        offset: i64,
        /// The id of the old one.
        was: String,
        /// The id of the new one.
        is: String,
    },

    /// A record is larger than the sink or the cluster takes.
    #[error("a record of {bytes} for topic '{topic}' is too large: {limit}")]
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// Its size, as far as it is known.
        bytes: String,
        /// Which setting is in the way.
        limit: String,
    },

    /// A batch of records cannot be read at all: it is damaged, or in a compression that the client does not know.
    #[error(
        "the batch of records at offset {offset} of partition {partition} of '{topic}' cannot be read: {source}; \
         choose BadRecordPolicy::Skip to go past it"
    )]
    BadBatch {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset that was to be read next.
        offset: i64,
        /// librdkafka's error.
        source: ClientError,
    },

    /// The deserializer could not read a record.
    #[error(
        "cannot decode the record at offset {offset} of partition {partition} of '{topic}': {reason}; correct the deserializer, or \
         choose another BadRecordPolicy to go past it"
    )]
    Decode {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
        /// What the deserializer said.
        reason: BoxError,
    },

    /// The serializer could not write a record.
    #[error("cannot encode a record for '{topic}': {reason}")]
    Encode {
        /// The sink's topic.
        topic: String,
        /// What the serializer said.
        reason: BoxError,
    },

    /// Anything else, in librdkafka's words.
    #[error("cannot {action}: {source}")]
    Client {
        /// What was to be done.
        action: String,
        /// librdkafka's error.
        source: ClientError,
    },
}

/// Where an error comes from, and so who can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The program or its settings.
    Configuration,
    /// The cluster, or the way to it.
    Cluster,
    /// The records.
    Data,
}

impl KafkaError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unreachable { .. }
            | Self::TransactionTimedOut { .. }
            | Self::OffsetOutOfRange { .. }
            | Self::TopicMadeAnew { .. }
            | Self::Client { .. } => Fault::Cluster,
            Self::Decode { .. }
            | Self::Encode { .. }
            | Self::RecordTooLarge { .. }
            | Self::BadBatch { .. } => Fault::Data,
            Self::UnknownTopic { .. }
            | Self::UnknownPartition { .. }
            | Self::Fenced { .. }
            | Self::Authentication { .. }
            | Self::NotAuthorized { .. }
            | Self::TransactionTimeoutTooLong { .. }
            | Self::TransactionTimeoutTooShort { .. }
            | Self::Property { .. }
            | Self::Pattern { .. }
            | Self::NoCommittedOffset { .. } => Fault::Configuration,
        }
    }

    /// Whether the same job can succeed if it is started again. A fenced job must not: it would fence the other one.
    pub fn is_retriable(&self) -> bool {
        match self {
            // If another instance has taken over meanwhile, the checkpoint store says so before anybody is fenced.
            Self::Unreachable { .. } | Self::TransactionTimedOut { .. } => true,
            Self::Client { source, .. } => is_retriable(source),
            _ => false,
        }
    }

    /// As the engine wants it: what a restart cannot mend is marked as such, and who was fenced is up to the checkpoint store.
    pub(crate) fn boxed(self) -> BoxError {
        if matches!(self, Self::Fenced { .. }) {
            return Box::new(Fenced(Box::new(self)));
        }
        if self.is_retriable() { Box::new(self) } else { Box::new(Fatal(Box::new(self))) }
    }

    /// Gives an error of librdkafka its place among these.
    ///
    /// `action` completes "cannot …"; `bootstrap` is the cluster's address.
    pub(crate) fn from_client(
        action: &str,
        bootstrap: &str,
        waited: impl Into<Option<Duration>>,
        source: ClientError,
    ) -> Self {
        let (action, bootstrap) = (action.to_owned(), bootstrap.to_owned());
        if let ClientError::ClientConfig(_, reason, property, _) = source {
            return Self::Property { property, reason };
        }
        match source.rdkafka_error_code() {
            Some(Code::Authentication | Code::SSL | Code::SaslAuthenticationFailed) => {
                Self::Authentication { bootstrap, reason: source.to_string() }
            }
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed,
            ) => Self::NotAuthorized { action, reason: source.to_string() },
            Some(
                Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::MessageTimedOut,
            ) => Self::Unreachable { bootstrap, waited: waited.into(), last: Some(source.to_string()) },
            _ => Self::Client { action, source },
        }
    }
}

/// Whether the cluster, or a new client, may well do what was asked for, if it is asked again.
fn is_retriable(error: &ClientError) -> bool {
    if let ClientError::Transaction(error) = error
        && (error.is_retriable() || error.txn_requires_abort())
    {
        return true;
    }
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerNotAvailable
                | Code::ConcurrentTransactions
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::Fatal
                | Code::FencedLeaderEpoch
                | Code::InProgress
                | Code::InvalidProducerEpoch
                | Code::InvalidProducerIdMapping
                | Code::InvalidTransactionalState
                | Code::KafkaStorageError
                | Code::LeaderNotAvailable
                | Code::NetworkException
                | Code::NotCoordinator
                | Code::NotEnoughReplicas
                | Code::NotEnoughReplicasAfterAppend
                | Code::NotLeaderForPartition
                | Code::OffsetNotAvailable
                | Code::OutOfOrderSequenceNumber
                | Code::PurgeInflight
                | Code::PurgeQueue
                | Code::ReplicaNotAvailable
                | Code::RequestTimedOut
                // Of a transaction that has failed before, for a reason of its own.
                | Code::State
                | Code::ThrottlingQuotaExceeded
                | Code::TransactionCoordinatorFenced
                | Code::UnknownLeaderEpoch
                | Code::UnknownProducerId
                | Code::UnstableOffsetCommit
                | Code::TimedOutQueue
                | Code::WaitingForCoordinator
        )
    )
}

/// What ends the messages about positions that fit no more.
const GO_ON: &str = "To go on without what is lost, say where with set_offset_reset_strategy (OffsetResetStrategy::Earliest or Latest), \
                     or set_fail_on_data_loss(false)";

fn out_of_range(topic: &str, partition: i32, offset: i64, start: i64, end: i64) -> String {
    let place = format!("offset {offset} of partition {partition} of '{topic}'");
    if offset < start {
        return format!(
            "{place} is no longer in Kafka: the log begins at {start}, as what was before it was deleted. Keep records for longer \
             (retention.ms, retention.bytes). {GO_ON}"
        );
    }
    format!(
        "{place} is beyond the end of its log, which is at {end}: records were lost, or the topic was made anew, or the offset was never \
         right. {GO_ON}"
    )
}

fn within(waited: Option<Duration>) -> String {
    waited.map(|waited| format!(" within {waited:?}")).unwrap_or_default()
}

fn last_error(last: &Option<String>) -> String {
    last.as_ref().map(|last| format!(" (last error: {last})")).unwrap_or_default()
}

/// For people, as that is what `main() -> Result` prints.
impl std::fmt::Debug for KafkaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        thalweg_dataflow::error::debug(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(code: Code) -> KafkaError {
        KafkaError::from_client(
            "read",
            "localhost:9092",
            Duration::from_secs(5),
            ClientError::MetadataFetch(code),
        )
    }

    #[test]
    fn an_unreachable_broker_is_named_and_may_be_tried_again() {
        let error = place(Code::BrokerTransportFailure);
        let text = error.to_string();
        assert!(
            text.contains("localhost:9092") && text.contains("5s") && text.contains("transport"),
            "{text}"
        );
        assert_eq!((error.fault(), error.is_retriable()), (Fault::Cluster, true));
    }

    #[test]
    fn what_another_try_may_mend_is_told_apart() {
        for code in [Code::NotCoordinator, Code::LeaderNotAvailable, Code::State, Code::PurgeQueue] {
            assert!(place(code).is_retriable(), "{code:?}");
        }
        for code in [Code::MessageSizeTooLarge, Code::InvalidArgument, Code::UnsupportedVersion] {
            assert!(!place(code).is_retriable(), "{code:?}");
        }
    }

    #[test]
    fn wrong_credentials_are_not_tried_again() {
        let error = place(Code::Authentication);
        assert!(matches!(error, KafkaError::Authentication { .. }));
        assert_eq!((error.fault(), error.is_retriable()), (Fault::Configuration, false));
    }

    #[test]
    fn a_fenced_job_is_not_started_again() {
        let error = KafkaError::Fenced { transactional_id: "job".into() };
        assert!(!error.is_retriable());
        assert!(
            error.to_string().contains("another instance of this job took over (transactional id 'job')")
        );
    }
}
