//! What can go wrong in process.

use kafka_protocol::ResponseError;

/// Why a call of the in-process client has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The broker was stopped or dropped.
    #[error("the broker has stopped")]
    Stopped,
    /// A batch that is stored cannot be read. Whoever wants to do without its records goes on behind it.
    #[error("{reason}: the batch at offset {base_offset} of partition {partition} of topic {topic:?}")]
    BadBatch {
        /// The topic.
        topic: Box<str>,
        /// The partition.
        partition: i32,
        /// Where the batch begins.
        base_offset: i64,
        /// Where to go on behind it; `None` if that cannot be told.
        next_offset: Option<i64>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// What a client over a socket would have been answered.
    #[error("{what}: {code:?}")]
    Refused {
        /// Kafka's error.
        code: ResponseError,
        /// What it was about.
        what: Box<str>,
    },
}

impl LocalError {
    pub(crate) fn new(code: ResponseError, what: impl Into<Box<str>>) -> Self {
        Self::Refused { code, what: what.into() }
    }

    pub(crate) fn at(code: ResponseError, topic: &str, partition: i32) -> Self {
        Self::new(code, format!("partition {partition} of topic {topic:?}"))
    }

    /// Kafka's error, if it is one.
    pub fn code(&self) -> Option<ResponseError> {
        match self {
            Self::Stopped => None,
            Self::BadBatch { .. } => Some(ResponseError::CorruptMessage),
            Self::Refused { code, .. } => Some(*code),
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        // Kafka has clients fetch a corrupt message again, which might have been garbled on its way; there is none here.
        !matches!(self, Self::BadBatch { .. }) && self.code().is_some_and(|code| code.is_retriable())
    }
}
