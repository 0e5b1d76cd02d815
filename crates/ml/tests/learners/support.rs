//! The data sets and golden values that `tests/golden/make.py` wrote, and how ours are compared with them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test uses its own part of it; and it is for tests"
)]

use std::io::Read;
use std::path::Path;

use serde_json::Value;
use thalweg_ml::metrics::{
    ClassificationMetric, ClassificationReport, Metric, RegressionMetric, RegressionReport,
};
use thalweg_ml::{Class, Classification, Learner};

/// Ours and theirs may differ by so much, relative to values above 1.
pub(crate) const CLOSE: f64 = 1e-9;

/// A data set: features, and the target.
pub(crate) fn data(name: &str) -> Vec<(Vec<f64>, f64)> {
    // The wide comparison's may be elsewhere: see `golden/make_wide.py`.
    let elsewhere = std::env::var("WIDE").ok().filter(|_| name.starts_with("wide_"));
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let path = Path::new(&elsewhere.unwrap_or_else(|| own.to_owned())).join(format!("{name}.csv.gz"));
    let mut text = String::new();
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| {
            let mut values: Vec<f64> = line.split(',').map(|value| value.parse().unwrap()).collect();
            let target = values.pop().unwrap();
            (values, target)
        })
        .collect()
}

/// The golden values of one file.
pub(crate) fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    serde_json::from_str(
        &std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
    .unwrap()
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

#[track_caller]
pub(crate) fn close(ours: f64, theirs: f64, what: &str) {
    close_by(ours, theirs, CLOSE, what);
}

#[track_caller]
pub(crate) fn close_by(ours: f64, theirs: f64, by: f64, what: &str) {
    assert!((ours - theirs).abs() <= by * theirs.abs().max(1.0), "{what}: {ours} instead of {theirs}");
}

/// Learns a data set, each record after it was predicted. The scores, and every `every`-th prediction.
pub(crate) fn classify<L>(
    model: &mut L,
    data: &[(Vec<f64>, f64)],
    every: usize,
) -> (ClassificationReport, Vec<Classification>)
where
    L: Learner<Vec<f64>, Target = Class, Prediction = Classification>,
{
    let (mut metric, mut kept) = (ClassificationMetric::default(), Vec::new());
    for (n, (x, y)) in data.iter().enumerate() {
        let prediction = model.predict_one(x).unwrap();
        let y = *y as Class;
        if n % every == 0 {
            kept.push(prediction.clone());
        }
        if prediction.probabilities().iter().sum::<f64>() > 0.0 {
            metric.update(&y, &prediction, 1.0);
        }
        model.learn_one(x, &y).unwrap();
    }
    (metric.report(), kept)
}

/// Compares a classifier with its golden values: probabilities and scores.
pub(crate) fn check_classifier<L>(golden: &Value, key: &str, data: &[(Vec<f64>, f64)], mut model: L)
where
    L: Learner<Vec<f64>, Target = Class, Prediction = Classification>,
{
    let theirs = &golden[key];
    assert!(theirs.is_object(), "no golden values for {key}");
    let every = theirs["every"].as_u64().unwrap() as usize;
    let (report, ours) = classify(&mut model, data, every);
    for (index, (ours, theirs)) in ours.iter().zip(theirs["probabilities"].as_array().unwrap()).enumerate() {
        for (class, theirs) in numbers(theirs).into_iter().enumerate() {
            close(
                ours.probability(class as Class),
                theirs,
                &format!("{key}: record {}, class {class}", index * every),
            );
        }
    }
    close(report.accuracy, number(&theirs["accuracy"]), &format!("{key}: accuracy"));
    close(report.kappa, number(&theirs["kappa"]), &format!("{key}: kappa"));
    close(
        report.balanced_accuracy,
        number(&theirs["balanced_accuracy"]),
        &format!("{key}: balanced accuracy"),
    );
    close(report.macro_f1, number(&theirs["macro_f1"]), &format!("{key}: macro F1"));
    close(report.log_loss, number(&theirs["log_loss"]), &format!("{key}: log loss"));
}

/// Learns a data set, each record after it was predicted. The scores, and every `every`-th prediction.
pub(crate) fn regress<L>(
    model: &mut L,
    data: &[(Vec<f64>, f64)],
    every: usize,
) -> (RegressionReport, Vec<f64>)
where
    L: Learner<Vec<f64>, Target = f64, Prediction = f64>,
{
    let (mut metric, mut kept) = (RegressionMetric::default(), Vec::new());
    for (n, (x, y)) in data.iter().enumerate() {
        let prediction = model.predict_one(x).unwrap();
        if n % every == 0 {
            kept.push(prediction);
        }
        metric.update(y, &prediction, 1.0);
        model.learn_one(x, y).unwrap();
    }
    (metric.report(), kept)
}

/// Compares a regressor with its golden values: predictions and scores.
pub(crate) fn check_regressor<L>(golden: &Value, key: &str, data: &[(Vec<f64>, f64)], mut model: L)
where
    L: Learner<Vec<f64>, Target = f64, Prediction = f64>,
{
    let theirs = &golden[key];
    assert!(theirs.is_object(), "no golden values for {key}");
    let every = theirs["every"].as_u64().unwrap() as usize;
    let (report, ours) = regress(&mut model, data, every);
    for (index, (ours, theirs)) in ours.iter().zip(numbers(&theirs["predictions"])).enumerate() {
        close(*ours, theirs, &format!("{key}: record {}", index * every));
    }
    if theirs["mae"].is_number() {
        close(report.mae, number(&theirs["mae"]), &format!("{key}: MAE"));
        close(report.rmse, number(&theirs["rmse"]), &format!("{key}: RMSE"));
        close(report.r2, number(&theirs["r2"]), &format!("{key}: R²"));
    }
}
