//! Sockets: accepting connections, and reading and answering requests on them.

mod authentication;
pub(crate) mod connection;
pub(crate) mod endpoint;
mod frames;
pub(crate) mod limits;
pub(crate) mod listener;
mod long_request;
mod memory;
pub(crate) mod output;
mod patience;
pub(crate) mod properties;
pub(crate) mod stopping;
mod stream;
