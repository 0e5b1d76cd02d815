//! Every learner, taken out of a job as JSON and into another, or written to a checkpoint and restored, goes on as if nothing had
//! happened, to the last bit; and a bad record changes nothing of it.

use std::fmt::Debug;

use crate::support::data;
use thalweg_dataflow::harness::Harness;
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::state::StateData;
use thalweg_ml::anomaly::{HalfSpaceTrees, RobustZScore, SeasonalResidual};
use thalweg_ml::cluster::{CluStream, DbStream, MiniBatchKMeans, StreamingKMeans};
use thalweg_ml::ensemble::{
    AdaptiveRandomForestClassifier, AdaptiveRandomForestRegressor, Bagging, OneVsRest,
};
use thalweg_ml::forecast::{HoltWinters, Snarimax};
use thalweg_ml::linear::{
    LeastSquares, LinearRegression, LogisticRegression, OnlineLogisticRegression, Optimizer,
    PassiveAggressiveClassifier, PassiveAggressiveRegressor, RecursiveLeastSquares, SoftmaxRegression,
    StreamingLinearRegressionWithSgd, StreamingLogisticRegressionWithSgd, Variant,
};
use thalweg_ml::metrics::Unscored;
use thalweg_ml::naive_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use thalweg_ml::neighbors::{KNearestClassifier, KNearestRegressor};
use thalweg_ml::operators::{Learn, Observation};
use thalweg_ml::preprocessing::{
    FeatureHasher, Imputer, MinMaxScaler, OneHotEncoder, PolynomialFeatures, StandardScaler, Statistic,
    TfIdf, UnknownCategory, VarianceThreshold,
};
use thalweg_ml::recommend::{BayesianPersonalizedRanking, Click, ItemCoOccurrence, MatrixFactorization};
use thalweg_ml::tree::{HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier, HoeffdingTreeRegressor};
use thalweg_ml::{Chain, Class, Learner, MiniBatch, Pipeline, Rejected, Transformer, from_json, to_json};

/// The prediction, as its bits would be written.
fn says<X, L: Learner<X>>(model: &L, x: &X) -> String {
    match model.predict_one(x) {
        Ok(prediction) => serde_json::to_string(&prediction).unwrap(),
        Err(reason) => reason.to_string(),
    }
}

/// Learns some records, with `bad` ones in between that must change nothing; goes through JSON and through a checkpoint; learns on.
fn goes_on<X, L>(name: &str, model: L, records: &[(X, L::Target)], bad: &[(X, L::Target)])
where
    X: StateData + Debug,
    L: Learner<X>,
    L::Target: Debug,
{
    let (first, rest) = records.split_at(records.len() / 2);
    let mut before = model.clone();
    for (x, y) in first {
        let result = before.learn_one(x, y);
        assert!(result.is_ok() || matches!(result, Err(Rejected::Diverges)), "{name}: {result:?}");
    }
    let json = to_json("model", &before).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (x, y) in bad {
        assert!(before.learn_one(x, y).is_err(), "{name} learns {x:?}, {y:?}");
        assert_eq!(to_json("model", &before).unwrap(), json, "{name} is changed by {x:?}, {y:?}");
    }
    let mut read: L = from_json("model", &json).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(to_json("model", &read).unwrap(), json, "{name}");

    let bytes = postcard::to_stdvec(&before).unwrap();
    let mut restored: L = postcard::from_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (x, y) in rest {
        assert_eq!(says(&read, x), says(&before, x), "{name}: read from JSON");
        assert_eq!(says(&restored, x), says(&before, x), "{name}: restored");
        let _ = (before.learn_one(x, y), read.learn_one(x, y), restored.learn_one(x, y));
    }
    assert_ne!(to_json("model", &before).unwrap(), json, "{name}");
}

/// Through a checkpoint of the engine, at another parallelism: what came out of a job goes on in the next.
#[test]
fn a_job_restores_its_models() {
    fn of<L: Learner<Vec<f64>, Target = Class>>(name: &str, model: L) {
        let learn = || Learn::<u8, u32, Vec<f64>, L, Unscored<Class, L::Prediction>>::new(model.clone());
        let observe = |(x, y): &(Vec<f64>, Class)| Keyed::new(1, Observation::Example(0, x.clone(), *y));
        let records = classes("breast_cancer");
        let (mut alone, mut harness) = (model.clone(), Harness::new(learn()));
        for (n, record) in records.iter().enumerate() {
            if n == 120 || n == 200 {
                harness = harness.restore(learn(), 3);
            }
            harness.push(observe(record), 0);
            let prediction = serde_json::to_string(&harness.values().pop().unwrap().prediction).unwrap();
            assert_eq!(prediction, says(&alone, &record.0), "{name}: record {n}");
            alone.learn_one(&record.0, &record.1).unwrap();
        }
    }
    of("logistic", Pipeline::new(StandardScaler::new(), LogisticRegression::with(Optimizer::ada_grad(0.1))));
    of("forest", AdaptiveRandomForestClassifier::new(3, 5));
    of("adaptive tree", HoeffdingAdaptiveTreeClassifier::new(3).grace_period(20.0).delta(0.1));
}

type Examples<Y> = Vec<(Vec<f64>, Y)>;

fn classes(name: &str) -> Examples<Class> {
    data(name).into_iter().step_by(2).take(300).map(|(x, y)| (x, y as Class)).collect()
}

fn bad_classes(of: &Examples<Class>) -> Examples<Class> {
    let sound = of[0].0.clone();
    let mut missing = sound.clone();
    missing[0] = f64::NAN;
    vec![(missing, 1), (vec![0.5; sound.len() + 1], 1), (sound, 1_000_000)]
}

#[test]
fn classifiers() {
    fn of<L: Learner<Vec<f64>, Target = Class>>(name: &str, model: L) {
        for of in ["phishing", "breast_cancer"] {
            let records = classes(of);
            goes_on(name, model.clone(), &records, &bad_classes(&records));
        }
    }
    for optimizer in
        [Optimizer::sgd(0.1), Optimizer::ada_grad(0.1), Optimizer::ftrl_proximal(0.1, 1.0, 0.1, 0.1)]
    {
        of("logistic", Pipeline::new(StandardScaler::new(), LogisticRegression::with(optimizer)));
    }
    of("passive-aggressive", PassiveAggressiveClassifier::new(0.1, Variant::Pa2));
    of("softmax", Pipeline::new(MinMaxScaler::default(), SoftmaxRegression::default()));
    of("one-vs-rest", OneVsRest::new(LogisticRegression::new()));
    of("Spark's logistic", StreamingLogisticRegressionWithSgd::new(0.1, 5));
    of("Flink's logistic", MiniBatch::new(OnlineLogisticRegression::new(), 7));
    of("Gaussian", GaussianNb::default());
    of("multinomial", MultinomialNb::default());
    of("Bernoulli", BernoulliNb::new(1.0, 0.5));
    of("Hoeffding tree", HoeffdingTreeClassifier::new().grace_period(20.0).delta(0.1));
    of("adaptive tree", HoeffdingAdaptiveTreeClassifier::new(3).grace_period(20.0).delta(0.1));
    of("forest", AdaptiveRandomForestClassifier::new(3, 5));
    of("bag", Bagging::new(LogisticRegression::new(), 3, 7));
    of("neighbours", KNearestClassifier::new(3, 50));
    of("variance", Pipeline::new(VarianceThreshold::new(0.01), GaussianNb::default()));
    of("nominal", HoeffdingTreeClassifier::new().nominal(0..3).grace_period(20.0).delta(0.1));
}

#[test]
fn regressors() {
    fn of<L: Learner<Vec<f64>, Target = f64>>(name: &str, model: L) {
        let records: Examples<f64> = data("trump_approval").into_iter().take(300).collect();
        let sound = records[0].0.clone();
        let mut missing = sound.clone();
        missing[0] = f64::INFINITY;
        let bad = [(missing, 1.0), (vec![0.5; sound.len() + 1], 1.0), (sound, f64::NAN)];
        goes_on(name, model, &records, &bad);
    }
    let scaled = || StandardScaler::new();
    of("linear", Pipeline::new(scaled(), LinearRegression::with(Optimizer::ada_grad(0.5))));
    of(
        "passive-aggressive",
        Pipeline::new(scaled(), PassiveAggressiveRegressor::new(1.0, Variant::Pa1, 0.1)),
    );
    of("recursive", RecursiveLeastSquares::new(1.0, 0.99));
    of("least squares", LeastSquares::new(0.1));
    of("Spark's linear", Pipeline::new(scaled(), StreamingLinearRegressionWithSgd::new(0.1, 5)));
    of("tree", HoeffdingTreeRegressor::new().grace_period(20.0).delta(0.1));
    of("forest", AdaptiveRandomForestRegressor::new(3, 5));
    of("bag", Bagging::new(Pipeline::new(scaled(), LinearRegression::new()), 3, 7));
    of("neighbours", KNearestRegressor::new(3, 50));
    let polynomial = Chain::new(scaled(), PolynomialFeatures::new(2));
    of("polynomial", Pipeline::new(polynomial, LinearRegression::with(Optimizer::ada_grad(0.1))));
}

#[test]
fn what_learns_from_features_alone() {
    fn of<L: Learner<Vec<f64>, Target = ()>>(name: &str, model: L) {
        let records: Examples<()> = data("bananas").into_iter().take(400).map(|(x, _)| (x, ())).collect();
        let bad = [(vec![f64::NAN, 0.0], ()), (vec![0.0], ())];
        goes_on(name, model, &records, &bad);
    }
    of("k-means", StreamingKMeans::new(3).set_decay_factor(0.9).set_random_centers(2, 1.0, 3));
    of("mini-batch k-means", MiniBatchKMeans::new(3, 20, 3));
    of("DBSTREAM", DbStream::new(0.5));
    of("CluStream", CluStream::new(3, 20, 3).time(100, 20));
    of("half-space trees", HalfSpaceTrees::new(5, 6, 50, 3));
    of("scaler", StandardScaler::new());
    of("ranges", MinMaxScaler::default());
}

#[test]
fn series() {
    let values: Vec<f64> = data("airline_passengers").into_iter().map(|(_, y)| y).collect();
    let as_targets: Vec<((), f64)> = values.iter().map(|y| ((), *y)).collect();
    let bad = [((), f64::NAN), ((), f64::INFINITY)];
    goes_on("Holt–Winters", HoltWinters::multiplicative(0.3, 0.1, 0.6, 12), &as_targets, &bad);
    goes_on("SNARIMAX", Snarimax::new(2, 1, 1).seasonal(12, 1, 1, 1), &as_targets, &bad);
    let as_features: Vec<(f64, ())> = values.iter().map(|x| (*x, ())).collect();
    let bad = [(f64::NAN, ()), (f64::NEG_INFINITY, ())];
    goes_on("robust z-score", RobustZScore::new(20, 5), &as_features, &bad);
    let seasonal = SeasonalResidual::new(HoltWinters::additive(0.3, 0.1, 0.6, 12), 20);
    goes_on("seasonal residual", seasonal, &as_features, &bad);
}

#[test]
fn recommenders() {
    let pair = |n: u32| ((n * 7) % 13, (n * 5 + n / 7) % 11);
    let ratings: Vec<((u32, u32), f64)> = (0..300).map(|n| (pair(n), f64::from(n % 5))).collect();
    let bad = [((1, 1), f64::NAN)];
    goes_on("factors", MatrixFactorization::new(4, 3), &ratings, &bad);
    // Ids that are no strings, and so no names of JSON.
    let composed: Vec<_> = ratings.iter().map(|((u, i), y)| (((*u, 'u'), (*i, 'i')), *y)).collect();
    goes_on("factors of composed ids", MatrixFactorization::new(4, 3), &composed, &[]);
    let choices: Vec<_> = composed.iter().map(|(pair, _)| (*pair, ())).collect();
    goes_on("ranking", BayesianPersonalizedRanking::new(4, 3), &choices, &[]);
    let click = |n: u32| Click { user: (pair(n).0, 'u'), item: (pair(n).1, 'i'), time: i64::from(n) * 1000 };
    let clicks: Vec<_> = (0..300).map(|n| (click(n), ())).collect();
    goes_on("co-occurrence", ItemCoOccurrence::new(1e5, 5, 20, 3), &clicks, &[]);
}

#[test]
fn features_of_other_kinds() {
    fn encoded<X: StateData + Debug, T: Transformer<X, Out = thalweg_ml::Sparse>>(
        name: &str,
        transformer: T,
        records: &[(X, Class)],
    ) {
        goes_on(
            name,
            Pipeline::new(transformer, LogisticRegression::with(Optimizer::sgd(0.1))),
            records,
            &[(records[0].0.clone(), 2)],
        );
    }
    let word = |n: u32| ["deep", "river", "fast", "boat", "today", "thalweg"][n as usize % 6].to_owned();
    let fields: Vec<_> = (0..100).map(|n| (vec![word(n), word(n / 6)], n % 2)).collect();
    encoded("one-hot", OneHotEncoder::new(50, UnknownCategory::Ignore), &fields);
    let refusing = OneHotEncoder::new(5, UnknownCategory::Refuse);
    let mut full = Pipeline::new(refusing, LogisticRegression::new());
    let refused = fields.iter().filter(|(x, y)| full.learn_one(x, y).is_err()).count();
    assert!(refused > 50, "{refused}");
    let texts: Vec<_> =
        (0..100).map(|n| (format!("{} {} {}", word(n), word(n / 2), word(n / 6)), n % 2)).collect();
    encoded("TF-IDF", TfIdf::new(50), &texts);
    let named: Vec<_> =
        (0..100).map(|n| (vec![(word(n), f64::from(n)), (word(n / 6), 1.0)], n % 2)).collect();
    encoded("hashes", FeatureHasher::new(64), &named);
    let missing: Examples<Class> =
        (0..100).map(|n| (vec![if n % 3 == 0 { f64::NAN } else { f64::from(n % 7) }, 1.0], n % 2)).collect();
    for statistic in [Statistic::Mean, Statistic::Previous, Statistic::Constant(3.0)] {
        let model =
            Pipeline::new(Chain::new(Imputer::new(statistic), StandardScaler::new()), GaussianNb::default());
        goes_on(
            "imputed",
            model,
            &missing,
            &[(vec![f64::INFINITY, 1.0], 1), (vec![1.0], 1), (vec![1.0, 1.0], 1_000_000)],
        );
    }
}
