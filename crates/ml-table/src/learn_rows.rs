//! `ML_LEARN`: what a model says of each row, before it learns the row.
//!
//! - **Rows** go on, in their order, with the columns of the model's output behind theirs, and `model_version`: how many rows the model of their key had learnt. Then
//!   the row is learnt, and its prediction scored. A row whose label is NULL is predicted alone. One that cannot be predicted or learnt fails the job, or goes on, with
//!   NULLs if it cannot be predicted, and is counted (`bad_records`), as the model's option `bad-records` says; nothing is learnt of it.
//! - **Barriers**: the job's metrics get the scores over all keys of the subtask (`accuracy`, `accuracy_window`, `accuracy_fading`, `mae`, …) and `drifts`;
//!   then pass. **Watermarks, the end**: pass.
//! - **State**: keyed, `model`: of each key the model, its scores, its drift detector, the names of its classes; list, `overall`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_ml::metrics::{
    ClassificationMetric, ClusteringMetric, Metric, Prequential, RegressionMetric, Unscored, show,
};
use thalweg_ml::operators::{PrequentialModel, PrequentialSettings};
use thalweg_ml::{Class, Classes, Rejected};
use thalweg_table::chunk::Chunk;
use thalweg_table::operators::Grouping;
use thalweg_table::rows::{RowBytes, RowCodec};

use crate::any::{Classifier, Clusterer, Detector, Regressor};
use crate::columns::{Answer, Column, Features, Labels};
use crate::predict_rows::Rows;
use crate::prepare::{OfRows, Prepared};

/// Learners of one kind: how they are scored, and what they learn of a label.
pub(crate) trait Scored: OfRows {
    type Metric: Metric<Target = Self::Target, Prediction = Self::Prediction>;

    /// What is to be learnt of a row; none, if its label is NULL.
    fn target(
        labels: Option<&Labels>,
        row: usize,
        classes: &Classes,
        are_fixed: bool,
    ) -> Option<Result<Self::Target, Rejected>>;
}

impl Scored for Prepared<Classifier> {
    type Metric = ClassificationMetric;

    fn target(
        labels: Option<&Labels>,
        row: usize,
        classes: &Classes,
        are_fixed: bool,
    ) -> Option<Result<Class, Rejected>> {
        labels.filter(|labels| !labels.is_null(row)).map(|labels| labels.class(row, classes, are_fixed))
    }
}

impl Scored for Prepared<Regressor> {
    type Metric = RegressionMetric;

    fn target(labels: Option<&Labels>, row: usize, _: &Classes, _: bool) -> Option<Result<f64, Rejected>> {
        labels.filter(|labels| !labels.is_null(row)).map(|labels| labels.number(row))
    }
}

impl Scored for Prepared<Clusterer> {
    type Metric = ClusteringMetric;

    fn target(_: Option<&Labels>, _: usize, _: &Classes, _: bool) -> Option<Result<(), Rejected>> {
        Some(Ok(()))
    }
}

impl Scored for Prepared<Detector> {
    type Metric = Unscored<(), f64>;

    fn target(_: Option<&Labels>, _: usize, _: &Classes, _: bool) -> Option<Result<(), Rejected>> {
        Some(Ok(()))
    }
}

/// What is kept of a key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "L: Serialize", deserialize = "L: serde::de::DeserializeOwned"))]
struct Kept<L, M: Metric> {
    model: PrequentialModel<L, M>,
    classes: Classes,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub(crate) struct LearnRows<L: Scored> {
    rows: Rows,
    settings: PrequentialSettings<L>,
    key: Arc<RowCodec>,
    models: KeyedTable<RowBytes, Kept<L, L::Metric>>,
    overall: Vec<Prequential<L::Metric>>,
    drifts: u64,
    metrics: Option<Arc<OperatorMetrics>>,
}

impl<L: Scored> LearnRows<L> {
    /// Learns with copies of the learner of `settings`, one for each key; rows that come in are of the columns before the model's in `schema`.
    pub(crate) fn new(
        rows: Rows,
        settings: PrequentialSettings<L>,
        schema: &SchemaRef,
    ) -> Result<Self, ArrowError> {
        let key = Arc::new(RowCodec::of_columns(schema, &rows.call.key)?);
        let (models, overall) = (KeyedTable::default(), Vec::new());
        Ok(Self { rows, settings, key, models, overall, drifts: 0, metrics: None })
    }
}

impl<L: Scored> LearnRows<L>
where
    L::Prediction: Answer,
{
    fn learn(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let Self { rows, settings, models, overall, drifts, metrics, key } = self;
        let metrics = metrics.as_deref();
        let are_fixed = !rows.classes.is_empty();
        let by_key = Grouping::new(chunk, &rows.call.key, key)?;
        let features = Features::new(chunk, &rows.call.arguments)?;
        let labels = rows.call.label.map(|label| Labels::new(chunk, label)).transpose()?;
        let mut said = rows.columns(chunk.len());
        let mut versions = Int64Builder::with_capacity(chunk.len());
        let mut x = Vec::new();
        for row in 0..chunk.len() {
            features.read(row, &mut x);
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            // A model is made by the first row that it can learn from.
            let kept = models.get(hash, key);
            let (learner, classes, version) = match kept {
                Some(kept) => (kept.model.learner(), &kept.classes, kept.model.learnt()),
                None => (&settings.learner, &rows.classes, 0),
            };
            versions.append_value(version as i64);
            let prediction = match learner.predict_one(&x) {
                Ok(prediction) => prediction,
                Err(reason) => {
                    rows.refuse(&reason, metrics)?;
                    said.iter_mut().for_each(Column::push_null);
                    continue;
                }
            };
            said.iter_mut().for_each(|column| prediction.write(column, classes));
            let y = match L::target(labels.as_ref(), row, classes, are_fixed) {
                None => continue,
                Some(Ok(y)) => y,
                Some(Err(reason)) => {
                    rows.refuse(&reason, metrics)?;
                    continue;
                }
            };
            if kept.is_none() {
                // What a new model refuses, it is not made for.
                if let Err(reason) = learner.check_target(&y) {
                    rows.refuse(&reason, metrics)?;
                    continue;
                }
                let (model, classes) = (PrequentialModel::new(settings), rows.classes.clone());
                models.insert(hash, key, Kept { model, classes });
            }
            let Some(kept) = models.get_mut(hash, key) else { continue };
            match kept.model.learn(settings, &x, &y, &prediction) {
                Ok(drift) => {
                    if let Some(labels) = &labels {
                        labels.learnt(row, &mut kept.classes);
                    }
                    *drifts += u64::from(drift.is_some());
                    if overall.is_empty() {
                        overall.push(Prequential::new(settings.window, settings.fading));
                    }
                    overall[0].update(&y, &prediction);
                }
                Err(reason) => rows.refuse(&reason, metrics)?,
            }
        }
        let versions: ArrayRef = Arc::new(versions.finish());
        rows.chunk(chunk, said, Some(versions))
    }
}

impl<L: Scored> Operator for LearnRows<L>
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

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("model", &mut self.models);
        states.list("overall", &mut self.overall);
        // What several subtasks had counted may have come to this one.
        while self.overall.len() > 1
            && let Some(other) = self.overall.pop()
        {
            self.overall[0].merge(&other);
        }
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            output.push(self.learn(&record.value)?, record.timestamp);
        }
        Ok(())
    }

    fn barrier(&mut self, _: &Barrier, _: &mut Output<Chunk>) -> Result<(), BoxError> {
        if let Some(metrics) = &self.metrics {
            if let Some(overall) = self.overall.first() {
                show::<L::Metric>(&overall.report(), metrics);
            }
            if self.settings.drift.is_some() {
                metrics.set_gauge("drifts", self.drifts as f64);
            }
        }
        Ok(())
    }
}
