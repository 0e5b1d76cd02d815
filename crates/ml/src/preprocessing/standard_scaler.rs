//! Standard scaling: each feature less its mean so far, over its deviation so far.
//!
//! - **Source**: Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 1962.
//! - **Learns** the features it sees; a feature without a deviation becomes 0. **Refuses** those that are missing, infinite or of
//!   another number.
//! - **Parallel**: [`Mergeable`] as a learner, whose prediction is the scaled record; a batch's moments are exact.
//! - **Numbers** agree with river's `StandardScaler` to 1e-9 (`tests/learners/preprocessing.rs`).
//!
//! ```
//! use thalweg_ml::Transformer;
//! use thalweg_ml::preprocessing::StandardScaler;
//!
//! let mut scaler = StandardScaler::new();
//! for x in [1.0, 3.0] {
//!     scaler.learn(&[x, 7.0])?;
//! }
//! assert_eq!(scaler.transform(&[4.0, 7.0])?, [2.0, 0.0]);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::features::check_dense;
use crate::moments::{ExactMoments, Scale};
use crate::{Dense, Learner, Mergeable, Rejected, Transformer};

/// The transformer. See the [module](self).
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StandardScaler {
    features: Vec<Scale>,
}

impl Clone for StandardScaler {
    fn clone(&self) -> Self {
        Self { features: self.features.clone() }
    }

    // Into the space that is there: chains keep what was before each record.
    fn clone_from(&mut self, other: &Self) {
        self.features.clone_from(&other.features);
    }
}

impl StandardScaler {
    /// A scaler that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn width(&self) -> Option<usize> {
        (!self.features.is_empty()).then_some(self.features.len())
    }
}

impl<X: AsRef<[f64]>> Transformer<X> for StandardScaler {
    type Out = Dense;

    fn learn(&mut self, x: &X) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width())?;
        self.features.resize(x.len(), Scale::default());
        self.features.iter_mut().zip(x).for_each(|(scale, x)| scale.update(*x));
        Ok(())
    }

    fn transform(&self, x: &X) -> Result<Dense, Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width())?;
        if self.features.is_empty() {
            return Ok(x.iter().map(|_| 0.0).collect());
        }
        Ok(self.features.iter().zip(x).map(|(scale, x)| scale.scale(*x)).collect())
    }
}

impl<X: AsRef<[f64]>> Learner<X> for StandardScaler {
    type Target = ();
    type Prediction = Dense;

    fn learn_one(&mut self, x: &X, (): &()) -> Result<(), Rejected> {
        self.learn(x)
    }

    fn predict_one(&self, x: &X) -> Result<Dense, Rejected> {
        self.transform(x)
    }
}

impl<X: AsRef<[f64]>> Mergeable<X> for StandardScaler {
    type Partial = Vec<ExactMoments>;

    fn accumulate(&self, partial: &mut Vec<ExactMoments>, x: &X, (): &()) -> Result<(), Rejected> {
        let (x, known) = (x.as_ref(), (!partial.is_empty()).then_some(partial.len()));
        check_dense(x, self.width().or(known))?;
        partial.resize(x.len(), ExactMoments::default());
        partial.iter_mut().zip(x).for_each(|(moments, x)| moments.update(*x));
        Ok(())
    }

    fn merge(partial: &mut Vec<ExactMoments>, other: &Vec<ExactMoments>) {
        partial.resize(partial.len().max(other.len()), ExactMoments::default());
        partial.iter_mut().zip(other).for_each(|(moments, other)| moments.merge(other));
    }

    fn update(&mut self, batch: &Vec<ExactMoments>) {
        self.features.resize(self.features.len().max(batch.len()), Scale::default());
        self.features.iter_mut().zip(batch).for_each(|(scale, moments)| scale.merge(moments));
    }
}
