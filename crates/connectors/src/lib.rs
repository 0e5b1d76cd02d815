//! Sources and sinks of Thalweg other than Kafka, one module each. What they have in common is the [`contract`]; how another one is
//! written is told in the [`guide`].

pub mod console;
pub mod contract;
pub mod files;
pub mod flume;
#[cfg(feature = "kinesis")]
pub mod kinesis;
pub mod socket;
pub mod store;

#[doc = include_str!("../docs/a-connector-of-ones-own.md")]
pub mod guide {}
