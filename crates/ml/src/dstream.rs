//! Learning from `DStream`s, in the words of Spark's streaming models.
//!
//! A batch is predicted with the model as it was after the batch before it, and then learnt, whichever of the two is asked for first;
//! the model of batch n is the same
//! whatever the parallelism, for [`Mergeable`] learners.
//!
//! ```
//! use std::time::Duration;
//! use thalweg_dstream::StreamingContext;
//! use thalweg_ml::cluster::StreamingKMeans;
//! use thalweg_ml::dstream::StreamingModel;
//!
//! let ssc = StreamingContext::new("clusters", Duration::from_millis(10));
//! let points = ssc.queue_stream(vec![vec![vec![0.0], vec![10.0]], vec![vec![2.0], vec![12.0]]]);
//! let k_means = StreamingKMeans::new(2).set_initial_centers(vec![vec![0.0], vec![1.0]], vec![0.0, 0.0])?;
//! let model = StreamingModel::mergeable(k_means);
//! model.train_on(&points.map(|point| (point, ())));
//! let (sender, clusters) = std::sync::mpsc::channel();
//! model.predict_on_values(&points.map(|point| (point[0], point))).map(move |(x, of)| sender.send((x as i32, of.cluster)));
//! ssc.start()?;
//! ssc.await_termination()?;
//! assert_eq!(model.latest_model().1.cluster_centers(), [vec![1.0], vec![11.0]]);
//! let mut clusters: Vec<(i32, u32)> = clusters.try_iter().collect();
//! clusters.sort();
//! assert_eq!(clusters, [(0, 0), (2, 0), (10, 1), (12, 1)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::time::at_least_millis;
use thalweg_dstream::DStream;

use crate::drift::DriftDetector;
use crate::metrics::Metric;
use crate::operators::train::MakeTrain;
use crate::operators::train_in_one::LatestModel;
use crate::operators::{
    BadRecordPolicy, CollectPart, DetectDrift, Drift, Evaluate, ModelVersion, Predict, Scores, TrainInOne,
};
use crate::{Learner, Mergeable};

type Models<L> = Stream<ModelVersion<(), L>>;
/// The models, and the interval of the batches that they come with.
type Trained<L> = Option<(Models<L>, i64)>;
type Attach<X, L> =
    Box<dyn Fn(&DStream<(X, <L as Learner<X>>::Target)>, &StreamingModel<X, L>) -> Models<L> + Send + Sync>;

/// A model that is trained on one stream and predicts on others. Clones are the same model.
pub struct StreamingModel<X, L: Learner<X>> {
    learner: L,
    latest: LatestModel<L>,
    bad: BadRecordPolicy,
    uid: String,
    attach: Arc<Attach<X, L>>,
    /// The stream of models, once there is a stream to train on.
    models: Arc<Mutex<Trained<L>>>,
}

/// How often a stream yields a batch, in milliseconds.
fn batch_of<T: Data>(stream: &DStream<T>) -> i64 {
    at_least_millis(stream.slide_duration())
}

impl<X: StateData, L: Learner<X>> StreamingModel<X, L> {
    fn with(learner: L, attach: Attach<X, L>) -> Self {
        let latest = Arc::new(Mutex::new((0, learner.clone())));
        let (bad, uid, models) = (BadRecordPolicy::Fail, "model".to_owned(), Arc::default());
        Self { learner, latest, bad, uid, attach: Arc::new(attach), models }
    }

    /// A model whose batches are learnt in one subtask. It begins with `learner`, which may have learnt before.
    pub fn new(learner: L) -> Self {
        Self::with(
            learner,
            Box::new(|data, model| {
                let (stream, interval) = (data.stream(), batch_of(data));
                let (collect, train) = (model.part("parts"), model.part("train"));
                let parts = stream.apply("collect-part", CollectPart::new(interval)).uid(&collect);
                let operator =
                    TrainInOne::new(model.learner.clone(), interval, model.bad, model.latest.clone());
                parts.apply("train", operator).parallelism(1).uid(&train)
            }),
        )
    }

    /// A model whose batches are learnt in parts, in as many subtasks as the job has.
    pub fn mergeable(learner: L) -> Self
    where
        L: Mergeable<X>,
    {
        Self::with(
            learner,
            Box::new(|data, model| {
                let interval = batch_of(data);
                let make = MakeTrain::new(model.learner.clone(), interval, model.bad, model.latest.clone());
                let make = move |context: &thalweg_dataflow::operator::OperatorContext| {
                    Ok(make.subtask(context.operator.subtask))
                };
                data.stream().rebalance().apply_with("train", make).uid(&model.part("train"))
            }),
        )
    }

    /// Says what happens to records that cannot be learnt or predicted from.
    #[must_use]
    pub fn on_bad_record(mut self, policy: BadRecordPolicy) -> Self {
        self.bad = policy;
        self
    }

    /// Sets the stable id under which the model is found again in a checkpoint: `model`, unless it is set. Two models of a job need two.
    #[must_use]
    pub fn uid(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.uid);
        self
    }

    fn part(&self, part: &str) -> String {
        format!("{}-{part}", self.uid)
    }

    /// Trains on each batch of a stream. Returned are the models, one a batch. A model is trained on one stream; unite several.
    pub fn train_on(&self, data: &DStream<(X, L::Target)>) -> DStream<ModelVersion<(), L>> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let trained = (self.attach)(data, self);
        if models.is_some() {
            let reason = format!(
                "the model '{}' is trained on two streams; unite them, and train on the union",
                self.uid
            );
            data.context().job().graph().refuse(reason);
        }
        *models = Some((trained.clone(), batch_of(data)));
        data.context().stream(trained)
    }

    /// Predicts each record, batch by batch.
    pub fn predict_on(&self, data: &DStream<X>) -> DStream<L::Prediction> {
        let values = data.context().stream(data.stream().map("features", |x| ((), x)));
        let predicted = self.predict(&values, batch_of(data));
        data.context().stream(predicted.map("prediction", |((), prediction)| prediction))
    }

    /// Predicts the value of each pair, batch by batch, and keeps its key.
    pub fn predict_on_values<T: StateData>(&self, data: &DStream<(T, X)>) -> DStream<(T, L::Prediction)> {
        data.context().stream(self.predict(data, batch_of(data)))
    }

    fn predict<T: Data>(&self, data: &DStream<(T, X)>, interval: i64) -> Stream<(T, L::Prediction)> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let graph = data.context().job().graph();
        let models = match models {
            Some((models, trained)) if trained == interval => models,
            Some((models, trained)) => {
                graph.refuse(format!(
                    "the model '{}' is trained on batches of {trained} ms, and predicts on batches of {interval} ms; window the faster stream first",
                    self.uid
                ));
                models
            }
            None => {
                graph.refuse(format!(
                    "the model '{}' is not trained; call train_on before predict_on",
                    self.uid
                ));
                return data.stream().flat_map("predict", |_, _| Ok(()));
            }
        };
        let predict = Predict::at_batches(self.learner.clone(), interval).on_bad_record(self.bad);
        let predicted = data.stream().with_broadcast(&models).apply("predict", predict);
        predicted.map("predicted", |predicted| (predicted.id, predicted.prediction))
    }

    /// The model as of the last batch, and the number of batches it has learnt: for looking at from outside of the job. It may be ahead
    /// of what is committed.
    pub fn latest_model(&self) -> (u64, L) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Scoring predictions: those of [`StreamingModel::predict_on_values`] with the targets as keys, say.
pub trait EvaluateExt<Y, P> {
    /// With each batch, the scores of all records so far, of the last `window`, and fading by `fading` with each record. Where a stream
    /// has several partitions, which records are the last is as they came.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    /// use thalweg_ml::dstream::{EvaluateExt, StreamingModel};
    /// use thalweg_ml::metrics::RegressionMetric;
    /// use thalweg_ml::linear::StreamingLinearRegressionWithSgd;
    ///
    /// let ssc = StreamingContext::new("scores", Duration::from_millis(10));
    /// let examples = ssc.queue_stream(vec![vec![(vec![1.0], 3.0)]; 20]);
    /// let model = StreamingModel::new(StreamingLinearRegressionWithSgd::new(0.5, 10));
    /// model.train_on(&examples);
    /// let (sender, scores) = std::sync::mpsc::channel();
    /// let predicted = model.predict_on_values(&examples.map(|(x, y)| (y, x)));
    /// predicted.evaluate::<RegressionMetric>(5, 0.9).map(move |scores| sender.send(scores.report));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let last = scores.try_iter().last().unwrap();
    /// assert!(last.all.mae > 0.1, "the first batch was predicted before anything was learnt");
    /// assert!(last.window.mae < 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn evaluate<M: Metric<Target = Y, Prediction = P>>(
        &self,
        window: usize,
        fading: f64,
    ) -> DStream<Scores<(), M::Report>>;
}

impl<Y: StateData, P: StateData> EvaluateExt<Y, P> for DStream<(Y, P)> {
    fn evaluate<M: Metric<Target = Y, Prediction = P>>(
        &self,
        window: usize,
        fading: f64,
    ) -> DStream<Scores<(), M::Report>> {
        let evaluate = Evaluate::<M>::at_batches(batch_of(self)).over(window, fading);
        self.context().stream(self.stream().apply("evaluate", evaluate).parallelism(1))
    }
}

/// Detecting drift in numbers, key by key.
pub trait DetectDriftExt<K> {
    /// Says when the distribution of the numbers of a key changes.
    fn detect_drift(&self, detector: impl Into<DriftDetector>) -> DStream<Drift<K>>;
}

impl<K: Key> DetectDriftExt<K> for DStream<(K, f64)> {
    fn detect_drift(&self, detector: impl Into<DriftDetector>) -> DStream<Drift<K>> {
        let values = self.stream().map("key", |(key, value)| Keyed::new(key, value)).exchange();
        self.context().stream(values.apply("detect-drift", DetectDrift::new(detector.into())))
    }
}
