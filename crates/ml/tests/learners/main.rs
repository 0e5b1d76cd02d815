//! Learners against the numbers of the programs that people know them from, and through files and checkpoints.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "these are tests")]

mod anomaly;
mod cluster;
mod drift;
mod flink;
mod forecast;
mod linear;
mod metrics;
mod naive_bayes;
mod neighbors;
mod preprocessing;
mod recommend;
mod round_trip;
mod seeded;
mod sketch;
mod spark;
mod support;
mod trees;
mod wide;
