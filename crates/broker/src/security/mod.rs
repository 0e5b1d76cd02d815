//! Who a client is, and that nobody listens in. There is no authorization: whoever is let in may do everything.

mod jaas;
pub(crate) mod mechanism;
mod plain;
pub(crate) mod properties;
mod random;
pub(crate) mod sasl;
mod scram;
pub(crate) mod tls;
pub(crate) mod users;
