//! Once a learner knows its features, neither learning nor predicting a record allocates.

#![allow(clippy::unwrap_used, missing_docs)]
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use thalweg_ml::anomaly::HalfSpaceTrees;
use thalweg_ml::cluster::{MiniBatchKMeans, StreamingKMeans};
use thalweg_ml::ensemble::{Bagging, OneVsRest};
use thalweg_ml::linear::{
    LinearRegression, LogisticRegression, Optimizer, PassiveAggressiveClassifier, RecursiveLeastSquares,
    SoftmaxRegression, Variant,
};
use thalweg_ml::metrics::{ClassificationMetric, Metric, Prequential, RegressionMetric};
use thalweg_ml::naive_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use thalweg_ml::neighbors::KNearestClassifier;
use thalweg_ml::rng::Rng;
use thalweg_ml::tree::{HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier, HoeffdingTreeRegressor};
use thalweg_ml::{Class, Learner, Mergeable};

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

fn records(count: usize) -> Vec<([f64; 20], f64)> {
    let mut rng = Rng::new(7);
    let record = |_| {
        let x: [f64; 20] = std::array::from_fn(|_| rng.uniform());
        (x, x[0] + x[1] - 1.0)
    };
    (0..count).map(record).collect()
}

/// Allocations over a thousand records, each predicted and learnt, after as many to get to know them.
fn counted<L: Learner<[f64; 20]>>(mut model: L, target: impl Fn(f64) -> L::Target) -> u64 {
    let records = records(2000);
    let mut run = |records: &[([f64; 20], f64)]| {
        for (x, y) in records {
            model.predict_one(x).unwrap();
            model.learn_one(x, &target(*y)).unwrap();
        }
    };
    run(&records[..1000]);
    allocations(|| run(&records[1000..]))
}

#[test]
fn learners_do_not_allocate_for_each_record() {
    let class = |y: f64| Class::from(y > 0.0);
    assert!(allocations(|| drop(vec![1])) > 0, "it counts");
    assert_eq!(counted(LogisticRegression::new(), class), 0);
    assert_eq!(counted(LogisticRegression::with(Optimizer::ftrl_proximal(0.1, 1.0, 0.1, 0.1)), class), 0);
    assert_eq!(counted(PassiveAggressiveClassifier::new(0.1, Variant::Pa1), class), 0);
    assert_eq!(counted(SoftmaxRegression::default(), class), 0);
    assert_eq!(counted(OneVsRest::new(LogisticRegression::new()), class), 0);
    assert_eq!(counted(GaussianNb::default(), class), 0);
    assert_eq!(counted(BernoulliNb::new(1.0, 0.5), class), 0);
    assert_eq!(counted(MultinomialNb::default(), class), 0);
    assert_eq!(counted(KNearestClassifier::new(5, 200), class), 0);
    assert_eq!(counted(Bagging::new(LogisticRegression::new(), 5, 1), class), 0);
    assert_eq!(counted(LinearRegression::with(Optimizer::ada_grad(0.1)), |y| y), 0);
    assert_eq!(counted(RecursiveLeastSquares::new(1.0, 1.0), |y| y), 0);
    assert_eq!(counted(MiniBatchKMeans::new(5, 50, 1), |_| ()), 0);
    assert_eq!(counted(HalfSpaceTrees::new(10, 8, 100, 1), |_| ()), 0);
    // Trees allocate where they look for a split, once in so many records of a leaf; here, never.
    assert_eq!(counted(HoeffdingTreeClassifier::new().grace_period(1e9), class), 0);
    assert_eq!(counted(HoeffdingTreeRegressor::new().grace_period(1e9), |y| y), 0);
    let adaptive = HoeffdingAdaptiveTreeClassifier::new(1).grace_period(1e9);
    assert!(counted(adaptive, class) < 50, "its window of errors grows");
}

#[test]
fn nor_do_parts_of_batches_and_metrics() {
    let records = records(2000);
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
    let classes =
        records.iter().map(|(x, y)| (Class::from(*y > 0.0), thalweg_ml::Classification::binary(x[0])));
    assert!(
        counted::<ClassificationMetric>(classes.collect()) < 100,
        "a window's sums are made anew as often as it is long"
    );
}
