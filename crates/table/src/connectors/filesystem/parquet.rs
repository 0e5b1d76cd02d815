//! Tables in Parquet's files: columns as they are, with no rows between them and the file.
//!
//! Columns go by their names; one that a file does not have is NULL. A value of another type is converted as far as it can be without loss, and fails the job if it cannot.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use thalweg_connectors::files::format::{FileFormat, FileToRead, ParquetFile, StreamFormat, StreamReader};
use thalweg_dataflow::error::BoxError;

use super::sink::Part;

/// So many bytes of values are a row group.
const GROUP: usize = 8 << 20;

/// So many rows are read at once.
const ROWS: usize = 1024;

/// Writes files of these columns, compressed with Snappy.
#[derive(Clone)]
pub(super) struct Writes(pub(super) SchemaRef);

impl FileFormat<Part<RecordBatch>> for Writes {
    type File = ArrowWriter<Vec<u8>>;

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<Self::File, BoxError> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut file = ArrowWriter::try_new(Vec::new(), self.0.clone(), Some(properties))?;
        file.sync()?;
        out.append(file.inner_mut());
        Ok(file)
    }

    fn write(
        &mut self,
        file: &mut Self::File,
        (_, rows): &Part<RecordBatch>,
        out: &mut Vec<u8>,
    ) -> Result<(), BoxError> {
        file.write(rows)?;
        if file.in_progress_size() >= GROUP {
            file.flush()?;
            file.sync()?;
            out.append(file.inner_mut());
        }
        Ok(())
    }

    fn end(&mut self, file: Self::File, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.append(&mut file.into_inner()?);
        Ok(())
    }
}

/// Reads these columns of files.
#[derive(Clone)]
pub(super) struct Reads(pub(super) Vec<String>);

/// Some rows of a file.
pub(super) struct RowsOf {
    pub(super) file: Arc<Path>,
    pub(super) rows: RecordBatch,
}

pub(super) struct Reader {
    file: Arc<Path>,
    rows: ParquetRecordBatchReader,
}

impl StreamFormat for Reads {
    type Item = RowsOf;
    type Reader = Reader;

    fn name(&self) -> String {
        "parquet".to_owned()
    }

    fn open(&self, _: Box<dyn Read + Send>) -> io::Result<Reader> {
        let text = "Parquet's files are read from their ends; one that is compressed as a whole has to be decompressed first";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    fn open_file(&self, file: FileToRead) -> io::Result<Reader> {
        if file.is_compressed() {
            return self.open(Box::new(io::empty()));
        }
        let path = Arc::from(file.path());
        let builder = ParquetRecordBatchReaderBuilder::try_new(ParquetFile::new(file)).map_err(failed)?;
        let fields = builder.schema().fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| self.0.contains(field.name())).map(|(place, _)| place);
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.collect::<Vec<_>>());
        let rows = builder.with_projection(mask).with_batch_size(ROWS).build().map_err(failed)?;
        Ok(Reader { file: path, rows })
    }
}

impl StreamReader for Reader {
    type Item = RowsOf;

    fn read(&mut self) -> io::Result<Option<(RowsOf, usize)>> {
        let rows = self.rows.next().transpose();
        let rows = rows.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(rows.map(|rows| {
            let length = rows.get_array_memory_size();
            (RowsOf { file: self.file.clone(), rows }, length)
        }))
    }
}

/// A column of a file as one of the table.
pub(super) fn column(rows: &RecordBatch, name: &str, of: &DataType) -> Result<ArrayRef, BoxError> {
    let Some(column) = rows.column_by_name(name) else {
        return Ok(arrow::array::new_null_array(of, rows.num_rows()));
    };
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, of, &exact).map_err(|error| format!("column `{name}`: {error}").into())
}

/// What could not be read, or is no Parquet.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::new(io::ErrorKind::InvalidData, error),
        },
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
