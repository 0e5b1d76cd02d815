//! Files: text read by line, in parallel; binary records; text written by line, exactly once.

pub mod binary;
mod positions;
pub mod sink;
pub mod source;
mod watched;

pub use binary::{BinaryRecordsReader, BinaryRecordsSource};
pub use sink::{FileSink, FileSinkError};
pub use source::{Line, LineOf, TextFileError, TextFileReader, TextFileSource};
