//! What must not happen to a job, happening to it: each test looks at the error that is told, and at what is not lost.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod back_pressure;
mod bad_checkpoint;
mod counts;
mod event_time;
mod faucet;
mod flaky_store;
mod formats;
mod identity;
mod lifecycle;
mod log;
mod owners;
mod pace;
mod storage;
mod transactions;
mod unaligned;
mod user_function;
mod versions;
mod windows;
