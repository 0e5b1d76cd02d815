//! A table as a Parquet file, compressed with Snappy: each column optional, one row group.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde_json::Value;

use super::{ColumnType, Field};

/// Writes one file.
pub(super) fn write(fields: &[Field], rows: &[Vec<Value>], file: &mut (impl Write + Send)) -> io::Result<()> {
    try_write(fields, rows, file).map_err(io::Error::other)
}

fn try_write(
    fields: &[Field],
    rows: &[Vec<Value>],
    file: &mut (impl Write + Send),
) -> Result<(), ParquetError> {
    let columns = fields.iter().map(|field| column(field).map(Arc::new)).collect::<Result<_, _>>()?;
    let schema = Arc::new(Type::group_type_builder("schema").with_fields(columns).build()?);
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let mut writer = SerializedFileWriter::new(file, schema, properties)?;
    let mut group = writer.next_row_group()?;
    for (index, field) in fields.iter().enumerate() {
        let Some(mut column) = group.next_column()? else { break };
        let cells = rows.iter().map(|row| &row[index]);
        match field.column_type {
            ColumnType::Boolean => cells_of::<BoolType>(&mut column, cells, Value::as_bool)?,
            ColumnType::Long => cells_of::<Int64Type>(&mut column, cells, Value::as_i64)?,
            ColumnType::Double => cells_of::<DoubleType>(&mut column, cells, Value::as_f64)?,
            ColumnType::String => {
                cells_of::<ByteArrayType>(&mut column, cells, |cell| cell.as_str().map(ByteArray::from))?;
            }
        }
        column.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
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

/// Writes the cells of one column: those that are there, and for all of them whether they are.
fn cells_of<'a, D: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    cells: impl Iterator<Item = &'a Value>,
    value: impl Fn(&Value) -> Option<D::T>,
) -> Result<(), ParquetError> {
    let cells: Vec<Option<D::T>> = cells.map(value).collect();
    let present: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let values: Vec<D::T> = cells.into_iter().flatten().collect();
    column.typed::<D>().write_batch(&values, Some(&present), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use crate::rdd::Rdd;

    #[test]
    fn another_reader_finds_the_rows() {
        let folder = tempfile::tempdir().unwrap();
        let rows = vec![("deep", Some(2), 0.5, true), ("fast", None, 1.0, false)];
        let df = Rdd::parallelize(rows, 1).to_df_named(&["word", "n", "share", "seen"]);
        df.write().parquet(folder.path().join("out")).unwrap();
        let path = std::fs::read_dir(folder.path().join("out")).unwrap().next().unwrap().unwrap().path();
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!((rows[0].get_string(0).unwrap().as_str(), rows[0].get_long(1).unwrap()), ("deep", 2));
        assert_eq!((rows[1].get_double(2).unwrap(), rows[1].get_bool(3).unwrap()), (1.0, false));
        assert!(rows[1].get_long(1).is_err(), "absent");
        let names: Vec<&str> =
            reader.metadata().file_metadata().schema().get_fields().iter().map(|f| f.name()).collect();
        assert_eq!(names, ["word", "n", "share", "seen"]);
    }
}
