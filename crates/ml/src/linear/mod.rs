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
    clip: f64,
    l1: Option<CumulativeL1>,
    optimizer: Optimizer,
}

/// An L1 penalty that is owed by each weight, and paid when its feature comes: weights become exactly 0, and stay there until their gradient outweighs what
/// they owe (Tsuruoka, Tsujii and Ananiadou, "Stochastic gradient descent training for L1-regularized log-linear models", ACL 2009; as in river).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CumulativeL1 {
    penalty: f64,
    /// What every weight could have been taken so far, and what each has been.
    owed: f64,
    paid: Vec<f64>,
}

impl CumulativeL1 {
    fn collect(&mut self, weights: &mut [f64], x: &impl Features, rate: f64) {
        self.owed += self.penalty * rate;
        self.paid.resize(weights.len(), 0.0);
        x.each(|i, _| {
            let before = weights[i];
            if before > 0.0 {
                weights[i] = (before - (self.owed + self.paid[i])).max(0.0);
            } else if before < 0.0 {
                weights[i] = (before + (self.owed - self.paid[i])).min(0.0);
            }
            self.paid[i] += weights[i] - before;
        });
    }
}

/// Gradients of the loss are clipped here, as in river.
const CLIP: f64 = 1e12;

impl Glm {
    pub(crate) fn new(optimizer: Optimizer, l2: f64, intercept_rate: f64) -> Self {
        Self { weights: Vec::new(), intercept: 0.0, intercept_rate, l2, clip: CLIP, l1: None, optimizer }
    }

    pub(crate) fn set_l1(&mut self, penalty: f64) {
        self.l1 = (penalty > 0.0).then(|| CumulativeL1 { penalty, owed: 0.0, paid: Vec::new() });
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
        let gradient = gradient.clamp(-self.clip, self.clip);
        if self.weights.is_empty() {
            self.weights = vec![0.0; x.width()];
        }
        let intercept = self.intercept - self.intercept_rate * gradient;
        if !intercept.is_finite() {
            return Err(Rejected::Diverges);
        }
        self.optimizer.step(&mut self.weights, x, gradient, self.l2)?;
        self.intercept = intercept;
        if let Some(l1) = &mut self.l1 {
            l1.collect(&mut self.weights, x, self.optimizer.rate());
        }
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

/// Sets what all generalised linear models have.
macro_rules! glm_parameters {
    () => {
        /// Sets the L1 penalty of the weights, which makes those that hardly matter exactly 0. (FTRL-proximal has penalties of its own, which are
        /// better.)
        #[must_use]
        pub fn l1(mut self, penalty: f64) -> Self {
            self.glm.set_l1(penalty);
            self
        }

        /// Sets how large the derivative of the loss may be: it is cut there. 1e12 unless it is set.
        #[must_use]
        pub fn clip_gradient(mut self, clip: f64) -> Self {
            self.glm.clip = clip.abs();
            self
        }

        /// Sets what the intercept begins with: 0 unless it is set.
        #[must_use]
        pub fn begin_with_intercept(mut self, intercept: f64) -> Self {
            self.glm.intercept = intercept;
            self
        }
    };
}
pub(crate) use glm_parameters;
