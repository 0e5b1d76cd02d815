//! `predict`: predicts with models that come from elsewhere, each subtask with the newest that it was sent.
//!
//! - **Records** of the left are predicted, each with the version of the model that did it. Records of the right are models: they are
//!   broadcast, so that every subtask has them.
//! - **When a model counts**: [`Predict::at_once`], as it comes (Flink ML's predictors); [`Predict::at_batches`], from the next batch
//!   on, so
//!   that a batch is predicted with the model as it was after the batch before it (Spark's `predictOn`).
//! - **Bad records** are left out or fail the job, as [`BadRecordPolicy`] says; those left out go to the side output
//!   [`BAD`](Predict::BAD).
//! - **Watermarks** pass; at batches, they wait for the barrier. **Barriers** pass.
//! - **State**: union, `model`.
//!
//! ```
//! use thalweg_dataflow::graph::Either;
//! use thalweg_dataflow::harness::{Harness, Then};
//! use thalweg_ml::linear::LinearRegression;
//! use thalweg_ml::operators::{ModelVersion, Predict};
//!
//! let trained = LinearRegression::of_coefficients(vec![2.0], 1.0);
//! let mut harness = Harness::new(Predict::at_batches(LinearRegression::new(), 1000));
//! harness.push(Either::Right(ModelVersion { key: (), version: 7, model: trained }), 0);
//! harness.push(Either::Left(("before", vec![10.0])), 0);
//! harness.barrier(1000, Then::Continue);
//! harness.push(Either::Left(("after", vec![10.0])), 0);
//! let predicted: Vec<_> = harness.values().into_iter().map(|p| (p.id, p.prediction, p.version)).collect();
//! assert_eq!(predicted, [("before", 0.0, 0), ("after", 21.0, 7)]);
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Either;
use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Data, Record};
use thalweg_dataflow::state::States;
use thalweg_dataflow::{Output, OutputTag};

use super::{BadRecord, BadRecordPolicy};
use crate::Learner;

/// A model, as it was at some time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion<K, L> {
    /// The key whose model it is.
    pub key: K,
    /// Which one: it rises with what was learnt (records, or batches).
    pub version: u64,
    /// The model.
    pub model: L,
}

/// A prediction, and the version of the model that made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted<T, P> {
    /// What was given along with the features.
    pub id: T,
    /// The prediction.
    pub prediction: P,
    /// The model's version: 0 is the one that the operator began with.
    pub version: u64,
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct Predict<T, X, L> {
    initial: L,
    /// Milliseconds.
    interval: Option<i64>,
    bad: BadRecordPolicy,
    current: (u64, L),
    /// A model that counts from the next batch on.
    next: Option<(u64, L)>,
    shared: Vec<(u64, L)>,
    subtask: usize,
    metrics: Option<Arc<OperatorMetrics>>,
    records: std::marker::PhantomData<fn(T, X)>,
}

impl<T, X, L: Learner<X>> Predict<T, X, L> {
    /// Records that were left out.
    pub const BAD: OutputTag<BadRecord<T>> = OutputTag::new("bad");

    fn new(initial: L, interval: Option<i64>) -> Self {
        let current = (0, initial.clone());
        let (next, shared, subtask, metrics) = (None, Vec::new(), 0, None);
        let (bad, records) = (BadRecordPolicy::Fail, std::marker::PhantomData);
        Self { initial, interval, bad, current, next, shared, subtask, metrics, records }
    }

    /// A model counts as it comes. Until the first comes, `initial` does.
    pub fn at_once(initial: L) -> Self {
        Self::new(initial, None)
    }

    /// A model counts from the next batch on. The batch interval is in milliseconds.
    pub fn at_batches(initial: L, interval: i64) -> Self {
        Self::new(initial, Some(interval))
    }

    /// Says what happens to records that cannot be predicted from.
    #[must_use]
    pub fn on_bad_record(mut self, policy: BadRecordPolicy) -> Self {
        self.bad = policy;
        self
    }
}

impl<T: Data, X: Send + 'static, L: Learner<X>> Operator for Predict<T, X, L> {
    type In = Either<(T, X), ModelVersion<(), L>>;
    type Out = Predicted<T, L::Prediction>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.subtask = context.operator.subtask;
        self.metrics = Some(context.metrics.clone());
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        let opening = states.epoch().is_none();
        if !opening {
            // Models are broadcast and barriers aligned, so at a barrier all subtasks have the same.
            self.shared = if self.subtask == 0 { vec![self.current.clone()] } else { Vec::new() };
            self.shared.extend(self.next.clone().filter(|_| self.subtask == 0));
        }
        states.union("model", &mut self.shared);
        if opening {
            let mut restored = std::mem::take(&mut self.shared).into_iter();
            self.current = restored.next().unwrap_or_else(|| (0, self.initial.clone()));
            self.next = restored.next();
        }
        self.shared.clear();
    }

    fn process(
        &mut self,
        batch: &mut Batch<Self::In>,
        output: &mut Output<Self::Out>,
    ) -> Result<(), BoxError> {
        for Record { value, timestamp } in batch.records.drain(..) {
            match value {
                Either::Left((id, x)) => match self.current.1.predict_one(&x) {
                    Ok(prediction) => {
                        output.push(Predicted { id, prediction, version: self.current.0 }, timestamp);
                    }
                    Err(reason) => {
                        self.bad.decide(&reason, self.metrics.as_deref())?;
                        output.push_side(&Self::BAD, BadRecord { id, reason }, timestamp);
                    }
                },
                Either::Right(ModelVersion { version, model, .. }) => match self.interval {
                    None => self.current = (version, model),
                    Some(_) => self.next = Some((version, model)),
                },
            }
        }
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        self.interval
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<Self::Out>) -> Result<(), BoxError> {
        if self.interval.is_some_and(|interval| barrier.closes_batch(interval))
            && let Some(next) = self.next.take()
        {
            self.current = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thalweg_dataflow::harness::Harness;

    use super::*;
    use crate::linear::LinearRegression;

    #[test]
    fn a_model_survives_a_restore_and_bad_records_are_told() {
        let operator = || Predict::at_once(LinearRegression::new()).on_bad_record(BadRecordPolicy::Skip);
        let tag = Predict::<u8, Vec<f64>, LinearRegression>::BAD;
        let (mut harness, bad) = Harness::with_side(operator(), &tag);
        let model = LinearRegression::of_coefficients(vec![1.0], 0.5);
        harness.push(Either::Right(ModelVersion { key: (), version: 3, model }), 0);
        harness.checkpoint(1);
        harness.push(Either::Left((1_u8, vec![f64::NAN])), 0);
        harness.push(Either::Left((2, vec![1.0, 2.0])), 0);
        harness.push(Either::Left((3, vec![2.0])), 0);
        harness.end();
        assert_eq!(harness.values(), [Predicted { id: 3, prediction: 2.5, version: 3 }]);
        assert_eq!(bad.values().iter().map(|bad| bad.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(harness.metrics().bad_records.get(), 2);
    }
}
