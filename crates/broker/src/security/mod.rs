//! Who a client is, and that nobody listens in. There is no authorization: whoever is let in may do everything.

pub(crate) mod properties;
pub(crate) mod tls;
