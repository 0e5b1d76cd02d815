//! Linear learners: a weight for each feature. All but [`StreamingSgd`](sgd_batch) learn record by record.

pub mod least_squares;
pub mod linear_regression;
pub mod logistic_regression;
pub mod online_logistic_regression;
pub mod optimizer;
pub mod passive_aggressive;
pub mod recursive_least_squares;
pub mod sgd_batch;
pub mod softmax_regression;

pub use least_squares::LeastSquares;
pub use linear_regression::LinearRegression;
pub use logistic_regression::LogisticRegression;
pub use online_logistic_regression::OnlineLogisticRegression;
pub use optimizer::Optimizer;
pub use passive_aggressive::{PassiveAggressiveClassifier, PassiveAggressiveRegressor, Variant};
pub use recursive_least_squares::RecursiveLeastSquares;
pub use sgd_batch::{StreamingLinearRegressionWithSgd, StreamingLogisticRegressionWithSgd};
pub use softmax_regression::SoftmaxRegression;

use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::learner::Rejected;

/// Weights, an intercept, and what takes a step along a gradient: what linear and logistic regression have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Glm {
    weights: Vec<f64>,
    intercept: f64,
    intercept_rate: f64,
    l2: f64,
    optimizer: Optimizer,
}

/// Gradients of the loss are clipped here, as in river.
const CLIP: f64 = 1e12;

impl Glm {
    pub(crate) fn new(optimizer: Optimizer, l2: f64, intercept_rate: f64) -> Self {
        Self { weights: Vec::new(), intercept: 0.0, intercept_rate, l2, optimizer }
    }

    fn width(&self) -> Option<usize> {
        (!self.weights.is_empty()).then_some(self.weights.len())
    }

    /// The weighted sum of checked features.
    #[inline]
    pub(crate) fn raw(&self, x: &impl Features) -> Result<f64, Rejected> {
        x.check(self.width())?;
        let raw = x.dot(&self.weights) + self.intercept;
        if raw.is_finite() { Ok(raw) } else { Err(Rejected::Diverges) }
    }

    /// A step against `gradient`, the derivative of the loss by the weighted sum. Features are checked already.
    #[inline]
    pub(crate) fn step(&mut self, x: &impl Features, gradient: f64) -> Result<(), Rejected> {
        let gradient = gradient.clamp(-CLIP, CLIP);
        if self.weights.is_empty() {
            self.weights = vec![0.0; x.width()];
        }
        let intercept = self.intercept - self.intercept_rate * gradient;
        if !intercept.is_finite() {
            return Err(Rejected::Diverges);
        }
        self.optimizer.step(&mut self.weights, x, gradient, self.l2)?;
        self.intercept = intercept;
        Ok(())
    }
}

/// The logistic function, as river has it: 0 and 1 beyond 30.
#[inline]
pub(crate) fn sigmoid(x: f64) -> f64 {
    if x < -30.0 {
        0.0
    } else if x > 30.0 {
        1.0
    } else {
        1.0 / (1.0 + (-x).exp())
    }
}
