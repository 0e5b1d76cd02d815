//! What depends on chance, over five seeds (twenty, where their spread is wide), against river over as many: our mean lies within their
//! spread, and each of ours not far out of it.

use crate::support::{classify, data, golden, numbers, regress};
use serde_json::Value;
use thalweg_ml::anomaly::HalfSpaceTrees;
use thalweg_ml::ensemble::{AdaptiveRandomForestClassifier, AdaptiveRandomForestRegressor, Bagging};
use thalweg_ml::linear::LinearRegression;
use thalweg_ml::metrics::roc_auc;
use thalweg_ml::preprocessing::{MinMaxScaler, StandardScaler};
use thalweg_ml::tree::{HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier};
use thalweg_ml::{Class, Classification, Learner, Pipeline};

const SEEDS: std::ops::Range<u64> = 0..5;

/// Their spread, widened by as much on each side, holds each of ours; our mean lies within it.
fn within_the_spread(ours: &[f64], theirs: &Value, what: &str) {
    let theirs = numbers(theirs);
    let (low, high) =
        theirs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    println!("{what}: {:.4} of {ours:.4?}, river {:.4} of {theirs:.4?}", mean(ours), mean(&theirs));
    // Five draws of hardly any spread say little of how large it is.
    let spread = (high - low).max(0.01 * high.abs());
    let (low, high) = (low.min(mean(&theirs) - spread / 2.0), high.max(mean(&theirs) + spread / 2.0));
    assert!((low..=high).contains(&mean(ours)), "{what}: {ours:?}, {theirs:?}");
    let wide = low - spread..=high + spread;
    assert!(ours.iter().all(|x| wide.contains(x)), "{what}: {ours:?}, {theirs:?}");
}

fn accuracies<L>(name: &str, make: impl Fn(u64) -> L)
where
    L: Learner<Vec<f64>, Target = Class, Prediction = Classification>,
{
    let golden = golden("seeded");
    for of in ["phishing", "bananas", "image_segments"] {
        let data: Vec<_> = data(of).into_iter().take(1000).collect();
        let ours: Vec<f64> = SEEDS.map(|seed| classify(&mut make(seed), &data, 100).0.accuracy).collect();
        let key = format!("{name}/{of}");
        within_the_spread(&ours, &golden[&key]["accuracies"], &key);
    }
}

fn tree() -> HoeffdingTreeClassifier {
    HoeffdingTreeClassifier::new().grace_period(50.0).delta(1e-3)
}

#[test]
fn forests_are_as_good_as_rivers() {
    accuracies("adaptive_random_forest", |seed| AdaptiveRandomForestClassifier::new(10, seed));
}

#[test]
fn adaptive_trees_are_as_good_as_rivers() {
    accuracies("adaptive_tree", |seed| {
        HoeffdingAdaptiveTreeClassifier::new(seed).grace_period(50.0).delta(1e-3)
    });
}

#[test]
fn bags_are_as_good_as_rivers() {
    accuracies("bagging", |seed| Bagging::new(tree(), 10, seed));
}

fn errors<L>(name: &str, make: impl Fn(u64) -> L)
where
    L: Learner<thalweg_ml::Dense, Target = f64, Prediction = f64>,
{
    let (golden, data) = (golden("seeded"), data("trump_approval"));
    let model = |seed| Pipeline::new(StandardScaler::new(), make(seed));
    let ours: Vec<f64> = SEEDS.map(|seed| regress(&mut model(seed), &data, 100).0.mae).collect();
    let key = format!("{name}/trump_approval");
    within_the_spread(&ours, &golden[&key]["maes"], &key);
}

#[test]
fn regressors_are_as_good_as_rivers() {
    errors("bagging_regressor", |seed| Bagging::new(LinearRegression::new().intercept_rate(0.1), 10, seed));
    errors("adaptive_random_forest_regressor", |seed| AdaptiveRandomForestRegressor::new(10, seed));
}

#[test]
fn half_space_trees_are_as_good_as_rivers() {
    let golden = golden("seeded");
    for of in ["breast_cancer", "phishing"] {
        let data = data(of);
        let area = |seed| {
            let mut model = Pipeline::new(MinMaxScaler::default(), HalfSpaceTrees::new(25, 8, 100, seed));
            let scored: Vec<(bool, f64)> = data
                .iter()
                .map(|(x, y)| {
                    let score = model.predict_one(x).unwrap();
                    model.learn_one(x, &()).unwrap();
                    (*y == 0.0, score)
                })
                .collect();
            roc_auc(scored)
        };
        let ours: Vec<f64> = (0..20).map(area).collect();
        let key = format!("half_space_trees/{of}");
        within_the_spread(&ours, &golden[&key]["aucs"], &key);
    }
}
