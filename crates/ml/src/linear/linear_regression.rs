//! Linear regression, record by record: least squares by stochastic gradients.
//!
//! - **Source**: Widrow and Hoff, "Adaptive switching circuits", 1960 (LMS); the steps are those of an [`Optimizer`].
//! - **Learns** finite targets, from dense or sparse features of one scale.
//! - **Refuses** what [`LogisticRegression`](super::LogisticRegression) does, and targets that are no numbers.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers** agree with river's `LinearRegression` to 1e-9 (`tests/learners/linear.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::{LinearRegression, Optimizer};
//!
//! let mut model = LinearRegression::with(Optimizer::sgd(0.02)).intercept_rate(0.02);
//! for n in 0..5000 {
//!     let x = f64::from(n % 5);
//!     model.learn_one(&[x], &(3.0 * x + 1.0))?;
//! }
//! assert!((model.predict_one(&[10.0])? - 31.0).abs() < 1e-6);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::{Glm, Optimizer, glm_parameters};
use crate::features::{Features, Slice};
use crate::{Learner, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearRegression {
    glm: Glm,
}

impl Default for LinearRegression {
    fn default() -> Self {
        Self::new()
    }
}

impl LinearRegression {
    /// With SGD at a rate of 0.01, without a penalty.
    pub fn new() -> Self {
        Self::with(Optimizer::sgd(0.01))
    }

    /// With this optimizer.
    pub fn with(optimizer: Optimizer) -> Self {
        Self { glm: Glm::new(optimizer, 0.0, 0.01) }
    }

    /// Sets the L2 penalty of the weights.
    #[must_use]
    pub fn l2(mut self, penalty: f64) -> Self {
        self.glm.l2 = penalty;
        self
    }

    glm_parameters!();

    /// Sets the learning rate of the intercept: 0.01 unless it is set.
    #[must_use]
    pub fn intercept_rate(mut self, rate: f64) -> Self {
        self.glm.intercept_rate = rate;
        self
    }

    /// A model that was trained elsewhere; it can go on learning, with SGD at a rate of 0.01.
    pub fn of_coefficients(weights: Vec<f64>, intercept: f64) -> Self {
        let mut model = Self::new();
        (model.glm.weights, model.glm.intercept) = (weights, intercept);
        model
    }

    /// The weights; empty before anything was learnt.
    pub fn weights(&self) -> &[f64] {
        &self.glm.weights
    }

    /// The intercept.
    pub fn intercept(&self) -> f64 {
        self.glm.intercept
    }

    /// The prediction from dense features.
    pub(crate) fn raw(&self, x: &[f64]) -> Result<f64, Rejected> {
        self.glm.raw(&Slice(x))
    }

    /// Learns a record with a weight.
    pub(crate) fn learn_weighted(&mut self, x: &[f64], y: f64, weight: f64) -> Result<(), Rejected> {
        let raw = self.raw(x)?;
        self.glm.step(&Slice(x), 2.0 * (raw - y) * weight)
    }
}

impl<X: Features> Learner<X> for LinearRegression {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    #[inline]
    fn learn_one(&mut self, x: &X, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)?;
        let raw = self.glm.raw(x)?;
        self.glm.step(x, 2.0 * (raw - y))
    }

    #[inline]
    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        self.glm.raw(x)
    }
}
