//! `learn`: predicts, scores and learns, record by record, one model for each key (prequential learning).
//!
//! - **Records** are [`Observation`]s. One with features is predicted with the model as it is; one with a label as well is then
//!   learnt, and its prediction scored: so each score is one on data that the model had not seen. A label that comes later, under the
//!   same
//!   id and key, is scored against the prediction that was made when the features came, and learnt then. A label may also come first.
//!   Outcomes have the event time of the record that brought them about; those whose wait ended, of that end.
//! - **Bad records** (see [`Rejected`]) change no model and no score. [`BadRecordPolicy`] says whether they fail the job; where not, they
//!   are counted and go to the side output [`BAD`](Learn::BAD).
//! - **Watermarks** end the wait of predictions that are older than the timeout ([`Outcome::Expired`]); then pass. So do unmatched
//!   labels:
//!   they are counted as late records, and go to [`UNMATCHED`](Learn::UNMATCHED).
//! - **Barriers**: the job's metrics get the scores over all keys of the subtask: of all records, of the last and fading (`accuracy`,
//!   `accuracy_window`, `accuracy_fading`, `mae`, …); then pass.
//! - **State**: keyed, `model`: of each key the learner, its scores, its drift detectors; keyed, `waiting`, `timers`; list, `overall`.
//!
//! Model and scores of a key do not depend on the parallelism: all that is done to them is done in the order of the key's records.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_ml::linear::LogisticRegression;
//! use thalweg_ml::metrics::ClassificationMetric;
//! use thalweg_ml::operators::{Learn, Observation, Outcome};
//!
//! let learn = Learn::<_, _, _, _, ClassificationMetric>::new(LogisticRegression::new());
//! let mut harness = Harness::new(learn);
//! for n in 0..200 {
//!     let (x, y) = (vec![f64::from(n % 2) - 0.5], n as u32 % 2);
//!     harness.push(Keyed::new("ada".to_owned(), Observation::Example(n, x, y)), 0);
//! }
//! let last = harness.values().pop().unwrap();
//! assert_eq!((last.id, last.prediction.class(), last.outcome), (199, Some(1), Outcome::Scored(1)));
//! ```

use std::sync::Arc;

use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, CurrentKey, Keyed, Record};
use thalweg_dataflow::state::{Key, KeyedTable, StateData, States, TimerQueue};
use thalweg_dataflow::time::{NO_TIMESTAMP, Timestamp};
use thalweg_dataflow::{Output, OutputTag};

use super::waiting::{Half, Waiting};
use super::{
    BadRecord, BadRecordPolicy, Drift, ModelVersion, Observation, OnDrift, Outcome, Prediction,
    PrequentialModel, PrequentialSettings, Scores,
};
use crate::drift::DriftDetector;
use crate::metrics::{Metric, Prequential, show};
use crate::{Learner, Rejected};

#[derive(Clone, Debug)]
struct Settings<L> {
    model: PrequentialSettings<L>,
    bad: BadRecordPolicy,
    label_timeout: i64,
    scores_every: u64,
    models_every: u64,
}

type WaitingOf<I, X, L> = Waiting<I, X, <L as Learner<X>>::Target, <L as Learner<X>>::Prediction>;

/// The operator. See the [module](self).
#[derive(Clone)]
pub struct Learn<K, I: Ord, X, L: Learner<X>, M: Metric> {
    settings: Settings<L>,
    models: KeyedTable<K, PrequentialModel<L, M>>,
    waiting: KeyedTable<K, WaitingOf<I, X, L>>,
    timers: TimerQueue<K>,
    overall: Vec<Prequential<M>>,
    metrics: Option<Arc<OperatorMetrics>>,
}

/// What the operator emits.
type OutOf<K, I, X, L> = Prediction<K, I, <L as Learner<X>>::Prediction, <L as Learner<X>>::Target>;

impl<K, I: Ord, X, L: Learner<X>, M: Metric> Learn<K, I, X, L, M> {
    /// Records that were left out.
    pub const BAD: OutputTag<BadRecord<I>> = OutputTag::new("bad");
    /// Labels without a prediction.
    pub const UNMATCHED: OutputTag<(K, I, L::Target)> = OutputTag::new("unmatched");
    /// Scores, as often as [`scores_every`](Self::scores_every) says.
    pub const SCORES: OutputTag<Scores<K, M::Report>> = OutputTag::new("scores");
    /// Models, as often as [`models_every`](Self::models_every) says.
    pub const MODELS: OutputTag<ModelVersion<K, L>> = OutputTag::new("models");
    /// Drifts, as they are detected.
    pub const DRIFTS: OutputTag<Drift<K>> = OutputTag::new("drifts");

    /// Learns with a copy of `learner` for each key; it may have learnt before (a warm start). Scores are over all, the last 200 and
    /// fading by 0.999.
    pub fn new(learner: L) -> Self {
        let settings = Settings {
            model: PrequentialSettings::new(learner),
            bad: BadRecordPolicy::Fail,
            label_timeout: i64::MAX,
            scores_every: 1000,
            models_every: 0,
        };
        Self {
            settings,
            models: KeyedTable::default(),
            waiting: KeyedTable::default(),
            timers: TimerQueue::default(),
            overall: Vec::new(),
            metrics: None,
        }
    }

    /// Scores over the last `window` records as well, and fading by `fading` (0 to 1) with each. The window is part of each key's state.
    #[must_use]
    pub fn scores_over(mut self, window: usize, fading: f64) -> Self {
        (self.settings.model.window, self.settings.model.fading) = (window, fading);
        self
    }

    /// Emits scores with every `records`-th record of a key that is scored; never with 0.
    #[must_use]
    pub fn scores_every(mut self, records: u64) -> Self {
        self.settings.scores_every = records;
        self
    }

    /// Emits the model with every `records`-th record of a key that is learnt; never with 0.
    #[must_use]
    pub fn models_every(mut self, records: u64) -> Self {
        self.settings.models_every = records;
        self
    }

    /// Looks for drift in the errors of the predictions.
    #[must_use]
    pub fn detect_drift(mut self, detector: DriftDetector, on_drift: OnDrift) -> Self {
        (self.settings.model.drift, self.settings.model.on_drift) = (Some(detector), on_drift);
        self
    }

    /// Says what happens to records that cannot be learnt.
    #[must_use]
    pub fn on_bad_record(mut self, policy: BadRecordPolicy) -> Self {
        self.settings.bad = policy;
        self
    }

    pub(crate) fn times_out(&self) -> bool {
        self.settings.label_timeout != i64::MAX
    }

    /// Says how long, in milliseconds of event time, a prediction waits for its label, and a label for its features. Until the input
    /// ends,
    /// unless it is said.
    #[must_use]
    pub fn label_timeout(mut self, timeout: i64) -> Self {
        self.settings.label_timeout = timeout.max(0);
        self
    }
}

impl<K, I, X, L, M> Learn<K, I, X, L, M>
where
    K: Key,
    I: StateData + Ord,
    X: StateData,
    L: Learner<X>,
    M: Metric<Target = L::Target, Prediction = L::Prediction>,
{
    fn refuse(
        &self,
        id: I,
        reason: Rejected,
        at: Timestamp,
        output: &mut Output<OutOf<K, I, X, L>>,
    ) -> Result<(), BoxError> {
        self.settings.bad.decide(&reason, self.metrics.as_deref())?;
        output.push_side(&Self::BAD, BadRecord { id, reason }, at);
        Ok(())
    }

    /// Learns a record whose prediction is known, and emits what became of it.
    #[expect(clippy::too_many_arguments, reason = "they are one record, in pieces")]
    fn score(
        &mut self,
        key: &CurrentKey<'_, K>,
        hash: u64,
        id: I,
        x: &X,
        y: L::Target,
        (prediction, version): (L::Prediction, u64),
        at: Timestamp,
        output: &mut Output<OutOf<K, I, X, L>>,
    ) -> Result<(), BoxError> {
        let Self { settings, models, overall, .. } = self;
        let model =
            models.entry(hash, key.key().clone()).or_insert_with(|| PrequentialModel::new(&settings.model));
        let drift = match model.learn(&settings.model, x, &y, &prediction) {
            Ok(drift) => drift,
            Err(reason) => return self.refuse(id, reason, at, output),
        };
        if overall.is_empty() {
            overall.push(Prequential::new(settings.model.window, settings.model.fading));
        }
        overall[0].update(&y, &prediction);
        let key = key.key();
        if let Some(replaced) = drift {
            let drift = Drift { key: key.clone(), scored: model.scored(), replaced };
            output.push_side(&Self::DRIFTS, drift, at);
        }
        if settings.scores_every > 0 && model.scored().is_multiple_of(settings.scores_every) {
            let report = model.report();
            output.push_side(&Self::SCORES, Scores { key: key.clone(), scored: model.scored(), report }, at);
        }
        if settings.models_every > 0 && model.learnt().is_multiple_of(settings.models_every) {
            let (version, model) = (model.learnt(), model.learner().clone());
            output.push_side(&Self::MODELS, ModelVersion { key: key.clone(), version, model }, at);
        }
        let outcome = Outcome::Scored(y);
        output.push(Prediction { key: key.clone(), id, prediction, version, outcome }, at);
        Ok(())
    }

    fn wait(
        &mut self,
        key: &CurrentKey<'_, K>,
        hash: u64,
        id: I,
        half: Half<X, L::Target, L::Prediction>,
        at: Timestamp,
    ) {
        let from = if at == NO_TIMESTAMP { 0 } else { at };
        let deadline = from.saturating_add(self.settings.label_timeout);
        self.timers.register(key, deadline);
        let waiting = self.waiting.entry(hash, key.key().clone()).or_insert_with(Waiting::default);
        waiting.insert(id, deadline, half);
    }

    fn take(
        &mut self,
        key: &CurrentKey<'_, K>,
        hash: u64,
        id: &I,
    ) -> Option<Half<X, L::Target, L::Prediction>> {
        let waiting = self.waiting.get_mut(hash, key.key())?;
        let half = waiting.remove(id)?;
        if waiting.is_empty() {
            self.waiting.remove(hash, key.key());
        }
        Some(half)
    }

    #[expect(clippy::too_many_arguments, reason = "they are one record, in pieces")]
    fn features(
        &mut self,
        key: &CurrentKey<'_, K>,
        hash: u64,
        id: I,
        x: X,
        label: Option<L::Target>,
        at: Timestamp,
        output: &mut Output<OutOf<K, I, X, L>>,
    ) -> Result<(), BoxError> {
        // A model is made by the first record that it can learn from.
        let (prediction, version) = match self.models.get(hash, key.key()) {
            Some(model) => (model.learner().predict_one(&x), model.learnt()),
            None => (self.settings.model.learner.predict_one(&x), 0),
        };
        let prediction = match prediction {
            Ok(prediction) => prediction,
            Err(reason) => return self.refuse(id, reason, at, output),
        };
        if let Some(y) = label {
            return self.score(key, hash, id, &x, y, (prediction, version), at, output);
        }
        if let Some(half) = self.take(key, hash, &id) {
            match half {
                Half::Label(y) => return self.score(key, hash, id, &x, y, (prediction, version), at, output),
                // Features of the same id once more: these replace the former.
                Half::Predicted(..) => {}
            }
        }
        let (outcome, says) = (Outcome::Predicted, prediction.clone());
        let emitted =
            Prediction { key: key.key().clone(), id: id.clone(), prediction: says, version, outcome };
        output.push(emitted, at);
        self.wait(key, hash, id, Half::Predicted(x, prediction, version), at);
        Ok(())
    }
}

impl<K, I, X, L, M> Operator for Learn<K, I, X, L, M>
where
    K: Key,
    I: StateData + Ord,
    X: StateData,
    L: Learner<X>,
    M: Metric<Target = L::Target, Prediction = L::Prediction>,
{
    type In = Keyed<K, Observation<I, X, L::Target>>;
    type Out = OutOf<K, I, X, L>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.metrics = Some(context.metrics.clone());
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("model", &mut self.models);
        states.keyed("waiting", &mut self.waiting);
        states.keyed("timers", &mut self.timers);
        states.list("overall", &mut self.overall);
        // What several subtasks had counted may have come to this one.
        while self.overall.len() > 1
            && let Some(other) = self.overall.pop()
        {
            self.overall[0].merge(&other);
        }
    }

    fn process(
        &mut self,
        batch: &mut Batch<Self::In>,
        output: &mut Output<Self::Out>,
    ) -> Result<(), BoxError> {
        for Record { value: record, timestamp } in batch.records.drain(..) {
            let Keyed { hash, key, value } = record;
            let key = Keyed { hash, key, value: () };
            let key = key.at();
            match value {
                Observation::Example(id, x, y) => {
                    self.features(&key, hash, id, x, Some(y), timestamp, output)?
                }
                Observation::Features(id, x) => self.features(&key, hash, id, x, None, timestamp, output)?,
                Observation::Label(id, y) => match self.take(&key, hash, &id) {
                    Some(Half::Predicted(x, prediction, version)) => {
                        self.score(&key, hash, id, &x, y, (prediction, version), timestamp, output)?;
                    }
                    Some(Half::Label(_)) | None => self.wait(&key, hash, id, Half::Label(y), timestamp),
                },
            }
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Self::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        while let Some(timer) = self.timers.pop_due(watermark) {
            let key = timer.at();
            let hash = thalweg_dataflow::hash::key_hash(key.key());
            let Some(waiting) = self.waiting.get_mut(hash, key.key()) else { continue };
            while let Some((id, half)) = waiting.pop_due(timer.time) {
                match half {
                    Half::Predicted(_, prediction, version) => {
                        let (key, outcome) = (key.key().clone(), Outcome::Expired);
                        output.push(Prediction { key, id, prediction, version, outcome }, timer.time);
                    }
                    Half::Label(y) => {
                        if let Some(metrics) = &self.metrics {
                            metrics.late_records.add(1);
                        }
                        output.push_side(&Self::UNMATCHED, (key.key().clone(), id, y), timer.time);
                    }
                }
            }
            if waiting.is_empty() {
                self.waiting.remove(hash, key.key());
            }
        }
        Ok(Some(watermark))
    }

    fn barrier(&mut self, _: &Barrier, _: &mut Output<Self::Out>) -> Result<(), BoxError> {
        if let (Some(metrics), Some(overall)) = (&self.metrics, self.overall.first()) {
            show::<M>(&overall.report(), metrics);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thalweg_dataflow::harness::Harness;

    use super::*;
    use crate::Classification;
    use crate::drift::{Adwin, Ddm};
    use crate::linear::{LinearRegression, LogisticRegression, Optimizer};
    use crate::metrics::{ClassificationMetric, RegressionMetric};

    type OfOne = Learn<u8, u32, Vec<f64>, LinearRegression, RegressionMetric>;

    fn of_one() -> OfOne {
        Learn::new(LinearRegression::with(Optimizer::sgd(0.1))).label_timeout(100)
    }

    fn outcomes(harness: &mut Harness<OfOne>) -> Vec<(u32, u64, Outcome<f64>)> {
        harness.values().into_iter().map(|p| (p.id, p.version, p.outcome)).collect()
    }

    #[test]
    fn a_late_label_is_scored_against_the_prediction_that_was_made() {
        let mut harness = Harness::new(of_one());
        harness.push(Keyed::new(1, Observation::Features(7, vec![1.0])), 0);
        harness.push(Keyed::new(1, Observation::Example(8, vec![1.0], 1.0)), 10);
        let mut harness = harness.restore(of_one(), 3);
        harness.push(Keyed::new(1, Observation::Label(7, 1.0)), 90);
        let all = harness.values();
        assert_eq!(all.iter().map(|p| (p.id, p.version)).collect::<Vec<_>>(), [(7, 0), (8, 0), (7, 0)]);
        assert_eq!(
            (all[2].prediction, &all[2].outcome),
            (0.0, &Outcome::Scored(1.0)),
            "as predicted, not as it would be now"
        );
        harness.push(Keyed::new(1, Observation::Features(9, vec![1.0])), 95);
        assert_eq!(outcomes(&mut harness), [(9, 2, Outcome::Predicted)], "the late label was learnt");
    }

    #[test]
    fn labels_may_come_first_or_never() {
        let (mut harness, unmatched) = Harness::with_side(of_one(), &OfOne::UNMATCHED);
        harness.push(Keyed::new(1, Observation::Label(7, 2.0)), 0);
        harness.push(Keyed::new(1, Observation::Features(7, vec![1.0])), 50);
        assert_eq!(outcomes(&mut harness), [(7, 0, Outcome::Scored(2.0))]);
        harness.push(Keyed::new(1, Observation::Features(8, vec![1.0])), 60);
        harness.push(Keyed::new(1, Observation::Label(9, 5.0)), 60);
        harness.watermark(159);
        assert_eq!(outcomes(&mut harness), [(8, 1, Outcome::Predicted)]);
        harness.watermark(160);
        assert_eq!(outcomes(&mut harness), [(8, 1, Outcome::Expired)]);
        assert_eq!(unmatched.values(), [(1, 9, 5.0)]);
        assert_eq!(harness.metrics().late_records.get(), 1);
        harness.push(Keyed::new(1, Observation::Label(8, 5.0)), 170);
        harness.end();
        assert_eq!(unmatched.values(), [(1, 8, 5.0)], "a label after its prediction has expired is told of");
    }

    #[test]
    fn bad_records_poison_neither_model_nor_scores() {
        let learn = || of_one().on_bad_record(BadRecordPolicy::Skip).scores_every(1);
        let (mut harness, bad) = Harness::with_side(learn(), &OfOne::BAD);
        for (id, x, y) in
            [(1, 1.0, 1.0), (2, f64::NAN, 1.0), (3, 1.0, f64::NAN), (4, 1e101, 0.0), (5, 1.0, f64::INFINITY)]
        {
            harness.push(Keyed::new(1, Observation::Example(id, vec![x], y)), 0);
        }
        harness.push(Keyed::new(1, Observation::Example(6, vec![1.0, 2.0], 1.0)), 0);
        harness.push(Keyed::new(1, Observation::Example(7, vec![1.0], 1.0)), 0);
        harness.end();
        assert_eq!(outcomes(&mut harness), [(1, 0, Outcome::Scored(1.0)), (7, 1, Outcome::Scored(1.0))]);
        assert_eq!(bad.values().iter().map(|bad| bad.id).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
        let mut strict = Harness::new(of_one());
        let failure = strict.try_push(Keyed::new(1, Observation::Example(1, vec![f64::NAN], 0.0)), 0);
        assert!(failure.unwrap_err().to_string().contains("feature 0 is missing"));
    }

    /// What it predicts turns round in the middle.
    fn turning(on_drift: OnDrift) -> (f64, Vec<Drift<()>>) {
        type OfAll = Learn<(), u32, Vec<f64>, LogisticRegression, ClassificationMetric>;
        let learner = LogisticRegression::with(Optimizer::ada_grad(0.1));
        let learn = OfAll::new(learner).detect_drift(Adwin::new(0.002).into(), on_drift);
        let (mut harness, drifts) = Harness::with_side(learn, &OfAll::DRIFTS);
        let mut rng = crate::rng::Rng::new(5);
        let mut right = 0.0;
        for n in 0..4000 {
            let x = vec![rng.gaussian(), 1.0];
            let label = u32::from((x[0] > 0.0) == (n < 2000));
            harness.push(Keyed::new((), Observation::Example(n, x, label)), 0);
            let said = |p: &Classification| p.class() == Some(label);
            right += harness.values().iter().filter(|p| said(&p.prediction)).count() as f64;
        }
        harness.end();
        (right / 4000.0, drifts.values())
    }

    #[test]
    fn a_drift_is_told_and_a_new_model_is_the_better_one() {
        let (told, drifts) = turning(OnDrift::Tell);
        assert!(
            drifts.iter().any(|drift| (2000..2200).contains(&drift.scored) && !drift.replaced),
            "{drifts:?}"
        );
        let (reset, drifts) = turning(OnDrift::Reset);
        assert!(drifts[0].replaced && reset > told + 0.02, "{reset} {told}");
        let (swapped, drifts) = turning(OnDrift::Swap(Ddm::default().into()));
        assert!(drifts[0].replaced && swapped > told + 0.02, "{swapped} {told}");
    }
}
