//! Accuracy and its kin, out of one confusion matrix; log loss; the area under the ROC curve.
//!
//! ```
//! use thalweg_ml::Classification;
//! use thalweg_ml::metrics::{ClassificationMetric, Metric};
//!
//! let mut metric = ClassificationMetric::default();
//! for (class, positive) in [(1, 0.9), (0, 0.2), (1, 0.4), (0, 0.1)] {
//!     metric.update(&class, &Classification::binary(positive), 1.0);
//! }
//! let report = metric.report();
//! assert_eq!((report.accuracy, report.balanced_accuracy, report.roc_auc), (0.75, 0.75, 1.0));
//! ```

use serde::{Deserialize, Serialize};

use super::{Metric, Names, names, roc_auc};
use crate::{Class, Classification};

/// Scores between 0 and 1 are counted in so many steps, where they cannot all be kept.
const BINS: usize = 512;

/// Counts predictions of classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassificationMetric {
    /// The number of classes seen.
    classes: usize,
    /// Row by row: what was true; column by column: what was predicted.
    confusion: Vec<f64>,
    log_loss: f64,
    /// Of each step of the probability of class 1, the weights of class 0 and of class 1. Empty with more than two classes.
    scores: Vec<(f64, f64)>,
}

/// What can be said of predictions of classes. A measure that has nothing to divide by is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// The weight of what was counted.
    pub weight: f64,
    /// The share that was right.
    pub accuracy: f64,
    /// The mean, over the classes, of the share that was right.
    pub balanced_accuracy: f64,
    /// F1 of class 1.
    pub f1: f64,
    /// The mean of the classes' F1.
    pub macro_f1: f64,
    /// Cohen's kappa.
    pub kappa: f64,
    /// The mean of `-ln` of the probability that was given to what was true.
    pub log_loss: f64,
    /// The area under the ROC curve of class 1 against 0, with two classes. Exact over a window; in 512 steps of the probability
    /// elsewhere.
    pub roc_auc: f64,
}

impl ClassificationMetric {
    fn grow(&mut self, classes: usize) {
        if classes > self.classes {
            let mut confusion = vec![0.0; classes * classes];
            for row in 0..self.classes {
                let from = row * self.classes;
                confusion[row * classes..][..self.classes]
                    .copy_from_slice(&self.confusion[from..][..self.classes]);
            }
            (self.classes, self.confusion) = (classes, confusion);
        }
    }

    /// The weight of records of class `truth` that were predicted as `predicted`.
    pub fn confusion(&self, truth: Class, predicted: Class) -> f64 {
        let (truth, predicted) = (truth as usize, predicted as usize);
        if truth.max(predicted) < self.classes {
            self.confusion[truth * self.classes + predicted]
        } else {
            0.0
        }
    }

    fn of_class(&self, class: usize) -> (f64, f64, f64) {
        let row: f64 = self.confusion[class * self.classes..][..self.classes].iter().sum();
        let column: f64 = self.confusion.iter().skip(class).step_by(self.classes).sum();
        (self.confusion[class * self.classes + class], row, column)
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

impl Metric for ClassificationMetric {
    type Target = Class;
    type Prediction = Classification;
    type Report = ClassificationReport;

    fn update(&mut self, target: &Class, prediction: &Classification, weight: f64) {
        let Some(predicted) = prediction.class() else { return };
        self.grow(target.max(&predicted).saturating_add(1) as usize);
        self.confusion[*target as usize * self.classes + predicted as usize] += weight;
        let probability = prediction.probability(*target).clamp(1e-15, 1.0 - 1e-15);
        self.log_loss -= weight * libm::log(probability);
        if self.classes > 2 {
            self.scores = Vec::new();
        } else {
            self.scores.resize(BINS, (0.0, 0.0));
            let bin = ((prediction.probability(1) * BINS as f64) as usize).min(BINS - 1);
            let (negative, positive) = &mut self.scores[bin];
            *(if *target == 1 { positive } else { negative }) += weight;
        }
    }

    fn scale(&mut self, factor: f64) {
        self.confusion.iter_mut().for_each(|weight| *weight *= factor);
        self.log_loss *= factor;
        self.scores.iter_mut().for_each(|(a, b)| {
            *a *= factor;
            *b *= factor;
        });
    }

    fn merge(&mut self, other: &Self) {
        self.grow(other.classes);
        for row in 0..other.classes {
            for column in 0..other.classes {
                self.confusion[row * self.classes + column] += other.confusion[row * other.classes + column];
            }
        }
        self.log_loss += other.log_loss;
        if self.classes > 2 {
            self.scores = Vec::new();
        } else if !other.scores.is_empty() {
            self.scores.resize(BINS, (0.0, 0.0));
            for (sum, (negative, positive)) in self.scores.iter_mut().zip(&other.scores) {
                *sum = (sum.0 + negative, sum.1 + positive);
            }
        }
    }

    fn report(&self) -> ClassificationReport {
        let weight: f64 = self.confusion.iter().sum();
        if weight <= 0.0 {
            return ClassificationReport::default();
        }
        let per_class: Vec<(f64, f64, f64)> = (0..self.classes).map(|class| self.of_class(class)).collect();
        // A class that neither appeared nor was predicted has no number of its own.
        let seen = || per_class.iter().filter(|(_, row, column)| row + column > 0.0);
        let right: f64 = per_class.iter().map(|(right, ..)| right).sum();
        let with_rows = per_class.iter().filter(|(_, row, _)| *row > 0.0);
        let recalls: f64 = with_rows.clone().map(|(right, row, _)| right / row).sum();
        let f1 = |(right, row, column): &(f64, f64, f64)| ratio(2.0 * right, row + column);
        let chance: f64 = per_class.iter().map(|(_, row, column)| row * column / (weight * weight)).sum();
        let accuracy = right / weight;
        ClassificationReport {
            weight,
            accuracy,
            balanced_accuracy: ratio(recalls, with_rows.count() as f64),
            f1: per_class.get(1).map_or(0.0, f1),
            macro_f1: ratio(seen().map(f1).sum(), seen().count() as f64),
            kappa: ratio(accuracy - chance, 1.0 - chance),
            log_loss: self.log_loss / weight,
            roc_auc: if self.classes > 2 { 0.0 } else { roc_auc::of_steps(self.scores.iter().copied()) },
        }
    }

    fn report_of<'a>(
        &self,
        recent: impl Iterator<Item = &'a (Class, Classification)>,
    ) -> ClassificationReport {
        let mut report = self.report();
        if self.classes <= 2 {
            report.roc_auc = roc_auc(recent.map(|(class, p)| (*class == 1, p.probability(1))));
        }
        report
    }

    fn error(target: &Class, prediction: &Classification) -> Option<f64> {
        prediction.class().map(|class| f64::from(class != *target))
    }

    fn values(report: &ClassificationReport) -> Vec<(Names, f64)> {
        vec![
            (names!("accuracy"), report.accuracy),
            (names!("balanced_accuracy"), report.balanced_accuracy),
            (names!("f1"), report.f1),
            (names!("macro_f1"), report.macro_f1),
            (names!("kappa"), report.kappa),
            (names!("log_loss"), report.log_loss),
            (names!("roc_auc"), report.roc_auc),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_classes_by_hand() {
        let mut metric = ClassificationMetric::default();
        let says = |class: usize| {
            let mut votes = smallvec::smallvec![0.1; 3];
            votes[class] = 0.8;
            Classification::new(votes)
        };
        for (truth, predicted) in [(0, 0), (0, 0), (0, 1), (1, 1), (2, 1), (2, 2)] {
            metric.update(&truth, &says(predicted), 1.0);
        }
        let report = metric.report();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(report.accuracy, 4.0 / 6.0);
        near(report.balanced_accuracy, (2.0 / 3.0 + 1.0 + 0.5) / 3.0);
        near(report.macro_f1, (0.8 + 0.5 + 2.0 / 3.0) / 3.0);
        let chance = (3.0 * 2.0 + 1.0 * 3.0 + 2.0 * 1.0) / 36.0;
        near(report.kappa, (4.0 / 6.0 - chance) / (1.0 - chance));
        metric.update(&1, &Classification::default(), 1.0);
        assert_eq!(metric.report(), report, "a model that has learnt nothing says nothing");
    }
}
