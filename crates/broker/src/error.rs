//! Why a broker cannot be started or used.

use std::io;
use std::path::PathBuf;

use kafka_protocol::ResponseError;

/// What a client is told: Kafka's code, and a sentence that says what is wrong.
pub(crate) type Refusal = (ResponseError, String);

/// An error of the broker itself; what clients do wrong is answered to them and is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The address cannot be listened on.
    #[error(
        "the broker cannot listen on {address}: {source}; choose another address, or port 0 for a free one"
    )]
    Listen {
        /// As given in [`Listener::listen`](crate::Listener::listen).
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// [`BrokerConfig::advertised`](crate::BrokerConfig::advertised) is not `host:port`.
    #[error("the advertised address {0:?} is not of the form host:port")]
    Advertised(String),
    /// Two of [`BrokerConfig::listeners`](crate::BrokerConfig::listeners) have the same name.
    #[error("two listeners are named {0:?}; give each a name of its own")]
    ListenerName(String),
    /// A setting of a listener cannot be used.
    #[error("{property}: {reason}")]
    Property {
        /// Kafka's name of the setting.
        property: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// What [`BrokerConfig::listeners`](crate::BrokerConfig::listeners) say of one of them cannot be used.
    #[error("listener {name}: {reason}")]
    Listener {
        /// The listener's name.
        name: String,
        /// What is wrong, behind the setting concerned.
        reason: String,
    },
    /// A setting is not known or out of range.
    #[error("{0}")]
    Setting(String),
    /// The data folder cannot be read or written.
    #[error("the broker's data at {path}: {source}; check that the folder is writable and has space")]
    Data {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another broker has the data folder open.
    #[error("the broker's data at {0} is in use by another process; stop that one, or choose another folder")]
    InUse(PathBuf),
    /// The threads that serve clients cannot be started.
    #[error("the broker's threads cannot be started: {0}")]
    Threads(io::Error),
    /// A fault cannot be set.
    #[error("the fault cannot be set: {0}")]
    Fault(String),
    /// A topic cannot be created.
    #[error("topic {name:?} cannot be created: {reason}")]
    Topic {
        /// The topic's name.
        name: String,
        /// As Kafka words it.
        reason: String,
    },
}

impl BrokerError {
    pub(crate) fn property(property: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Property { property: property.into(), reason: reason.into() }
    }
}
