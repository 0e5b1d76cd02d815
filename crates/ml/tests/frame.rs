//! Models and scores are the same, to the last bit, however a job is run: at any parallelism, crashed, and restored at another.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::LazyLock;
use std::time::Duration;

use thalweg_dataflow::source::{CollectionSource, QueueSource};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_datastream::{DataStream, StreamExecutionEnvironment};
use thalweg_dstream::StreamingContext;
use thalweg_ml::cluster::StreamingKMeans;
use thalweg_ml::datastream::LearnExt;
use thalweg_ml::dstream::StreamingModel;
use thalweg_ml::linear::{LogisticRegression, StreamingLinearRegressionWithSgd};
use thalweg_ml::metrics::ClassificationMetric;
use thalweg_ml::naive_bayes::GaussianNb;
use thalweg_ml::operators::{Learn, Observation};
use thalweg_ml::rng::Rng;
use thalweg_ml::to_json;
use thalweg_testkit::Pipeline;

/// Points around three centres, the same each time.
fn points(count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = Rng::new(seed);
    let centers = [[0.0, 0.0], [8.0, 1.0], [-3.0, 9.0]];
    (0..count)
        .map(|_| {
            let center = centers[rng.below(3)];
            center.iter().map(|c| c + rng.gaussian()).collect()
        })
        .collect()
}

/// Key, index and point.
static ITEMS: LazyLock<Vec<(u64, u64, [f64; 2])>> = LazyLock::new(|| {
    let items = points(200_000, 1).into_iter().zip(0..);
    items.map(|(x, index)| (index % SPLITS, index, [x[0], x[1]])).collect()
});

/// Into how many splits a collection is dealt out.
const SPLITS: u64 = 8;

#[test]
fn per_key_models_and_scores_do_not_depend_on_how_a_job_is_run() {
    Pipeline::new("prequential", |run| {
        // Split n of the source holds the records of key n, and keeps their order, as a Kafka partition does.
        let source = CollectionSource::new(ITEMS.clone());
        let stream = run.job.graph().source("points", source, WatermarkStrategy::no_watermarks());
        let points =
            DataStream::over(StreamExecutionEnvironment::over(run.job.clone()), run.crash.on(&stream));
        let learn = Learn::<_, _, _, _, ClassificationMetric>::new(LogisticRegression::new());
        let learn = learn.scores_over(50, 0.99).scores_every(2000).models_every(5000);
        let observe = |(_, index, x): (u64, u64, [f64; 2])| {
            let label = u32::from(x[0] + x[1] > 4.0);
            Observation::Example(index, x, label)
        };
        let learnt = points.key_by(|(key, ..)| *key).learn(observe, learn);
        let (scores, models) = (learnt.scores(), learnt.models());
        let scores = scores.map(|scores| {
            let report = scores.report;
            let all = [report.all.log_loss, report.window.roc_auc, report.fading.kappa].map(f64::to_bits);
            format!("scores {} {} {all:x?}", scores.key, scores.scored)
        });
        let models = models.map(|version| {
            format!("model {} {} {}", version.key, version.version, to_json("m", &version.model).unwrap())
        });
        scores.union(&models).stream().clone()
    })
    .check();
}

fn batches() -> Vec<Vec<Vec<f64>>> {
    points(30_000, 2).chunks(150).map(<[_]>::to_vec).collect()
}

#[test]
fn clusters_learnt_in_parallel_are_those_learnt_in_one() {
    Pipeline::new("k-means", |run| {
        let ssc = StreamingContext::over(run.job.clone(), Duration::from_millis(5));
        let source = QueueSource::new(batches(), 5);
        let points = ssc.from_source(source, WatermarkStrategy::no_watermarks(), "points");
        let points = ssc.stream(run.crash.on(points.stream()));
        let k_means = StreamingKMeans::new(3).set_decay_factor(0.9).set_random_centers(2, 1.0, 7);
        let model = StreamingModel::mergeable(k_means);
        let models = model.train_on(&points.map(|point| (point, ())));
        let predicted =
            model.predict_on_values(&points.map(|x| (format!("{:x?}", [x[0].to_bits(), x[1].to_bits()]), x)));
        let predicted =
            predicted.map(|(x, of)| format!("{x} in {} at {:x}", of.cluster, of.distance.to_bits()));
        // Until the end is noticed, there may be some batches more, without records.
        let models = models.filter(|version| version.version <= 200);
        let models =
            models.map(|version| format!("{} {}", version.version, to_json("m", &version.model).unwrap()));
        models.union(&predicted).stream().clone()
    })
    .check();
}

#[test]
fn classes_learnt_in_parallel_are_those_learnt_in_one() {
    Pipeline::new("naive Bayes", |run| {
        let ssc = StreamingContext::over(run.job.clone(), Duration::from_millis(5));
        let points =
            ssc.from_source(QueueSource::new(batches(), 5), WatermarkStrategy::no_watermarks(), "points");
        let points = ssc.stream(run.crash.on(points.stream()));
        let model = StreamingModel::mergeable(GaussianNb::default());
        let models = model.train_on(&points.map(|x| {
            let class = u32::from(x[0] > 4.0);
            (x, class)
        }));
        let models = models.filter(|version| version.version <= 200);
        models
            .map(|version| format!("{} {}", version.version, to_json("m", &version.model).unwrap()))
            .stream()
            .clone()
    })
    .check();
}

/// Spark: a batch is predicted with the model as it was after the batch before it.
#[test]
fn a_batch_is_predicted_with_the_model_of_the_batch_before() {
    let ssc = StreamingContext::new("versions", Duration::from_millis(10));
    let batches = (0..5).map(|n| (0..4).map(|i| (vec![1.0], f64::from(n * 4 + i))).collect()).collect();
    let examples = ssc.queue_stream::<(Vec<f64>, f64)>(batches);
    let model = StreamingModel::new(StreamingLinearRegressionWithSgd::new(0.5, 10));
    let models = model.train_on(&examples);
    let (sender, weights) = std::sync::mpsc::channel();
    models.map(move |version| sender.send((version.version, version.model.weights()[0])));
    let (sender, predictions) = std::sync::mpsc::channel();
    model
        .predict_on_values(&examples.map(|(x, y)| (y as u64, x)))
        .map(move |prediction| sender.send(prediction));
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let weights: Vec<(u64, f64)> = weights.try_iter().collect();
    assert!(weights.len() >= 5, "{weights:?}");
    let predictions: Vec<(u64, f64)> = predictions.try_iter().collect();
    assert_eq!(predictions.len(), 20);
    for (y, predicted) in predictions {
        let batch = y / 4;
        let expected = if batch == 0 { 0.0 } else { weights[batch as usize - 1].1 };
        assert_eq!(predicted, expected, "a record of batch {batch}");
    }
    assert_eq!(model.latest_model().1.weights()[0], weights.last().unwrap().1);
}

#[test]
fn what_cannot_be_meant_is_refused_before_it_starts() {
    let ssc = StreamingContext::new("untrained", Duration::from_millis(10));
    let points = ssc.queue_stream(vec![vec![vec![1.0]]]);
    StreamingModel::new(StreamingLinearRegressionWithSgd::new(0.1, 1)).predict_on(&points).print();
    let error = ssc.start().and_then(|()| ssc.await_termination()).unwrap_err().to_string();
    assert!(error.contains("call train_on before predict_on"), "{error}");
}

#[test]
fn scores_are_among_the_metrics_of_the_job() {
    use thalweg_ml::datastream::PredictExt;
    let env = StreamExecutionEnvironment::new();
    let points = env.from_collection(points(2000, 3));
    let learn = Learn::<_, _, _, _, ClassificationMetric>::new(GaussianNb::default());
    let learnt = points.learn_all(
        |x| {
            let y = u32::from(x[0] > 4.0);
            Observation::Example((), x, y)
        },
        learn,
    );
    learnt.outcomes().for_each(|_| {});
    let job = env.execute_async("scored").unwrap();
    while !job.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let metrics = job.metrics();
    let (_, learn) = metrics.operators.iter().find(|(name, _)| &*name.name == "learn").unwrap();
    let gauges = learn.gauges();
    for name in ["accuracy", "accuracy_window", "accuracy_fading", "kappa", "roc_auc_window"] {
        assert!((0.85..=1.0).contains(&gauges[name]), "{name}: {gauges:?}");
    }
    assert_eq!(gauges.len(), 21);
}

/// The job's metrics go on over a restore at another parallelism.
#[test]
fn the_jobs_scores_survive_a_restore_at_another_parallelism() {
    use thalweg_dataflow::harness::{Harness, Then};
    use thalweg_dataflow::record::Keyed;
    let learn = || Learn::<u64, u64, [f64; 2], _, ClassificationMetric>::new(GaussianNb::default());
    let observed = |index: usize| {
        let (key, id, x) = ITEMS[index];
        Keyed::new(key, Observation::Example(id, x, u32::from(x[0] > 4.0)))
    };
    let scores = |restores: &[(usize, usize)]| {
        let mut harness = Harness::new(learn());
        for index in 0..600 {
            if let Some((_, parallelism)) = restores.iter().find(|(at, _)| *at == index) {
                harness = harness.restore(learn(), *parallelism);
            }
            harness.push(observed(index), 0);
        }
        harness.barrier(1000, Then::Continue);
        harness.metrics().gauges()
    };
    // Three subtasks have a part of the keys each; what they have counted comes together again in one.
    let (once, often) = (scores(&[]), scores(&[(100, 3), (599, 1)]));
    assert!(once["accuracy"] > 0.9 && once.len() == 21, "{once:?}");
    for name in ["accuracy", "balanced_accuracy", "f1", "kappa", "log_loss", "roc_auc"] {
        assert!((once[name] - often[name]).abs() < 1e-9, "{name}: {once:?}, {often:?}");
    }
}

/// Mergeable learners train on `DataStream`s in all subtasks. Exact sums do not depend on where batches end either.
#[test]
fn a_data_stream_trains_in_parallel_what_can_be_merged() {
    use thalweg_ml::datastream::PredictExt;
    use thalweg_ml::linear::LeastSquares;
    use thalweg_ml::operators::BadRecordPolicy;
    let train = |parallelism: usize| {
        let env = StreamExecutionEnvironment::new();
        env.set_parallelism(parallelism);
        let points = env.from_collection(points(20_000, 5));
        let example = |x: Vec<f64>| {
            let y = 2.0 * x[0] - x[1] + 0.3 * (x[0] * 7.0).sin();
            (x, y)
        };
        let models =
            points.train(example, LeastSquares::new(0.1), Duration::from_millis(5), BadRecordPolicy::Fail);
        let models = models.execute_and_collect("train").unwrap();
        models.into_iter().max_by_key(|model| model.version).unwrap().model.weights().to_vec()
    };
    let alone = train(1);
    assert!((alone[0] - 2.0).abs() < 0.1 && (alone[1] + 1.0).abs() < 0.1, "{alone:?}");
    assert_eq!(train(3), alone);
}

/// Scaling learnt in parts is that learnt record by record.
#[test]
fn scalers_can_be_merged() {
    use thalweg_ml::preprocessing::{MinMaxScaler, StandardScaler};
    use thalweg_ml::{Dense, Mergeable};
    fn of<L>(model: L) -> (Dense, Dense)
    where
        L: Mergeable<Vec<f64>, Target = (), Prediction = Dense>,
    {
        let points = points(3000, 9);
        let (mut one_by_one, mut in_parts) = (model.clone(), model);
        for batch in points.chunks(500) {
            let mut parts = vec![L::Partial::default(); 3];
            for (n, x) in batch.iter().enumerate() {
                one_by_one.learn_one(x, &()).unwrap();
                in_parts.accumulate(&mut parts[n % 3], x, &()).unwrap();
            }
            let mut whole = L::Partial::default();
            parts.iter().rev().for_each(|part| L::merge(&mut whole, part));
            in_parts.update(&whole);
        }
        let x = vec![3.0, 4.0];
        (one_by_one.predict_one(&x).unwrap(), in_parts.predict_one(&x).unwrap())
    }
    for (one_by_one, in_parts) in [of(StandardScaler::new()), of(MinMaxScaler::default())] {
        one_by_one.iter().zip(&in_parts).for_each(|(a, b)| assert!((a - b).abs() < 1e-9, "{a} {b}"));
        assert!(one_by_one.iter().any(|x| *x != 0.0));
    }
}

/// Drift is told on `DStream`s and on `DataStream`s, key by key.
#[test]
fn drift_is_detected_under_both_faces() {
    use thalweg_ml::drift::Adwin;
    use thalweg_ml::dstream::DetectDriftExt;
    let values = |n: u32| (n % 2, f64::from(n % 7) / 10.0 + f64::from(u8::from(n % 2 == 1 && n > 3000)));
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(1);
    let stream = env.from_collection((0..6000).map(values).collect());
    let drifts = stream.key_by(|(key, _)| *key).detect_drift(|(_, value)| value, Adwin::default());
    let drifts = drifts.execute_and_collect("drifts").unwrap();
    assert_eq!(drifts.iter().map(|drift| drift.key).collect::<Vec<_>>(), [1]);
    assert!((1500..1700).contains(&drifts[0].scored), "{drifts:?}");

    let ssc = StreamingContext::new("drifts", Duration::from_millis(10));
    let batches = (0..6).map(|batch| (batch * 1000..(batch + 1) * 1000).map(values).collect()).collect();
    let (sender, found) = std::sync::mpsc::channel();
    let stream = ssc.queue_stream::<(u32, f64)>(batches).repartition(1);
    stream.detect_drift(Adwin::default()).map(move |drift| sender.send((drift.key, drift.scored)));
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    assert_eq!(found.try_iter().collect::<Vec<_>>(), [(1, drifts[0].scored)]);
}

/// Flink ML: an online estimator gives a stream of models, and predictors take them by broadcast.
#[test]
fn predictors_take_models_by_broadcast() {
    use thalweg_ml::datastream::PredictExt;
    use thalweg_ml::linear::{LinearRegression, Optimizer};
    use thalweg_ml::metrics::RegressionMetric;
    use thalweg_ml::operators::Predict;
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(3);
    let examples = env.from_collection((0..4000).map(|n| f64::from(n % 10) / 10.0).collect());
    let estimator = LinearRegression::with(Optimizer::sgd(0.1)).intercept_rate(0.1);
    let learn = Learn::<_, _, _, _, RegressionMetric>::new(estimator.clone()).models_every(1000);
    let learnt = examples.learn_all(|x| Observation::Example((), [x], 3.0 * x + 1.0), learn);
    let models = learnt.models();
    // The same records are predicted, in three subtasks, each with the newest model that has come.
    let predicted = examples.predict(|x| (x, [x]), Predict::at_once(estimator), &models);
    let predicted = predicted.execute_and_collect("broadcast").unwrap();
    assert_eq!(predicted.len(), 4000);
    for of in predicted {
        assert!(of.version % 1000 == 0 && of.version <= 4000, "{of:?}");
        // A model that has learnt a thousand records is nearly right; the one before the first is 0 everywhere.
        let right = 3.0 * of.id + 1.0;
        assert!(
            if of.version == 0 { of.prediction == 0.0 } else { (of.prediction - right).abs() < 0.2 },
            "{of:?}"
        );
    }
}
