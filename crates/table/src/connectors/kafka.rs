//! `kafka` and `upsert-kafka`: tables in topics.
//!
//! | option | |
//! |---|---|
//! | `topic`, `topic-pattern` | several topics with `;` between them |
//! | `properties.*` | passed on; without `properties.bootstrap.servers` the broker inside is used, where there is one |
//! | `format`, `value.format`, `key.format` | see [`formats`](crate::formats) |
//! | `key.fields`, `key.fields-prefix`, `value.fields-include` | which columns are in the key, and whether the value has them as well |
//! | `scan.startup.mode` | `earliest-offset`, `latest-offset`, `group-offsets` (unless it is set), `timestamp`, `specific-offsets` |
//! | `scan.startup.timestamp-millis`, `scan.startup.specific-offsets` | for these two |
//! | `scan.bounded.mode` | `latest-offset`, `timestamp`: where the table ends |
//! | `scan.topic-partition-discovery.interval` | how often new partitions are looked for |
//! | `sink.delivery-guarantee` | `at-least-once` (unless it is set), `exactly-once`, `none` |
//! | `sink.transactional-id-prefix` | for `exactly-once` |
//!
//! Metadata: `topic`, `partition`, `offset`, `timestamp`; the last can be written, too. Of `upsert-kafka` the key is the primary key, and a
//! record without a value is a deletion.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::SchemaRef;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::record::Record;
use thalweg_dataflow::sink::Sink as _;
use thalweg_dataflow::source::MappedSource;
use thalweg_dataflow::time::NO_TIMESTAMP;
use thalweg_kafka::record::{ConsumerRecord, ProducerRecordBuf};
use thalweg_kafka::{
    DeliveryGuarantee, KafkaError, KafkaSink, KafkaSource, OffsetResetStrategy, OffsetsInitializer,
    TopicPartition,
};

use super::{Changelog, Connector, Shape, TableScan, TableSink, missing, required};
use crate::catalog::{ColumnSource, Table};
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::formats::{Field, Format, format};
use crate::operators::millis;
use crate::options;
use crate::row_kind::{RowKind, kinds};
use crate::settings::Settings;

/// The address of the broker inside, started when it is first asked for.
pub type BrokerInside = Arc<dyn Fn() -> Result<String, SqlError> + Send + Sync>;

/// The connector.
pub struct Kafka {
    /// Updates by key.
    upsert: bool,
    inside: Option<BrokerInside>,
}

impl Kafka {
    /// `kafka`, or `upsert-kafka` if `upsert`. Tables without `properties.bootstrap.servers` are in the broker `inside`, if there is one.
    pub fn new(upsert: bool, inside: Option<BrokerInside>) -> Self {
        Self { upsert, inside }
    }

    fn bootstrap(&self, table: &Table) -> Result<String, SqlError> {
        match (table.option("properties.bootstrap.servers"), &self.inside) {
            (Some(servers), _) => Ok(servers.to_owned()),
            (None, Some(inside)) => inside(),
            (None, None) => Err(missing(table, "properties.bootstrap.servers")),
        }
    }

    fn layout(&self, table: &Table, columns: &[usize]) -> Result<Layout, SqlError> {
        super::only(
            table,
            &OPTIONS,
            &["properties.", "json.", "csv.", "key.json.", "key.csv.", "value.json.", "value.csv."],
        )?;
        Layout::of(table, columns, self.upsert)
    }
}

/// All options but those of the client and of the formats.
const OPTIONS: [&str; 17] = [
    "topic",
    "topic-pattern",
    "format",
    "value.format",
    "key.format",
    "key.fields",
    "key.fields-prefix",
    "value.fields-include",
    "scan.startup.mode",
    "scan.startup.timestamp-millis",
    "scan.startup.specific-offsets",
    "scan.bounded.mode",
    "scan.bounded.timestamp-millis",
    "scan.topic-partition-discovery.interval",
    "scan.watermark.idle-timeout",
    "sink.delivery-guarantee",
    "sink.transactional-id-prefix",
];

fn wrong(option: &str, value: &str, allowed: &str) -> SqlError {
    SqlError::new(format!("`{option}` is {allowed}, not `{value}`"))
}

fn kafka(error: KafkaError) -> SqlError {
    SqlError::new(error.to_string())
}

/// The properties that go to the client.
fn properties(table: &Table) -> impl Iterator<Item = (&str, &str)> {
    let all = table
        .options
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("properties.")?, value.as_str())));
    all.filter(|(key, _)| !matches!(*key, "bootstrap.servers" | "group.id" | "auto.offset.reset"))
}

/// Which columns are in the key, in the value, and in neither.
struct Layout {
    /// Places among the columns that are read or written.
    key: Vec<usize>,
    value: Vec<usize>,
    metadata: Vec<(usize, String)>,
    key_format: Option<Arc<dyn Format>>,
    value_format: Arc<dyn Format>,
}

impl Layout {
    fn of(table: &Table, columns: &[usize], upsert: bool) -> Result<Self, SqlError> {
        let (mut physical, mut metadata) = (Vec::new(), Vec::new());
        for (place, column) in columns.iter().enumerate() {
            match &table.columns[*column].source {
                ColumnSource::Metadata { key, .. } => metadata.push((place, key.clone())),
                _ => physical.push(place),
            }
        }
        let name = |place: usize| table.columns[columns[place]].name.as_str();
        let key: Vec<usize> = match (upsert, table.option("key.fields")) {
            (true, _) => {
                let of_key =
                    table.primary_key.iter().filter_map(|column| columns.iter().position(|of| of == column));
                of_key.collect()
            }
            (false, Some(fields)) => {
                let place = |field: &str| {
                    let found = physical.iter().copied().find(|place| name(*place) == field);
                    found.ok_or_else(|| {
                        SqlError::new(format!("`key.fields` has `{field}`, and there is no such column"))
                    })
                };
                fields
                    .split(';')
                    .map(str::trim)
                    .filter(|field| !field.is_empty())
                    .map(place)
                    .collect::<Result<_, _>>()?
            }
            (false, None) => Vec::new(),
        };
        if upsert && key.is_empty() {
            return Err(SqlError::new(format!(
                "the table `{}` wants a PRIMARY KEY … NOT ENFORCED",
                table.path.table
            )));
        }
        let except_key = match table.option("value.fields-include").unwrap_or("ALL") {
            "ALL" => false,
            "EXCEPT_KEY" => true,
            other => return Err(wrong("value.fields-include", other, "ALL or EXCEPT_KEY")),
        };
        let value: Vec<usize> =
            physical.into_iter().filter(|place| !(except_key && key.contains(place))).collect();
        let prefix = table.option("key.fields-prefix").unwrap_or_default();
        let field = |place: &usize, prefix: &str| -> Field {
            let full = name(*place);
            (
                full.strip_prefix(prefix).unwrap_or(full).to_owned(),
                table.columns[columns[*place]].data_type.clone(),
            )
        };
        let key_format = match (table.option("key.format"), key.is_empty()) {
            (Some(of_key), false) => {
                let fields = key.iter().map(|place| field(place, prefix)).collect();
                Some(format(table, of_key, "key.", fields)?)
            }
            (None, false) => return Err(missing(table, "key.format")),
            (_, true) => None,
        };
        let of_value = table
            .option("value.format")
            .or(table.option("format"))
            .ok_or_else(|| missing(table, "format"))?;
        let value_format =
            format(table, of_value, "value.", value.iter().map(|place| field(place, "")).collect())?;
        Ok(Self { key, value, metadata, key_format, value_format })
    }
}

impl Connector for Kafka {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let columns = table.read_columns();
        let layout = self.layout(table, &columns)?;
        for (_, key) in &layout.metadata {
            if !matches!(key.as_str(), "topic" | "partition" | "offset" | "timestamp") {
                return Err(wrong("METADATA", key, "topic, partition, offset or timestamp"));
            }
        }
        let (bootstrap, upsert) = (self.bootstrap(table)?, self.upsert);
        // What is wrong with the options is told now.
        source(table, &bootstrap, upsert)?;
        Ok(Box::new(Scan { table: table.clone(), bootstrap, upsert, layout: Arc::new(layout) }))
    }

    fn sink(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableSink>, SqlError> {
        let columns = table.written_columns();
        let layout = self.layout(table, &columns)?;
        let topic = required(table, "topic")?;
        let guarantee = match table.option("sink.delivery-guarantee").unwrap_or("at-least-once") {
            "at-least-once" => DeliveryGuarantee::AtLeastOnce,
            "exactly-once" => DeliveryGuarantee::ExactlyOnce,
            "none" => DeliveryGuarantee::None,
            other => {
                return Err(wrong("sink.delivery-guarantee", other, "at-least-once, exactly-once or none"));
            }
        };
        let mut sink =
            KafkaSink::builder(self.bootstrap(table)?).set_topic(topic).set_delivery_guarantee(guarantee);
        for (key, value) in properties(table) {
            sink = sink.set_property(key, value);
        }
        if let Some(prefix) = table.option("sink.transactional-id-prefix") {
            sink = sink.set_transactional_id_prefix(prefix);
        }
        let sink = sink.set_serializer(|record: &Written, out: &mut ProducerRecordBuf| {
            if let Some(key) = &record.key {
                out.key().extend_from_slice(key);
            }
            if let Some(value) = &record.value {
                out.value().extend_from_slice(value);
            }
            if let Some(timestamp) = record.timestamp {
                out.set_timestamp(timestamp);
            }
        });
        let key = table
            .primary_key
            .iter()
            .filter_map(|column| columns.iter().position(|of| of == column))
            .collect();
        let sink = sink.build().map_err(kafka)?;
        Ok(Box::new(TopicSink { sink, layout: Arc::new(layout), upsert: self.upsert, key }))
    }
}

/// A record, as it was fetched.
struct Fetched {
    key: Option<Box<[u8]>>,
    value: Option<Box<[u8]>>,
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
}

struct Scan {
    table: Arc<Table>,
    bootstrap: String,
    upsert: bool,
    layout: Arc<Layout>,
}

fn source(table: &Table, bootstrap: &str, upsert: bool) -> Result<KafkaSource<Fetched>, SqlError> {
    let mut source = KafkaSource::builder(bootstrap);
    source = match (table.option("topic"), table.option("topic-pattern")) {
        (Some(topics), None) => source.set_topics(topics.split(';').map(str::trim)),
        (None, Some(pattern)) => source.set_topic_pattern(pattern),
        _ => return Err(missing(table, "topic")),
    };
    for (key, value) in properties(table) {
        source = source.set_property(key, value);
    }
    if let Some(group) = table.option("properties.group.id") {
        source = source.set_group_id(group);
    }
    let time = |key: &str| {
        let text = required(table, key)?;
        let millis = text.parse::<i64>().map_err(|_| wrong(key, text, "a number of milliseconds"))?;
        Ok::<_, SqlError>(millis)
    };
    // Updates by key are whole from the beginning alone.
    let mode =
        table.option("scan.startup.mode").unwrap_or(if upsert { "earliest-offset" } else { "group-offsets" });
    source = source.set_starting_offsets(match mode {
        "earliest-offset" => OffsetsInitializer::earliest(),
        "latest-offset" => OffsetsInitializer::latest(),
        "group-offsets" => OffsetsInitializer::committed_offsets(reset(table)),
        "timestamp" => OffsetsInitializer::timestamp(time("scan.startup.timestamp-millis")?),
        "specific-offsets" => specific(table)?,
        other => {
            let allowed = "earliest-offset, latest-offset, group-offsets, timestamp or specific-offsets";
            return Err(wrong("scan.startup.mode", other, allowed));
        }
    });
    match table.option("scan.bounded.mode").unwrap_or("unbounded") {
        "unbounded" => {}
        "latest-offset" => source = source.set_bounded(OffsetsInitializer::latest()),
        "timestamp" => {
            source =
                source.set_bounded(OffsetsInitializer::timestamp(time("scan.bounded.timestamp-millis")?));
        }
        other => return Err(wrong("scan.bounded.mode", other, "unbounded, latest-offset or timestamp")),
    }
    if let Some(interval) = table.option("scan.topic-partition-discovery.interval") {
        let every = options::duration(interval);
        let every = every
            .ok_or_else(|| wrong("scan.topic-partition-discovery.interval", interval, "a length of time"))?;
        if !every.is_zero() {
            source = source.set_partition_discovery_interval(every);
        }
    }
    let topics = std::sync::Mutex::new(BTreeMap::<String, Arc<str>>::new());
    let source = source.set_deserializer(move |record: &ConsumerRecord<'_>| -> Result<Fetched, BoxError> {
        let mut topics = topics.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let topic = match topics.get(record.topic) {
            Some(topic) => topic.clone(),
            None => topics.entry(record.topic.to_owned()).or_insert_with(|| record.topic.into()).clone(),
        };
        Ok(Fetched {
            key: record.key.map(Into::into),
            value: record.value.map(Into::into),
            topic,
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
        })
    });
    source.build().map_err(kafka)
}

/// Where to begin if the group has committed nothing.
fn reset(table: &Table) -> OffsetResetStrategy {
    match table.option("properties.auto.offset.reset") {
        Some("earliest") => OffsetResetStrategy::Earliest,
        Some("latest") => OffsetResetStrategy::Latest,
        _ => OffsetResetStrategy::None,
    }
}

/// `partition:0,offset:42;partition:1,offset:300`.
fn specific(table: &Table) -> Result<OffsetsInitializer, SqlError> {
    let key = "scan.startup.specific-offsets";
    let text = required(table, key)?;
    let topic = required(table, "topic")?;
    let one = |part: &str| {
        let mut numbers = part
            .split(',')
            .map(|pair| pair.split_once(':').and_then(|(_, number)| number.trim().parse::<i64>().ok()));
        let (partition, offset) = (numbers.next()??, numbers.next()??);
        Some((TopicPartition::new(topic, i32::try_from(partition).ok()?), offset))
    };
    let offsets = text.split(';').filter(|part| !part.trim().is_empty()).map(one).collect::<Option<Vec<_>>>();
    let offsets =
        offsets.ok_or_else(|| wrong(key, text, "like `partition:0,offset:42;partition:1,offset:300`"))?;
    Ok(OffsetsInitializer::offsets(offsets))
}

impl TableScan for Scan {
    fn changelog(&self) -> Changelog {
        if self.upsert { Changelog::Upsert } else { Changelog::Append }
    }

    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        let source = source(&self.table, &self.bootstrap, self.upsert)?;
        let (layout, schema, upsert) = (self.layout.clone(), shape.read.clone(), self.upsert);
        let rows = MappedSource::new(source, move |records: Vec<Record<Fetched>>| {
            let records: Vec<Fetched> = records.into_iter().map(|record| record.value).collect();
            let chunk = layout.decode(&records, &schema, upsert)?;
            Ok(if chunk.is_empty() {
                Vec::new()
            } else {
                vec![Record { value: chunk, timestamp: NO_TIMESTAMP }]
            })
        });
        Ok(shape.source(graph, name, rows))
    }
}

impl Layout {
    /// The rows of records.
    fn decode(&self, records: &[Fetched], schema: &SchemaRef, upsert: bool) -> Result<Chunk, BoxError> {
        // Without a value a record is a deletion, or nothing.
        let all: Vec<&Fetched> = records.iter().filter(|record| upsert || record.value.is_some()).collect();
        let with_value: Vec<&[u8]> = all.iter().filter_map(|record| record.value.as_deref()).collect();
        let (values, valid) = self.value_format.decode(&with_value)?;
        let mut next = 0_u32;
        let places: UInt32Array = all
            .iter()
            .map(|record| {
                record.value.as_ref()?;
                next += 1;
                Some(next - 1)
            })
            .collect();
        let mut columns: Vec<Option<ArrayRef>> = vec![None; schema.fields().len()];
        if let Some(format) = &self.key_format {
            let keys: Vec<&[u8]> =
                all.iter().map(|record| record.key.as_deref().unwrap_or_default()).collect();
            let (keys, _) = format.decode(&keys)?;
            for (place, column) in self.key.iter().zip(keys) {
                columns[*place] = Some(column);
            }
        }
        for (place, column) in self.value.iter().zip(values) {
            // Of a deletion the key is known by the record's key alone.
            if !(upsert && columns[*place].is_some()) {
                columns[*place] = Some(take(&column, &places, None)?);
            }
        }
        for (place, key) in &self.metadata {
            let column: ArrayRef = match key.as_str() {
                "topic" => Arc::new(StringArray::from_iter_values(all.iter().map(|record| &*record.topic))),
                "partition" => Arc::new(all.iter().map(|record| record.partition).collect::<Int32Array>()),
                "offset" => Arc::new(all.iter().map(|record| record.offset).collect::<Int64Array>()),
                _ => crate::operators::from_millis(
                    all.iter().map(|record| record.timestamp).collect::<Int64Array>(),
                    schema.field(*place).data_type(),
                )?,
            };
            columns[*place] = Some(cast(&column, schema.field(*place).data_type())?);
        }
        let columns = columns.into_iter().enumerate().map(|(place, column)| {
            column.unwrap_or_else(|| arrow::array::new_null_array(schema.field(place).data_type(), all.len()))
        });
        let rows = RecordBatch::try_new(schema.clone(), columns.collect())?;
        let deletions: BooleanArray = all.iter().map(|record| Some(record.value.is_none())).collect();
        let chunk = Chunk::new(rows, Some(deletions));
        let Some(valid) = valid else { return Ok(chunk) };
        let keep = places.iter().map(|place| Some(place.is_none_or(|place| valid[place as usize])));
        Ok(chunk.filter(&keep.collect::<BooleanArray>())?)
    }
}

/// A record to be written.
#[derive(Clone)]
struct Written {
    key: Option<Box<[u8]>>,
    value: Option<Box<[u8]>>,
    timestamp: Option<i64>,
}

struct TopicSink {
    sink: KafkaSink<Written>,
    layout: Arc<Layout>,
    upsert: bool,
    /// Of updates by key, the columns of the key.
    key: Vec<usize>,
}

impl TableSink for TopicSink {
    fn changelog(&self) -> Changelog {
        if self.upsert { Changelog::Upsert } else { Changelog::Append }
    }

    fn write(&self, rows: Stream<Chunk>, name: &str) -> Result<(), SqlError> {
        let (layout, key, upsert) = (self.layout.clone(), self.key.clone(), self.upsert);
        let encode = move |chunk: Chunk, out: &mut thalweg_dataflow::operators::Collect<'_, Written>| {
            let kinds = if upsert { kinds(&chunk, &key)? } else { vec![RowKind::Insert; chunk.len()] };
            let stamp = layout.metadata.iter().find(|(_, key)| key == "timestamp");
            let times = stamp.map(|(place, _)| millis(chunk.rows().column(*place))).transpose()?;
            for (row, kind) in kinds.into_iter().enumerate() {
                if kind == RowKind::UpdateBefore {
                    continue;
                }
                let encoded = |format: &dyn Format, columns: &[usize]| {
                    let mut bytes = Vec::new();
                    format.encode(&chunk, columns, row, &mut bytes)?;
                    Ok::<_, SqlError>(bytes.into_boxed_slice())
                };
                let key =
                    layout.key_format.as_ref().map(|format| encoded(&**format, &layout.key)).transpose()?;
                let value = match kind {
                    RowKind::Delete => None,
                    _ => Some(encoded(&*layout.value_format, &layout.value)?),
                };
                let timestamp =
                    times.as_ref().filter(|times| times.is_valid(row)).map(|times| times.value(row));
                out.collect(Written { key, value, timestamp });
            }
            Ok(())
        };
        let records = rows.flat_map("encode", encode).determined();
        self.sink.clone().add_to(&records).name(name);
        Ok(())
    }
}
