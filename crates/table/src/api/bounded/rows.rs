//! A table that is there, with all its rows: made of records, read as records.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::rows::{Shape, shape_of, value_of};
use crate::display::display;
use crate::error::SqlError;
use crate::formats::json_value::{column, json};
use crate::parser::{ColumnKind, StatementKind, parse_script};
use crate::types::{LogicalType, TypeKind};

/// So many rows are a chunk, at most.
const CHUNK: usize = 4096;

/// What the columns of tuples and single values are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As in Flink: `f0`, `f1`, …; a single value is `f0`.
    Flink,
    /// As in Spark: `_1`, `_2`, …; a single value is `value`.
    Spark,
}

/// Columns with their names and types.
pub type Columns = Arc<[(String, LogicalType)]>;

/// A table that is there, with all its rows. Clones share them.
#[derive(Clone, Debug)]
pub struct Rows {
    pub(super) columns: Columns,
    pub(super) partitions: Arc<[Vec<RecordBatch>]>,
}

impl Rows {
    /// The table of records of a type, partition by partition. Its columns are those of the type, so they are known of no records, too.
    ///
    /// # Errors
    /// If the columns of the type are not known, or a value does not fit its column.
    pub fn of<T>(partitions: &[Vec<T>], names: Names) -> Result<Self, SqlError>
    where
        T: Serialize + DeserializeOwned,
    {
        let shape = shape_of::<T>()?;
        let mut columns = shape.columns().ok_or_else(|| {
            SqlError::new(format!("the columns of `{}` are not known", std::any::type_name::<T>()))
                .help("give the records a type with named fields, or say the columns: a schema")
        })?;
        if columns.is_empty() {
            return Err(SqlError::new(format!(
                "`{}` has no fields, and a table without columns is none",
                std::any::type_name::<T>()
            )));
        }
        if let (Names::Spark, Shape::Tuple(_) | Shape::Value(_)) = (names, &shape) {
            let single = matches!(shape, Shape::Value(_));
            for (place, (name, _)) in columns.iter_mut().enumerate() {
                *name = if single { "value".to_owned() } else { format!("_{}", place + 1) };
            }
        }
        let split: fn(Value, &Columns) -> Vec<Value> = match &shape {
            Shape::Tuple(_) => |value, _| match value {
                Value::Array(items) => items,
                other => vec![other],
            },
            Shape::Value(_) | Shape::Any => |value, _| vec![value],
            Shape::Struct(_) => by_name,
        };
        Self::of_json(columns.into(), partitions, split)
    }

    /// The table of records as these columns, which are declared as in `CREATE TABLE`: `"word STRING, at TIMESTAMP(3), price DECIMAL(10, 2)"`. Of
    /// a struct, fields go by name, and one that is not there is NULL; of a tuple, by place.
    ///
    /// # Errors
    /// If the columns do not parse, or a value does not fit its column.
    pub fn with_schema<T: Serialize>(partitions: &[Vec<T>], schema: &str) -> Result<Self, SqlError> {
        let columns = declared(schema)?;
        Self::of_json(columns, partitions, |value, columns| match value {
            Value::Object(_) => by_name(value, columns),
            Value::Array(items) if columns.len() > 1 || items.len() == 1 => items,
            other => vec![other],
        })
    }

    fn of_json<T: Serialize>(
        columns: Columns,
        partitions: &[Vec<T>],
        split: fn(Value, &Columns) -> Vec<Value>,
    ) -> Result<Self, SqlError> {
        let schema = schema_of(&columns);
        let batches = |records: &Vec<T>| -> Result<Vec<RecordBatch>, SqlError> {
            records.chunks(CHUNK).map(|records| batch_of(&columns, &schema, records, split)).collect()
        };
        let partitions: Vec<_> = partitions.iter().map(batches).collect::<Result<_, _>>()?;
        Ok(Self { columns, partitions: partitions.into() })
    }

    /// The names and types of the columns.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.batches().map(RecordBatch::num_rows).sum()
    }

    /// The number of rows of each partition.
    pub fn partition_counts(&self) -> impl Iterator<Item = usize> {
        self.partitions.iter().map(|batches| batches.iter().map(RecordBatch::num_rows).sum())
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.partitions.iter().flatten()
    }

    /// The first `n` rows, each with the text of its values as Flink shows them; `None` is NULL.
    pub fn texts(&self, n: usize) -> Vec<Vec<Option<String>>> {
        let rows = self.batches().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        let cell = |values: &ArrayRef, row| (!values.is_null(row)).then(|| display(values, row));
        let texts = |(batch, row): (&RecordBatch, usize)| {
            batch.columns().iter().map(|values| cell(values, row)).collect()
        };
        rows.take(n).map(texts).collect()
    }

    /// All rows as JSON values, partition by partition.
    ///
    /// # Errors
    /// If a value has no form in JSON.
    pub fn values(&self) -> Result<Vec<Vec<Vec<Value>>>, SqlError> {
        let row = |batch: &RecordBatch, row: usize| {
            batch.columns().iter().map(|values| json(values, row)).collect::<Result<Vec<_>, _>>()
        };
        let of_batch =
            |batch: &RecordBatch| (0..batch.num_rows()).map(|at| row(batch, at)).collect::<Vec<_>>();
        self.partitions.iter().map(|batches| batches.iter().flat_map(of_batch).collect()).collect()
    }

    /// All rows as values of a type: a struct by the names of the columns, a tuple by their places, anything else if there is one column.
    ///
    /// # Errors
    /// If the type has other columns.
    pub fn collect<T: DeserializeOwned>(&self) -> Result<Vec<T>, SqlError> {
        Ok(self.partitions_as::<T>()?.into_iter().flatten().collect())
    }

    /// The same, partition by partition.
    ///
    /// # Errors
    /// If the type has other columns.
    pub fn partitions_as<T: DeserializeOwned>(&self) -> Result<Vec<Vec<T>>, SqlError> {
        let shape = shape_of::<T>()?;
        let names: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let wanted = match &shape {
            Shape::Tuple(types) => types.len(),
            Shape::Value(_) => 1,
            Shape::Struct(_) | Shape::Any => names.len(),
        };
        if wanted != names.len() {
            return Err(SqlError::new(format!(
                "the table has {} columns ({}), and `{}` has {wanted}",
                names.len(),
                names.join(", "),
                std::any::type_name::<T>()
            )));
        }
        let value = |values: Vec<Value>| {
            let values =
                values.into_iter().zip(&*self.columns).map(|(value, (_, of))| by_places(value, of)).collect();
            serde_json::from_value(value_of(&shape, &names, values)).map_err(|error| {
                SqlError::new(format!("a row is no `{}`: {error}", std::any::type_name::<T>()))
                    .help(format!("the columns are {}", names.join(", ")))
            })
        };
        self.values()?.into_iter().map(|rows| rows.into_iter().map(value).collect()).collect()
    }
}

/// The value with what was made of tuples as such again: rows whose fields are `f0`, `f1`, ….
fn by_places(value: Value, of: &LogicalType) -> Value {
    match (value, &of.kind) {
        (Value::Object(mut fields), TypeKind::Row(of)) => {
            let is_tuple = of.iter().enumerate().all(|(place, (name, _))| *name == format!("f{place}"));
            let cells = of
                .iter()
                .map(|(name, of)| (name.clone(), by_places(fields.remove(name).unwrap_or(Value::Null), of)));
            match is_tuple {
                true => Value::Array(cells.map(|(_, cell)| cell).collect()),
                false => Value::Object(cells.collect()),
            }
        }
        (Value::Object(entries), TypeKind::Map(_, of)) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key, by_places(value, of))).collect())
        }
        (Value::Array(items), TypeKind::Array(of)) => {
            Value::Array(items.into_iter().map(|item| by_places(item, of)).collect())
        }
        (value, _) => value,
    }
}

/// The columns of a declaration.
pub(super) fn declared(schema: &str) -> Result<Columns, SqlError> {
    let statements = parse_script(&format!("CREATE TABLE t ({schema})"))?;
    let Some(StatementKind::CreateTable(create)) = statements.first().map(|statement| &statement.kind) else {
        return Err(SqlError::new(format!("`{schema}` are no columns")));
    };
    let column = |column: &crate::parser::ColumnDef| match &column.kind {
        ColumnKind::Physical(of) => Ok((column.name.value.clone(), of.clone())),
        _ => Err(SqlError::new(format!("`{}` is computed, and not of the records", column.name.value))),
    };
    create.schema.columns.iter().map(column).collect()
}

fn by_name(value: Value, columns: &Columns) -> Vec<Value> {
    match value {
        Value::Object(mut fields) => {
            columns.iter().map(|(name, _)| fields.remove(name).unwrap_or(Value::Null)).collect()
        }
        other => vec![other],
    }
}

/// As chunks have them: any may be NULL.
pub(super) fn schema_of(columns: &Columns) -> SchemaRef {
    Arc::new(Schema::new(
        columns.iter().map(|(name, of)| Field::new(name, of.to_arrow(), true)).collect::<Vec<_>>(),
    ))
}

fn batch_of<T: Serialize>(
    columns: &Columns,
    schema: &SchemaRef,
    records: &[T],
    split: fn(Value, &Columns) -> Vec<Value>,
) -> Result<RecordBatch, SqlError> {
    let mut values: Vec<Vec<Value>> = vec![Vec::with_capacity(records.len()); columns.len()];
    for record in records {
        let value = serde_json::to_value(record).map_err(|error| SqlError::new(error.to_string()))?;
        let cells = split(value, columns);
        if cells.len() != columns.len() {
            return Err(SqlError::new(format!(
                "a record has {} values, and the table {} columns",
                cells.len(),
                columns.len()
            )));
        }
        values.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
    }
    let arrays = values.iter().zip(&**columns).map(|(values, (name, of))| {
        let of_column = column(of, &values.iter().collect::<Vec<_>>());
        of_column.map_err(|error| SqlError::new(format!("column `{name}`: {error}")))
    });
    let arrays = arrays.collect::<Result<Vec<ArrayRef>, _>>()?;
    batch(schema, arrays, records.len())
}

pub(super) fn batch(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, SqlError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(arrow)
}

pub(super) fn arrow(error: arrow::error::ArrowError) -> SqlError {
    SqlError::new(error.to_string())
}
