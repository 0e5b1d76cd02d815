//! A table of rows that are made up, each key's in one split, in which a run may crash.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;
use thalweg_table::catalog::Table;
use thalweg_table::chunk::Chunk;
use thalweg_table::connectors::{Connector, Shape, TableScan};
use thalweg_table::display::display;
use thalweg_table::environment::TableEnvironment;
use thalweg_table::error::SqlError;
use thalweg_table::settings::Settings;
use thalweg_testkit::{CrashPoint, Pipeline};

/// So many rows the table has.
pub(crate) const ROWS: i64 = 16_000;

/// The rows are dealt out over so many splits, whatever the parallelism; there is a key for each.
const SPLITS: usize = 4;

/// So many rows are read at once: few, so that there are checkpoints between them.
const POLL: usize = 16;

/// The features and the label of a row.
pub(crate) fn features(n: i64) -> (f64, i32, bool) {
    let (a, b) = (((n * 17) % 101) as f64 / 10.0, ((n * 13) % 23) as i32);
    (a, b, a * 2.0 + f64::from(b) + ((n * 7) % 5) as f64 > 22.0)
}

/// What makes the table.
pub(crate) fn table() -> String {
    "CREATE TABLE made (k STRING, n BIGINT, a DOUBLE, b INT, y BOOLEAN) WITH ('connector' = 'made')"
        .to_owned()
}

pub(crate) fn connector() -> Arc<dyn Connector> {
    Arc::new(Made { crash: CrashPoint::never() })
}

/// Runs a query in a session in which a script was run, in whatever way it is asked for.
pub(crate) fn pipeline(
    name: &str,
    script: &str,
    query: &str,
) -> Pipeline<impl Fn(&thalweg_testkit::Run) -> Stream<String> + use<>> {
    let (script, query) = (format!("{};{script}", table()), query.to_owned());
    Pipeline::new(name, move |run: &thalweg_testkit::Run| {
        let mut environment = TableEnvironment::new();
        thalweg_ml_table::register(&mut environment);
        environment.register_connector("made", Arc::new(Made { crash: run.crash.clone() }));
        environment.execute_script(&script, |_, _, _| Ok(())).unwrap();
        let rows = environment.stream(&query, &run.job).unwrap();
        rows.flat_map("rows", |chunk: Chunk, out| {
            for row in 0..chunk.len() {
                assert!(!chunk.is_retraction(row));
                let values = chunk.rows().columns().iter().map(|column| display(column, row));
                out.collect(values.collect::<Vec<_>>().join(", "));
            }
            Ok(())
        })
    })
}

#[derive(Clone)]
struct Made {
    crash: CrashPoint,
}

impl Connector for Made {
    fn source(&self, _: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        Ok(Box::new(self.clone()))
    }
}

impl TableScan for Made {
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        let row = |n: i64| {
            let (a, b, y) = features(n);
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from(vec![format!("k{}", n % SPLITS as i64)])),
                Arc::new(Int64Array::from(vec![n])),
                Arc::new(Float64Array::from(vec![a])),
                Arc::new(Int32Array::from(vec![b])),
                Arc::new(BooleanArray::from(vec![y])),
            ];
            Chunk::additions(RecordBatch::try_new(shape.read.clone(), columns).unwrap())
        };
        let source = Rows((0..ROWS).map(row).collect());
        Ok(self.crash.on(&shape.source(graph, name, source)))
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
