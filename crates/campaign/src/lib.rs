//! A campaign against exactly-once: jobs are killed, stopped and woken at chosen steps of the protocol, alone or with a second
//! instance that takes over meanwhile, and what comes out is looked at record by record.
//!
//! - [`checker`] says what is wrong with an output: lost, doubled, out of order, aborted yet seen, partially visible.
//! - [`jobs`] are the programs that are hurt: one of each kind. Each runs in a process of its own.
//! - [`driver`] starts these processes, and hurts them where they say that they have come to:
//!   at the steps of [`thalweg_dataflow::debug_hook`].
//! - [`scenario`] is one story: which job, where, what is done to it, and what must then be so.
//!
//! `scripts/campaign` runs all of it; a small share is in the tests.

pub mod checker;
pub mod driver;
pub mod jobs;
pub mod scenario;
pub mod topics;
