//! Flink's test connector `values`: tables of rows in memory, and sinks that keep what they are given.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::source::{
    Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId, Waker,
};
use thalweg_dataflow::time::NO_TIMESTAMP;
use thalweg_table::catalog::Table;
use thalweg_table::chunk::Chunk;
use thalweg_table::connectors::{Changelog, Connector, Lookup, Shape, TableScan, TableSink};
use thalweg_table::display::display;
use thalweg_table::error::SqlError;
use thalweg_table::formats::json_value::column;
use thalweg_table::settings::Settings;

use super::program::Row;

/// The rows of a table before and after the restore.
type Halves = (Vec<Row>, Vec<Row>);

/// A watermark comes with the row that moves it by more than so many milliseconds, or when there is no row (`pipeline.auto-watermark-interval`):
/// programs that are restored run with Flink's default, the others with 0.
const WATERMARK_INTERVAL: i64 = 200;

/// A row that was written: whether it is a retraction, and its values as text.
pub(crate) type Written = (bool, Vec<String>);

/// The rows of all tables, and where a run of a program is.
#[derive(Clone, Default)]
pub(crate) struct Values(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Of each table its rows before and after the restore.
    tables: Mutex<BTreeMap<String, Halves>>,
    /// Whether the program is restored.
    restores: AtomicBool,
    /// What each sink was given.
    written: Mutex<BTreeMap<String, Vec<Written>>>,
    /// Whether the rows after the restore are read, too.
    resumed: AtomicBool,
    /// Whether sources may end.
    may_end: AtomicBool,
    /// Sources in the job, and those of them that have no row at hand.
    sources: AtomicUsize,
    waiting: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
    /// How many rows each of the sources has given; one that has no more does not hold the others up.
    given: Mutex<Vec<usize>>,
}

impl Shared {
    fn given(&self) -> MutexGuard<'_, Vec<usize>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_turn(&self) -> Option<usize> {
        let mut given = self.given();
        given.push(0);
        Some(given.len() - 1)
    }

    /// Whether it is the turn of a source: when all are there, and none has given less.
    fn is_next(&self, number: usize) -> bool {
        let mut given = self.given();
        let all_there = given.len() >= self.sources.load(Ordering::SeqCst);
        let is_next = all_there
            && given.iter().enumerate().all(|(other, rows)| (*rows, other) >= (given[number], number));
        if is_next {
            given[number] += 1;
        }
        is_next
    }

    /// A source has no more rows.
    fn passes(&self, number: usize) {
        self.given()[number] = usize::MAX;
    }
}

impl Values {
    pub(crate) fn add(&self, table: &str, before: Vec<Row>, after: Vec<Row>) {
        let mut tables = self.0.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.insert(table.to_owned(), (before, after));
    }

    /// The program is one that is restored.
    pub(crate) fn restores(&self) {
        self.0.restores.store(true, Ordering::SeqCst);
    }

    /// From here on the rows after the restore are read.
    pub(crate) fn resume(&self) {
        self.0.waiting.store(0, Ordering::SeqCst);
        self.0.sources.store(0, Ordering::SeqCst);
        self.0.given().clear();
        self.0.resumed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn let_end(&self) {
        self.0.may_end.store(true, Ordering::SeqCst);
        self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Waker::wake);
    }

    /// Whether all sources have been read as far as they go.
    pub(crate) fn all_read(&self) -> bool {
        self.0.waiting.load(Ordering::SeqCst) >= self.0.sources.load(Ordering::SeqCst)
    }

    /// What a sink was given since this was asked last: whether a row is a retraction, and its values as text.
    pub(crate) fn written(&self, sink: &str) -> Vec<Written> {
        let mut written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.remove(sink).unwrap_or_default()
    }

    /// How many rows a sink was given.
    pub(crate) fn count(&self, sink: &str) -> usize {
        let written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(sink).map_or(0, Vec::len)
    }
}

impl Connector for Values {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let tables = self.0.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = tables.get(&table.path.table).cloned().unwrap_or_default();
        let mode = table.option("changelog-mode").unwrap_or("I");
        let kinds: Vec<&str> = mode.split(',').collect();
        let changelog = match kinds[..] {
            ["I"] => Changelog::Append,
            _ if kinds.contains(&"UA") && !kinds.contains(&"UB") => Changelog::Upsert,
            _ => Changelog::Retract,
        };
        let first = before.len();
        let time = table.watermark.as_ref().map(|(column, _)| *column);
        let time = time.and_then(|column| table.read_columns().iter().position(|read| *read == column));
        let rows = before.iter().chain(&after).map(|row| chunk(table, row)).collect::<Result<Vec<_>, _>>()?;
        let shared = self.0.clone();
        Ok(Box::new(Scan {
            rows: rows.into(),
            first,
            time,
            changelog,
            shared,
            name: table.path.table.clone(),
            key: table.primary_key.clone(),
        }))
    }

    fn sink(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableSink>, SqlError> {
        Ok(Box::new(Sink { name: table.path.table.clone(), shared: self.0.clone() }))
    }
}

/// A row in columns.
fn chunk(table: &Table, row: &Row) -> Result<Chunk, SqlError> {
    let columns = table.read_columns();
    let values = row.values();
    let arrays = columns.iter().enumerate().map(|(place, index)| {
        let value = values.get(place).unwrap_or(&serde_json::Value::Null);
        column(&table.columns[*index].data_type, &[value])
    });
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    let batch = RecordBatch::try_new(table.schema_of(&columns), arrays);
    let batch = batch.map_err(|error| SqlError::new(error.to_string()))?;
    Ok(Chunk::new(batch, Some(BooleanArray::from(vec![row.is_retraction()]))))
}

#[derive(Clone)]
struct Scan {
    rows: Arc<[Chunk]>,
    /// So many of them are read before the restore.
    first: usize,
    /// The column that the watermark goes by, if it is read and not computed.
    time: Option<usize>,
    changelog: Changelog,
    shared: Arc<Shared>,
    name: String,
    key: Vec<usize>,
}

impl Scan {
    /// The time of a row, in milliseconds.
    fn time_of(&self, row: usize) -> Option<i64> {
        let column = cast(self.rows[row].rows().column(self.time?), &DataType::Int64).ok()?;
        let exact = column.as_primitive::<Int64Type>();
        let unit = match self.rows[row].rows().schema().field(self.time?).data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => return Some(exact.value(0) * 1000),
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => 1_000_000,
            _ => 1,
        };
        Some(exact.value(0) / unit)
    }
}

impl TableScan for Scan {
    fn changelog(&self) -> Changelog {
        self.changelog
    }

    fn lookup(&self) -> Option<Arc<dyn Lookup>> {
        Some(Arc::new(self.clone()))
    }

    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        self.shared.sources.fetch_add(1, Ordering::SeqCst);
        Ok(shape.source(graph, name, self.clone()))
    }
}

impl Lookup for Scan {
    /// The last row of each key; after the restore, its rows as well.
    fn rows(&self) -> Result<Vec<Chunk>, SqlError> {
        let last = if self.shared.resumed.load(Ordering::SeqCst) { self.rows.len() } else { self.first };
        let mut of_key: BTreeMap<String, Chunk> = BTreeMap::new();
        for (number, row) in self.rows[..last].iter().enumerate() {
            let key = self.key.iter().map(|column| display(row.rows().column(*column), 0));
            let key =
                if self.key.is_empty() { number.to_string() } else { key.collect::<Vec<_>>().join(",") };
            of_key.insert(key, row.clone());
        }
        Ok(of_key.into_values().collect())
    }
}

impl Source for Scan {
    type Item = Chunk;
    type Reader = Reader;

    fn identity(&self) -> String {
        self.name.clone()
    }

    fn reader(&self, context: &SourceContext) -> Result<Reader, BoxError> {
        self.shared.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(context.waker.clone());
        let number = if context.owns(0) { self.shared.take_turn() } else { None };
        Ok(Reader { scan: self.clone(), next: 0, number, split: None, waits: false, told: 0 })
    }
}

struct Reader {
    scan: Scan,
    next: usize,
    /// Its place among the sources that take turns; none, if another subtask reads the rows.
    number: Option<usize>,
    split: Option<SplitId>,
    waits: bool,
    /// The time that the last watermark was about.
    told: i64,
}

impl SourceReader for Reader {
    type Item = Chunk;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        self.next = restored.unwrap_or_default().first().map_or(0, |(_, next)| *next as usize);
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<Chunk>) -> Result<SourceStatus, BoxError> {
        let Some(number) = self.number else { return Ok(SourceStatus::End) };
        let split = *self.split.get_or_insert_with(|| output.add_split("rows"));
        let shared = &self.scan.shared;
        let last = if shared.resumed.load(Ordering::SeqCst) { self.scan.rows.len() } else { self.scan.first };
        if self.next < last {
            // One row at a time, and the sources in turn, so that watermarks are those that Flink would have.
            if !shared.is_next(number) {
                std::thread::sleep(Duration::from_millis(1));
                return Ok(SourceStatus::Ready);
            }
            let first = self.next;
            let alone = shared.sources.load(Ordering::SeqCst) == 1 && shared.restores.load(Ordering::SeqCst);
            loop {
                output.push(self.scan.rows[self.next].clone(), NO_TIMESTAMP);
                let moves = self.scan.time_of(self.next).is_none_or(|time| {
                    let moves = time - self.told > WATERMARK_INTERVAL;
                    self.told = if moves { time } else { self.told };
                    moves
                });
                self.next += 1;
                if moves || !alone || self.next >= last {
                    break;
                }
            }
            output.origin(split, first as u64, self.next as u64 - 1);
            std::thread::sleep(Duration::from_millis(1));
            return Ok(SourceStatus::Ready);
        }
        if shared.may_end.load(Ordering::SeqCst) {
            return Ok(SourceStatus::End);
        }
        if !std::mem::replace(&mut self.waits, true) {
            shared.passes(number);
            shared.waiting.fetch_add(1, Ordering::SeqCst);
        }
        Ok(SourceStatus::Idle { until: None })
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        match self.number {
            Some(_) => vec![("rows".to_owned(), self.next as u64)],
            None => Vec::new(),
        }
    }
}

struct Sink {
    name: String,
    shared: Arc<Shared>,
}

impl TableSink for Sink {
    fn changelog(&self) -> Changelog {
        Changelog::Retract
    }

    fn write(&self, rows: Stream<Chunk>, name: &str) -> Result<(), SqlError> {
        let (sink, shared) = (self.name.clone(), self.shared.clone());
        rows.map(name, move |chunk: Chunk| {
            let mut written = shared.written.lock().unwrap_or_else(PoisonError::into_inner);
            let rows = written.entry(sink.clone()).or_default();
            for row in 0..chunk.len() {
                let values = chunk.rows().columns().iter().map(|column| display(column, row));
                rows.push((chunk.is_retraction(row), values.collect()));
            }
        })
        .parallelism(1);
        Ok(())
    }
}
