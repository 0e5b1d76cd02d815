//! Bernoulli naive Bayes: features are there, or are not.
//!
//! - **Source**: Manning, Raghavan and Schütze, "Introduction to information retrieval", chapter 13; with additive smoothing.
//! - **Learns** any classes; a feature is there if it is above a threshold. **Refuses** what [`GaussianNb`](super::GaussianNb) does.
//! - **Parallel**: [`Mergeable`]: it learns counts.
//! - **Numbers** agree with river's `BernoulliNB` to 1e-9 (`tests/learners/naive_bayes.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::naive_bayes::BernoulliNb;
//!
//! let mut model = BernoulliNb::new(1.0, 0.0);
//! for n in 0..10 {
//!     model.learn_one(&vec![f64::from(n % 2), 1.0 - f64::from(n % 2)], &(n % 2))?;
//! }
//! assert_eq!(model.predict_one(&vec![1.0, 0.0])?.class(), Some(1));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::of_log_likelihoods;
use crate::classification::{Appearance, check_class};
use crate::features::check_dense;
use crate::{Class, Classification, Learner, Mergeable, Rejected};

/// Of each class, the number of records, and how many had each feature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    width: Option<usize>,
    classes: Vec<(u64, Vec<u64>)>,
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BernoulliNb {
    alpha: f64,
    threshold: f64,
    counts: Counts,
    appearance: Appearance,
}

impl Counts {
    fn add(&mut self, x: &[f64], y: Class, threshold: f64) {
        let class = y as usize;
        if self.classes.len() <= class {
            self.classes.resize(class + 1, (0, Vec::new()));
        }
        self.width = Some(x.len());
        let (records, counts) = &mut self.classes[class];
        *records += 1;
        counts.resize(x.len(), 0);
        counts.iter_mut().zip(x).for_each(|(count, x)| *count += u64::from(*x > threshold));
    }

    fn merge(&mut self, other: &Self) {
        self.width = self.width.or(other.width);
        if self.classes.len() < other.classes.len() {
            self.classes.resize(other.classes.len(), (0, Vec::new()));
        }
        for ((records, counts), (other_records, other)) in self.classes.iter_mut().zip(&other.classes) {
            *records += other_records;
            counts.resize(counts.len().max(other.len()), 0);
            counts.iter_mut().zip(other).for_each(|(count, other)| *count += other);
        }
    }
}

impl BernoulliNb {
    /// With this smoothing; a feature is there above `threshold`.
    pub fn new(alpha: f64, threshold: f64) -> Self {
        Self { alpha, threshold, counts: Counts::default(), appearance: Appearance::default() }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for BernoulliNb {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check_class(*y)?;
        check_dense(x.as_ref(), self.counts.width)?;
        self.counts.add(x.as_ref(), *y, self.threshold);
        self.appearance.see(*y);
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        let x = x.as_ref();
        check_dense(x, self.counts.width)?;
        let all: u64 = self.counts.classes.iter().map(|(records, _)| records).sum();
        let log_likelihood = |(records, counts): &(u64, Vec<u64>)| {
            if *records == 0 {
                return f64::NEG_INFINITY;
            }
            let divisor = *records as f64 + self.alpha * 2.0;
            let feature = |(count, x): (&u64, &f64)| {
                let there = (*count as f64 + self.alpha) / divisor;
                libm::log(1e-9 + if *x > self.threshold { there } else { 1.0 - there })
            };
            libm::log(*records as f64 / all as f64) + counts.iter().zip(x).map(feature).sum::<f64>()
        };
        let logs: crate::classification::Votes = self.counts.classes.iter().map(log_likelihood).collect();
        Ok(of_log_likelihoods(logs).of_equals_the_first(self.appearance.iter()))
    }
}

impl<X: AsRef<[f64]>> Mergeable<X> for BernoulliNb {
    type Partial = Counts;

    fn accumulate(&self, partial: &mut Counts, x: &X, y: &Class) -> Result<(), Rejected> {
        check_class(*y)?;
        check_dense(x.as_ref(), self.counts.width.or(partial.width))?;
        partial.add(x.as_ref(), *y, self.threshold);
        Ok(())
    }

    fn merge(partial: &mut Counts, other: &Counts) {
        partial.merge(other);
    }

    fn update(&mut self, batch: &Counts) {
        self.counts.merge(batch);
        let seen = batch.classes.iter().enumerate().filter(|(_, (records, _))| *records > 0);
        seen.for_each(|(class, _)| self.appearance.see(class as Class));
    }
}
