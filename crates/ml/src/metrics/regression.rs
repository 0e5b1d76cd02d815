//! Mean absolute error, root of the mean squared error, and R².
//!
//! ```
//! use thalweg_ml::metrics::{Metric, RegressionMetric};
//!
//! let mut metric = RegressionMetric::default();
//! for (y, predicted) in [(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)] {
//!     metric.update(&y, &predicted, 1.0);
//! }
//! assert_eq!((metric.report().mae, metric.report().r2), (2.0 / 3.0, 0.0));
//! ```

use serde::{Deserialize, Serialize};

use super::{Metric, Names, names};
use crate::moments::Moments;

/// Counts predictions of numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegressionMetric {
    absolute: f64,
    squared: f64,
    targets: Moments,
}

/// What can be said of predictions of numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegressionReport {
    /// The weight of what was counted.
    pub weight: f64,
    /// The mean absolute error.
    pub mae: f64,
    /// The root of the mean squared error.
    pub rmse: f64,
    /// The share of the targets' variance that is explained; 0 where they have none.
    pub r2: f64,
}

impl Metric for RegressionMetric {
    type Target = f64;
    type Prediction = f64;
    type Report = RegressionReport;

    fn update(&mut self, target: &f64, prediction: &f64, weight: f64) {
        let error = target - prediction;
        self.absolute += weight * error.abs();
        self.squared += weight * error * error;
        self.targets.update(*target, weight);
    }

    fn scale(&mut self, factor: f64) {
        self.absolute *= factor;
        self.squared *= factor;
        self.targets.scale(factor);
    }

    fn merge(&mut self, other: &Self) {
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.targets.merge(&other.targets);
    }

    fn report(&self) -> RegressionReport {
        let weight = self.targets.weight();
        if weight <= 0.0 {
            return RegressionReport::default();
        }
        let total = self.targets.sum_of_squares();
        RegressionReport {
            weight,
            mae: self.absolute / weight,
            rmse: (self.squared / weight).max(0.0).sqrt(),
            r2: if total > 0.0 { 1.0 - self.squared / total } else { 0.0 },
        }
    }

    fn error(target: &f64, prediction: &f64) -> Option<f64> {
        Some((target - prediction).abs())
    }

    fn values(report: &RegressionReport) -> Vec<(Names, f64)> {
        vec![(names!("mae"), report.mae), (names!("rmse"), report.rmse), (names!("r2"), report.r2)]
    }
}
