//! Learning from `DataStream`s: prequential, per key or for the whole stream, and predictors that take models by broadcast (Flink ML's
//! shape).
//!
//! ```
//! use thalweg_datastream::StreamExecutionEnvironment;
//! use thalweg_ml::datastream::{LearnExt, PredictExt};
//! use thalweg_ml::linear::{LinearRegression, Optimizer};
//! use thalweg_ml::metrics::RegressionMetric;
//! use thalweg_ml::operators::{Learn, Observation};
//!
//! let env = StreamExecutionEnvironment::new();
//! let examples = env.from_collection((0..1000).map(|n| (n % 2, f64::from(n % 7))).collect());
//! // One model for each user; user 1 likes it twice as much.
//! let observed = examples.map(|(user, x)| (user, Observation::Example((), vec![x, 1.0], f64::from(user + 1) * x)));
//! let learn = Learn::<_, _, _, _, RegressionMetric>::new(LinearRegression::with(Optimizer::sgd(0.02))).scores_every(500);
//! let learnt = observed.key_by(|(user, _)| *user).learn(|(_, observation)| observation, learn);
//! let mut scores = learnt.scores().execute_and_collect("tastes")?;
//! scores.sort_by_key(|scores| scores.key);
//! assert!(scores.iter().all(|scores| scores.scored == 500 && scores.report.window.mae < 0.01));
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_dataflow::operator::OperatorContext;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::{Key, StateData};
use thalweg_datastream::{DataStream, KeyedStream};

use crate::drift::DriftDetector;
use crate::metrics::Metric;
use crate::operators::train::MakeTrain;
use crate::operators::{
    BadRecord, BadRecordPolicy, DetectDrift, Drift, Evaluate, Learn, ModelVersion, Observation, Predict,
    Predicted, Prediction, Scores,
};
use crate::{Learner, Mergeable};

/// What comes out of learning.
pub struct Learnt<K, I: Ord, X, L: Learner<X>, M: Metric> {
    outcomes: DataStream<Prediction<K, I, L::Prediction, L::Target>>,
    types: std::marker::PhantomData<fn(X) -> M>,
}

impl<K: Key, I: StateData + Ord, X: StateData, L: Learner<X>, M> Learnt<K, I, X, L, M>
where
    M: Metric<Target = L::Target, Prediction = L::Prediction>,
{
    /// Predictions, and what became of them.
    pub fn outcomes(&self) -> &DataStream<Prediction<K, I, L::Prediction, L::Target>> {
        &self.outcomes
    }

    /// Scores, as often as [`Learn::scores_every`] says.
    pub fn scores(&self) -> DataStream<Scores<K, M::Report>> {
        self.outcomes.get_side_output(&Learn::<K, I, X, L, M>::SCORES)
    }

    /// Models, as often as [`Learn::models_every`] says.
    pub fn models(&self) -> DataStream<ModelVersion<K, L>> {
        self.outcomes.get_side_output(&Learn::<K, I, X, L, M>::MODELS)
    }

    /// Drifts, as they are detected.
    pub fn drifts(&self) -> DataStream<Drift<K>> {
        self.outcomes.get_side_output(&Learn::<K, I, X, L, M>::DRIFTS)
    }

    /// Records that could not be learnt, where they are skipped.
    pub fn bad(&self) -> DataStream<BadRecord<I>> {
        self.outcomes.get_side_output(&Learn::<K, I, X, L, M>::BAD)
    }

    /// Labels for which there was no prediction in time.
    pub fn unmatched(&self) -> DataStream<(K, I, L::Target)> {
        self.outcomes.get_side_output(&Learn::<K, I, X, L, M>::UNMATCHED)
    }

    /// Sets the stable id of the operator: under it its models are found again.
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        Self { outcomes: self.outcomes.uid(uid), ..self }
    }
}

/// Learning, for streams with keys: a model for each.
pub trait LearnExt<K, T> {
    /// Predicts, scores and learns what `observe` makes of each record, in the model of the record's key.
    fn learn<I, X, L, M>(
        &self,
        observe: impl FnMut(T) -> Observation<I, X, L::Target> + Clone + Send + 'static,
        learn: Learn<K, I, X, L, M>,
    ) -> Learnt<K, I, X, L, M>
    where
        I: StateData + Ord,
        X: StateData,
        L: Learner<X>,
        M: Metric<Target = L::Target, Prediction = L::Prediction>;

    /// Says when the distribution of what `value` takes out of the records changes, for each key.
    fn detect_drift(
        &self,
        value: impl FnMut(T) -> f64 + Clone + Send + 'static,
        detector: impl Into<DriftDetector>,
    ) -> DataStream<Drift<K>>;
}

impl<K: Key, T: Data> LearnExt<K, T> for KeyedStream<K, T> {
    fn learn<I, X, L, M>(
        &self,
        observe: impl FnMut(T) -> Observation<I, X, L::Target> + Clone + Send + 'static,
        learn: Learn<K, I, X, L, M>,
    ) -> Learnt<K, I, X, L, M>
    where
        I: StateData + Ord,
        X: StateData,
        L: Learner<X>,
        M: Metric<Target = L::Target, Prediction = L::Prediction>,
    {
        let stream = self.stream().map_keyed("observe", observe).exchange();
        if learn.times_out() && !stream.has_event_time() {
            stream.graph().refuse(
                "learn: a label timeout is in event time, and this stream has none; give its source a watermark strategy",
            );
        }
        let outcomes = DataStream::over(self.environment().clone(), stream.apply("learn", learn));
        Learnt { outcomes, types: std::marker::PhantomData }
    }

    fn detect_drift(
        &self,
        value: impl FnMut(T) -> f64 + Clone + Send + 'static,
        detector: impl Into<DriftDetector>,
    ) -> DataStream<Drift<K>> {
        let values = self.stream().map_keyed("value", value).exchange();
        let drifts = values.apply("detect-drift", DetectDrift::new(detector.into()));
        DataStream::over(self.environment().clone(), drifts)
    }
}

/// Learning and predicting, for streams as a whole.
pub trait PredictExt<T> {
    /// Predicts, scores and learns what `observe` makes of each record, all in one model. Records of a source with several partitions,
    /// or of several subtasks, come in no
    /// particular order; where the model has to be the same in every run, let the stream before have a parallelism of 1.
    fn learn_all<I, X, L, M>(
        &self,
        observe: impl FnMut(T) -> Observation<I, X, L::Target> + Clone + Send + 'static,
        learn: Learn<(), I, X, L, M>,
    ) -> Learnt<(), I, X, L, M>
    where
        I: StateData + Ord,
        X: StateData,
        L: Learner<X>,
        M: Metric<Target = L::Target, Prediction = L::Prediction>;

    /// Trains one model in all subtasks, and gives what it was at the end of each `interval`: the parts are merged, and the model does
    /// not depend on how many there were. For learners that are not [`Mergeable`] there is [`learn_all`](PredictExt::learn_all), with
    /// [`models_every`](Learn::models_every).
    fn train<X, L>(
        &self,
        example: impl FnMut(T) -> (X, L::Target) + Clone + Send + 'static,
        learner: L,
        interval: Duration,
        bad: BadRecordPolicy,
    ) -> DataStream<ModelVersion<(), L>>
    where
        X: StateData,
        L: Mergeable<X>;

    /// Predicts each record with the newest model that has come, in every subtask; with `initial` until the first has.
    fn predict<I, X, L>(
        &self,
        features: impl FnMut(T) -> (I, X) + Clone + Send + 'static,
        predict: Predict<I, X, L>,
        models: &DataStream<ModelVersion<(), L>>,
    ) -> DataStream<Predicted<I, L::Prediction>>
    where
        I: Data,
        X: Data,
        L: Learner<X>;
}

impl<T: Data> PredictExt<T> for DataStream<T> {
    fn learn_all<I, X, L, M>(
        &self,
        observe: impl FnMut(T) -> Observation<I, X, L::Target> + Clone + Send + 'static,
        learn: Learn<(), I, X, L, M>,
    ) -> Learnt<(), I, X, L, M>
    where
        I: StateData + Ord,
        X: StateData,
        L: Learner<X>,
        M: Metric<Target = L::Target, Prediction = L::Prediction>,
    {
        let learnt = self.key_by(|_| ()).learn(observe, learn);
        Learnt { outcomes: learnt.outcomes.set_parallelism(1), ..learnt }
    }

    fn train<X, L>(
        &self,
        example: impl FnMut(T) -> (X, L::Target) + Clone + Send + 'static,
        learner: L,
        interval: Duration,
        bad: BadRecordPolicy,
    ) -> DataStream<ModelVersion<(), L>>
    where
        X: StateData,
        L: Mergeable<X>,
    {
        let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        self.stream().graph().batch_interval(interval);
        let latest = Arc::new(Mutex::new((0, learner.clone())));
        let make = MakeTrain::new(learner, interval, bad, latest);
        let make = move |context: &OperatorContext| Ok(make.subtask(context.operator.subtask));
        let trained = self.stream().map("example", example).rebalance().apply_with("train", make);
        DataStream::over(self.environment().clone(), trained)
    }

    fn predict<I, X, L>(
        &self,
        features: impl FnMut(T) -> (I, X) + Clone + Send + 'static,
        predict: Predict<I, X, L>,
        models: &DataStream<ModelVersion<(), L>>,
    ) -> DataStream<Predicted<I, L::Prediction>>
    where
        I: Data,
        X: Data,
        L: Learner<X>,
    {
        let records = self.stream().map("features", features);
        let predicted = records.with_broadcast(models.stream()).apply("predict", predict);
        DataStream::over(self.environment().clone(), predicted)
    }
}

/// Scoring predictions that were made elsewhere.
pub trait EvaluateExt<Y, P> {
    /// Scores targets with their predictions.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    /// use thalweg_ml::datastream::EvaluateExt;
    /// use thalweg_ml::metrics::RegressionMetric;
    /// use thalweg_ml::operators::Evaluate;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let pairs = env.from_collection((0..100).map(|n| (f64::from(n), f64::from(n + 2))).collect());
    /// let scores = pairs.evaluate(Evaluate::<RegressionMetric>::every(50)).execute_and_collect("scores")?;
    /// assert_eq!(scores.iter().map(|scores| scores.report.window.rmse).collect::<Vec<_>>(), [2.0, 2.0]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    fn evaluate<M: Metric<Target = Y, Prediction = P>>(
        &self,
        evaluate: Evaluate<M>,
    ) -> DataStream<Scores<(), M::Report>>;
}

impl<Y: StateData, P: StateData> EvaluateExt<Y, P> for DataStream<(Y, P)> {
    fn evaluate<M: Metric<Target = Y, Prediction = P>>(
        &self,
        evaluate: Evaluate<M>,
    ) -> DataStream<Scores<(), M::Report>> {
        let scores = self.stream().apply("evaluate", evaluate).parallelism(1);
        DataStream::over(self.environment().clone(), scores)
    }
}
