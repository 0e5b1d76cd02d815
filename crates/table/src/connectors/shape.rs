//! From what a connector reads to what queries see: computed columns, and the watermark.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::compute::max;
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus};
use thalweg_dataflow::time::{Clock, NO_TIMESTAMP};
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::chunk::Chunk;
use crate::now;
use crate::operators::millis;

/// Makes chunks of all columns out of chunks of those that were read, and knows the watermark that follows from them.
#[derive(Clone)]
pub struct Shape {
    /// The schema of what is read.
    pub read: SchemaRef,
    /// All columns; without it, they are those that are read.
    pub(crate) columns: Option<Arc<[Arc<dyn PhysicalExpr>]>>,
    pub(crate) schema: SchemaRef,
    /// Over all columns.
    pub(crate) watermark: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) idleness: Option<Duration>,
}

impl Shape {
    /// The schema of what queries see.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// All columns, and the watermark that follows, as a time that is one above it.
    pub(crate) fn apply(&self, chunk: &Chunk) -> Result<(Chunk, i64), BoxError> {
        let mut chunk = chunk.clone();
        if let Some(columns) = &self.columns {
            let values = columns.iter().map(|column| column.evaluate(chunk.rows())?.into_array(chunk.len()));
            let values = values.collect::<Result<Vec<ArrayRef>, _>>()?;
            chunk = chunk.with_columns(self.schema.clone(), values)?;
        }
        let Some(watermark) = &self.watermark else { return Ok((chunk, NO_TIMESTAMP)) };
        let times = watermark.evaluate(chunk.rows())?.into_array(chunk.len())?;
        let newest = max(&millis(&times)?).map_or(NO_TIMESTAMP, |watermark| watermark.saturating_add(1));
        Ok((chunk, newest))
    }

    /// Adds a source to the graph. Its watermark is made for each of its splits.
    pub fn source<S>(self, graph: &StreamGraph, name: &str, source: S) -> Stream<Chunk>
    where
        S: Source<Item = Chunk>,
    {
        let mut strategy = match self.watermark {
            Some(_) => WatermarkStrategy::for_monotonous_timestamps(),
            None => WatermarkStrategy::no_watermarks(),
        };
        if let Some(timeout) = self.idleness {
            strategy = strategy.with_idleness(timeout);
        }
        graph.source(name, Shaped { source, shape: self }, strategy)
    }
}

/// A source behind which columns are computed.
struct Shaped<S> {
    source: S,
    shape: Shape,
}

struct ShapedReader<R> {
    reader: R,
    shape: Shape,
    clock: Clock,
}

impl<S: Source<Item = Chunk>> Source for Shaped<S> {
    type Item = Chunk;
    type Reader = ShapedReader<S::Reader>;

    fn identity(&self) -> String {
        self.source.identity()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        let (reader, shape) = (self.source.reader(context)?, self.shape.clone());
        Ok(ShapedReader { reader, shape, clock: context.clock.clone() })
    }
}

impl<R: SourceReader<Item = Chunk>> SourceReader for ShapedReader<R> {
    type Item = Chunk;
    type Position = R::Position;

    fn open(&mut self, restored: Option<Vec<(String, R::Position)>>) -> Result<(), BoxError> {
        self.reader.open(restored)
    }

    fn poll(&mut self, output: &mut SourceOutput<Chunk>) -> Result<SourceStatus, BoxError> {
        let status = self.reader.poll(output)?;
        if !output.is_empty() {
            now::set_processing_time(self.clock.now());
            for record in output.take() {
                let (chunk, timestamp) = self.shape.apply(&record.value)?;
                output.push(chunk, timestamp);
            }
        }
        Ok(status)
    }

    fn positions(&mut self) -> Vec<(String, R::Position)> {
        self.reader.positions()
    }

    fn barrier(&mut self, barrier: &Barrier) {
        self.reader.barrier(barrier);
    }

    fn note(&mut self, epoch: Epoch) -> Option<Box<dyn std::any::Any + Send>> {
        self.reader.note(epoch)
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        self.reader.committed(epoch)
    }
}
