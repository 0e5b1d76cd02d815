//! `ML_PREDICT`: what a model says of each row.
//!
//! - **Rows** go on with the columns of the model's output behind theirs. One that cannot be predicted fails the job, or goes on with NULLs and is
//!   counted (`bad_records`), as the model's option `bad-records` says.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: none.

use std::sync::Arc;

use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_ml::Classes;
use thalweg_ml::operators::BadRecordPolicy;
use thalweg_table::chunk::Chunk;
use thalweg_table::models::ModelCall;

use crate::columns::{Answer, Column, Features, Says};
use crate::prepare::OfRows;

/// What both operators are told.
#[derive(Clone)]
pub(crate) struct Rows {
    pub(crate) call: ModelCall,
    pub(crate) says: Vec<Says>,
    pub(crate) bad: BadRecordPolicy,
    /// Names of classes that are known beforehand.
    pub(crate) classes: Classes,
}

impl Rows {
    /// Decides over a row that is refused: an error fails the job.
    pub(crate) fn refuse(
        &self,
        reason: &dyn std::fmt::Display,
        metrics: Option<&OperatorMetrics>,
    ) -> Result<(), BoxError> {
        if self.bad == BadRecordPolicy::Fail {
            return Err(format!("{reason} ('bad-records' = 'null' lets such rows go on)").into());
        }
        if let Some(metrics) = metrics {
            metrics.bad_records.add(1);
        }
        Ok(())
    }

    /// Empty columns for so many rows.
    pub(crate) fn columns(&self, rows: usize) -> Vec<Column> {
        self.says.iter().map(|says| Column::new(*says, rows)).collect()
    }

    /// The chunk with what was said of its rows.
    pub(crate) fn chunk(
        &self,
        chunk: &Chunk,
        said: Vec<Column>,
        behind: Option<arrow::array::ArrayRef>,
    ) -> Result<Chunk, BoxError> {
        let mut columns = chunk.rows().columns().to_vec();
        for column in said {
            let field = self.call.schema.field(columns.len());
            columns.push(column.finish(field.data_type())?);
        }
        columns.extend(behind);
        Ok(chunk.with_columns(self.call.schema.clone(), columns)?)
    }
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub(crate) struct PredictRows<L> {
    rows: Rows,
    model: Arc<L>,
    metrics: Option<Arc<OperatorMetrics>>,
}

impl<L> PredictRows<L> {
    pub(crate) fn new(rows: Rows, model: L) -> Self {
        Self { rows, model: Arc::new(model), metrics: None }
    }
}

impl<L: OfRows + Sync> Operator for PredictRows<L>
where
    L::Prediction: Answer,
{
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.metrics = Some(context.metrics.clone());
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let mut x = Vec::new();
        for record in batch.records.drain(..) {
            let chunk = record.value;
            let features = Features::new(&chunk, &self.rows.call.arguments)?;
            let mut said = self.rows.columns(chunk.len());
            for row in 0..chunk.len() {
                features.read(row, &mut x);
                match self.model.predict_one(&x) {
                    Ok(prediction) => {
                        said.iter_mut().for_each(|column| prediction.write(column, &self.rows.classes));
                    }
                    Err(reason) => {
                        self.rows.refuse(&reason, self.metrics.as_deref())?;
                        said.iter_mut().for_each(Column::push_null);
                    }
                }
            }
            output.push(self.rows.chunk(&chunk, said, None)?, record.timestamp);
        }
        Ok(())
    }
}
