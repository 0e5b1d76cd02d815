//! Rows on their way into a file: columns of values, until there are enough for a row group.

use std::io::Write;
use std::mem::take;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde::Serialize;
use thalweg_dataflow::error::BoxError;

use super::super::columns::{ColumnType, Field};
use super::row::{Cell, Row};

/// So many bytes of values are a row group.
const GROUP: usize = 8 << 20;

/// Writes one file, compressed with Snappy: each column optional.
///
/// ```
/// use thalweg_connectors::files::format::{ColumnType, Field, ParquetWriter};
///
/// let field = |name: &str, column_type| Field { name: name.to_owned(), column_type };
/// let fields = [field("word", ColumnType::String), field("n", ColumnType::Long)];
/// let mut file = ParquetWriter::new(&fields, Vec::new())?;
/// file.write(&("deep", Some(1)))?;
/// assert!(file.finish()?.starts_with(b"PAR1"));
/// # Ok::<(), thalweg_dataflow::error::BoxError>(())
/// ```
pub struct ParquetWriter<W: Write> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Column>,
    /// Of the row group.
    rows: usize,
}

/// The values of a column, as far as they are there.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) values: Values,
    /// Of each row: one, if it has a value.
    present: Vec<i16>,
    bytes: usize,
}

pub(super) enum Values {
    Boolean(Vec<bool>),
    Long(Vec<i64>),
    Double(Vec<f64>),
    String(Vec<ByteArray>),
}

impl Column {
    fn new(field: &Field) -> Self {
        let values = match field.column_type {
            ColumnType::Boolean => Values::Boolean(Vec::new()),
            ColumnType::Long => Values::Long(Vec::new()),
            ColumnType::Double => Values::Double(Vec::new()),
            ColumnType::String => Values::String(Vec::new()),
        };
        Self { name: field.name.clone(), values, present: Vec::new(), bytes: 0 }
    }

    /// Of how many rows it knows.
    pub(super) fn rows(&self) -> usize {
        self.present.len()
    }

    pub(super) fn absent(&mut self) {
        self.present.push(0);
        self.bytes += 2;
    }

    /// What has just been pushed had so many bytes.
    pub(super) fn pushed(&mut self, bytes: usize) {
        self.present.push(1);
        self.bytes += bytes + 2;
    }

    /// Takes back what was said of a row that could not be written.
    fn truncate(&mut self, rows: usize) {
        if self.present.len() > rows && self.present.pop() == Some(1) {
            match &mut self.values {
                Values::Boolean(values) => drop(values.pop()),
                Values::Long(values) => drop(values.pop()),
                Values::Double(values) => drop(values.pop()),
                Values::String(values) => drop(values.pop()),
            }
        }
    }

    fn flush(&mut self, to: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let present = take(&mut self.present);
        self.bytes = 0;
        match &mut self.values {
            Values::Boolean(values) => flush::<BoolType>(to, values, &present),
            Values::Long(values) => flush::<Int64Type>(to, values, &present),
            Values::Double(values) => flush::<DoubleType>(to, values, &present),
            Values::String(values) => flush::<ByteArrayType>(to, values, &present),
        }
    }
}

fn flush<D: DataType>(
    to: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<D::T>,
    present: &[i16],
) -> Result<(), ParquetError> {
    to.typed::<D>().write_batch(values, Some(present), None)?;
    values.clear();
    Ok(())
}

impl<W: Write + Send> ParquetWriter<W> {
    /// A file of these columns.
    ///
    /// # Errors
    /// When two columns have one name, or its beginning cannot be written.
    pub fn new(fields: &[Field], to: W) -> Result<Self, BoxError> {
        let types = fields.iter().map(|field| column(field).map(Arc::new)).collect::<Result<_, _>>()?;
        let schema = Arc::new(Type::group_type_builder("schema").with_fields(types).build()?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(to, schema, Arc::new(properties))?;
        Ok(Self { writer, columns: fields.iter().map(Column::new).collect(), rows: 0 })
    }

    /// Writes a row; whether a row group has ended with it.
    ///
    /// # Errors
    /// When it does not fit the columns, or the row group cannot be written.
    pub fn write<T: Serialize + ?Sized>(&mut self, record: &T) -> Result<bool, BoxError> {
        let row = Row::new(&mut self.columns, self.rows);
        if let Err(error) = record.serialize(row) {
            self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
            return Err(format!("a record does not fit the columns of Parquet: {error}").into());
        }
        self.end_of_row()
    }

    /// Writes a row by its values, one for each column.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_cells<T: Serialize>(&mut self, cells: &[T]) -> Result<bool, BoxError> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            if let Err(error) = Cell::put(column, cell) {
                self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
                return Err(format!("a row does not fit the columns of Parquet: {error}").into());
            }
        }
        self.end_of_row()
    }

    fn end_of_row(&mut self) -> Result<bool, BoxError> {
        self.rows += 1;
        for column in self.columns.iter_mut().filter(|column| column.rows() < self.rows) {
            column.absent();
        }
        let is_full = self.columns.iter().map(|column| column.bytes).sum::<usize>() >= GROUP;
        if is_full {
            self.end_group()?;
        }
        Ok(is_full)
    }

    fn end_group(&mut self) -> Result<(), BoxError> {
        self.rows = 0;
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            column.flush(&mut writer)?;
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }

    /// What the file goes into, with all in it that is written.
    pub(super) fn written(&mut self) -> Result<&mut W, BoxError> {
        self.writer.flush()?;
        Ok(self.writer.inner_mut())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<W, BoxError> {
        if self.rows > 0 {
            self.end_group()?;
        }
        Ok(self.writer.into_inner()?)
    }
}

fn column(field: &Field) -> Result<Type, ParquetError> {
    let physical = match field.column_type {
        ColumnType::Boolean => PhysicalType::BOOLEAN,
        ColumnType::Long => PhysicalType::INT64,
        ColumnType::Double => PhysicalType::DOUBLE,
        ColumnType::String => PhysicalType::BYTE_ARRAY,
    };
    let converted =
        if field.column_type == ColumnType::String { ConvertedType::UTF8 } else { ConvertedType::NONE };
    let builder = Type::primitive_type_builder(&field.name, physical);
    builder.with_repetition(Repetition::OPTIONAL).with_converted_type(converted).build()
}
