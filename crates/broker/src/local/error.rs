//! What can go wrong in process.

use kafka_protocol::ResponseError;

/// Why a call of the in-process client has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The broker was stopped or dropped.
    #[error("the broker has stopped")]
    Stopped,
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
            Self::Refused { code, .. } => Some(*code),
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        self.code().is_some_and(|code| code.is_retriable())
    }
}
