//! Min–max scaling: each feature's place between the lowest and the highest that it has been, from 0 to 1.
//!
//! - **Learns** the features it sees; a feature that has had one value becomes 0. A prediction may lie outside of 0 to 1.
//! - **Refuses** features that are missing, infinite or of another number.
//! - **Numbers** agree with river's `MinMaxScaler` (`tests/preprocessing.rs`).
//!
//! ```
//! use thalweg_ml::Transformer;
//! use thalweg_ml::preprocessing::MinMaxScaler;
//!
//! let mut scaler = MinMaxScaler::default();
//! scaler.learn(&[10.0])?;
//! scaler.learn(&[20.0])?;
//! assert_eq!(scaler.transform(&[12.5])?, [0.25]);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::features::check_dense;
use crate::{Rejected, Transformer};

/// The transformer. See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MinMaxScaler {
    ranges: Vec<(f64, f64)>,
}

impl<X: AsRef<[f64]>> Transformer<X> for MinMaxScaler {
    type Out = Vec<f64>;

    fn learn(&mut self, x: &X) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, (!self.ranges.is_empty()).then_some(self.ranges.len()))?;
        if self.ranges.is_empty() {
            self.ranges = x.iter().map(|x| (*x, *x)).collect();
        }
        self.ranges.iter_mut().zip(x).for_each(|((min, max), x)| (*min, *max) = (min.min(*x), max.max(*x)));
        Ok(())
    }

    fn transform(&self, x: &X) -> Result<Vec<f64>, Rejected> {
        let x = x.as_ref();
        check_dense(x, (!self.ranges.is_empty()).then_some(self.ranges.len()))?;
        if self.ranges.is_empty() {
            return Ok(vec![0.0; x.len()]);
        }
        let scale = |((min, max), x): (&(f64, f64), &f64)| {
            if max > min { (x - min) / (max - min) } else { 0.0 }
        };
        Ok(self.ranges.iter().zip(x).map(scale).collect())
    }
}
