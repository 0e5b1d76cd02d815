//! Whole programs: right results, whatever the parallelism, whatever crashes, and wherever they are resumed.

#![allow(clippy::unwrap_used)]

mod batches;
mod common;
mod context;
mod foreach_rdd;
mod refusals;
mod uids;
mod windows;
