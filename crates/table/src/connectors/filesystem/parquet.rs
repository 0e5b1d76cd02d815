//! Tables in Parquet's files: columns as they are, with no rows between them and the file.
//!
//! Columns go by their names; one that a file does not have is NULL. A value of another type is converted as far as it can be without loss, and fails the job if it cannot.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use thalweg_connectors::files::format::{FileFormat, FileToRead, ParquetFile, StreamFormat, StreamReader};
use thalweg_dataflow::error::BoxError;

use super::sink::Part;
use crate::formats::parquet::{self as format, Writer};

/// Writes files of these columns, compressed with Snappy.
#[derive(Clone)]
pub(super) struct Writes(pub(super) SchemaRef);

impl FileFormat<Part<RecordBatch>> for Writes {
    type File = Writer<Vec<u8>>;

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<Self::File, BoxError> {
        let mut writer = Writer::new(Vec::new(), &self.0)?;
        let file = &mut writer.file;
        file.sync()?;
        out.append(file.inner_mut());
        Ok(writer)
    }

    fn write(
        &mut self,
        file: &mut Self::File,
        (_, rows): &Part<RecordBatch>,
        out: &mut Vec<u8>,
    ) -> Result<(), BoxError> {
        if file.write(rows)? {
            file.file.sync()?;
            out.append(file.file.inner_mut());
        }
        Ok(())
    }

    fn end(&mut self, file: Self::File, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.append(&mut file.file.into_inner()?);
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
        let rows = format::rows(format::open(ParquetFile::new(file))?, |name| {
            self.0.iter().any(|wanted| wanted == name)
        })?;
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
    format::column(rows, name, of).map_err(|error| format!("column `{name}`: {error}").into())
}
