//! What every connector has in common: what it promises, how it tries again, what its errors say, what it keeps to itself, what it counts.
//!
//! | piece | what it is for |
//! |---|---|
//! | [`Promise`], [`Guarantee`] | a connector states what it guarantees, and why not more; [`Promise::delivering`] asks for it before the start |
//! | [`Retry`] | tries again, with growing pauses, within limits |
//! | [`ConnectorError`] | system, address, what was tried, how often, and whether it will be tried again |
//! | [`Secret`], [`without_credentials`] | what is in no log, no error and no `Debug` |
//! | [`ConnectorMetrics`] | records and bytes, retries, lag |
//!
//! How a connector is built on these in a crate of one's own is told in the [guide](crate::guide).

mod error;
mod guarantee;
mod metrics;
mod retry;
mod secret;

pub use error::{ConnectorError, Failure, Place};
pub use guarantee::{Delivering, Guarantee, Promise};
pub use metrics::ConnectorMetrics;
pub use retry::{Pauses, Retry, wait_unless};
pub use secret::{Secret, without_credentials};
