//! Transactions and producer ids.

mod charge;
pub(crate) mod coordinator;
#[cfg(test)]
mod coordinator_tests;
mod ending;
mod expiry;
mod markers;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod second_version_tests;
mod steps;
pub(crate) mod transaction;
