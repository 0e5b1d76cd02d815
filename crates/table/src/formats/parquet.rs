//! Parquet: columns as they are, with no rows between them and the file.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;

/// So many bytes of values are a row group.
const GROUP: usize = 8 << 20;

/// So many rows are read at once.
const ROWS: usize = 1024;

/// A file that is being written.
pub(crate) struct Writer<W: Write> {
    schema: SchemaRef,
    pub(crate) file: ArrowWriter<W>,
}

impl<W: Write + Send> Writer<W> {
    /// Begins a file of these columns, compressed with Snappy.
    pub(crate) fn new(out: W, schema: &SchemaRef) -> Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let field = |field: &FieldRef| mapped_field(field, &written);
        let schema: SchemaRef = Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()));
        Ok(Self { file: ArrowWriter::try_new(out, schema.clone(), Some(properties))?, schema })
    }

    /// Writes rows. Returns whether that ended a row group.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<bool> {
        let columns = rows.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| exactly(column, field.data_type()));
        let columns = columns.collect::<std::result::Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.file.write(&rows)?;
        let is_full = self.file.in_progress_size() >= GROUP;
        if is_full {
            self.file.flush()?;
        }
        Ok(is_full)
    }
}

/// What a type without parts is written as. Of times in seconds Parquet knows nothing: others would see numbers.
fn written(of: &DataType) -> DataType {
    match of {
        DataType::Timestamp(TimeUnit::Second, zone) => {
            DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
        }
        other => other.clone(),
    }
}

/// A type with another one for each that is without parts.
pub(crate) fn mapped(of: &DataType, leaf: &impl Fn(&DataType) -> DataType) -> DataType {
    let field = |field: &FieldRef| mapped_field(field, leaf);
    match of {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(field(item))
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => leaf(other),
    }
}

fn mapped_field(field: &FieldRef, leaf: &impl Fn(&DataType) -> DataType) -> FieldRef {
    Field::new(field.name(), mapped(field.data_type(), leaf), field.is_nullable()).into()
}

/// Begins to read a file.
pub(crate) fn open<R: ChunkReader + 'static>(file: R) -> io::Result<ParquetRecordBatchReaderBuilder<R>> {
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)
}

/// The rows of a file: of its columns those that are wanted.
pub(crate) fn rows<R: ChunkReader + 'static>(
    file: ParquetRecordBatchReaderBuilder<R>,
    is_wanted: impl Fn(&str) -> bool,
) -> io::Result<ParquetRecordBatchReader> {
    let fields = file.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| is_wanted(field.name())).map(|(place, _)| place);
    let mask = ProjectionMask::roots(file.parquet_schema(), wanted.collect::<Vec<_>>());
    file.with_projection(mask).with_batch_size(ROWS).build().map_err(failed)
}

/// A column of a file as one of a table: NULL if the file does not have it. A value that does not fit is an error.
pub(crate) fn column(
    rows: &RecordBatch,
    name: &str,
    of: &DataType,
) -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
    let Some(column) = rows.column_by_name(name) else {
        return Ok(arrow::array::new_null_array(of, rows.num_rows()));
    };
    exactly(column, of)
}

/// A column as of another type; a value that does not fit is an error.
fn exactly(column: &ArrayRef, of: &DataType) -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
    if column.data_type() == of {
        return Ok(column.clone());
    }
    cast_with_options(column, of, &CastOptions { safe: false, ..CastOptions::default() })
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
