//! Seasonal residual: how far a value is off what its season and trend made expect, in deviations.
//!
//! - **Source**: a one-step forecast by any [`Forecaster`] ([`HoltWinters`](crate::forecast::HoltWinters) for seasons), and the moments
//!   of its errors.
//! - **Learns** finite values, in the order of time. **Refuses** what is no number.
//! - **Parallel**: one subtask, or one series for each key.
//! - **Numbers** agree with those of river's forecasts to 1e-9 (`tests/learners/anomaly.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::anomaly::SeasonalResidual;
//! use thalweg_ml::forecast::HoltWinters;
//!
//! let mut score = SeasonalResidual::new(HoltWinters::additive(0.3, 0.1, 0.3, 4), 20);
//! for n in 0..80 {
//!     score.learn_one(&([0.0, 10.0, 20.0, 10.0][n % 4] + (n % 3) as f64 * 0.1), &())?;
//! }
//! // Twenty is right in the third quarter, not in the first.
//! assert!(score.predict_one(&20.0)? > 3.0);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::forecast::Forecaster;
use crate::moments::Moments;
use crate::{Learner, Rejected};

/// The learner: its prediction is the score. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeasonalResidual<F> {
    forecaster: F,
    warm_up: f64,
    residuals: Moments,
}

impl<F: Forecaster> SeasonalResidual<F> {
    /// Off the forecasts of this; before there were `warm_up` of them, all score 0.
    pub fn new(forecaster: F, warm_up: u32) -> Self {
        Self { forecaster, warm_up: f64::from(warm_up), residuals: Moments::default() }
    }

    /// The forecaster.
    pub fn forecaster(&self) -> &F {
        &self.forecaster
    }
}

impl<F: Forecaster> Learner<f64> for SeasonalResidual<F> {
    type Target = ();
    type Prediction = f64;

    fn learn_one(&mut self, x: &f64, (): &()) -> Result<(), Rejected> {
        let expected = self.forecaster.next();
        self.forecaster.learn(*x)?;
        if let Some(expected) = expected {
            self.residuals.update(x - expected, 1.0);
        }
        Ok(())
    }

    fn predict_one(&self, x: &f64) -> Result<f64, Rejected> {
        Rejected::unless_finite(*x)?;
        let Some(expected) = self.forecaster.next() else { return Ok(0.0) };
        if self.residuals.weight() < self.warm_up {
            return Ok(0.0);
        }
        let off = (x - expected - self.residuals.mean()).abs();
        let deviation = self.residuals.variance(1.0).max(0.0).sqrt();
        Ok(if off == 0.0 { 0.0 } else { off / deviation })
    }
}
