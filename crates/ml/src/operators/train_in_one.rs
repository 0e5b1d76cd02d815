//! `train_in_one`: learns whole batches in one subtask: for learners whose batches cannot be learnt in parts.
//!
//! - **Records** are the [`Part`]s of the batch that subtasks before have collected ([`CollectPart`](super::CollectPart)).
//! - **Barriers** that close the batch have it learnt: part by part, each in its order; so the model depends on nothing but how the
//!   source divides its records. Then the model is emitted, with the batch's time. A batch without records changes nothing, and its
//!   model is emitted too.
//! - **Bad records** are left out or fail the job, as [`BadRecordPolicy`] says.
//! - **State**: list, `model`: the learner and its version (batches learnt).

use std::sync::{Arc, Mutex, PoisonError};

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{StateData, States};

use super::{BadRecordPolicy, ModelVersion, Part};
use crate::Learner;

/// A model that is read from outside of the job: as of the last batch.
pub type LatestModel<L> = Arc<Mutex<(u64, L)>>;

/// The operator. It runs in one subtask. See the [module](self).
#[derive(Clone)]
pub struct TrainInOne<X, L: Learner<X>> {
    initial: L,
    interval: i64,
    bad: BadRecordPolicy,
    latest: LatestModel<L>,
    model: Vec<(u64, L)>,
    parts: Vec<Part<(X, L::Target)>>,
    metrics: Option<Arc<OperatorMetrics>>,
}

impl<X, L: Learner<X>> TrainInOne<X, L> {
    /// Trains `learner`, and shows what it has learnt in `latest`. The batch interval is in milliseconds.
    pub fn new(learner: L, interval: i64, bad: BadRecordPolicy, latest: LatestModel<L>) -> Self {
        Self { initial: learner, interval, bad, latest, model: Vec::new(), parts: Vec::new(), metrics: None }
    }
}

impl<X: StateData, L: Learner<X>> Operator for TrainInOne<X, L> {
    type In = Part<(X, L::Target)>;
    type Out = ModelVersion<(), L>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.metrics = Some(context.metrics.clone());
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        let opening = states.epoch().is_none();
        // Parts come just before the barrier that closes their batch, so none are held at any barrier.
        states.list("model", &mut self.model);
        if opening {
            self.model.truncate(1);
            if self.model.is_empty() {
                self.model.push((0, self.initial.clone()));
            }
            self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.model[0]);
        }
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Self::Out>) -> Result<(), BoxError> {
        self.parts.extend(batch.records.drain(..).map(|record| record.value));
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.interval)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        let Some((version, model)) = self.model.first_mut() else { return Ok(()) };
        if !barrier.closes_batch(self.interval) {
            return Ok(());
        }
        self.parts.sort_by_key(|part| part.subtask);
        let records: Vec<_> = self.parts.drain(..).flat_map(|part| part.records).collect();
        let mut result: Result<(), BoxError> = Ok(());
        model.learn_batch(&records, &mut |index, reason| {
            if result.is_ok() {
                let decided = self.bad.decide(&reason, self.metrics.as_deref());
                result = decided.map_err(|error| format!("record {index} of the batch: {error}").into());
            }
        });
        result?;
        *version += 1;
        let emitted = ModelVersion { key: (), version: *version, model: model.clone() };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = (*version, model.clone());
        output.push(emitted, barrier.time);
        Ok(())
    }
}
