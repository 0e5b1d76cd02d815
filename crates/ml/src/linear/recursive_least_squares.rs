//! Recursive least squares: the exact ridge solution after each record, without ever inverting a matrix.
//!
//! - **Source**: Plackett, "Some theorems in least squares", Biometrika 1950; with a forgetting factor, Haykin, "Adaptive filter
//!   theory". A record costs the
//!   square of the number of features.
//! - **Learns** finite targets; no intercept unless a constant 1 is among the features. **Refuses** what
//!   [`LinearRegression`](super::LinearRegression) does.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers** agree with river's `BayesianLinearRegression` and with the closed form to 1e-9 (`tests/learners/linear.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::RecursiveLeastSquares;
//!
//! let mut model = RecursiveLeastSquares::new(1e-6, 1.0);
//! for n in 0..20 {
//!     let x = [f64::from(n), f64::from(n * n % 7), 1.0];
//!     model.learn_one(&x, &(2.0 * x[0] - x[1] + 5.0))?;
//! }
//! assert!((model.predict_one(&[100.0, 3.0, 1.0])? - 202.0).abs() < 1e-3);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::features::check_dense;
use crate::{Learner, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecursiveLeastSquares {
    ridge: f64,
    forgetting: f64,
    weights: Vec<f64>,
    /// The inverse of the penalised sum of `x xᵀ`, row by row. It is symmetric.
    inverse: Vec<f64>,
    /// What a step works on; its contents do not matter between records.
    gain: Vec<f64>,
}

impl RecursiveLeastSquares {
    /// With a ridge penalty, above 0, and a forgetting factor: 1 forgets nothing, 0.99 about all but the last 100 records.
    pub fn new(ridge: f64, forgetting: f64) -> Self {
        let forgetting = if forgetting > 0.0 && forgetting <= 1.0 { forgetting } else { 1.0 };
        let ridge = if ridge > 0.0 { ridge } else { f64::MIN_POSITIVE };
        Self { ridge, forgetting, weights: Vec::new(), inverse: Vec::new(), gain: Vec::new() }
    }

    /// The weights; empty before anything was learnt.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }
}

impl<X: AsRef<[f64]>> Learner<X> for RecursiveLeastSquares {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    fn learn_one(&mut self, x: &X, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)?;
        let error = y - self.predict_one(x)?;
        let (x, n) = (x.as_ref(), x.as_ref().len());
        if self.weights.is_empty() {
            self.weights = vec![0.0; n];
            self.inverse = vec![0.0; n * n];
            self.gain = vec![0.0; n];
            (0..n).for_each(|i| self.inverse[i * n + i] = 1.0 / self.ridge);
        }
        for (gain, row) in self.gain.iter_mut().zip(self.inverse.chunks_exact(n)) {
            *gain = row.iter().zip(x).map(|(a, b)| a * b).sum();
        }
        let divisor = self.forgetting + self.gain.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        let step = error / divisor;
        let sound =
            self.gain.iter().all(|gain| (gain * step).is_finite() && (gain * gain / divisor).is_finite());
        if !sound || divisor <= 0.0 {
            return Err(Rejected::Diverges);
        }
        for (weight, gain) in self.weights.iter_mut().zip(&self.gain) {
            *weight += gain * step;
        }
        for i in 0..n {
            let scaled = self.gain[i] / divisor;
            for j in 0..n {
                let cell = &mut self.inverse[i * n + j];
                *cell = (*cell - scaled * self.gain[j]) / self.forgetting;
            }
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        let x = x.as_ref();
        check_dense(x, (!self.weights.is_empty()).then_some(self.weights.len()))?;
        let raw: f64 = x.iter().zip(&self.weights).map(|(x, weight)| x * weight).sum();
        if raw.is_finite() { Ok(raw) } else { Err(Rejected::Diverges) }
    }
}
