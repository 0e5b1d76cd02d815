//! Sockets: accepting connections, and reading and answering requests on them.

pub(crate) mod connection;
pub(crate) mod endpoint;
pub(crate) mod listener;
