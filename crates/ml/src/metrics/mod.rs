//! How good a model is, while it runs: each prediction is scored before its label is learnt (prequential evaluation).
//!
//! A [`Metric`] counts, weighted; [`Prequential`] keeps it over all records, over the last so many, and fading.

pub mod classification;
pub mod clustering;
pub mod prequential;
pub mod regression;
pub mod roc_auc;
pub mod unscored;

use std::fmt::Debug;

use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::state::StateData;

pub use classification::{ClassificationMetric, ClassificationReport};
pub use clustering::{ClusteringMetric, ClusteringReport};
pub use prequential::{Prequential, Report};
pub use regression::{RegressionMetric, RegressionReport};
pub use roc_auc::roc_auc;
pub use unscored::Unscored;

/// Counts how well predictions met their targets.
pub trait Metric: StateData + Default {
    /// What was true.
    type Target: StateData;
    /// What was predicted.
    type Prediction: StateData;
    /// What can be said of it.
    type Report: StateData + Debug + PartialEq;

    /// Counts a prediction, with this weight; a negative one takes a prediction back that was counted before. One that says nothing
    /// (from a model that has learnt nothing) is not counted.
    fn update(&mut self, target: &Self::Target, prediction: &Self::Prediction, weight: f64);

    /// Makes all that was counted so far weigh so much of what it did.
    fn scale(&mut self, factor: f64);

    /// Adds what another has counted.
    fn merge(&mut self, other: &Self);

    /// What can be said of what was counted.
    fn report(&self) -> Self::Report;

    /// What can be said when the predictions themselves are still there.
    fn report_of<'a>(
        &self,
        _recent: impl Iterator<Item = &'a (Self::Target, Self::Prediction)>,
    ) -> Self::Report
    where
        Self: 'a,
    {
        self.report()
    }

    /// How wrong one prediction was, for a drift detector: 0 for right; `None` for a prediction that says nothing.
    fn error(target: &Self::Target, prediction: &Self::Prediction) -> Option<f64>;

    /// The report's numbers, by name: for the job's metrics.
    fn values(report: &Self::Report) -> Vec<(Names, f64)>;
}

/// What a number is called over all records, over a window, and fading: `mae`, `mae_window`, `mae_fading`.
pub type Names = [&'static str; 3];

/// The [`Names`] of a number.
macro_rules! names {
    ($name:literal) => {
        [$name, concat!($name, "_window"), concat!($name, "_fading")]
    };
}
pub(crate) use names;

/// Shows a report among the metrics of an operator, each number under its [`Names`].
pub fn show<M: Metric>(report: &Report<M::Report>, metrics: &OperatorMetrics) {
    for (place, report) in [&report.all, &report.window, &report.fading].into_iter().enumerate() {
        M::values(report).into_iter().for_each(|(names, value)| metrics.set_gauge(names[place], value));
    }
}
