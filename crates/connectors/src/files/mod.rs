//! Files: text read by line, in parallel, from this machine or from a store; records of other [formats](mod@format); text and those written, exactly once.

pub mod binary;
mod compression;
mod error;
pub mod format;
mod glob;
mod positions;
mod promise;
pub mod records;
pub mod sink;
pub mod source;
pub mod system;
#[cfg(unix)]
pub mod tail;
mod watched;

pub use binary::{BinaryRecordsReader, BinaryRecordsSource};
pub use compression::Compression;
pub use error::TextFileError;
pub use records::{FileSource, FileSourceReader};
pub use sink::{FileSink, FileSinkError, RollingPolicy};
pub use source::{Line, LineOf, TextFileReader, TextFileSource};
pub use system::{Entry, FileSystem};
#[cfg(unix)]
pub use tail::{TailReader, TailSource};
