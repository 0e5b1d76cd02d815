//! Files of JSON, a row at a time: so that the watermark is behind each row, as it is where Flink answers.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;
use thalweg_table::catalog::Table;
use thalweg_table::chunk::Chunk;
use thalweg_table::connectors::{Connector, Shape, TableScan};
use thalweg_table::error::SqlError;
use thalweg_table::formats::json_value::column;
use thalweg_table::settings::Settings;

/// The files of a folder, by the name that the option `path` has.
pub(crate) struct Files(pub(crate) PathBuf);

impl Connector for Files {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let text = std::fs::read_to_string(self.0.join(table.option("path").unwrap())).unwrap();
        let columns = table.read_columns();
        let chunk = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let value = |index: &usize| {
                let of = &table.columns[*index];
                column(&of.data_type, &[&row[&of.name]]).unwrap()
            };
            let values = columns.iter().map(value).collect();
            Chunk::additions(RecordBatch::try_new(table.schema_of(&columns), values).unwrap())
        };
        Ok(Box::new(Rows(text.lines().map(chunk).collect())))
    }
}

#[derive(Clone)]
struct Rows(Arc<[Chunk]>);

impl TableScan for Rows {
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        Ok(shape.source(graph, name, self.clone()))
    }
}

struct Reader {
    rows: Arc<[Chunk]>,
    next: usize,
    split: Option<SplitId>,
}

impl Source for Rows {
    type Item = Chunk;
    type Reader = Reader;

    fn reader(&self, _: &SourceContext) -> Result<Reader, BoxError> {
        Ok(Reader { rows: self.0.clone(), next: 0, split: None })
    }
}

impl SourceReader for Reader {
    type Item = Chunk;
    type Position = u64;

    fn open(&mut self, _: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<Chunk>) -> Result<SourceStatus, BoxError> {
        let split = *self.split.get_or_insert_with(|| output.add_split("rows"));
        let Some(row) = self.rows.get(self.next) else { return Ok(SourceStatus::End) };
        output.push(row.clone(), NO_TIMESTAMP);
        output.origin(split, self.next as u64, self.next as u64);
        self.next += 1;
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        vec![("rows".to_owned(), self.next as u64)]
    }
}
