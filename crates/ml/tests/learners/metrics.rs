//! Metrics against scikit-learn's and river's numbers, over all and over a window.

use crate::support::{close, data, golden, number, numbers};
use serde_json::Value;
use thalweg_ml::cluster::StreamingKMeans;
use thalweg_ml::metrics::{
    ClassificationMetric, ClassificationReport, ClusteringMetric, Metric, Prequential, RegressionMetric,
    RegressionReport,
};
use thalweg_ml::{Classification, Learner};

#[track_caller]
fn all_close(ours: &[f64], theirs: &Value, what: &str) {
    let theirs = numbers(theirs);
    assert_eq!(ours.len(), theirs.len());
    for (place, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        close(*ours, theirs, &format!("{what}, {place}"));
    }
}

fn of_classes(r: &ClassificationReport) -> [f64; 7] {
    [r.accuracy, r.balanced_accuracy, r.f1, r.macro_f1, r.kappa, r.log_loss, r.roc_auc]
}

#[test]
fn measures_of_classes_are_scikit_learns() {
    let golden = golden("metrics");
    let mut metric = Prequential::<ClassificationMetric>::new(100, 0.99);
    for (label, score) in numbers(&golden["labels"]).into_iter().zip(numbers(&golden["scores"])) {
        metric.update(&(label as u32), &Classification::binary(score));
    }
    let report = metric.report();
    all_close(&of_classes(&report.window), &golden["binary_window"], "the window");
    let [all @ .., area] = of_classes(&report.all);
    let theirs = golden["binary"].as_array().unwrap();
    all_close(&all, &Value::from(&theirs[..6]), "all");
    // Over all, scores are counted in 512 steps; theirs have two digits, and so each a step of its own.
    close(area, number(&theirs[6]), "the area");
}

#[test]
fn measures_of_numbers_are_scikit_learns() {
    let golden = golden("metrics");
    let mut metric = Prequential::<RegressionMetric>::new(100, 0.99);
    for ((_, y), predicted) in data("diabetes").into_iter().zip(numbers(&golden["predictions"])) {
        metric.update(&y, &predicted);
    }
    let (report, of) = (metric.report(), |r: &RegressionReport| [r.mae, r.rmse, r.r2]);
    all_close(&of(&report.all), &golden["numbers"], "all");
    all_close(&of(&report.window), &golden["numbers_window"], "the window");
}

#[test]
fn the_silhouette_is_rivers() {
    let points: Vec<Vec<f64>> = data("iris").into_iter().map(|(x, _)| x).collect();
    let centers = (0..3).map(|n| points[50 * n].clone()).collect();
    let model = StreamingKMeans::new(3).set_initial_centers(centers, vec![1.0; 3]).unwrap();
    let mut metric = ClusteringMetric::default();
    points.iter().for_each(|x| metric.update(&(), &model.predict_one(x).unwrap(), 1.0));
    close(metric.report().silhouette, number(&golden("metrics")["silhouette"]), "silhouette");
}
