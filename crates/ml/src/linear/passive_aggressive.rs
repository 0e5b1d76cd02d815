//! Passive–aggressive learners: no step while a record is predicted well enough, else the smallest that mends it.
//!
//! - **Source**: Crammer, Dekel, Keshet, Shalev-Shwartz and Singer, "Online passive-aggressive algorithms", JMLR 2006: PA, PA-I and
//!   PA-II.
//! - **Learns** classes 0 and 1, or finite numbers. **Refuses** what [`LogisticRegression`](super::LogisticRegression) does.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers** agree with river's `PAClassifier` and `PARegressor` to 1e-9 (`tests/learners/linear.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::{PassiveAggressiveClassifier, Variant};
//!
//! let mut model = PassiveAggressiveClassifier::new(0.01, Variant::Pa1);
//! for n in 0..100 {
//!     model.learn_one(&[f64::from(n % 9) - 4.0], &u32::from(n % 9 > 4))?;
//! }
//! assert_eq!(model.predict_one(&[3.0])?.class(), Some(1));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::sigmoid;
use crate::classification::check_binary;
use crate::features::Features;
use crate::{Class, Classification, Learner, Rejected};

/// How large a step may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variant {
    /// As large as it takes.
    Pa,
    /// At most the aggressiveness.
    Pa1,
    /// The smaller, the less the aggressiveness.
    Pa2,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Weights {
    aggressiveness: f64,
    variant: Variant,
    weights: Vec<f64>,
    intercept: f64,
    learns_intercept: bool,
}

impl Weights {
    fn new(aggressiveness: f64, variant: Variant) -> Self {
        Self { aggressiveness, variant, weights: Vec::new(), intercept: 0.0, learns_intercept: true }
    }

    fn raw(&self, x: &impl Features) -> Result<f64, Rejected> {
        x.check((!self.weights.is_empty()).then_some(self.weights.len()))?;
        let raw = x.dot(&self.weights) + self.intercept;
        if raw.is_finite() { Ok(raw) } else { Err(Rejected::Diverges) }
    }

    fn step(&mut self, x: &impl Features, loss: f64, sign: f64) -> Result<(), Rejected> {
        if self.weights.is_empty() {
            self.weights = vec![0.0; x.width()];
        }
        let mut norm = 0.0;
        x.each(|_, value| norm += value * value);
        let tau = match self.variant {
            Variant::Pa if norm > 0.0 => loss / norm,
            Variant::Pa1 if norm > 0.0 => self.aggressiveness.min(loss / norm),
            Variant::Pa | Variant::Pa1 => 0.0,
            Variant::Pa2 => loss / (norm + 0.5 / self.aggressiveness),
        };
        let step = tau * sign;
        let mut check = (self.intercept + step) * 0.0;
        x.each(|i, value| check += (self.weights[i] + step * value) * 0.0);
        if check != 0.0 {
            return Err(Rejected::Diverges);
        }
        x.each(|i, value| self.weights[i] += step * value);
        if self.learns_intercept {
            self.intercept += step;
        }
        Ok(())
    }
}

/// The classifier of two classes. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassiveAggressiveClassifier {
    weights: Weights,
}

impl PassiveAggressiveClassifier {
    /// With this aggressiveness (the C of the paper).
    pub fn new(aggressiveness: f64, variant: Variant) -> Self {
        Self { weights: Weights::new(aggressiveness, variant) }
    }

    /// Keeps the intercept at 0.
    #[must_use]
    pub fn without_intercept(mut self) -> Self {
        self.weights.learns_intercept = false;
        self
    }

    /// The weights.
    pub fn weights(&self) -> &[f64] {
        &self.weights.weights
    }
}

impl<X: Features> Learner<X> for PassiveAggressiveClassifier {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)?;
        let sign = if *y == 1 { 1.0 } else { -1.0 };
        let loss = (1.0 - sign * self.weights.raw(x)?).max(0.0);
        self.weights.step(x, loss, sign)
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        Ok(Classification::binary(sigmoid(self.weights.raw(x)?)))
    }
}

/// The regressor. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassiveAggressiveRegressor {
    weights: Weights,
    epsilon: f64,
}

impl PassiveAggressiveRegressor {
    /// Errors of up to `epsilon` are well enough.
    pub fn new(aggressiveness: f64, variant: Variant, epsilon: f64) -> Self {
        Self { weights: Weights::new(aggressiveness, variant), epsilon }
    }

    /// Keeps the intercept at 0.
    #[must_use]
    pub fn without_intercept(mut self) -> Self {
        self.weights.learns_intercept = false;
        self
    }
}

impl<X: Features> Learner<X> for PassiveAggressiveRegressor {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    fn learn_one(&mut self, x: &X, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)?;
        let error = y - self.weights.raw(x)?;
        let loss = (error.abs() - self.epsilon).max(0.0);
        self.weights.step(x, loss, if error > 0.0 { 1.0 } else { -1.0 })
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        self.weights.raw(x)
    }
}
