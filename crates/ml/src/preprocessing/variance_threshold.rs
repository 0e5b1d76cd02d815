//! Variance threshold: features that hardly vary become 0, and so play no part.
//!
//! - **Source**: as scikit-learn and river have it; variances by Welford, 1962.
//! - **Learns** the features it sees; one that was seen less than twice passes. Features keep their places, so that learners behind it
//!   keep their widths.
//! - **Refuses** features that are missing, infinite or of another number.
//! - Which features pass agrees with river's `VarianceThreshold` (`tests/learners/preprocessing.rs`).
//!
//! ```
//! use thalweg_ml::Transformer;
//! use thalweg_ml::preprocessing::VarianceThreshold;
//!
//! let mut threshold = VarianceThreshold::new(0.5);
//! for n in 0..10 {
//!     threshold.learn(&[7.0 + f64::from(n % 2) / 10.0, f64::from(n)])?;
//! }
//! assert_eq!(threshold.transform(&[7.0, 3.0])?, [0.0, 3.0]);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::features::check_dense;
use crate::moments::Moments;
use crate::{Dense, Rejected, Transformer};

/// The transformer. See the [module](self).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct VarianceThreshold {
    threshold: f64,
    features: Vec<Moments>,
}

impl Clone for VarianceThreshold {
    fn clone(&self) -> Self {
        Self { threshold: self.threshold, features: self.features.clone() }
    }

    // Into the space that is there: chains keep what was before each record.
    fn clone_from(&mut self, other: &Self) {
        self.threshold = other.threshold;
        self.features.clone_from(&other.features);
    }
}

impl VarianceThreshold {
    /// Lets features pass whose variance is above `threshold`.
    pub fn new(threshold: f64) -> Self {
        Self { threshold, features: Vec::new() }
    }

    /// Whether a feature passes.
    pub fn passes(&self, feature: usize) -> bool {
        let varies = |moments: &Moments| moments.weight() < 2.0 || moments.variance(1.0) > self.threshold;
        self.features.get(feature).is_none_or(varies)
    }
}

impl<X: AsRef<[f64]>> Transformer<X> for VarianceThreshold {
    type Out = Dense;

    fn learn(&mut self, x: &X) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, (!self.features.is_empty()).then_some(self.features.len()))?;
        self.features.resize(x.len(), Moments::default());
        self.features.iter_mut().zip(x).for_each(|(moments, x)| moments.update(*x, 1.0));
        Ok(())
    }

    fn transform(&self, x: &X) -> Result<Dense, Rejected> {
        let x = x.as_ref();
        check_dense(x, (!self.features.is_empty()).then_some(self.features.len()))?;
        Ok(x.iter().enumerate().map(|(index, x)| if self.passes(index) { *x } else { 0.0 }).collect())
    }
}
