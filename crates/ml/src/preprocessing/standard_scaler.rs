//! Standard scaling: each feature less its mean so far, over its deviation so far.
//!
//! - **Source**: Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 1962.
//! - **Learns** the features it sees; a feature without a deviation becomes 0. **Refuses** those that are missing, infinite or of
//!   another number.
//! - **Numbers** agree with river's `StandardScaler` to 1e-9 (`tests/preprocessing.rs`).
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
use crate::moments::Moments;
use crate::{Rejected, Transformer};

/// The transformer. See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StandardScaler {
    features: Vec<Moments>,
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
    type Out = Vec<f64>;

    fn learn(&mut self, x: &X) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width())?;
        self.features.resize(x.len(), Moments::default());
        self.features.iter_mut().zip(x).for_each(|(moments, x)| moments.update(*x, 1.0));
        Ok(())
    }

    fn transform(&self, x: &X) -> Result<Vec<f64>, Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width())?;
        if self.features.is_empty() {
            return Ok(vec![0.0; x.len()]);
        }
        let scale = |(moments, x): (&Moments, &f64)| {
            let variance = moments.variance(0.0);
            if variance > 0.0 { (x - moments.mean()) / variance.sqrt() } else { 0.0 }
        };
        Ok(self.features.iter().zip(x).map(scale).collect())
    }
}
