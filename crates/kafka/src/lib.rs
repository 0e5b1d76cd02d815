//! Kafka source and sink of Thalweg, for any Kafka.
//!
//! The way to the topics is librdkafka, so every property of librdkafka can be passed through, security
//! included (see [`config`]). How the sink gets each record into Kafka exactly once is written down in
//! `sink/commit_protocol.rs`.

pub mod admin;
mod client;
pub mod config;
pub mod error;
pub mod offsets;
mod producer;
pub mod record;
mod send_now;
pub mod sink;
pub mod source;
pub mod subscription;
mod topic_ids;

pub use error::KafkaError;
pub use offsets::{OffsetResetStrategy, OffsetsInitializer};
pub use sink::{DeliveryGuarantee, KafkaPartitioner, KafkaSink, KafkaSinkBuilder};
pub use source::{KafkaSource, KafkaSourceBuilder};
pub use subscription::TopicPartition;
