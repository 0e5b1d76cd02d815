//! How well clusters fit, without labels: the mean squared distance to the own centre, and how that centre compares with the next.

use serde::{Deserialize, Serialize};

use super::{Metric, Names, names};
use crate::cluster::Assignment;

/// Counts assignments to clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusteringMetric {
    weight: f64,
    squared: f64,
    own: f64,
    next: f64,
}

/// What can be said of assignments to clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusteringReport {
    /// The weight of what was counted.
    pub weight: f64,
    /// The mean squared distance to the own centre.
    pub mean_squared_distance: f64,
    /// The sum of distances to the own centre over that to the next: near 0 is good, near 1 is not (river's streaming silhouette).
    pub silhouette: f64,
}

impl Metric for ClusteringMetric {
    type Target = ();
    type Prediction = Assignment;
    type Report = ClusteringReport;

    fn update(&mut self, (): &(), prediction: &Assignment, weight: f64) {
        if prediction.distance.is_finite() {
            self.weight += weight;
            self.squared += weight * prediction.distance * prediction.distance;
            if prediction.next_distance.is_finite() {
                self.own += weight * prediction.distance;
                self.next += weight * prediction.next_distance;
            }
        }
    }

    fn scale(&mut self, factor: f64) {
        for sum in [&mut self.weight, &mut self.squared, &mut self.own, &mut self.next] {
            *sum *= factor;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.weight += other.weight;
        self.squared += other.squared;
        self.own += other.own;
        self.next += other.next;
    }

    fn report(&self) -> ClusteringReport {
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        ClusteringReport {
            weight: self.weight,
            mean_squared_distance: ratio(self.squared, self.weight),
            silhouette: ratio(self.own, self.next),
        }
    }

    fn error((): &(), prediction: &Assignment) -> Option<f64> {
        prediction.distance.is_finite().then_some(prediction.distance)
    }

    fn values(report: &ClusteringReport) -> Vec<(Names, f64)> {
        vec![
            (names!("mean_squared_distance"), report.mean_squared_distance),
            (names!("silhouette"), report.silhouette),
        ]
    }
}
