//! Projection and filter.
//!
//! - **Rows** for which the filter is not true are dropped; of the others the columns are computed, all of a chunk at a time. Whether a
//!   row is an addition or a retraction stays as it is.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: none.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::time::{TaskClock, Timestamp};

use crate::chunk::Chunk;
use crate::now;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Calc {
    filter: Option<Arc<dyn PhysicalExpr>>,
    /// Without it, all columns as they are.
    columns: Option<Arc<[Arc<dyn PhysicalExpr>]>>,
    schema: SchemaRef,
    clock: TaskClock,
}

impl Calc {
    /// The rows for which `filter` is true, with these columns.
    pub fn new(
        filter: Option<Arc<dyn PhysicalExpr>>,
        columns: Option<Vec<Arc<dyn PhysicalExpr>>>,
        schema: SchemaRef,
    ) -> Self {
        Self { filter, columns: columns.map(Into::into), schema, clock: TaskClock::default() }
    }

    fn calculate(&self, chunk: Chunk) -> Result<Chunk, BoxError> {
        let chunk = match &self.filter {
            None => chunk,
            Some(filter) => {
                let keep = filter.evaluate(chunk.rows())?.into_array(chunk.len())?;
                chunk.filter(keep.as_boolean())?
            }
        };
        let Some(columns) = &self.columns else { return Ok(chunk) };
        if chunk.is_empty() {
            return Ok(chunk);
        }
        let values = columns.iter().map(|column| column.evaluate(chunk.rows())?.into_array(chunk.len()));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        Ok(chunk.with_columns(self.schema.clone(), values)?)
    }
}

impl Operator for Calc {
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
            let chunk = self.calculate(record.value)?;
            if !chunk.is_empty() {
                output.push(chunk, record.timestamp);
            }
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
