//! The broker's tests, one binary: most of what one costs is what it links. Tests that want a process of their own stand beside this folder.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;

mod administration;
mod bad_batches;
mod clients;
mod clock;
mod compaction;
mod consumer_groups;
mod delete_records;
mod faults;
mod fetch;
mod fetch_sessions;
mod full_disk;
mod group_edges;
mod group_life;
mod groups;
mod guests;
mod listeners;
mod local;
mod metrics;
mod migration;
mod newest;
mod produce;
mod recompression;
mod refusals;
mod restart;
mod retention;
mod sasl;
mod settings;
mod sockets;
mod tls;
mod topics;
mod transaction_admin;
mod transactions;
mod transactions_v2;
mod validation;
mod versions;
