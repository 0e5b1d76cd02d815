//! Logistic regression, record by record: two classes, a probability for each.
//!
//! - **Source**: Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010; the steps are those of an
//!   [`Optimizer`].
//! - **Learns** classes 0 and 1, from dense or sparse features. Features should be of one scale
//!   ([`StandardScaler`](crate::preprocessing::StandardScaler)).
//! - **Refuses** other classes, features that are missing, infinite or of another number than the first record's, and steps that would
//!   make a weight
//!   infinite; each time before anything changes.
//! - **Parallel**: one subtask, or one model for each key. Its steps depend on their order.
//! - **Numbers** agree with river's `LogisticRegression` to 1e-9, with each of the optimizers (`tests/learners/linear.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::{LogisticRegression, Optimizer};
//!
//! let mut model = LogisticRegression::with(Optimizer::sgd(0.1));
//! for n in 0..1000 {
//!     let x = [f64::from(n % 7) - 3.0, 1.0];
//!     model.learn_one(&x, &u32::from(n % 7 > 3))?;
//! }
//! assert!(model.predict_one(&[3.0, 1.0])?.probability(1) > 0.9);
//! assert!(model.learn_one(&[f64::NAN, 1.0], &1).is_err());
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::{Glm, Optimizer, glm_parameters, sigmoid};
use crate::classification::check_binary;
use crate::features::Features;
use crate::{Class, Classification, Learner, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogisticRegression {
    glm: Glm,
}

impl Default for LogisticRegression {
    fn default() -> Self {
        Self::new()
    }
}

impl LogisticRegression {
    /// With SGD at a rate of 0.01, without a penalty.
    pub fn new() -> Self {
        Self::with(Optimizer::sgd(0.01))
    }

    /// With this optimizer.
    pub fn with(optimizer: Optimizer) -> Self {
        Self { glm: Glm::new(optimizer, 0.0, 0.01) }
    }

    /// Sets the L2 penalty of the weights. (FTRL-proximal has penalties of its own, which are better.)
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

    /// A model that was trained elsewhere (scikit-learn's `coef_` and `intercept_`, say); it can go on learning, with SGD at a rate of
    /// 0.01.
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
}

/// The derivative of `ln(1 + exp(-y·raw))` by `raw`, for y of 1 and -1, as river has it.
#[inline]
fn gradient(positive: bool, raw: f64) -> f64 {
    let y = if positive { 1.0 } else { -1.0 };
    let z = raw * y;
    if z > 18.0 {
        (-z).exp() * -y
    } else if z < -18.0 {
        -y
    } else {
        -y / (z.exp() + 1.0)
    }
}

impl<X: Features> Learner<X> for LogisticRegression {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)
    }

    #[inline]
    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)?;
        let raw = self.glm.raw(x)?;
        self.glm.step(x, gradient(*y == 1, raw))
    }

    #[inline]
    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        Ok(Classification::binary(sigmoid(self.glm.raw(x)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_diverges_changes_nothing() {
        let mut model = LogisticRegression::with(Optimizer::sgd(1e200));
        model.learn_one(&vec![1e100, 0.0], &1).unwrap();
        let before = model.clone();
        assert!(model.learn_one(&vec![-1e100, 1e100], &1).is_err());
        assert!(model.learn_one(&vec![1.0, f64::INFINITY], &0).is_err());
        assert!(model.learn_one(&vec![1.0], &0).is_err());
        assert!(model.learn_one(&vec![1.0, 1.0], &2).is_err());
        assert_eq!(model, before);
    }
}
