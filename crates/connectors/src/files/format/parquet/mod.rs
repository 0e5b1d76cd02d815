//! Parquet's files: written a row group after the other, read by way of their ends.
//!
//! | | |
//! |---|---|
//! | columns | of a structure its fields, of a tuple `_1`, `_2` …, of anything else `value`; each optional |
//! | types | BOOLEAN, INT64, DOUBLE, and text in UTF-8, which is also for what is itself a structure, as JSON |
//! | row groups | one when 8 MiB of values are there, and one at the end of a file |
//! | compression | Snappy; what others have compressed with zstd, gzip or LZ4 is read, too |
//! | memory | 8 MiB a file that is being written; 64 MiB, in blocks of 1 MiB, a file that is being read |

mod blocks;
mod cell;
mod columns;
mod row;
mod trace;

use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;

use parquet::errors::ParquetError;
use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thalweg_dataflow::error::BoxError;

pub use self::blocks::ParquetFile;
use self::cell::Cell;
pub use self::columns::ParquetWriter;
use super::columns::Field;
use super::{FileFormat, FileToRead, StreamFormat, StreamReader, invalid};

/// Writes records into Parquet's files, a column for each field. The names of files end with `.parquet`.
///
/// What the columns are is known from the type of the records: by what its `Deserialize` asks for, so that all files have the same columns, whatever is in them. A number that does
/// not fit 64 signed bits fails the job.
///
/// ```
/// use thalweg_connectors::files::FileSink;
/// use thalweg_connectors::files::format::ParquetFormat;
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Count {
///     word: String,
///     count: i64,
/// }
///
/// let sink: FileSink<Count, _, _> = FileSink::for_bulk_format("counts", ParquetFormat::of::<Count>()?);
/// # let _ = sink;
/// # Ok::<(), thalweg_dataflow::error::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ParquetFormat {
    fields: Vec<Field>,
}

impl ParquetFormat {
    /// Of records of this type.
    ///
    /// # Errors
    /// When it has no fields that are known beforehand: a map, an enum, a structure with `#[serde(flatten)]`.
    pub fn of<T: DeserializeOwned>() -> Result<Self, BoxError> {
        Ok(Self { fields: trace::fields_of::<T>()? })
    }

    /// The columns.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

impl<T: Serialize> FileFormat<T> for ParquetFormat {
    type File = ParquetWriter<Vec<u8>>;

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<Self::File, BoxError> {
        let mut file = ParquetWriter::new(&self.fields, Vec::new())?;
        out.append(file.written()?);
        Ok(file)
    }

    fn write(&mut self, file: &mut Self::File, record: &T, out: &mut Vec<u8>) -> Result<(), BoxError> {
        if file.write(record)? {
            out.append(file.written()?);
        }
        Ok(())
    }

    fn end(&mut self, file: Self::File, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.append(&mut file.finish()?);
        Ok(())
    }

    fn suffix(&self) -> String {
        ".parquet".to_owned()
    }
}

/// Reads the rows of Parquet's files, as what serde makes of them: fields go by the names of columns, those that a record does not have are passed over. Text is taken for JSON where a
/// record has a structure; times are numbers, in the units of the file.
///
/// A file has to be there to its end, which says where everything is. It is not compressed as a whole.
///
/// ```
/// use thalweg_connectors::files::FileSource;
/// use thalweg_connectors::files::format::ParquetReaderFormat;
///
/// #[derive(serde::Deserialize)]
/// struct Count {
///     word: String,
///     count: i64,
/// }
///
/// let source = FileSource::for_record_stream_format(ParquetReaderFormat::<Count>::new(), "counts/");
/// # let _ = source;
/// ```
pub struct ParquetReaderFormat<T>(PhantomData<fn() -> T>);

impl<T> ParquetReaderFormat<T> {
    /// Reads records of `T`.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for ParquetReaderFormat<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for ParquetReaderFormat<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for ParquetReaderFormat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParquetReaderFormat")
    }
}

impl<T: DeserializeOwned + Send + 'static> StreamFormat for ParquetReaderFormat<T> {
    type Item = T;
    type Reader = ParquetReader<T>;

    fn name(&self) -> String {
        "parquet".to_owned()
    }

    fn open(&self, _: Box<dyn Read + Send>) -> io::Result<ParquetReader<T>> {
        let text = "Parquet's files are read from their ends; one that is compressed as a whole has to be decompressed first";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    fn open_file(&self, file: FileToRead) -> io::Result<ParquetReader<T>> {
        if file.is_compressed() {
            return self.open(Box::new(io::empty()));
        }
        let reader = SerializedFileReader::new(ParquetFile::new(file)).map_err(failed)?;
        Ok(ParquetReader { rows: RowIter::from_file_into(Box::new(reader)), records: PhantomData })
    }
}

/// Reads one file.
pub struct ParquetReader<T> {
    rows: RowIter<'static>,
    records: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> StreamReader for ParquetReader<T> {
    type Item = T;

    fn read(&mut self) -> io::Result<Option<(T, usize)>> {
        let Some(row) = self.rows.next().transpose().map_err(failed)? else { return Ok(None) };
        // About a word for each value.
        let length = 8 * row.len();
        let record = T::deserialize(Cell::row(&row)).map_err(|error| invalid(error.to_string()))?;
        Ok(Some((record, length)))
    }

    fn skip(&mut self) -> io::Result<bool> {
        Ok(self.rows.next().transpose().map_err(failed)?.is_some())
    }
}

/// What could not be read, or is no Parquet.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => invalid(error),
        },
        other => invalid(other),
    }
}
