//! Projection and filter.
//!
//! - **Rows** for which the filter is not true are dropped; of the others the columns are computed, all of a chunk at a time. Whether a
//!   row is an addition or a retraction stays as it is. Of what is filtered only those columns, and fields of columns, are copied that are
//!   computed with; a column that nobody reads is NULL.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: none.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::FilterBuilder;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::batch;
use crate::chunk::Chunk;
use crate::needs::{Need, nothing, path_of};
use crate::now;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Calc {
    filter: Option<Arc<dyn PhysicalExpr>>,
    /// Without it, all columns as they are.
    columns: Option<Arc<Columns>>,
    schema: SchemaRef,
    clock: TaskClock,
}

/// How columns are computed.
#[derive(Clone)]
pub(crate) struct Columns {
    /// What is taken of each row, before it is filtered: columns, and fields of columns.
    taken: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    /// Over what is taken. Those that nobody reads are absent.
    computed: Vec<Option<Arc<dyn PhysicalExpr>>>,
}

impl Columns {
    /// These columns, over rows of `schema`, that are filtered before, or branch: whatever copies rows is to copy what is read of them alone.
    pub(crate) fn behind_filter(
        columns: Vec<Option<Arc<dyn PhysicalExpr>>>,
        schema: &SchemaRef,
    ) -> Result<Self, datafusion_common::DataFusionError> {
        let (mut taken, mut paths, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        let mut place = |expression: Arc<dyn PhysicalExpr>| {
            let Some(path) = path_of(&expression) else { return Ok(Transformed::no(expression)) };
            let place = match paths.iter().position(|known| *known == path) {
                Some(place) => place,
                None => {
                    let of = expression.data_type(schema)?;
                    fields.push(Field::new(format!("f{}", taken.len()), of, true));
                    paths.push(path);
                    taken.push(expression);
                    taken.len() - 1
                }
            };
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&format!("f{place}"), place));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        };
        let mut computed = Vec::with_capacity(columns.len());
        for column in columns {
            computed.push(match column {
                Some(column) => Some(column.transform_down(&mut place)?.data),
                None => None,
            });
        }
        Ok(Self { taken, schema: Arc::new(Schema::new(fields)), computed })
    }

    /// What is taken of rows.
    fn take(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>, BoxError> {
        let taken = self.taken.iter().map(|column| column.evaluate(rows)?.into_array(rows.num_rows()));
        Ok(taken.collect::<Result<_, _>>()?)
    }

    /// The columns of rows that are not filtered, as columns of `schema`.
    pub(crate) fn of(&self, rows: &RecordBatch, schema: &SchemaRef) -> Result<Vec<ArrayRef>, BoxError> {
        let taken = batch(&self.schema, self.take(rows)?, rows.num_rows())?;
        self.values(&taken, schema)
    }

    /// The columns over what was taken.
    fn values(&self, taken: &RecordBatch, schema: &SchemaRef) -> Result<Vec<ArrayRef>, BoxError> {
        let values = self.computed.iter().zip(schema.fields()).map(|(column, field)| match column {
            Some(column) => column.evaluate(taken)?.into_array(taken.num_rows()),
            None => Ok(nothing(field.data_type(), taken.num_rows())),
        });
        Ok(values.collect::<Result<_, _>>()?)
    }
}

impl Calc {
    /// The rows for which `filter` is true.
    pub fn filter(filter: Arc<dyn PhysicalExpr>, schema: SchemaRef) -> Self {
        Self { filter: Some(filter), columns: None, schema, clock: TaskClock::default() }
    }

    /// The rows of `input` for which `filter` is true, if there is one, with these columns, which make up `schema`; of those only what is
    /// read.
    ///
    /// # Errors
    /// If an expression does not fit the input.
    pub fn new(
        filter: Option<Arc<dyn PhysicalExpr>>,
        columns: &[Arc<dyn PhysicalExpr>],
        needs: &[Need],
        input: &SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self, datafusion_common::DataFusionError> {
        let read = |place: usize| needs.get(place).is_none_or(|need| !need.is_no());
        let columns = columns.iter().enumerate().map(|(place, column)| read(place).then(|| column.clone()));
        let columns = columns.collect();
        let columns = match &filter {
            Some(_) => Columns::behind_filter(columns, input)?,
            None => Columns { taken: Vec::new(), schema: input.clone(), computed: columns },
        };
        Ok(Self { filter, columns: Some(Arc::new(columns)), schema, clock: TaskClock::default() })
    }

    fn calculate(&self, chunk: Chunk) -> Result<Chunk, BoxError> {
        let Some(filter) = &self.filter else {
            return match &self.columns {
                Some(columns) => self.compute(columns, &chunk),
                None => Ok(chunk),
            };
        };
        let keep = filter.evaluate(chunk.rows())?.into_array(chunk.len())?;
        let keep = true_ones(keep.as_boolean());
        let kept = keep.true_count();
        let Some(columns) = &self.columns else {
            return Ok(if kept == chunk.len() { chunk } else { chunk.filter(&keep)? });
        };
        if kept == 0 {
            return Ok(Chunk::additions(RecordBatch::new_empty(self.schema.clone())));
        }
        let mut taken = columns.take(chunk.rows())?;
        let mut retractions = chunk.retractions().cloned();
        if kept < chunk.len() {
            let filter = FilterBuilder::new(&keep);
            let filter = if taken.len() > 1 { filter.optimize() } else { filter }.build();
            taken = taken.iter().map(|column| filter.filter(column)).collect::<Result<_, _>>()?;
            retractions = match retractions {
                Some(of) => Some(BooleanArray::from(filter.filter(&of)?.to_data())),
                None => None,
            };
        }
        let rows = batch(&columns.schema, taken, kept)?;
        self.compute(columns, &Chunk::new(rows, retractions))
    }

    fn compute(&self, columns: &Columns, chunk: &Chunk) -> Result<Chunk, BoxError> {
        if chunk.is_empty() {
            return Ok(chunk.clone());
        }
        let values = columns.values(chunk.rows(), &self.schema)?;
        Ok(chunk.with_columns(self.schema.clone(), values)?)
    }
}

/// Where a condition is true, and neither false nor unknown.
fn true_ones(keep: &BooleanArray) -> BooleanArray {
    match keep.nulls() {
        Some(nulls) => BooleanArray::new(keep.values() & nulls.inner(), None),
        None => keep.clone(),
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
