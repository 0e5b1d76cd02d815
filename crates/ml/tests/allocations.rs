//! Once a learner knows its features, neither learning nor predicting a record allocates; nor does a transformer, a sketch, a drift detector.
//!
//! What grows is said beside it: a tree that splits, a window that has not been as long, a user, an item or a cluster that is new.

#![allow(clippy::unwrap_used, missing_docs)]
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use thalweg_dataflow::window::aggregate::AggregateFunction;
use thalweg_ml::anomaly::{HalfSpaceTrees, RobustZScore, SeasonalResidual};
use thalweg_ml::cluster::{CluStream, DbStream, MiniBatchKMeans, StreamingKMeans};
use thalweg_ml::drift::{Adwin, Ddm, DriftDetector, Kswin, PageHinkley};
use thalweg_ml::ensemble::{
    AdaptiveRandomForestClassifier, AdaptiveRandomForestRegressor, Bagging, OneVsRest,
};
use thalweg_ml::forecast::{HoltWinters, Snarimax};
use thalweg_ml::linear::{
    LeastSquares, LinearRegression, LogisticRegression, OnlineLogisticRegression, Optimizer,
    PassiveAggressiveClassifier, PassiveAggressiveRegressor, RecursiveLeastSquares, SoftmaxRegression,
    StreamingLinearRegressionWithSgd, StreamingLogisticRegressionWithSgd, Variant,
};
use thalweg_ml::metrics::{ClassificationMetric, ClusteringMetric, Metric, Prequential, RegressionMetric};
use thalweg_ml::naive_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use thalweg_ml::neighbors::{Aggregation, KNearestClassifier, KNearestRegressor};
use thalweg_ml::preprocessing::{
    FeatureHasher, Imputer, MinMaxScaler, OneHotEncoder, PolynomialFeatures, StandardScaler, Statistic,
    TfIdf, UnknownCategory, VarianceThreshold,
};
use thalweg_ml::recommend::{BayesianPersonalizedRanking, Click, ItemCoOccurrence, MatrixFactorization};
use thalweg_ml::rng::Rng;
use thalweg_ml::sketch::{CountMin, HyperLogLog, Reservoir, SpaceSaving, TDigest};
use thalweg_ml::tree::{HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier, HoeffdingTreeRegressor};
use thalweg_ml::{Chain, Class, Learner, Mergeable, MiniBatch, Pipeline, Transformer};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: it does what the system's allocator does, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is at its end has nothing left to count with.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(of: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    of();
    ALLOCATIONS.get() - before
}

const RECORDS: usize = 2000;

/// Records of which half are there to get to know them.
fn records() -> Vec<([f64; 20], f64)> {
    let mut rng = Rng::new(7);
    let record = |_| {
        let x: [f64; 20] = std::array::from_fn(|_| rng.uniform());
        (x, x[0] + x[1] - 1.0)
    };
    (0..RECORDS).map(record).collect()
}

/// Allocations over a thousand records, each predicted and learnt, after as many to get to know them.
fn over<X, L: Learner<X>>(mut model: L, records: &[(X, L::Target)]) -> u64 {
    let mut run = |records: &[(X, L::Target)]| {
        for (x, y) in records {
            // What has no centres or no season yet says so.
            let _ = model.predict_one(x);
            model.learn_one(x, y).unwrap();
        }
    };
    let (known, new) = records.split_at(records.len() / 2);
    run(known);
    allocations(|| run(new))
}

fn counted<L: Learner<[f64; 20]>>(model: L, target: impl Fn(f64) -> L::Target) -> u64 {
    let records: Vec<([f64; 20], L::Target)> = records().into_iter().map(|(x, y)| (x, target(y))).collect();
    over(model, &records)
}

fn binary(y: f64) -> Class {
    Class::from(y > 0.0)
}

/// One of ten classes.
fn ten(y: f64) -> Class {
    ((y + 1.0) * 5.0).clamp(0.0, 9.0) as Class
}

#[test]
fn classifiers_do_not_allocate_for_each_record() {
    assert!(allocations(|| drop(vec![1])) > 0, "it counts");
    assert_eq!(counted(LogisticRegression::new(), binary), 0);
    assert_eq!(counted(LogisticRegression::new().l1(0.1), binary), 0);
    assert_eq!(counted(LogisticRegression::with(Optimizer::ftrl_proximal(0.1, 1.0, 0.1, 0.1)), binary), 0);
    assert_eq!(counted(OnlineLogisticRegression::new(), binary), 0);
    assert_eq!(counted(StreamingLogisticRegressionWithSgd::new(0.1, 5), binary), 0);
    assert_eq!(counted(PassiveAggressiveClassifier::new(0.1, Variant::Pa1), binary), 0);
    assert_eq!(counted(SoftmaxRegression::default(), ten), 0);
    assert_eq!(counted(OneVsRest::new(LogisticRegression::new()), ten), 0);
    assert_eq!(counted(GaussianNb::default(), ten), 0);
    assert_eq!(counted(BernoulliNb::new(1.0, 0.5), ten), 0);
    assert_eq!(counted(MultinomialNb::default(), ten), 0);
    assert_eq!(counted(KNearestClassifier::new(20, 200), ten), 0);
    assert_eq!(counted(KNearestClassifier::new(5, 200).softmax(), ten), 0);
    assert_eq!(counted(Bagging::new(LogisticRegression::new(), 5, 1), binary), 0);
    // A batch is learnt as one: what that takes is allocated once in so many records.
    assert!(counted(MiniBatch::new(OnlineLogisticRegression::new(), 100), binary) < 400);
}

#[test]
fn regressors_do_not_allocate_for_each_record() {
    assert_eq!(counted(LinearRegression::with(Optimizer::ada_grad(0.1)), |y| y), 0);
    assert_eq!(counted(RecursiveLeastSquares::new(1.0, 1.0), |y| y), 0);
    assert!(counted(LeastSquares::new(0.1), |y| y) < 20, "exact sums grow with their range");
    assert_eq!(counted(StreamingLinearRegressionWithSgd::new(0.1, 5), |y| y), 0);
    assert_eq!(counted(PassiveAggressiveRegressor::new(0.1, Variant::Pa2, 0.1), |y| y), 0);
    assert_eq!(counted(KNearestRegressor::new(5, 200), |y| y), 0);
    assert_eq!(counted(KNearestRegressor::new(5, 200).aggregate(Aggregation::Median), |y| y), 0);
    let records: Vec<((), f64)> = records().into_iter().map(|(_, y)| ((), y + 3.0)).collect();
    assert_eq!(over(HoltWinters::multiplicative(0.1, 0.1, 0.1, 7), &records), 0);
    assert_eq!(over(Snarimax::new(3, 1, 2).seasonal(7, 1, 1, 1), &records), 0);
}

/// Trees allocate where they look for a split, once in so many records of a leaf: here, never. Those that watch for drift keep windows that grow with
/// the logarithm of what they saw.
#[test]
fn trees_allocate_where_they_grow() {
    assert_eq!(counted(HoeffdingTreeClassifier::new().grace_period(1e9), ten), 0);
    assert_eq!(counted(HoeffdingTreeRegressor::new().grace_period(1e9), |y| y), 0);
    assert!(counted(HoeffdingAdaptiveTreeClassifier::new(1).grace_period(1e9), ten) < 50);
    let still = || HoeffdingTreeClassifier::new().grace_period(1e9);
    assert!(counted(AdaptiveRandomForestClassifier::new(3, 1).trees_like(still()), ten) < 200);
    let grown = counted(HoeffdingTreeClassifier::new(), binary);
    assert!(grown < 1000, "amortised: {grown} allocations in a thousand records");
    let grown = counted(AdaptiveRandomForestRegressor::new(3, 1), |y| y);
    assert!(
        grown < 9000,
        "search trees of values grow, and are looked through once in fifty records: {grown}"
    );
}

#[test]
fn clusterers_and_detectors_of_anomalies_do_not_allocate_for_each_record() {
    assert_eq!(counted(MiniBatchKMeans::new(5, 50, 1), |_| ()), 0);
    assert_eq!(counted(StreamingKMeans::new(5).set_random_centers(20, 1.0, 1), |_| ()), 0);
    assert_eq!(counted(HalfSpaceTrees::new(10, 8, 100, 1), |_| ()), 0);
    // Clusters are made of micro-clusters once in so many records: here, never.
    assert_eq!(counted(CluStream::new(3, 20, 1).time(1000, 1_000_000), |_| ()), 0);
    // Points of a grid: micro-clusters stay.
    let mut rng = Rng::new(3);
    let mut point = || [rng.below(4) as f64, rng.below(4) as f64];
    let grid: Vec<([f64; 2], ())> = (0..RECORDS).map(|_| (point(), ())).collect();
    assert_eq!(over(DbStream::new(1.3).fading(0.001, 50), &grid), 0);
    let series: Vec<(f64, ())> = records().into_iter().map(|(_, y)| (y, ())).collect();
    assert_eq!(over(RobustZScore::new(100, 10), &series), 0);
    assert_eq!(over(SeasonalResidual::new(HoltWinters::trend(0.1, 0.1), 10), &series), 0);
}

#[test]
fn recommenders_do_not_allocate_for_users_and_items_that_are_known() {
    let mut rng = Rng::new(5);
    let mut pair = || (rng.below(40) as u32, rng.below(30) as u32);
    let pairs: Vec<(u32, u32)> = (0..8 * RECORDS).map(|_| pair()).collect();
    let rated: Vec<((u32, u32), f64)> = pairs.iter().map(|pair| (*pair, f64::from(pair.0 % 5))).collect();
    assert_eq!(over(MatrixFactorization::new(8, 1), &rated), 0);
    let chosen: Vec<((u32, u32), ())> = pairs.iter().map(|pair| (*pair, ())).collect();
    assert!(over(BayesianPersonalizedRanking::new(8, 1), &chosen) < 10, "a choice that is new is kept");
    let click = |(n, (user, item)): (usize, &(u32, u32))| {
        // Names, which would have to be allocated.
        let (user, item) = (format!("user {user}"), format!("item {item:02}"));
        (Click { user, item, time: n as i64 }, ())
    };
    let clicks: Vec<(Click<String, String>, ())> = pairs.iter().enumerate().map(click).collect();
    let mut model = ItemCoOccurrence::new(1e6, 5, 100, 8);
    let (known, new) = clicks.split_at(clicks.len() / 2);
    known.iter().for_each(|(click, ())| model.learn_one(click, &()).unwrap());
    assert_eq!(allocations(|| new.iter().for_each(|(click, ())| model.learn_one(click, &()).unwrap())), 0);
    let names = allocations(|| assert_eq!(model.predict_one(&new[0].0).unwrap().len(), 8));
    assert!(names <= 8, "the names that are handed out, and nothing else: {names}");
    let clicks = pairs
        .iter()
        .enumerate()
        .map(|(n, (user, item))| (Click { user: *user, item: *item, time: n as i64 }, ()));
    assert_eq!(over(ItemCoOccurrence::new(1e6, 5, 100, 8), &clicks.collect::<Vec<_>>()), 0);
}

/// Allocations over a thousand records, each learnt and transformed, after as many to get to know them.
fn transformed<X, T: Transformer<X>>(mut transformer: T, records: &[X]) -> u64 {
    let mut run = |records: &[X]| {
        for x in records {
            transformer.learn(x).unwrap();
            drop(transformer.transform(x).unwrap());
        }
    };
    let (known, new) = records.split_at(records.len() / 2);
    run(known);
    allocations(|| run(new))
}

#[test]
fn transformers_do_not_allocate_for_each_record() {
    let dense: Vec<[f64; 20]> = records().into_iter().map(|(x, _)| x).collect();
    assert_eq!(transformed(StandardScaler::new(), &dense), 0);
    assert_eq!(transformed(MinMaxScaler::default(), &dense), 0);
    assert_eq!(transformed(Imputer::new(Statistic::Mean), &dense), 0);
    assert_eq!(transformed(VarianceThreshold::new(0.01), &dense), 0);
    assert_eq!(transformed(PolynomialFeatures::new(2), &dense), 0);
    let chain = || Chain::new(Imputer::new(Statistic::Previous), StandardScaler::new());
    assert_eq!(transformed(chain(), &dense), 0);
    assert_eq!(counted(Pipeline::new(chain(), LogisticRegression::new()), binary), 0);
    let categories: Vec<Vec<String>> =
        (0..RECORDS).map(|n| vec![format!("a{}", n % 7), format!("b{}", n % 5)]).collect();
    assert_eq!(transformed(OneHotEncoder::new(100, UnknownCategory::Refuse), &categories), 0);
    let named: Vec<Vec<(String, f64)>> =
        (0..RECORDS).map(|n| vec![(format!("a{}", n % 7), 1.0), ("b".to_owned(), n as f64)]).collect();
    assert_eq!(transformed(FeatureHasher::new(1000), &named), 0);
    let texts: Vec<String> =
        (0..RECORDS).map(|n| format!("The river {} runs DEEP and {} fast", n % 9, n % 4 + 20)).collect();
    assert_eq!(transformed(TfIdf::new(1000), &texts), 0);
}

#[test]
fn sketches_and_drift_detectors_do_not_allocate_for_each_value() {
    let mut rng = Rng::new(9);
    let values: Vec<u64> = (0..RECORDS).map(|_| rng.below(300) as u64).collect();
    fn each(values: &[u64], mut insert: impl FnMut(u64)) -> u64 {
        let (known, new) = values.split_at(values.len() / 2);
        known.iter().for_each(|value| insert(*value));
        allocations(|| new.iter().for_each(|value| insert(*value)))
    }
    let mut distinct = HyperLogLog::new(12);
    assert_eq!(each(&values, |value| distinct.insert(&value)), 0);
    assert_eq!(allocations(|| assert!(distinct.estimate() > 200.0)), 0);
    let mut counts = CountMin::new(256, 4);
    assert_eq!(each(&values, |value| counts.insert(&value, 1)), 0);
    let mut frequent = SpaceSaving::new(50);
    assert_eq!(each(&values, |value| frequent.insert(value)), 0);
    let mut sample = Reservoir::new(100, 1);
    assert_eq!(each(&values, |value| sample.insert(value)), 0);
    let mut digest = TDigest::new(100.0);
    // Centroids are more or fewer from merge to merge.
    assert!(each(&values, |value| digest.insert(value as f64)) < 4);
    for detector in [
        Ddm::default().into(),
        PageHinkley::default().into(),
        DriftDetector::from(Kswin::new(1e-9, 100, 30, 1)),
    ] {
        let mut detector: DriftDetector = detector;
        assert_eq!(
            each(&values, |value| {
                let _ = detector.update(f64::from(value as u32 % 2));
            }),
            0
        );
    }
    let mut adwin = Adwin::default();
    let grown = each(&values, |value| {
        let _ = adwin.update(value as f64);
    });
    assert!(grown < 20, "a window grows by its logarithm: {grown}");
    let mut quantiles = thalweg_ml::sketch::Quantiles::new(&[0.5], |value: &f64| *value);
    let digest = quantiles.create_accumulator();
    assert!(quantiles.get_result(&digest).is_empty());
}

#[test]
fn nor_do_parts_of_batches_and_metrics() {
    let records = records();
    let model = StreamingKMeans::new(10).set_random_centers(20, 1.0, 1);
    let mut part = Default::default();
    let mut accumulate = |records: &[([f64; 20], f64)]| {
        records.iter().for_each(|(x, _)| Mergeable::accumulate(&model, &mut part, x, &()).unwrap());
    };
    accumulate(&records[..1000]);
    assert!(allocations(|| accumulate(&records[1000..])) < 20, "sums grow with their range");

    fn counted<M: Metric>(pairs: Vec<(M::Target, M::Prediction)>) -> u64 {
        let mut metric = Prequential::<M>::new(100, 0.99);
        let mut update =
            |pairs: &[(M::Target, M::Prediction)]| pairs.iter().for_each(|(y, p)| metric.update(y, p));
        update(&pairs[..1000]);
        allocations(|| update(&pairs[1000..]))
    }
    assert_eq!(counted::<RegressionMetric>(records.iter().map(|(x, y)| (*y, x[0])).collect()), 0);
    let assigned = records.iter().map(|(x, _)| ((), model.predict_one(x).unwrap()));
    assert_eq!(counted::<ClusteringMetric>(assigned.collect()), 0);
    let classes = records.iter().map(|(x, y)| (binary(*y), thalweg_ml::Classification::binary(x[0])));
    assert!(
        counted::<ClassificationMetric>(classes.collect()) < 100,
        "a window's sums are made anew as often as it is long"
    );
}
