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

use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::{Key, StateData};
use thalweg_datastream::{DataStream, KeyedStream};

use crate::Learner;
use crate::metrics::Metric;
use crate::operators::{
    BadRecord, Drift, Learn, ModelVersion, Observation, Predict, Predicted, Prediction, Scores,
};

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
