//! A metric over all records, over the last so many, and fading: how good a model was, is, and is becoming.
//!
//! ```
//! use thalweg_ml::metrics::{Prequential, RegressionMetric};
//!
//! let mut metric = Prequential::<RegressionMetric>::new(2, 0.5);
//! for error in [4.0, 1.0, 3.0] {
//!     metric.update(&0.0, &error);
//! }
//! let report = metric.report();
//! assert_eq!((report.all.mae, report.window.mae), (8.0 / 3.0, 2.0));
//! assert_eq!(report.fading.mae, (4.0 * 0.25 + 1.0 * 0.5 + 3.0) / 1.75);
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Metric;

/// What a record may weigh in what fades, before all is scaled back.
const MAX_UNIT: f64 = 1e9;

/// A metric in three ways.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Prequential<M: Metric> {
    all: M,
    /// The older records are not made to weigh less with each new one: the new ones weigh more and more.
    fading: M,
    factor: f64,
    /// The weight in `fading` of the last record.
    unit: f64,
    recent: M,
    window: VecDeque<(M::Target, M::Prediction)>,
    size: usize,
    /// How many have left the window since its sums were last made anew.
    left: usize,
}

/// What can be said, in three ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report<R> {
    /// Of all records since the model began, those before a restore included.
    pub all: R,
    /// Of the last so many.
    pub window: R,
    /// Of all, the older the less.
    pub fading: R,
}

impl<M: Metric> Prequential<M> {
    /// Over a window of the last `window` records, and fading by `factor` (0 to 1) with each record.
    pub fn new(window: usize, factor: f64) -> Self {
        let (all, fading, recent) = (M::default(), M::default(), M::default());
        let factor = factor.clamp(0.0, 1.0);
        Self { all, fading, factor, unit: 1.0, recent, window: VecDeque::new(), size: window, left: 0 }
    }

    /// Counts a prediction.
    pub fn update(&mut self, target: &M::Target, prediction: &M::Prediction) {
        self.all.update(target, prediction, 1.0);
        self.unit /= self.factor;
        if self.unit > MAX_UNIT {
            self.fading.scale(1.0 / self.unit);
            self.unit = 1.0;
        }
        self.fading.update(target, prediction, self.unit);
        if self.size > 0 {
            self.push(target, prediction);
        }
    }

    /// Adds to the window.
    fn push(&mut self, target: &M::Target, prediction: &M::Prediction) {
        if self.window.len() == self.size
            && let Some((target, prediction)) = self.window.pop_front()
        {
            self.recent.update(&target, &prediction, -1.0);
            self.left += 1;
        }
        self.window.push_back((target.clone(), prediction.clone()));
        self.recent.update(target, prediction, 1.0);
        if self.left >= self.size {
            // What was taken back leaves roundings behind; so the sums are made anew each time that the window has passed.
            self.left = 0;
            self.recent = M::default();
            for (target, prediction) in &self.window {
                self.recent.update(target, prediction, 1.0);
            }
        }
    }

    /// What can be said now.
    pub fn report(&self) -> Report<M::Report> {
        Report {
            all: self.all.report(),
            window: self.recent.report_of(self.window.iter()),
            fading: self.faded().report(),
        }
    }

    /// The fading metric, with a weight of 1 for the last record.
    fn faded(&self) -> M {
        let mut fading = self.fading.clone();
        fading.scale(1.0 / self.unit);
        fading
    }

    /// Adds what another has counted. Its records count as newer in the window, and as of the same age in what fades.
    pub fn merge(&mut self, other: &Self) {
        self.all.merge(&other.all);
        self.fading = self.faded();
        self.unit = 1.0;
        self.fading.merge(&other.faded());
        if self.size > 0 {
            other.window.iter().for_each(|(target, prediction)| self.push(target, prediction));
        }
    }

    /// What was counted over all.
    pub fn all(&self) -> &M {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Classification;
    use crate::metrics::{ClassificationMetric, RegressionMetric};

    proptest! {
        #[test]
        fn what_fades_and_what_is_merged_is_what_its_records_make(
            errors in prop::collection::vec(-9.0..9.0, 1..80), cut in 0_usize..80, factor in prop_oneof![0.01..0.99, Just(0.0), Just(1.0)],
        ) {
            let of = |errors: &[f64]| {
                let mut metric = Prequential::<RegressionMetric>::new(5, factor);
                errors.iter().for_each(|error| metric.update(&0.0, error));
                metric
            };
            let weights = |errors: &[f64]| {
                let weighted = errors.iter().rev().enumerate().map(|(age, error)| (factor.powi(age as i32), error.abs()));
                weighted.fold((0.0, 0.0), |(weight, sum), (w, error)| (weight + w, sum + w * error))
            };
            let (weight, sum) = weights(&errors);
            let found = of(&errors).report().fading;
            prop_assert!((found.weight - weight).abs() < 1e-9 * weight && (found.mae - sum / weight).abs() < 1e-9);
            let (left, right) = errors.split_at(cut.min(errors.len()));
            let mut merged = of(left);
            merged.merge(&of(right));
            let ((a, b), (c, d)) = (weights(left), weights(right));
            prop_assert!((merged.report().fading.mae - (b + d) / (a + c)).abs() < 1e-9);
            prop_assert!((merged.report().all.mae - of(&errors).report().all.mae).abs() < 1e-9);
            if right.len() >= 5 {
                prop_assert!((merged.report().window.mae - of(&errors).report().window.mae).abs() < 1e-9);
            }
        }

        #[test]
        fn a_window_is_what_its_records_make(records in prop::collection::vec((-9.0..9.0, -9.0..9.0), 1..80), size in 1_usize..20) {
            let mut metric = Prequential::<RegressionMetric>::new(size, 1.0);
            for (index, (y, predicted)) in records.iter().enumerate() {
                metric.update(y, predicted);
                let mut naive = RegressionMetric::default();
                for (y, predicted) in &records[(index + 1).saturating_sub(size)..=index] {
                    naive.update(y, predicted, 1.0);
                }
                let (found, expected) = (metric.report().window, naive.report());
                prop_assert!((found.mae - expected.mae).abs() < 1e-9 && (found.rmse - expected.rmse).abs() < 1e-6);
                prop_assert!((found.r2 - expected.r2).abs() < 1e-6 * (1.0 + expected.r2.abs()));
            }
            let (all, fading) = (metric.report().all, metric.report().fading);
            prop_assert!((all.mae - fading.mae).abs() < 1e-9, "without fading, fading is all");
        }

        #[test]
        fn the_area_of_a_window_is_exact(records in prop::collection::vec((any::<bool>(), 0.0..1.0), 2..60)) {
            let mut metric = Prequential::<ClassificationMetric>::new(25, 0.9);
            for (label, score) in &records {
                metric.update(&u32::from(*label), &Classification::binary(*score));
            }
            let last = &records[records.len().saturating_sub(25)..];
            let pairs = last.iter().flat_map(|p| last.iter().map(move |n| (p, n))).filter(|(p, n)| p.0 && !n.0);
            let (mut wins, mut count) = (0.0, 0.0);
            for (positive, negative) in pairs {
                count += 1.0;
                wins += if positive.1 > negative.1 { 1.0 } else if positive.1 == negative.1 { 0.5 } else { 0.0 };
            }
            let expected = if count > 0.0 { wins / count } else { 0.0 };
            prop_assert!((metric.report().window.roc_auc - expected).abs() < 1e-12);
        }
    }
}
