//! What depends on chance: within the spread of river's scores over ten seeds.

mod support;

use support::{classify, data, golden, numbers, regress};
use thalweg_ml::anomaly::HalfSpaceTrees;
use thalweg_ml::ensemble::{AdaptiveRandomForestClassifier, AdaptiveRandomForestRegressor, Bagging};
use thalweg_ml::linear::LinearRegression;
use thalweg_ml::metrics::roc_auc;
use thalweg_ml::preprocessing::{MinMaxScaler, StandardScaler};
use thalweg_ml::tree::{HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier};
use thalweg_ml::{Class, Classification, Learner, Pipeline};

/// The mean over seeds lies within theirs by no more than three deviations of it, or is the better one; a spread of nothing is taken as
/// a little.
fn within(key: &str, theirs: &[f64], ours: &[f64], higher_is_better: bool) {
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let (center, our_mean) = (mean(theirs), mean(ours));
    let spread =
        (theirs.iter().map(|x| (x - center).powi(2)).sum::<f64>() / (theirs.len() - 1) as f64).sqrt();
    let margin = 3.0 * spread.max(0.003 * center.abs());
    let sign = if higher_is_better { 1.0 } else { -1.0 };
    println!("{key}: ours {our_mean:.4}, theirs {center:.4} ± {spread:.4}");
    assert!(
        sign * (our_mean - center) >= -margin,
        "{key}: {our_mean} instead of {center} ± {spread}: {ours:?}"
    );
}

fn over_seeds<L>(golden: &serde_json::Value, key: &str, name: &str, make: impl Fn(u64) -> L)
where
    L: Learner<Vec<f64>, Target = Class, Prediction = Classification>,
{
    let (data, key) = (data(name), format!("{key}/{name}"));
    let ours: Vec<f64> = (0..3).map(|seed| classify(&mut make(seed), &data, 1000).0.accuracy).collect();
    within(&key, &numbers(&golden[&key]["accuracies"]), &ours, true);
}

#[test]
fn forests_are_as_good_as_rivers() {
    let golden = golden("seeded");
    for name in ["phishing", "bananas", "image_segments"] {
        over_seeds(&golden, "adaptive_random_forest", name, |seed| {
            AdaptiveRandomForestClassifier::new(10, seed)
        });
    }
    let (data, key) = (data("trump_approval"), "adaptive_random_forest_regressor/trump_approval");
    let mae = |seed| {
        let forest = AdaptiveRandomForestRegressor::new(10, seed);
        regress(&mut Pipeline::new(StandardScaler::new(), forest), &data, 1000).0.mae
    };
    within(key, &numbers(&golden[key]["maes"]), &(0..3).map(mae).collect::<Vec<_>>(), false);
}

#[test]
fn adaptive_trees_and_bags_are_as_good_as_rivers() {
    let golden = golden("seeded");
    for name in ["phishing", "bananas", "image_segments"] {
        over_seeds(&golden, "adaptive_tree", name, |seed| {
            HoeffdingAdaptiveTreeClassifier::new(seed).grace_period(50.0).delta(1e-3)
        });
        over_seeds(&golden, "bagging", name, |seed| {
            Bagging::new(HoeffdingTreeClassifier::new().grace_period(50.0).delta(1e-3), 10, seed)
        });
    }
    let (data, key) = (data("trump_approval"), "bagging_regressor/trump_approval");
    let mae = |seed| {
        let bag = Bagging::new(LinearRegression::new().intercept_rate(0.1), 10, seed);
        regress(&mut Pipeline::new(StandardScaler::new(), bag), &data, 1000).0.mae
    };
    within(key, &numbers(&golden[key]["maes"]), &(0..3).map(mae).collect::<Vec<_>>(), false);
}

#[test]
fn half_space_trees_separate_as_rivers() {
    let golden = golden("seeded");
    for name in ["breast_cancer", "phishing"] {
        let auc = |seed| {
            let mut model = Pipeline::new(MinMaxScaler::default(), HalfSpaceTrees::new(25, 8, 100, seed));
            let score = |(x, y): (Vec<f64>, f64)| {
                let score = model.predict_one(&x).unwrap();
                model.learn_one(&x, &()).unwrap();
                (y == 0.0, score)
            };
            roc_auc(data(name).into_iter().map(score).collect::<Vec<_>>())
        };
        let key = format!("half_space_trees/{name}");
        within(&key, &numbers(&golden[&key]["aucs"]), &(0..10).map(auc).collect::<Vec<_>>(), true);
    }
}
