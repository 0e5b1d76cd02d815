//! The Kafka sink. For now its protocol, without the I/O that drives it.

mod commit_protocol;
