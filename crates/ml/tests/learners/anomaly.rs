//! Scores of anomalies against numpy's, scipy's and river's numbers.

use crate::support::{close, data, golden, numbers};
use thalweg_ml::Learner;
use thalweg_ml::anomaly::{RobustZScore, SeasonalResidual};
use thalweg_ml::forecast::HoltWinters;

/// Compares the scores of every tenth value from the `from`-th on, each scored before it is learnt.
fn check(key: &str, mut model: impl Learner<f64, Target = (), Prediction = f64>, from: usize) {
    let golden = golden("anomaly");
    let mut theirs = numbers(&golden[key]).into_iter();
    for (n, (_, y)) in data("water_flow").into_iter().enumerate() {
        let ours = model.predict_one(&y).unwrap();
        if n >= from && n % 10 == 0 {
            close(ours, theirs.next().unwrap(), &format!("{key}: value {n}"));
        }
        model.learn_one(&y, &()).unwrap();
    }
    assert_eq!(theirs.next(), None);
}

#[test]
fn medians_are_scipys() {
    check("robust_z_score", RobustZScore::new(50, 10), 10);
}

#[test]
fn residuals_are_those_of_rivers_forecasts() {
    check("seasonal_residual", SeasonalResidual::new(HoltWinters::trend(0.3, 0.1), 50), 100);
}
