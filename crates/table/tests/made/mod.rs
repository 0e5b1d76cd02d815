//! Tables of rows that are made up, which are read a few rows at a time, and in which a run may crash.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::state::States;
use thalweg_dataflow::time::NO_TIMESTAMP;
use thalweg_table::catalog::Table;
use thalweg_table::chunk::Chunk;
use thalweg_table::connectors::{Connector, Shape, TableScan};
use thalweg_table::display::display;
use thalweg_table::environment::TableEnvironment;
use thalweg_table::error::SqlError;
use thalweg_table::settings::Settings;
use thalweg_testkit::CrashPoint;

/// So many rows each table has: enough to crash in their middle.
pub(crate) const ROWS: i64 = 16_000;

/// So many rows are read at once: few, so that there are checkpoints between them.
const POLL: usize = 16;

/// The rows are dealt out over so many splits, whatever the parallelism.
const SPLITS: usize = 4;

/// A table of rows that are made up, each a chunk of its own, in which a run may crash.
#[derive(Clone)]
struct Made {
    crash: CrashPoint,
    salt: i64,
    rows: i64,
}

/// A session with the tables `a` and `b`.
pub(crate) fn environment(crash: &CrashPoint, rows: i64) -> TableEnvironment {
    let mut environment = TableEnvironment::new();
    environment.register_connector("made", Arc::new(Made { crash: crash.clone(), salt: 0, rows }));
    let columns = "k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND";
    let tables = format!(
        "CREATE TABLE a ({columns}) WITH ('connector' = 'made');
         CREATE TABLE b ({columns}) WITH ('connector' = 'made', 'salt' = 'yes');"
    );
    environment.execute_script(&tables, |_, _, _| Ok(())).unwrap();
    environment
}

impl Connector for Made {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let salt = i64::from(table.option("salt").is_some()) * 7;
        Ok(Box::new(Made { salt, ..self.clone() }))
    }
}

impl TableScan for Made {
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        let row = |n: i64| {
            // Times rise, and are out of order by less than the watermark allows.
            let time = n * 10 + (n * (31 + self.salt)) % 40;
            let columns: Vec<arrow::array::ArrayRef> = vec![
                Arc::new(StringArray::from(vec![format!("k{}", (n * (13 + self.salt)) % 23)])),
                Arc::new(Int64Array::from(vec![(n * (17 + self.salt)) % 101])),
                Arc::new(TimestampMillisecondArray::from(vec![time])),
            ];
            Chunk::additions(RecordBatch::try_new(shape.read.clone(), columns).unwrap())
        };
        let source = Rows((0..self.rows).map(row).collect());
        Ok(self.crash.on(&shape.source(graph, name, source)))
    }
}

/// Rows that are given, as a table of the connector `given`, in which a run may crash: each a chunk of its own.
pub(crate) struct Given {
    pub(crate) crash: CrashPoint,
    pub(crate) rows: Arc<[Chunk]>,
}

impl Connector for Given {
    fn source(&self, _: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        Ok(Box::new(Self { crash: self.crash.clone(), rows: self.rows.clone() }))
    }
}

impl TableScan for Given {
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        Ok(self.crash.on(&shape.source(graph, name, Rows(self.rows.clone()))))
    }
}

/// Hands on the rows that are there in the end, each with how often.
#[derive(Clone, Default)]
pub(crate) struct Fold {
    rows: BTreeMap<String, i64>,
}

impl Operator for Fold {
    type In = Chunk;
    type Out = String;

    fn states(&mut self, states: &mut States<'_>) {
        let mut rows: Vec<(String, i64)> = std::mem::take(&mut self.rows).into_iter().collect();
        states.list("rows", &mut rows);
        for (row, count) in rows {
            *self.rows.entry(row).or_default() += count;
        }
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, _: &mut Output<String>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            let chunk = record.value;
            for row in 0..chunk.len() {
                let values = chunk.rows().columns().iter().map(|column| display(column, row));
                let row_of = values.collect::<Vec<_>>().join(", ");
                *self.rows.entry(row_of).or_default() += chunk.sign(row);
            }
        }
        self.rows.retain(|_, count| *count != 0);
        Ok(())
    }

    fn end(&mut self, output: &mut Output<String>) -> Result<(), BoxError> {
        for (row, count) in &self.rows {
            assert!(*count > 0, "something was taken back that was not there: {row}");
            output.push(format!("{row} ({count})"), NO_TIMESTAMP);
        }
        Ok(())
    }
}

/// Reads rows, a few at a time.
#[derive(Clone)]
struct Rows(Arc<[Chunk]>);

struct RowsReader {
    rows: Arc<[Chunk]>,
    /// Of each split that is read here its number, the next row, and how it is announced.
    mine: Vec<(usize, usize, Option<SplitId>)>,
    turn: usize,
}

impl Source for Rows {
    type Item = Chunk;
    type Reader = RowsReader;

    fn reader(&self, context: &SourceContext) -> Result<RowsReader, BoxError> {
        let mine =
            (0..SPLITS).filter(|split| context.owns(*split)).map(|split| (split, split, None)).collect();
        Ok(RowsReader { rows: self.0.clone(), mine, turn: 0 })
    }
}

impl SourceReader for RowsReader {
    type Item = Chunk;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        for (split, next) in restored.unwrap_or_default() {
            if let Some(mine) = self.mine.iter_mut().find(|(number, ..)| number.to_string() == split) {
                mine.1 = next as usize;
            }
        }
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<Chunk>) -> Result<SourceStatus, BoxError> {
        for (number, _, id) in &mut self.mine {
            id.get_or_insert_with(|| output.add_split(&number.to_string()));
        }
        for _ in 0..self.mine.len() {
            self.turn = (self.turn + 1) % self.mine.len();
            let (_, next, Some(id)) = &mut self.mine[self.turn] else { continue };
            let first = *next;
            for row in self.rows.get(first..).unwrap_or_default().iter().step_by(SPLITS).take(POLL) {
                output.push(row.clone(), NO_TIMESTAMP);
                *next += SPLITS;
            }
            if *next > first {
                output.origin(*id, first as u64, (*next - SPLITS) as u64);
                return Ok(SourceStatus::Ready);
            }
            output.finish_split(*id);
        }
        Ok(SourceStatus::End)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.mine.iter().map(|(number, next, _)| (number.to_string(), *next as u64)).collect()
    }
}
