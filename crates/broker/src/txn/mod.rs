//! Transactions and producer ids.

pub(crate) mod coordinator;
pub(crate) mod transaction;
