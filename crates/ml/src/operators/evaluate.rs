//! `evaluate`: scores predictions that were made elsewhere: over all records, over the last, and fading.
//!
//! - **Records** are targets with their predictions, scored in the order in which they come.
//! - **Scores** go out with every so many records, or, where there is a batch interval, with the barrier that closes a batch; they have
//!   the time of the record or of the batch.
//! - **Watermarks** pass; at batches, they wait for the barrier. **Barriers**: the job's metrics get the scores.
//! - **State**: list, `scores`. It runs in one subtask, as a window is one of the whole stream.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_ml::metrics::RegressionMetric;
//! use thalweg_ml::operators::Evaluate;
//!
//! let mut harness = Harness::new(Evaluate::<RegressionMetric>::every(2).over(100, 0.99));
//! for (target, prediction) in [(1.0, 2.0), (5.0, 5.0), (3.0, 3.0)] {
//!     harness.push((target, prediction), 0);
//! }
//! let scores = harness.values();
//! assert_eq!((scores.len(), scores[0].scored, scores[0].report.all.mae), (1, 2, 0.5));
//! ```

use std::sync::Arc;

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Record};
use thalweg_dataflow::state::States;

use super::Scores;
use crate::metrics::{Metric, Prequential, show};

/// The operator. See the [module](self).
#[derive(Clone)]
pub struct Evaluate<M: Metric> {
    initial: Prequential<M>,
    every: u64,
    /// Milliseconds.
    interval: Option<i64>,
    scores: Vec<(u64, Prequential<M>)>,
    metrics: Option<Arc<OperatorMetrics>>,
}

impl<M: Metric> Evaluate<M> {
    fn new(every: u64, interval: Option<i64>) -> Self {
        Self { initial: Prequential::new(200, 0.999), every, interval, scores: Vec::new(), metrics: None }
    }

    /// Emits scores with every `records`-th record; never with 0.
    pub fn every(records: u64) -> Self {
        Self::new(records, None)
    }

    /// Emits scores with every batch. The batch interval is in milliseconds.
    pub fn at_batches(interval: i64) -> Self {
        Self::new(0, Some(interval))
    }

    /// Scores over the last `window` records as well, and fading by `fading` (0 to 1) with each: 200 and 0.999 unless it is said.
    #[must_use]
    pub fn over(mut self, window: usize, fading: f64) -> Self {
        self.initial = Prequential::new(window, fading);
        self
    }

    fn scores(&self) -> Option<Scores<(), M::Report>> {
        let (scored, scores) = self.scores.first()?;
        Some(Scores { key: (), scored: *scored, report: scores.report() })
    }
}

impl<M: Metric> Operator for Evaluate<M> {
    type In = (M::Target, M::Prediction);
    type Out = Scores<(), M::Report>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.metrics = Some(context.metrics.clone());
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.list("scores", &mut self.scores);
        self.scores.truncate(1);
        if self.scores.is_empty() {
            self.scores.push((0, self.initial.clone()));
        }
    }

    fn process(
        &mut self,
        batch: &mut Batch<Self::In>,
        output: &mut Output<Self::Out>,
    ) -> Result<(), BoxError> {
        for Record { value: (target, prediction), timestamp } in batch.records.drain(..) {
            let Some((scored, scores)) = self.scores.first_mut() else { return Ok(()) };
            scores.update(&target, &prediction);
            *scored += 1;
            if self.every > 0 && scored.is_multiple_of(self.every) {
                self.scores().into_iter().for_each(|scores| output.push(scores, timestamp));
            }
        }
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        self.interval
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        let Some(scores) = self.scores() else { return Ok(()) };
        if let Some(metrics) = &self.metrics {
            show::<M>(&scores.report, metrics);
        }
        if self.interval.is_some_and(|interval| barrier.closes_batch(interval)) {
            output.push(scores, barrier.time);
        }
        Ok(())
    }
}
