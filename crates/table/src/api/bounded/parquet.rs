//! Tables that are there, to and from Parquet's files: columns as they are, of the types of Arrow.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, TimeUnit};

use super::rows::{Columns, Rows, batch, declared, schema_of};
use crate::error::SqlError;
use crate::formats::parquet::{self, Writer};
use crate::types::{LogicalType, TypeKind};

impl Rows {
    /// Whether the table can be written to Parquet's files.
    ///
    /// # Errors
    /// If it has a column of a type that Parquet does not have; which.
    pub fn fits_parquet(&self) -> Result<(), SqlError> {
        match self.columns.iter().find(|(_, of)| has_interval(of)) {
            None => Ok(()),
            Some((name, of)) => {
                Err(SqlError::new(format!("column `{name}` is of type {of}, and Parquet has no intervals"))
                    .help(format!("write it as text: CAST({name} AS STRING)")))
            }
        }
    }

    /// Writes the rows of a partition as a file, compressed with Snappy.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_parquet(&self, partition: usize, out: impl Write + Send) -> io::Result<()> {
        let mut file = Writer::new(out, &schema_of(&self.columns)).map_err(io::Error::other)?;
        for rows in self.partitions.get(partition).into_iter().flatten() {
            file.write(rows).map_err(io::Error::other)?;
        }
        file.file.close().map(drop).map_err(io::Error::other)
    }

    /// The rows of files, each a partition. The columns are those of the first file, or as declared; they go by their names, and are NULL where a file does not have
    /// them. `None` if there are no files, and no columns are declared.
    ///
    /// # Errors
    /// If a file cannot be read, is no Parquet, or has values that do not fit; which, and what.
    pub fn of_parquet(files: &[PathBuf], schema: Option<&str>) -> Result<Option<Self>, SqlError> {
        let mut columns = schema.map(declared).transpose()?;
        let mut partitions = Vec::with_capacity(files.len());
        for path in files {
            let failed = |error: io::Error| {
                let what = SqlError::new(format!("cannot read {}: {error}", path.display()));
                match error.kind() {
                    io::ErrorKind::InvalidData => what.help("it is no Parquet file, or not there to its end"),
                    _ => what,
                }
            };
            let file = parquet::open(File::open(path).map_err(failed)?).map_err(failed)?;
            let columns = match &mut columns {
                Some(columns) => columns,
                none => none.insert(columns_of(path, file.schema().fields())?),
            };
            let rows = parquet::rows(file, |name| columns.iter().any(|(column, _)| column == name));
            let mut batches = Vec::new();
            for rows in rows.map_err(failed)? {
                let rows = rows.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
                batches.push(as_columns(&rows, columns, path)?);
            }
            partitions.push(batches);
        }
        Ok(columns.map(|columns| Self { columns, partitions: partitions.into() }))
    }
}

fn has_interval(of: &LogicalType) -> bool {
    match &of.kind {
        TypeKind::IntervalYearMonth | TypeKind::IntervalDaySecond => true,
        TypeKind::Array(item) | TypeKind::Multiset(item) => has_interval(item),
        TypeKind::Map(key, value) => has_interval(key) || has_interval(value),
        TypeKind::Row(fields) => fields.iter().any(|(_, of)| has_interval(of)),
        _ => false,
    }
}

fn as_columns(rows: &RecordBatch, columns: &Columns, path: &Path) -> Result<RecordBatch, SqlError> {
    let arrays = columns.iter().map(|(name, of)| {
        parquet::column(rows, name, &of.to_arrow()).map_err(|error| {
            SqlError::new(format!("{}: column `{name}` as {of}: {error}", path.display()))
                .help("say a type that all of its values fit: schema(\"…\")")
        })
    });
    batch(&schema_of(columns), arrays.collect::<Result<_, _>>()?, rows.num_rows())
}

/// The columns of a file, each of the type that comes nearest and has all of its values.
fn columns_of(path: &Path, fields: &[FieldRef]) -> Result<Columns, SqlError> {
    let column =
        |field: &FieldRef| match LogicalType::from_arrow(&parquet::mapped(field.data_type(), &nearest), true)
        {
            Ok(of) => Ok((field.name().clone(), of)),
            Err(_) => Err(SqlError::new(format!(
                "{}: there is no type for the column `{}`, which is of type {}",
                path.display(),
                field.name(),
                field.data_type()
            ))
            .help("say which columns are to be read: schema(\"word STRING, n BIGINT\")")),
        };
    fields.iter().map(column).collect()
}

/// A type without parts that columns have, for one that they do not.
fn nearest(of: &DataType) -> DataType {
    match of {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, of) => nearest(of),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time64(_) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal256(precision @ ..=38, scale) => DataType::Decimal128(*precision, *scale),
        other => other.clone(),
    }
}
