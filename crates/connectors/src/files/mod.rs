//! Files: text read by line, in parallel; text written by line, exactly once.

pub mod sink;
pub mod source;

pub use sink::{FileSink, FileSinkError};
pub use source::{TextFileError, TextFileReader, TextFileSource};
