//! A table function for each row: the row, with each of the rows that the function gives for it behind it.
//!
//! Rows that are taken back are so with all that followed from them. Watermarks and barriers pass; there is no state.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::{batch, emit};
use crate::chunk::Chunk;
use crate::needs::{Need, nothing};
use crate::now;
use crate::table_functions::TableFunction;

/// The operator.
#[derive(Clone)]
pub struct Correlate {
    function: Arc<dyn TableFunction>,
    arguments: Arc<[Arc<dyn PhysicalExpr>]>,
    /// A row for which there is none stays, with NULLs behind it.
    outer: bool,
    /// Which columns of the rows nobody reads behind it.
    idle: Arc<[bool]>,
    schema: SchemaRef,
    clock: TaskClock,
}

impl Correlate {
    /// Calls `function` with these arguments for each row; columns of the rows and of the function make up `schema`.
    pub fn new(
        function: Arc<dyn TableFunction>,
        arguments: Vec<Arc<dyn PhysicalExpr>>,
        outer: bool,
        schema: SchemaRef,
    ) -> Self {
        let (arguments, idle) = (arguments.into(), Vec::new().into());
        Self { function, arguments, outer, idle, schema, clock: TaskClock::default() }
    }

    /// Of the columns of the rows only these are read behind it; the others come out NULL.
    #[must_use]
    pub(crate) fn reading(mut self, needs: &[Need]) -> Self {
        self.idle = needs.iter().map(Need::is_no).collect();
        self
    }

    fn expand(&self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let arguments = self.arguments.iter().map(|of| of.evaluate(chunk.rows())?.into_array(chunk.len()));
        let arguments = arguments.collect::<Result<Vec<ArrayRef>, _>>()?;
        let expanded = self.function.evaluate(&arguments, chunk.len())?;
        let (left, right) = match self.outer {
            false => (UInt32Array::from(expanded.origins), None),
            true => {
                let (mut left, mut right, mut next) = (Vec::new(), Vec::new(), 0);
                for row in 0..chunk.len() as u32 {
                    let first = next;
                    while expanded.origins.get(next) == Some(&row) {
                        left.push(row);
                        right.push(Some(next as u32));
                        next += 1;
                    }
                    if next == first {
                        left.push(row);
                        right.push(None);
                    }
                }
                (UInt32Array::from(left), Some(UInt32Array::from(right)))
            }
        };
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (place, column) in chunk.rows().columns().iter().enumerate() {
            columns.push(match self.idle.get(place) {
                Some(true) => nothing(column.data_type(), left.len()),
                _ => take(column, &left, None)?,
            });
        }
        for column in expanded.columns {
            columns.push(match &right {
                Some(right) => take(&column, right, None)?,
                None => column,
            });
        }
        let retractions = chunk.retractions().map(|of| take(of, &left, None)).transpose()?;
        let rows = batch(&self.schema, columns, left.len())?;
        Ok(Chunk::new(rows, retractions.map(|of| BooleanArray::from(of.to_data()))))
    }
}

impl Operator for Correlate {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        now::set_processing_time(self.clock.now());
        for record in batch.records.drain(..) {
            emit(output, self.expand(&record.value)?);
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        _: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        now::set_watermark(watermark);
        Ok(Some(watermark))
    }
}
