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
//! | `scan.bounded.mode` | `latest-offset`, `group-offsets`, `timestamp`, `specific-offsets`: where the table ends |
//! | `scan.bounded.timestamp-millis`, `scan.bounded.specific-offsets` | for the last two |
//! | `scan.parallelism`, `sink.parallelism` | how many subtasks read, or write |
//! | `sink.partitioner` | `default` (by the key), `fixed` (a partition for each subtask), `round-robin` (of records without a key) |
//! | `scan.topic-partition-discovery.interval` | how often new partitions are looked for |
//! | `sink.delivery-guarantee` | `at-least-once` (unless it is set), `exactly-once`, `none` |
//! | `sink.transactional-id-prefix` | for `exactly-once` |
//!
//! Metadata: `topic`, `partition`, `offset`, `timestamp`, `headers`; the last two can be written, too. Of `upsert-kafka` the key is the primary key, and a
//! record without a value is a deletion.

mod headers;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
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
    DeliveryGuarantee, KafkaError, KafkaPartitioner, KafkaSink, KafkaSource, OffsetResetStrategy,
    OffsetsInitializer, TopicPartition,
};

use self::headers::Headers;
use super::{Changelog, Connector, Shape, TableScan, TableSink, missing, required};
use crate::catalog::{ColumnSource, Table};
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::formats::{Field, Format, format};
use crate::needs::Need;
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
const OPTIONS: [&str; 21] = [
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
    "scan.bounded.specific-offsets",
    "scan.parallelism",
    "sink.parallelism",
    "sink.partitioner",
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
#[derive(Clone)]
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
            if !matches!(key.as_str(), "topic" | "partition" | "offset" | "timestamp" | "headers") {
                return Err(wrong("METADATA", key, "topic, partition, offset, timestamp or headers"));
            }
        }
        let (bootstrap, upsert) = (self.bootstrap(table)?, self.upsert);
        // What is wrong with the options is told now.
        source(table, &bootstrap, (upsert, false))?;
        parallelism(table, "scan.parallelism")?;
        Ok(Box::new(Scan { table: table.clone(), bootstrap, upsert, layout: Arc::new(layout) }))
    }

    fn sink(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableSink>, SqlError> {
        let columns = table.written_columns();
        let layout = self.layout(table, &columns)?;
        let topic = required(table, "topic")?;
        if let Some((_, key)) =
            layout.metadata.iter().find(|(_, key)| !matches!(key.as_str(), "timestamp" | "headers"))
        {
            return Err(SqlError::new(format!(
                "the metadata `{key}` is not written: `timestamp` and `headers` are"
            ))
            .help("a column that is METADATA … VIRTUAL is read alone"));
        }
        let partitioner = match table.option("sink.partitioner").unwrap_or("default") {
            "round-robin" if !layout.key.is_empty() => {
                return Err(SqlError::new("`sink.partitioner` is `round-robin` for records without a key"));
            }
            "default" | "round-robin" => KafkaPartitioner::ByKey,
            // The rows of a key would be in the partitions of several subtasks, in any order.
            "fixed" if self.upsert => {
                return Err(SqlError::new("`sink.partitioner` is `fixed` for rows that are only added"));
            }
            "fixed" => KafkaPartitioner::Fixed,
            other => return Err(wrong("sink.partitioner", other, "default, fixed or round-robin")),
        };
        let parallelism = parallelism(table, "sink.parallelism")?;
        if self.upsert && parallelism.is_some() {
            return Err(SqlError::new(
                "`sink.parallelism` is for rows that are only added: those of a key have one writer",
            ));
        }
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
        sink = sink.set_partitioner(partitioner);
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
            record.headers.iter().for_each(|(name, value)| out.add_header(name, value));
        });
        let key = table
            .primary_key
            .iter()
            .filter_map(|column| columns.iter().position(|of| of == column))
            .collect();
        let sink = sink.build().map_err(kafka)?;
        Ok(Box::new(TopicSink { sink, layout: Arc::new(layout), upsert: self.upsert, key, parallelism }))
    }
}

/// A number of subtasks, if an option says so.
fn parallelism(table: &Table, option: &str) -> Result<Option<usize>, SqlError> {
    let number = table.option(option).map(|text| match text.trim().parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(wrong(option, text, "a number of subtasks")),
    });
    number.transpose()
}

/// A record, as it was fetched.
struct Fetched {
    key: Option<Box<[u8]>>,
    value: Option<Box<[u8]>>,
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    /// If anybody wants them.
    headers: Headers,
}

struct Scan {
    table: Arc<Table>,
    bootstrap: String,
    upsert: bool,
    layout: Arc<Layout>,
}

fn source(
    table: &Table,
    bootstrap: &str,
    (upsert, with_headers): (bool, bool),
) -> Result<KafkaSource<Fetched>, SqlError> {
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
        "specific-offsets" => specific(table, "scan.startup.specific-offsets")?,
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
        "group-offsets" => source = source.set_bounded(OffsetsInitializer::committed_offsets(reset(table))),
        "specific-offsets" => source = source.set_bounded(specific(table, "scan.bounded.specific-offsets")?),
        other => {
            let allowed = "unbounded, latest-offset, group-offsets, timestamp or specific-offsets";
            return Err(wrong("scan.bounded.mode", other, allowed));
        }
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
            headers: match with_headers {
                true => record
                    .headers()
                    .map(|(name, value)| (name.into(), value.unwrap_or_default().into()))
                    .collect(),
                false => Headers::new(),
            },
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
fn specific(table: &Table, key: &str) -> Result<OffsetsInitializer, SqlError> {
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
        let with_headers = self.layout.metadata.iter().any(|(_, key)| key == "headers");
        let source = source(&self.table, &self.bootstrap, (self.upsert, with_headers))?;
        let layout = self.layout.reading(&shape.needs);
        let (schema, upsert) = (shape.read.clone(), self.upsert);
        let rows = MappedSource::new(source, move |records: Vec<Record<Fetched>>| {
            let records: Vec<Fetched> = records.into_iter().map(|record| record.value).collect();
            let chunk = layout.decode(&records, &schema, upsert)?;
            Ok(if chunk.is_empty() {
                Vec::new()
            } else {
                vec![Record { value: chunk, timestamp: NO_TIMESTAMP }]
            })
        });
        let rows = shape.source(graph, name, rows);
        Ok(match parallelism(&self.table, "scan.parallelism")? {
            Some(subtasks) => rows.parallelism(subtasks),
            None => rows,
        })
    }
}

impl Layout {
    /// The layout that leaves out, of what is in the values, what nobody needs.
    fn reading(&self, needs: &[Need]) -> Self {
        let needed = |place: &usize| needs.get(*place).is_none_or(|need| !need.is_no());
        let which: Vec<bool> = self.value.iter().map(needed).collect();
        let mut layout = self.clone();
        if let Some(format) = which.contains(&false).then(|| self.value_format.only(&which)).flatten() {
            layout.value_format = format;
            layout.value.retain(needed);
        }
        layout
    }

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
                columns[*place] = Some(match places.null_count() {
                    0 => column,
                    _ => take(&column, &places, None)?,
                });
            }
        }
        for (place, key) in &self.metadata {
            let column: ArrayRef = match key.as_str() {
                "topic" => Arc::new(StringArray::from_iter_values(all.iter().map(|record| &*record.topic))),
                "partition" => Arc::new(all.iter().map(|record| record.partition).collect::<Int32Array>()),
                "headers" => headers::column(&all, schema.field(*place).data_type())?,
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
    headers: Headers,
}

struct TopicSink {
    sink: KafkaSink<Written>,
    layout: Arc<Layout>,
    upsert: bool,
    /// Of updates by key, the columns of the key.
    key: Vec<usize>,
    parallelism: Option<usize>,
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
            let with_headers = layout.metadata.iter().find(|(_, key)| key == "headers");
            let maps = with_headers.map(|(place, _)| headers::as_maps(chunk.rows().column(*place)));
            let maps = maps.transpose()?;
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
                let headers =
                    maps.as_ref().map(|maps| headers::of_row(maps.as_map(), row)).unwrap_or_default();
                out.collect(Written { key, value, timestamp, headers });
            }
            Ok(())
        };
        let mut records = rows.flat_map("encode", encode).determined();
        if let Some(subtasks) = self.parallelism {
            records = records.parallelism(subtasks);
        }
        self.sink.clone().add_to(&records).name(name);
        Ok(())
    }
}
