//! From what a connector reads to what queries see: computed columns, and the watermark.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::Array;
use arrow::compute::max;
use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, Column, Literal};
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus};
use thalweg_dataflow::time::{Clock, NO_TIMESTAMP};
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::chunk::Chunk;
use crate::needs::{self, Need};
use crate::now;
use crate::operators::{Columns, millis};

/// Makes chunks of all columns out of chunks of those that were read, and knows the watermark that follows from them.
#[derive(Clone)]
pub struct Shape {
    /// The schema of what is read.
    pub read: SchemaRef,
    /// What of these columns anybody looks at: of what is not needed, a connector may as well give NULL.
    pub needs: Arc<[Need]>,
    /// All columns; without it, they are those that are read. One that nobody looks at is NULL.
    pub(crate) columns: Option<Arc<[Arc<dyn PhysicalExpr>]>>,
    /// The same, over fields of rows as columns: a `CASE` copies what it reads, and is not to copy whole rows for a field.
    pub(crate) narrow: OnceLock<Columns>,
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

    /// The shape, if of all columns this is needed.
    #[must_use]
    pub(crate) fn reading(mut self, needed: &[Need]) -> Self {
        if needed.len() != self.schema.fields().len() {
            return self;
        }
        let mut all = needed.to_vec();
        self.watermark.iter().for_each(|watermark| needs::reads(watermark, &Need::All, &mut all));
        let Some(columns) = &self.columns else {
            self.needs = all.into();
            return self;
        };
        let mut read = vec![Need::No; self.read.fields().len()];
        columns.iter().zip(&all).for_each(|(column, need)| needs::reads(column, need, &mut read));
        let column = |((column, need), field): ((&Arc<dyn PhysicalExpr>, &Need), &FieldRef)| match need {
            // Of this type, whatever it is computed of.
            Need::No => ScalarValue::try_from(field.data_type()).map_or_else(
                |_| column.clone(),
                |null| Arc::new(Literal::new(null)) as Arc<dyn PhysicalExpr>,
            ),
            _ => column.clone(),
        };
        self.narrow = OnceLock::new();
        self.columns = Some(columns.iter().zip(&all).zip(self.schema.fields()).map(column).collect());
        self.needs = read.into();
        self
    }

    /// All columns, and the watermark that follows, as a time that is one above it.
    pub(crate) fn apply(&self, chunk: &Chunk) -> Result<(Chunk, i64), BoxError> {
        let mut chunk = chunk.clone();
        if let Some(columns) = &self.columns {
            let columns = match self.narrow.get() {
                Some(narrow) => narrow,
                None => {
                    let all = columns.iter().cloned().map(Some).collect();
                    let narrow = Columns::behind_filter(all, &self.read)?;
                    self.narrow.get_or_init(|| narrow)
                }
            };
            let values = columns.of(chunk.rows(), &self.schema)?;
            chunk = chunk.with_columns(self.schema.clone(), values)?;
        }
        let Some(watermark) = &self.watermark else { return Ok((chunk, NO_TIMESTAMP)) };
        let newest_row = match rises_with(watermark) {
            // The row with the latest time has the latest watermark: that of the others need not be known.
            Some(column) => {
                let times = millis(chunk.rows().column(column))?;
                let valid = (0..times.len()).filter(|row| times.is_valid(*row));
                let Some(row) = valid.max_by_key(|row| times.value(*row)) else {
                    return Ok((chunk, NO_TIMESTAMP));
                };
                Some(chunk.rows().slice(row, 1))
            }
            None => None,
        };
        let rows = newest_row.as_ref().unwrap_or(chunk.rows());
        let times = watermark.evaluate(rows)?.into_array(rows.num_rows())?;
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

/// The column with which a watermark rises, if it is that column, or so much less.
fn rises_with(watermark: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    if let Some(column) = watermark.downcast_ref::<Column>() {
        return Some(column.index());
    }
    let less = watermark.downcast_ref::<BinaryExpr>()?;
    less.right().downcast_ref::<Literal>()?;
    (*less.op() == Operator::Minus).then(|| less.left().downcast_ref::<Column>().map(Column::index))?
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
