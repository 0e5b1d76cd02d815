//! Transactions and producer ids.

pub(crate) mod coordinator;
#[cfg(test)]
mod coordinator_tests;
pub(crate) mod transaction;
