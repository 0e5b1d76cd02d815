//! From streams to tables, and from tables to streams.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::{Batch, Data};
use thalweg_dataflow::time::{NO_TIMESTAMP, Timestamp};

use super::expression::{quoted, text};
use super::rows::{Shape, shape_of, value_of, values_of};
use super::schema::Schema;
use super::session::TableSession;
use super::table::Table;
use crate::catalog::{ColumnSource, Table as CatalogTable};
use crate::chunk::Chunk;
use crate::connectors::{self, Changelog, Connector, TableScan};
use crate::error::SqlError;
use crate::formats::json_value::{column, json};
use crate::operators::{from_millis, millis};
use crate::plan::Building;
use crate::row_kind::{RowKind, kinds};
use crate::settings::Settings;
use crate::types::LogicalType;

/// So many rows are a chunk, at most.
const CHUNK: usize = 1024;

type Rows<T> = Stream<(RowKind, T)>;

/// Makes chunks of records: rows of JSON values, with their kind.
#[derive(Clone)]
struct ToChunks<T> {
    names: Arc<[String]>,
    types: Arc<[LogicalType]>,
    /// The columns that are the time of the record.
    times: Arc<[usize]>,
    schema: arrow::datatypes::SchemaRef,
    records: std::marker::PhantomData<fn(T)>,
}

impl<T: Serialize> ToChunks<T> {
    fn chunk(&self, records: &[(RowKind, T, Timestamp)]) -> Result<Chunk, BoxError> {
        let mut columns: Vec<Vec<Value>> = vec![Vec::with_capacity(records.len()); self.names.len()];
        for (_, value, _) in records {
            let values = values_of(serde_json::to_value(value)?, &self.names);
            if values.len() != self.names.len() {
                return Err(format!("a record has {} values, not {}", values.len(), self.names.len()).into());
            }
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        let mut made = columns
            .into_iter()
            .zip(&*self.types)
            .map(|(values, of)| column(of, &values.iter().collect::<Vec<_>>()).map_err(BoxError::from));
        let mut all: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (place, field) in self.schema.fields().iter().enumerate() {
            if self.times.contains(&place) {
                let time = |time: Timestamp| (time != NO_TIMESTAMP).then_some(time);
                let times = records.iter().map(|(_, _, at)| time(*at)).collect::<Int64Array>();
                all.push(from_millis(times, field.data_type())?);
            } else {
                all.push(made.next().ok_or("a column without values")??);
            }
        }
        let back = |kind: &RowKind| matches!(kind, RowKind::UpdateBefore | RowKind::Delete);
        let retractions: BooleanArray = records.iter().map(|(kind, ..)| Some(back(kind))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), all, &options)?;
        Ok(Chunk::new(rows, Some(retractions)))
    }
}

impl<T: Data + Serialize> Operator for ToChunks<T> {
    type In = (RowKind, T);
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn process(
        &mut self,
        batch: &mut Batch<(RowKind, T)>,
        output: &mut Output<Chunk>,
    ) -> Result<(), BoxError> {
        let mut rows = Vec::with_capacity(batch.records.len().min(CHUNK));
        for record in batch.records.drain(..) {
            rows.push((record.value.0, record.value.1, record.timestamp));
            if rows.len() == CHUNK {
                output.push(self.chunk(&rows)?, NO_TIMESTAMP);
                rows.clear();
            }
        }
        if !rows.is_empty() {
            output.push(self.chunk(&rows)?, NO_TIMESTAMP);
        }
        Ok(())
    }
}

/// Makes values of rows.
struct FromChunks<T> {
    shape: Arc<Shape>,
    names: Arc<[String]>,
    key: Arc<[usize]>,
    /// The column of event time, if there is one.
    time: Option<usize>,
    values: std::marker::PhantomData<fn() -> T>,
}

impl<T> Clone for FromChunks<T> {
    fn clone(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            names: self.names.clone(),
            key: self.key.clone(),
            time: self.time,
            values: std::marker::PhantomData,
        }
    }
}

impl<T: Data + DeserializeOwned> Operator for FromChunks<T> {
    type In = Chunk;
    type Out = (RowKind, T);

    fn is_determined(&self) -> bool {
        true
    }

    fn process(
        &mut self,
        batch: &mut Batch<Chunk>,
        output: &mut Output<(RowKind, T)>,
    ) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            let chunk = record.value;
            let times = self.time.map(|column| millis(chunk.rows().column(column))).transpose()?;
            for (row, kind) in kinds(&chunk, &self.key)?.into_iter().enumerate() {
                let values = chunk.rows().columns().iter().map(|column| json(column, row));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                let value = serde_json::from_value(value_of(&self.shape, &self.names, values))?;
                let time = times.as_ref().filter(|times| times.is_valid(row)).map(|times| times.value(row));
                output.push((kind, value), time.unwrap_or(NO_TIMESTAMP));
            }
        }
        Ok(())
    }
}

/// The connector of a stream.
struct OfStream {
    rows: std::sync::Mutex<Stream<Chunk>>,
    changelog: Changelog,
}

struct ScanStream {
    rows: Stream<Chunk>,
    changelog: Changelog,
}

impl Connector for OfStream {
    fn source(&self, _: &Arc<CatalogTable>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let rows = self.rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Ok(Box::new(StreamScan(std::sync::Mutex::new(ScanStream { rows, changelog: self.changelog }))))
    }
}

struct StreamScan(std::sync::Mutex<ScanStream>);

impl TableScan for StreamScan {
    fn changelog(&self) -> Changelog {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).changelog
    }

    fn scan(&self, _: &StreamGraph, name: &str, shape: connectors::Shape) -> Result<Stream<Chunk>, SqlError> {
        let rows = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).rows.clone();
        Ok(rows.flat_map(name, move |chunk: Chunk, out| {
            out.collect(shape.apply(&chunk)?.0);
            Ok(())
        }))
    }
}

impl TableSession {
    /// The table of a stream of the session's job: each record is a row that is added. Without a schema the columns are those of its type;
    /// `rowtime` among the metadata of a schema is the time of the record.
    ///
    /// # Errors
    /// If the columns of its type are not known, or the schema does not fit.
    pub fn from_stream<T>(&self, stream: &Stream<T>, schema: Option<&Schema>) -> Result<Table, SqlError>
    where
        T: Data + Serialize + DeserializeOwned,
    {
        let rows = stream.map("added", |value| (RowKind::Insert, value));
        self.of_rows(&rows, schema, Changelog::Append)
    }

    /// The table of a stream of changes: rows that are added and taken back, as they were.
    ///
    /// # Errors
    /// If the columns of its type are not known, or the schema does not fit.
    pub fn from_changelog<T>(&self, stream: &Rows<T>, schema: Option<&Schema>) -> Result<Table, SqlError>
    where
        T: Data + Serialize + DeserializeOwned,
    {
        self.of_rows(stream, schema, Changelog::Retract)
    }

    fn of_rows<T>(
        &self,
        rows: &Rows<T>,
        schema: Option<&Schema>,
        changelog: Changelog,
    ) -> Result<Table, SqlError>
    where
        T: Data + Serialize + DeserializeOwned,
    {
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        let (name, connector) = (quoted(&format!("$stream{number}")), format!("$stream{number}"));
        let declared = match schema {
            Some(schema) => schema.to_string(),
            None => {
                let columns = shape_of::<T>()?.columns().ok_or_else(|| {
                    SqlError::new(format!("the columns of `{}` are not known", std::any::type_name::<T>()))
                        .help("give them by a Schema")
                })?;
                let column = |(name, of): &(String, LogicalType)| format!("{} {of}", quoted(name));
                columns.iter().map(column).collect::<Vec<_>>().join(", ")
            }
        };
        let create =
            format!("CREATE TEMPORARY TABLE {name} ({declared}) WITH ('connector' = {})", text(&connector));
        self.execute_sql(&create)?;
        let table = self.with(|tables| tables.table_of(&name))?;
        if let Some((_, watermark)) = &table.watermark {
            let of_source = matches!(watermark, datafusion_expr::Expr::ScalarFunction(call)
                if call.name().eq_ignore_ascii_case("SOURCE_WATERMARK"));
            if !of_source {
                return Err(SqlError::new("the watermark of a stream is its own: SOURCE_WATERMARK()")
                    .help("give the stream another one by assign_timestamps_and_watermarks"));
            }
        }
        let read = table.read_columns();
        let (mut names, mut types, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for (place, column) in read.iter().enumerate() {
            let column = &table.columns[*column];
            match &column.source {
                ColumnSource::Metadata { key, .. } if key == "rowtime" => times.push(place),
                ColumnSource::Metadata { key, .. } => {
                    return Err(SqlError::new(format!("a stream knows the metadata `rowtime`, not `{key}`")));
                }
                _ => {
                    names.push(column.name.clone());
                    types.push(column.data_type.clone());
                }
            }
        }
        let operator = ToChunks {
            names: names.into(),
            types: types.into(),
            times: times.into(),
            schema: table.schema_of(&read),
            records: std::marker::PhantomData,
        };
        let chunks = std::sync::Mutex::new(rows.apply("to table", operator));
        self.with(|tables| {
            tables.register_connector(&connector, Arc::new(OfStream { rows: chunks, changelog }))
        });
        self.from_path(&name)
    }

    /// The rows of a table as a stream of the session's job, which is started with that. Their event time is that of the table.
    ///
    /// # Errors
    /// If rows are taken back; or the table cannot be planned.
    pub fn to_stream<T: Data + DeserializeOwned>(&self, table: &Table) -> Result<Stream<T>, SqlError> {
        let planned = self.with(|tables| tables.planned(&table.query))?;
        if planned.traits.retracts {
            return Err(SqlError::new(
                "the table takes back rows that it has given, so it is no stream of rows",
            )
            .help("to_changelog_stream gives each row with its kind"));
        }
        self.rows_of(table).map(|rows: Rows<T>| rows.map("rows", |(_, row)| row))
    }

    /// The changes of a table as a stream of the session's job, each a row and its kind.
    ///
    /// # Errors
    /// If the table cannot be planned.
    pub fn to_changelog<T: Data + DeserializeOwned>(&self, table: &Table) -> Result<Rows<T>, SqlError> {
        self.rows_of(table)
    }

    fn rows_of<T: Data + DeserializeOwned>(&self, table: &Table) -> Result<Rows<T>, SqlError> {
        let planned = self.with(|tables| tables.planned(&table.query))?;
        let shape = shape_of::<T>()?;
        let names: Vec<String> = planned.schema.fields().iter().map(|field| field.name().clone()).collect();
        if let Some(columns) = shape.columns() {
            let by_name = matches!(shape, Shape::Struct(_));
            let missing = columns.iter().find(|(name, of)| by_name && !of.nullable && !names.contains(name));
            if let Some((name, _)) = missing {
                return Err(SqlError::new(format!(
                    "the table has no column `{name}`; it has {}",
                    names.join(", ")
                )));
            }
            if !by_name && columns.len() != names.len() {
                return Err(SqlError::new(format!(
                    "the table has {} columns ({}), and the type {}",
                    names.len(),
                    names.join(", "),
                    columns.len()
                )));
            }
        }
        let job = self.job();
        let rows = Building::new(job.graph(), job.config().parallelism).build(&planned)?;
        let time = match planned.traits.rowtime[..] {
            [column] => Some(column),
            _ => None,
        };
        let operator = FromChunks {
            shape: Arc::new(shape),
            names: names.into(),
            key: planned.traits.keys.first().cloned().unwrap_or_default().into(),
            time,
            values: std::marker::PhantomData::<fn() -> T>,
        };
        Ok(rows.apply("from table", operator))
    }
}
