#![doc = include_str!("../README.md")]

mod alarm;
mod api;
mod append;
mod blocking;
mod broker;
mod clock;
mod config;
mod descriptors;
mod error;
mod faults;
mod fetch_sessions;
#[cfg(fuzzing)]
pub mod fuzzing;
mod group;
mod journal;
mod local;
mod log;
mod metrics;
mod owner_only;
mod protocol;
mod registry;
mod reserve;
mod security;
mod server;
mod settings;
mod state;
mod topics;
mod txn;

pub use broker::Broker;
pub use config::{BrokerConfig, Storage};
pub use error::BrokerError;
pub use faults::{Asked, Fault, Faults, Injected, Lost};
/// Kafka's words for what is asked and what goes wrong.
pub use kafka_protocol::{ResponseError, messages::ApiKey};
pub use local::{
    Batch, GroupOffset, Headers, LocalClient, LocalConsumer, LocalError, LocalProducer, LocalRecord,
    OffsetOf, ProducerOptions, Record, Records,
};
pub use log::inspect::{InspectedBatch, inspect_batch};
pub use log::partition::Isolation;
pub use security::mechanism::{Mechanism, Scram};
pub use security::sasl::Sasl;
pub use security::tls::{ClientAuth, Tls, TlsVersion};
pub use security::users::ScramUser;
pub use server::endpoint::Listener;
