//! Gaussian naive Bayes: within a class, each feature is normally distributed.
//!
//! - **Source**: Duda, Hart and Stork, "Pattern classification", 2.6; moments by Welford.
//! - **Learns** any classes, from dense features. **Refuses** classes above [`MAX_CLASS`](crate::MAX_CLASS), and features that are
//!   missing, infinite or of
//!   another number than the first record's.
//! - **Parallel**: [`Mergeable`]; a batch's moments are exact, so the model does not depend on the parallelism.
//! - **Numbers** agree with river's `GaussianNB` to 1e-9 (`tests/learners/naive_bayes.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::naive_bayes::GaussianNb;
//!
//! let mut model = GaussianNb::default();
//! for n in 0..40 {
//!     model.learn_one(&vec![f64::from(n % 4), f64::from(n % 2) * 10.0 + f64::from(n % 3)], &(n % 2))?;
//! }
//! assert_eq!(model.predict_one(&vec![1.5, 11.0])?.class(), Some(1));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::of_log_likelihoods;
use crate::classification::{Appearance, check_class};
use crate::features::check_dense;
use crate::moments::{ExactMoments, Moments};
use crate::{Class, Classification, Learner, Mergeable, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GaussianNb {
    width: Option<usize>,
    count: f64,
    /// Of each class, the number of its records, and the moments of each feature. No moments: not seen yet.
    classes: Vec<(f64, Vec<Moments>)>,
    appearance: Appearance,
}

/// A part of a batch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    width: Option<usize>,
    classes: Vec<Vec<ExactMoments>>,
}

/// What a probability density is never below, in sums of its logarithm.
const DENSITY_FLOOR: f64 = 1e-9;

fn log_density(moments: &Moments, x: f64) -> f64 {
    let variance = moments.variance(0.0);
    if variance <= 0.0 {
        return libm::log(DENSITY_FLOOR);
    }
    let deviation = variance.sqrt();
    let z = (x - moments.mean()) / deviation;
    let density = libm::exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt() / deviation;
    libm::log(DENSITY_FLOOR + density)
}

impl GaussianNb {
    fn of_class(&mut self, class: Class, width: usize) -> &mut (f64, Vec<Moments>) {
        let class = class as usize;
        if self.classes.len() <= class {
            self.classes.resize(class + 1, (0.0, Vec::new()));
        }
        self.width = Some(width);
        self.appearance.see(class as Class);
        let of_class = &mut self.classes[class];
        of_class.1.resize(width, Moments::default());
        of_class
    }
}

impl<X: AsRef<[f64]>> Learner<X> for GaussianNb {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_class(*y)?;
        check_dense(x, self.width)?;
        let (count, moments) = self.of_class(*y, x.len());
        *count += 1.0;
        moments.iter_mut().zip(x).for_each(|(moments, x)| moments.update(*x, 1.0));
        self.count += 1.0;
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width)?;
        let log_likelihood = |(count, moments): &(f64, Vec<Moments>)| {
            if *count == 0.0 {
                return f64::NEG_INFINITY;
            }
            let likelihood: f64 = moments.iter().zip(x).map(|(moments, x)| log_density(moments, *x)).sum();
            libm::log(count / self.count) + likelihood
        };
        let logs: crate::classification::Votes = self.classes.iter().map(log_likelihood).collect();
        Ok(of_log_likelihoods(logs).of_equals_the_first(self.appearance.iter()))
    }
}

impl<X: AsRef<[f64]>> Mergeable<X> for GaussianNb {
    type Partial = Part;

    fn accumulate(&self, partial: &mut Part, x: &X, y: &Class) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_class(*y)?;
        check_dense(x, self.width.or(partial.width))?;
        partial.width = Some(x.len());
        let class = *y as usize;
        if partial.classes.len() <= class {
            partial.classes.resize(class + 1, Vec::new());
        }
        let moments = &mut partial.classes[class];
        moments.resize(x.len(), ExactMoments::default());
        moments.iter_mut().zip(x).for_each(|(moments, x)| moments.update(*x));
        Ok(())
    }

    fn merge(partial: &mut Part, other: &Part) {
        partial.width = partial.width.or(other.width);
        if partial.classes.len() < other.classes.len() {
            partial.classes.resize(other.classes.len(), Vec::new());
        }
        for (class, other) in partial.classes.iter_mut().zip(&other.classes) {
            class.resize(class.len().max(other.len()), ExactMoments::default());
            class.iter_mut().zip(other).for_each(|(moments, other)| moments.merge(other));
        }
    }

    fn update(&mut self, batch: &Part) {
        for (class, moments) in batch.classes.iter().enumerate() {
            let Some(first) = moments.first() else { continue };
            let records = first.count() as f64;
            let (count, known) = self.of_class(class as Class, moments.len());
            *count += records;
            known.iter_mut().zip(moments).for_each(|(known, moments)| known.merge(&moments.into()));
            self.count += records;
        }
    }
}
