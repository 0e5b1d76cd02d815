//! Formats of files: what is before, between and after their records.
//!
//! | format | to write | to read | feature |
//! |---|---|---|---|
//! | text | a closure that appends a line: [`FileSink::new`](super::FileSink::new), [`StoreSink::new`](crate::store::StoreSink::new) | [`TextFileSource`](super::TextFileSource) | – |
//! | JSON, a document a line | [`JsonLinesFormat`] | [`TextFileSource`](super::TextFileSource) | – |
//! | CSV | [`CsvFormat`] | [`CsvReaderFormat`] | – |
//! | Avro's container files | `AvroFormat` | `AvroReaderFormat` | `avro` |
//! | Parquet | `ParquetFormat` | `ParquetReaderFormat` | `parquet` |
//! | any of these but Parquet, compressed | [`CompressedFormat`] | by the names of files, or as the source is told | `compression` |
//!
//! What writes a file is a [`FileFormat`] (Flink's `BulkWriter`), which both [`FileSink`](super::FileSink) and [`StoreSink`](crate::store::StoreSink) take, by
//! `for_bulk_format`: so each format is written exactly once, wherever it is written to. What reads one from its beginning to its end is a [`StreamFormat`], which a
//! [`FileSource`](super::FileSource) takes. Others are written in a crate of one's own.

#[cfg(feature = "avro")]
mod avro;
mod columns;
mod compressed;
mod csv;
mod json;
#[cfg(feature = "parquet")]
mod parquet;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::csv::{CsvFormat, CsvReader, CsvReaderFormat, CsvRow};
#[cfg(feature = "parquet")]
pub use self::parquet::{ParquetFile, ParquetFormat, ParquetReader, ParquetReaderFormat, ParquetWriter};
#[cfg(feature = "avro")]
pub use avro::{AvroCodec, AvroFormat, AvroReader, AvroReaderFormat};
pub use columns::{ColumnType, Field};
#[cfg(feature = "compression")]
pub use compressed::CompressedFile;
pub use compressed::CompressedFormat;
pub use json::JsonLinesFormat;
use thalweg_dataflow::error::{BoxError, Fallible};

use super::compression::Compression;
use super::system::FileSystem;

/// Writes files of records of `T` (Flink's `BulkWriter` and its factory). A closure that appends a line without its end is one, too.
///
/// All bytes go into `out`, whose end is the sink's: what is kept back, as it is not a whole block yet, is in [`File`](Self::File), of which there is one for each file that is
/// being written at the same time. It is not in checkpoints: a file ends with each of them.
///
/// ```
/// use thalweg_connectors::files::FileSink;
/// use thalweg_connectors::files::format::FileFormat;
/// use thalweg_dataflow::error::BoxError;
///
/// /// Numbers, and how many there are.
/// #[derive(Clone)]
/// struct Counted;
///
/// impl FileFormat<u32> for Counted {
///     type File = u32;
///
///     fn begin(&mut self, out: &mut Vec<u8>) -> Result<u32, BoxError> {
///         out.extend(b"numbers\n");
///         Ok(0)
///     }
///
///     fn write(&mut self, count: &mut u32, record: &u32, out: &mut Vec<u8>) -> Result<(), BoxError> {
///         *count += 1;
///         out.extend(format!("{record}\n").bytes());
///         Ok(())
///     }
///
///     fn end(&mut self, count: u32, out: &mut Vec<u8>) -> Result<(), BoxError> {
///         out.extend(format!("{count} in all\n").bytes());
///         Ok(())
///     }
/// }
///
/// let sink = FileSink::for_bulk_format("numbers", Counted);
/// # let _ = sink;
/// ```
pub trait FileFormat<T>: Send + 'static {
    /// What is known of a file that is being written.
    type File: Send + 'static;

    /// Begins a file with what is before its records.
    ///
    /// # Errors
    /// When there can be no such file; it fails the job.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<Self::File, BoxError>;

    /// Writes a record, or keeps it for a later call.
    ///
    /// # Errors
    /// When it cannot be written; it fails the job.
    fn write(&mut self, file: &mut Self::File, record: &T, out: &mut Vec<u8>) -> Result<(), BoxError>;

    /// Ends a file: what was kept back, and what is behind the records.
    ///
    /// # Errors
    /// When it cannot be written; it fails the job.
    fn end(&mut self, file: Self::File, out: &mut Vec<u8>) -> Result<(), BoxError>;

    /// What the names of files end with, by which their readers know them: `.csv`. Nothing, unless it says so.
    fn suffix(&self) -> String {
        String::new()
    }
}

/// A line a record.
impl<T, F, R> FileFormat<T> for F
where
    F: FnMut(&T, &mut Vec<u8>) -> R + Send + 'static,
    R: Fallible,
{
    type File = ();

    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    #[inline]
    fn write(&mut self, (): &mut (), record: &T, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self(record, out).into_result()?;
        out.push(b'\n');
        Ok(())
    }

    fn end(&mut self, (): (), _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Reads files of records from their beginning on (Flink's `StreamFormat`).
pub trait StreamFormat: Clone + Send + Sync + 'static {
    /// A record.
    type Item: Send + 'static;
    /// What reads one file.
    type Reader: StreamReader<Item = Self::Item>;

    /// What the format is called, and what of it has to stay the same over a restart.
    fn name(&self) -> String;

    /// Begins to read a file, which is not compressed any more.
    ///
    /// # Errors
    /// When it cannot be read, or is not in the format ([`io::ErrorKind::InvalidData`]).
    fn open(&self, file: Box<dyn Read + Send>) -> io::Result<Self::Reader>;

    /// Begins to read a file that is not to be read from its beginning on: one whose end says what is in it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn open_file(&self, file: FileToRead) -> io::Result<Self::Reader> {
        self.open(file.decompressed()?)
    }
}

/// A file that is to be read, in any part.
#[derive(Clone)]
pub struct FileToRead {
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) compression: Compression,
}

impl fmt::Debug for FileToRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl FileToRead {
    /// A file of a file system, of so many bytes, as it lies there.
    pub fn new(files: Arc<dyn FileSystem>, path: PathBuf, length: u64, compression: Compression) -> Self {
        Self { files, path, length, compression }
    }

    /// Where it is, scheme included.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes it has, as it lies there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is compressed as a whole.
    pub fn is_compressed(&self) -> bool {
        self.compression != Compression::None
    }

    /// From its beginning on, and not compressed any more.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn decompressed(&self) -> io::Result<Box<dyn Read + Send>> {
        self.compression.open(self.files.open(&self.path, 0)?)
    }

    /// So many bytes of it, as it lies there, or fewer if there are no more.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn range(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        self.files.range(&self.path, from, length)
    }
}

/// Reads one file (Flink's `StreamFormat.Reader`).
pub trait StreamReader: Send + 'static {
    /// A record.
    type Item;

    /// The next record, and about how many bytes it had in the file; `None` at the end.
    ///
    /// # Errors
    /// When it cannot be read, or is not in the format.
    fn read(&mut self) -> io::Result<Option<(Self::Item, usize)>>;

    /// Passes over a record. `false` at the end.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn skip(&mut self) -> io::Result<bool> {
        Ok(self.read()?.is_some())
    }
}

/// Something is not in its format.
fn invalid(error: impl Into<BoxError>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
