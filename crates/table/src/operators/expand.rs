//! Each row several times, each time with other columns: `GROUPING SETS`.
//!
//! - **Rows** of a chunk come out once for each set, a chunk for each, in the order of the sets. Whether a row is an addition or a retraction
//!   stays as it is.
//! - **Watermarks, barriers, the end**: pass, behind the rows of all sets: so in each of them the same rows are late.
//! - **State**: none.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::emit;
use crate::chunk::Chunk;
use crate::now;

/// The columns of a set.
pub type SetColumns = Vec<Arc<dyn PhysicalExpr>>;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Expand {
    sets: Arc<[SetColumns]>,
    schema: SchemaRef,
    clock: TaskClock,
}

impl Expand {
    /// Of each set its columns, which make up `schema`.
    pub fn new(sets: Vec<SetColumns>, schema: SchemaRef) -> Self {
        Self { sets: sets.into(), schema, clock: TaskClock::default() }
    }
}

impl Operator for Expand {
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
            let chunk = record.value;
            for columns in &*self.sets {
                let values = columns.iter().map(|of| of.evaluate(chunk.rows())?.into_array(chunk.len()));
                let values = values.collect::<Result<Vec<ArrayRef>, _>>()?;
                emit(output, chunk.with_columns(self.schema.clone(), values)?);
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
