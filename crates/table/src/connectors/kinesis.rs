//! `kinesis`: tables in Kinesis streams (feature `kinesis`).
//!
//! | option | |
//! |---|---|
//! | `stream.arn` | `arn:aws:kinesis:eu-central-1:123456789012:stream/words` |
//! | `stream` | its name instead, if it is the account's own |
//! | `aws.region` | unless the ARN or the environment says it |
//! | `aws.endpoint` | another service than Amazon's: `http://localhost:4567` |
//! | `aws.credentials.provider` | `AUTO` (unless it is set: the environment, then the profile), `ENV_VAR`, `PROFILE`, `BASIC` |
//! | `aws.credentials.basic.accesskeyid`, `.secretkey` | for `BASIC` |
//! | `aws.credentials.profile.name`, `.path` | for `PROFILE` |
//! | `format` | see [`formats`](crate::formats) |
//! | `source.init.position` | where a job begins that has no checkpoint: `LATEST` (unless it is set), `TRIM_HORIZON`, `AT_TIMESTAMP` |
//! | `source.init.timestamp` | for the last one: `2020-01-01T08:00:00.000+01:00`, or seconds since 1970, with a fraction |
//! | `source.shard.discovery.interval` | how often new shards are looked for: `10 s` |
//! | `source.reader.empty-records-fetch-interval` | the least time between two reads of a shard, whether the first one had records or not: `250 ms` |
//! | `source.reader.type` | `POLLING` (unless it is set), or `EFO`: by enhanced fan-out |
//! | `source.efo.consumer.name` | for `EFO`: the consumer that it reads as; each job wants one of its own |
//! | `source.efo.lifecycle` | for `EFO`: `JOB_MANAGED` (unless it is set): the job registers the consumer if it is not there, and leaves it there at its end; `SELF_MANAGED`: it has to be there |
//! | `sink.partitioner` | `random` (unless it is set), or `fixed`: all that a subtask writes goes into one shard |
//! | `sink.partitioner-field-delimiter` | between the columns of `PARTITIONED BY`, which are the partition key then: <code>&#124;</code> |
//! | `sink.fail-on-error` | `true`: records that are refused fail the job at once; else they are sent again, ten times |
//!
//! Metadata, read alone: `timestamp` (also `approximate-arrival-timestamp`): when Kinesis got the record; `shard-id`; `sequence-number`.
//!
//! Rows are read exactly once, and written at least once: see [`kinesis`](thalweg_connectors::kinesis). Of records that a producer's library has put together, each is a row. The table has no end.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use thalweg_connectors::contract::{Retry, Secret};
use thalweg_connectors::kinesis::{
    ConsumerLifecycle, KinesisClient, KinesisRecord, KinesisSink, KinesisSource, StartAt,
};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Record};
use thalweg_dataflow::source::MappedSource;
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::{Changelog, Connector, Shape, TableScan, TableSink, missing, required};
use crate::catalog::{ColumnSource, Table};
use crate::chunk::Chunk;
use crate::display::display;
use crate::error::SqlError;
use crate::formats::{Format, format};
use crate::needs::{Need, nothing};
use crate::operators::from_millis;
use crate::options;
use crate::settings::Settings;

/// The connector.
pub(super) struct Kinesis;

const OPTIONS: [&str; 21] = [
    "stream.arn",
    "stream",
    "aws.region",
    "aws.endpoint",
    "aws.credentials.provider",
    "aws.credentials.basic.accesskeyid",
    "aws.credentials.basic.secretkey",
    "aws.credentials.profile.name",
    "aws.credentials.profile.path",
    "format",
    "source.init.position",
    "source.init.timestamp",
    "source.shard.discovery.interval",
    "source.reader.empty-records-fetch-interval",
    "source.reader.type",
    "source.efo.consumer.name",
    "source.efo.lifecycle",
    "sink.partitioner",
    "sink.partitioner-field-delimiter",
    "sink.fail-on-error",
    "scan.watermark.idle-timeout",
];

const METADATA: [&str; 4] = ["timestamp", "approximate-arrival-timestamp", "shard-id", "sequence-number"];

fn wrong(option: &str, value: &str, allowed: &str) -> SqlError {
    SqlError::new(format!("`{option}` is {allowed}, not `{value}`"))
}

/// The stream of a table, by its ARN or its name.
fn stream(table: &Table) -> Result<&str, SqlError> {
    match (table.option("stream.arn"), table.option("stream")) {
        (Some(arn), None) if arn.starts_with("arn:") && arn.contains(":stream/") => Ok(arn),
        (Some(other), None) => {
            Err(wrong("stream.arn", other, "like `arn:aws:kinesis:eu-central-1:123456789012:stream/words`"))
        }
        (None, Some(name)) => Ok(name),
        (None, None) => Err(missing(table, "stream.arn")),
        (Some(_), Some(_)) => Err(SqlError::new("a table has `stream.arn` or `stream`, not both")),
    }
}

fn client(table: &Table) -> Result<KinesisClient, SqlError> {
    let mut builder = KinesisClient::builder();
    // The fourth part of an ARN is the region.
    let of_arn = table.option("stream.arn").and_then(|arn| arn.split(':').nth(3));
    if let Some(region) = table.option("aws.region").or(of_arn.filter(|region| !region.is_empty())) {
        builder = builder.region(region);
    }
    if let Some(endpoint) = table.option("aws.endpoint") {
        builder = builder.endpoint(endpoint);
    }
    match table.option("aws.credentials.provider").unwrap_or("AUTO") {
        "AUTO" | "ENV_VAR" => {}
        "BASIC" => {
            let key = required(table, "aws.credentials.basic.accesskeyid")?;
            let secret = Secret::new(required(table, "aws.credentials.basic.secretkey")?);
            builder = builder.credentials(key, secret);
        }
        "PROFILE" => {
            let option = |of: &str| table.option(&format!("aws.credentials.profile.{of}"));
            builder = builder.profile(Some(option("name").unwrap_or("default")), option("path"));
        }
        other => {
            let error = wrong("aws.credentials.provider", other, "AUTO, ENV_VAR, PROFILE or BASIC");
            return Err(error.help("roles and web identities are not asked for here"));
        }
    }
    builder.build().map_err(|error| SqlError::new(error.to_string()))
}

/// Of the source.
fn start_at(table: &Table) -> Result<StartAt, SqlError> {
    match table.option("source.init.position").unwrap_or("LATEST") {
        "LATEST" => Ok(StartAt::Latest),
        "TRIM_HORIZON" => Ok(StartAt::TrimHorizon),
        "AT_TIMESTAMP" => {
            let text = required(table, "source.init.timestamp")?;
            let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0);
            let millis = seconds.map(|seconds| (seconds * 1000.0) as i64);
            let written = || chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
            let allowed = "a time such as `2020-01-01T08:00:00.000+01:00`, or seconds since 1970";
            millis
                .or_else(written)
                .map(StartAt::Timestamp)
                .ok_or_else(|| wrong("source.init.timestamp", text, allowed))
        }
        other => Err(wrong("source.init.position", other, "LATEST, TRIM_HORIZON or AT_TIMESTAMP")),
    }
}

fn interval(table: &Table, option: &str) -> Result<Option<Duration>, SqlError> {
    let Some(text) = table.option(option) else { return Ok(None) };
    let interval = options::duration(text).filter(|interval| !interval.is_zero());
    interval.map(Some).ok_or_else(|| wrong(option, text, "a length of time"))
}

/// As which consumer to read by enhanced fan-out, if so.
fn fan_out(table: &Table) -> Result<Option<(&str, ConsumerLifecycle)>, SqlError> {
    const CONSUMER: &str = "source.efo.consumer.name";
    const LIFECYCLE: &str = "source.efo.lifecycle";
    match table.option("source.reader.type").unwrap_or("POLLING") {
        "EFO" => {}
        // What is for the other is without effect, so that a table is changed by one option.
        "POLLING" => return Ok(None),
        other => return Err(wrong("source.reader.type", other, "POLLING or EFO")),
    }
    let consumer = table.option(CONSUMER).filter(|name| !name.is_empty()).ok_or_else(|| {
        SqlError::new(format!("`source.reader.type` = 'EFO' wants the option `{CONSUMER}`"))
            .help("it is the name of a consumer of the stream; each job wants one of its own")
    })?;
    let lifecycle = match table.option(LIFECYCLE).unwrap_or("JOB_MANAGED") {
        "JOB_MANAGED" => ConsumerLifecycle::JobManaged,
        "SELF_MANAGED" => ConsumerLifecycle::SelfManaged,
        other => return Err(wrong(LIFECYCLE, other, "JOB_MANAGED or SELF_MANAGED")),
    };
    Ok(Some((consumer, lifecycle)))
}

/// Which columns are in the data of records, and which are said of them.
#[derive(Clone)]
struct Layout {
    /// Places among the columns that are read or written.
    data: Vec<usize>,
    metadata: Vec<(usize, String)>,
    format: Arc<dyn Format>,
}

impl Layout {
    fn of(table: &Table, columns: &[usize]) -> Result<Self, SqlError> {
        super::only(table, &OPTIONS, &["json.", "csv.", "raw."])?;
        let (mut data, mut metadata, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        for (place, column) in columns.iter().enumerate() {
            let column = &table.columns[*column];
            match &column.source {
                ColumnSource::Metadata { key, .. } => metadata.push((place, key.clone())),
                _ => {
                    data.push(place);
                    fields.push((column.name.clone(), column.data_type.clone()));
                }
            }
        }
        let format = format(table, required(table, "format")?, "", fields)?;
        Ok(Self { data, metadata, format })
    }

    /// The layout that leaves out, of what is in the data, what nobody needs.
    fn reading(&self, needs: &[Need]) -> Self {
        let needed = |place: &usize| needs.get(*place).is_none_or(|need| !need.is_no());
        let which: Vec<bool> = self.data.iter().map(needed).collect();
        let mut layout = self.clone();
        if let Some(format) = which.contains(&false).then(|| self.format.only(&which)).flatten() {
            layout.format = format;
            layout.data.retain(needed);
        }
        layout
    }

    /// The rows of records.
    fn decode(&self, records: &[Record<KinesisRecord>], schema: &SchemaRef) -> Result<Chunk, BoxError> {
        let data: Vec<&[u8]> = records.iter().map(|record| &*record.value.data).collect();
        let (decoded, valid) = self.format.decode(&data).map_err(|error| {
            let (first, last) = (records.first(), records.last());
            let number = |record: Option<&Record<KinesisRecord>>| {
                record.map(|record| record.value.sequence_number.clone()).unwrap_or_default()
            };
            let shard = first.map(|record| record.value.shard_id.to_string()).unwrap_or_default();
            SqlError::new(format!(
                "{shard}, of the records {} to {}: {}",
                number(first),
                number(last),
                error.message
            ))
        })?;
        let mut columns: Vec<Option<ArrayRef>> = vec![None; schema.fields().len()];
        for (place, column) in self.data.iter().zip(decoded) {
            columns[*place] = Some(column);
        }
        let values = || records.iter().map(|record| &record.value);
        for (place, key) in &self.metadata {
            let of = schema.field(*place).data_type();
            let text = |column: StringArray| cast(&(Arc::new(column) as ArrayRef), of);
            columns[*place] = Some(match key.as_str() {
                "shard-id" => text(StringArray::from_iter_values(values().map(|record| &record.shard_id)))?,
                "sequence-number" => {
                    text(StringArray::from_iter_values(values().map(|record| &record.sequence_number)))?
                }
                _ => {
                    let times = values().map(|record| record.arrival).collect::<Vec<_>>();
                    cast(&from_millis(Int64Array::from(times), of)?, of)?
                }
            });
        }
        let columns = columns.into_iter().zip(schema.fields());
        let columns =
            columns.map(|(column, of)| column.unwrap_or_else(|| nothing(of.data_type(), records.len())));
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        let rows = RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options)?;
        let chunk = Chunk::additions(rows);
        match valid {
            Some(valid) => Ok(chunk.filter(&valid.into())?),
            None => Ok(chunk),
        }
    }
}

impl Connector for Kinesis {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let layout = Layout::of(table, &table.read_columns())?;
        if let Some((_, key)) = layout.metadata.iter().find(|(_, key)| !METADATA.contains(&key.as_str())) {
            return Err(wrong("METADATA", key, &format!("one of {}", METADATA.join(", "))));
        }
        let mut source = KinesisSource::new(stream(table)?).start_at(start_at(table)?);
        if let Some((consumer, lifecycle)) = fan_out(table)? {
            source = source.fan_out(consumer, lifecycle);
        }
        if let Some(every) = interval(table, "source.shard.discovery.interval")? {
            source = source.discover_every(every);
        }
        if let Some(every) = interval(table, "source.reader.empty-records-fetch-interval")? {
            source = source.poll_every(every);
        }
        Ok(Box::new(Scan { source: source.client(client(table)?), layout }))
    }

    fn sink(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableSink>, SqlError> {
        let columns = table.written_columns();
        let layout = Layout::of(table, &columns)?;
        if let Some((_, key)) = layout.metadata.first() {
            return Err(SqlError::new(format!("the metadata `{key}` is not written"))
                .help("a column that is METADATA … VIRTUAL is read alone"));
        }
        let partitioner = table.option("sink.partitioner");
        let partitioned_by = table.partitioned_by.iter().map(|name| {
            let place = columns.iter().position(|column| table.columns[*column].name == *name);
            place.ok_or_else(|| {
                SqlError::new(format!("PARTITIONED BY has `{name}`, which is no column that is written"))
            })
        });
        let partitioned_by: Vec<usize> = partitioned_by.collect::<Result<_, _>>()?;
        let partitioner = match (partitioner, partitioned_by.is_empty()) {
            (Some(_), false) => {
                return Err(SqlError::new(
                    "`sink.partitioner` is for a table that is not PARTITIONED BY columns: these are its key",
                ));
            }
            (None, false) => {
                let delimiter = table.option("sink.partitioner-field-delimiter").unwrap_or("|").to_owned();
                Partitioner::Columns(partitioned_by, delimiter)
            }
            (None | Some("random"), true) => Partitioner::Random(0),
            (Some("fixed"), true) => Partitioner::Fixed(String::new()),
            (Some(other), true) => return Err(wrong("sink.partitioner", other, "fixed or random")),
        };
        let attempts = match table.option("sink.fail-on-error").unwrap_or("false") {
            "true" => 1,
            "false" => 10,
            other => return Err(wrong("sink.fail-on-error", other, "true or false")),
        };
        let encode = Encode { format: layout.format, columns: layout.data, partitioner };
        let (client, retry) = (client(table)?, Retry::new().attempts(attempts));
        Ok(Box::new(StreamSink { stream: stream(table)?.to_owned(), client, retry, encode }))
    }
}

struct Scan {
    source: KinesisSource,
    layout: Layout,
}

impl TableScan for Scan {
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        let (layout, schema) = (self.layout.reading(&shape.needs), shape.read.clone());
        let rows = MappedSource::new(self.source.clone(), move |records: Vec<Record<KinesisRecord>>| {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let chunk = layout.decode(&records, &schema)?;
            let record = (!chunk.is_empty()).then_some(Record { value: chunk, timestamp: NO_TIMESTAMP });
            Ok(record.into_iter().collect())
        });
        Ok(shape.source(graph, name, rows))
    }
}

struct StreamSink {
    stream: String,
    client: KinesisClient,
    retry: Retry,
    encode: Encode,
}

/// A partition key, and the data.
type Written = (String, Vec<u8>);

impl TableSink for StreamSink {
    fn changelog(&self) -> Changelog {
        Changelog::Append
    }

    fn write(&self, rows: Stream<Chunk>, name: &str) -> Result<(), SqlError> {
        let sink = KinesisSink::new(&self.stream, |(key, data): &Written| (key.clone(), data.clone()));
        let sink = sink.client(self.client.clone()).retry(self.retry.clone());
        rows.apply("encode", self.encode.clone()).apply(name, sink);
        Ok(())
    }
}

/// What the shard of a record is chosen by.
#[derive(Clone, Debug)]
enum Partitioner {
    /// The values of columns, with that between them.
    Columns(Vec<usize>, String),
    /// A number that was made of this one.
    Random(u64),
    /// The number of the subtask.
    Fixed(String),
}

/// Makes records of rows.
///
/// - **Rows** become a record each.
/// - **Watermarks, barriers, the end**: pass.
/// - **State**: none.
#[derive(Clone)]
struct Encode {
    format: Arc<dyn Format>,
    columns: Vec<usize>,
    partitioner: Partitioner,
}

impl Encode {
    fn key(&mut self, chunk: &Chunk, row: usize) -> String {
        match &mut self.partitioner {
            Partitioner::Columns(columns, delimiter) => {
                let values = columns.iter().map(|place| display(chunk.rows().column(*place), row));
                values.collect::<Vec<_>>().join(delimiter)
            }
            Partitioner::Fixed(subtask) => subtask.clone(),
            Partitioner::Random(number) => {
                *number = number.wrapping_add(1);
                // The service hashes it: any that differ are spread over the shards.
                format!("{number:016x}")
            }
        }
    }
}

impl Operator for Encode {
    type In = Chunk;
    type Out = Written;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        match &mut self.partitioner {
            Partitioner::Fixed(subtask) => *subtask = context.operator.subtask.to_string(),
            Partitioner::Random(number) => *number = uuid::Uuid::new_v4().as_u64_pair().0,
            Partitioner::Columns(..) => {}
        }
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Written>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            let chunk = record.value;
            for row in 0..chunk.len() {
                let mut data = Vec::new();
                self.format.encode(&chunk, &self.columns, row, &mut data)?;
                output.push((self.key(&chunk, row), data), record.timestamp);
            }
        }
        Ok(())
    }
}
