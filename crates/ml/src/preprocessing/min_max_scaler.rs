//! Min–max scaling: each feature's place between the lowest and the highest that it has been, from 0 to 1.
//!
//! - **Source**: Han and Kamber, "Data mining: concepts and techniques", 2000, 3.5.
//! - **Learns** the features it sees; a feature that has had one value becomes 0. A prediction may lie outside of 0 to 1.
//! - **Refuses** features that are missing, infinite or of another number.
//! - **Parallel**: [`Mergeable`] as a learner, whose prediction is the scaled record.
//! - **Numbers** agree with river's `MinMaxScaler` (`tests/learners/preprocessing.rs`).
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
use crate::{Dense, Learner, Mergeable, Rejected, Transformer};

/// The transformer. See the [module](self).
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MinMaxScaler {
    ranges: Vec<(f64, f64)>,
}

impl Clone for MinMaxScaler {
    fn clone(&self) -> Self {
        Self { ranges: self.ranges.clone() }
    }

    // Into the space that is there: chains keep what was before each record.
    fn clone_from(&mut self, other: &Self) {
        self.ranges.clone_from(&other.ranges);
    }
}

/// Widens ranges by others.
fn widen(ranges: &mut Vec<(f64, f64)>, others: impl ExactSizeIterator<Item = (f64, f64)>) {
    if ranges.is_empty() {
        ranges.extend(others);
    } else {
        ranges
            .iter_mut()
            .zip(others)
            .for_each(|((low, high), (a, b))| (*low, *high) = (low.min(a), high.max(b)));
    }
}

impl<X: AsRef<[f64]>> Transformer<X> for MinMaxScaler {
    type Out = Dense;

    fn learn(&mut self, x: &X) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, (!self.ranges.is_empty()).then_some(self.ranges.len()))?;
        widen(&mut self.ranges, x.iter().map(|x| (*x, *x)));
        Ok(())
    }

    fn transform(&self, x: &X) -> Result<Dense, Rejected> {
        let x = x.as_ref();
        check_dense(x, (!self.ranges.is_empty()).then_some(self.ranges.len()))?;
        if self.ranges.is_empty() {
            return Ok(x.iter().map(|_| 0.0).collect());
        }
        let scale = |((min, max), x): (&(f64, f64), &f64)| {
            if max > min { (x - min) / (max - min) } else { 0.0 }
        };
        Ok(self.ranges.iter().zip(x).map(scale).collect())
    }
}

impl<X: AsRef<[f64]>> Learner<X> for MinMaxScaler {
    type Target = ();
    type Prediction = Dense;

    fn learn_one(&mut self, x: &X, (): &()) -> Result<(), Rejected> {
        self.learn(x)
    }

    fn predict_one(&self, x: &X) -> Result<Dense, Rejected> {
        self.transform(x)
    }
}

impl<X: AsRef<[f64]>> Mergeable<X> for MinMaxScaler {
    type Partial = Vec<(f64, f64)>;

    fn accumulate(&self, partial: &mut Vec<(f64, f64)>, x: &X, (): &()) -> Result<(), Rejected> {
        let known = [&self.ranges, partial].into_iter().map(Vec::len).find(|width| *width > 0);
        check_dense(x.as_ref(), known)?;
        widen(partial, x.as_ref().iter().map(|x| (*x, *x)));
        Ok(())
    }

    fn merge(partial: &mut Vec<(f64, f64)>, other: &Vec<(f64, f64)>) {
        if !other.is_empty() {
            widen(partial, other.iter().copied());
        }
    }

    fn update(&mut self, batch: &Vec<(f64, f64)>) {
        if !batch.is_empty() {
            widen(&mut self.ranges, batch.iter().copied());
        }
    }
}
