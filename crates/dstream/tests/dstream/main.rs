//! Whole programs: right results, whatever the parallelism, whatever crashes, and wherever they are resumed.

#![allow(clippy::unwrap_used)]

mod batches;
mod clock;
mod common;
mod context;
mod foreach_rdd;
mod listener;
mod order;
mod refusals;
mod uids;
mod windows;
