//! The console: lines of stdin as a stream, and records on stdout, as lines or as tables.

pub mod sink;
mod stdin;

pub use sink::ConsoleSink;
pub use stdin::StdinReceiver;
