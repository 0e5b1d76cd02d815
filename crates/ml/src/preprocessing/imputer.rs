//! Imputation: what stands for a feature that is missing (NaN).
//!
//! - **Source**: Little and Rubin, "Statistical analysis with missing data", 1987, chapter 4.
//! - **Learns** the features that are there. **Refuses** those that are infinite or of another number; a feature that was never there
//!   becomes 0.
//! - **Numbers** agree with river's `StatImputer` (mean, constant) and `PreviousImputer` (`tests/learners/preprocessing.rs`).
//!
//! ```
//! use thalweg_ml::Transformer;
//! use thalweg_ml::preprocessing::{Imputer, Statistic};
//!
//! let mut imputer = Imputer::new(Statistic::Mean);
//! imputer.learn(&[2.0, f64::NAN])?;
//! imputer.learn(&[4.0, 7.0])?;
//! assert_eq!(imputer.transform(&[f64::NAN, f64::NAN])?, [3.0, 7.0]);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::features::check_with_missing;
use crate::moments::Moments;
use crate::{Dense, Rejected, Transformer};

/// What stands for a missing feature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Statistic {
    /// Its mean so far.
    Mean,
    /// The last that was there.
    Previous,
    /// The same for all.
    Constant(f64),
}

/// The transformer. See the [module](self).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Imputer {
    statistic: Statistic,
    features: Vec<(Moments, f64)>,
}

impl Clone for Imputer {
    fn clone(&self) -> Self {
        Self { statistic: self.statistic, features: self.features.clone() }
    }

    // Into the space that is there: chains keep what was before each record.
    fn clone_from(&mut self, other: &Self) {
        self.statistic = other.statistic;
        self.features.clone_from(&other.features);
    }
}

impl Imputer {
    /// Fills in this.
    pub fn new(statistic: Statistic) -> Self {
        Self { statistic, features: Vec::new() }
    }
}

impl<X: AsRef<[f64]>> Transformer<X> for Imputer {
    type Out = Dense;

    fn learn(&mut self, x: &X) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_with_missing(x, (!self.features.is_empty()).then_some(self.features.len()))?;
        self.features.resize(x.len(), (Moments::default(), 0.0));
        for ((moments, previous), x) in self.features.iter_mut().zip(x).filter(|(_, x)| !x.is_nan()) {
            moments.update(*x, 1.0);
            *previous = *x;
        }
        Ok(())
    }

    fn transform(&self, x: &X) -> Result<Dense, Rejected> {
        let x = x.as_ref();
        check_with_missing(x, (!self.features.is_empty()).then_some(self.features.len()))?;
        let fill = |(index, x): (usize, &f64)| {
            if !x.is_nan() {
                return *x;
            }
            let known = self.features.get(index);
            match self.statistic {
                Statistic::Mean => known.map_or(0.0, |(moments, _)| moments.mean()),
                Statistic::Previous => known.map_or(0.0, |(_, previous)| *previous),
                Statistic::Constant(constant) => constant,
            }
        };
        Ok(x.iter().enumerate().map(fill).collect())
    }
}
