//! Kafka source and sink of Thalweg, for any Kafka.
//!
//! The way to the topics is librdkafka, so every property of librdkafka can be passed through, security included
//! (see [`config`]). How the sink gets each record into Kafka exactly once is written down in `sink/commit_protocol.rs`.

#![allow(dead_code, reason = "the source and the sink, which use it, are the next step")]

pub mod config;
pub mod error;
pub mod offsets;
pub mod record;
mod sink;
pub mod subscription;
