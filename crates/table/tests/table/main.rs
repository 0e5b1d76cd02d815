//! The tests of SQL and tables, one binary: nearly all of what one costs is the planner that it links.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../flink/compare.rs"]
mod compare;
#[path = "../made/mod.rs"]
mod made;
#[path = "../nexmark/queries.rs"]
mod queries;
#[path = "../flink/rows.rs"]
mod rows;

mod correlate;
mod files;
mod files_recovery;
mod flink;
mod functions;
#[cfg(feature = "kinesis")]
mod kinesis;
mod nexmark;
mod nexmark_recovery;
mod recovery;
mod recovery_updates;
mod statements;
#[cfg(any(feature = "s3", feature = "azure", feature = "hdfs"))]
mod stores;
mod table_api;
mod ttl;
mod two_phases;
