//! Softmax regression: logistic regression for any number of classes.
//!
//! - **Source**: Bishop, "Pattern recognition and machine learning", 4.3.4; by stochastic gradients of the cross entropy, without an
//!   intercept (as river
//!   has it: add a constant 1 to the features).
//! - **Learns** classes from 0, of which new ones may appear at any time. **Refuses** what
//!   [`LogisticRegression`](super::LogisticRegression) does.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers** agree with river's `SoftmaxRegression` to 1e-9 (`tests/learners/linear.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::{Optimizer, SoftmaxRegression};
//!
//! let mut model = SoftmaxRegression::with(Optimizer::sgd(0.1));
//! for n in 0..3000_u32 {
//!     let class = n % 3;
//!     let x = [f64::from(u8::from(class == 1)), f64::from(u8::from(class == 2)), 1.0];
//!     model.learn_one(&x, &class)?;
//! }
//! assert_eq!(model.predict_one(&[0.0, 1.0, 1.0])?.class(), Some(2));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::Optimizer;
use crate::classification::{Appearance, check_class};
use crate::features::Features;
use crate::{Class, Classification, Learner, Rejected};

/// The weights of a class, and what takes their steps. Nothing before the class was seen.
type OfClass = Option<(Vec<f64>, Optimizer)>;

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxRegression {
    optimizer: Optimizer,
    l2: f64,
    width: Option<usize>,
    classes: Vec<OfClass>,
    appearance: Appearance,
}

impl Default for SoftmaxRegression {
    fn default() -> Self {
        Self::with(Optimizer::sgd(0.01))
    }
}

impl SoftmaxRegression {
    /// With an optimizer of this kind for each class.
    pub fn with(optimizer: Optimizer) -> Self {
        Self { optimizer, l2: 0.0, width: None, classes: Vec::new(), appearance: Appearance::default() }
    }

    /// Sets the L2 penalty.
    #[must_use]
    pub fn l2(mut self, penalty: f64) -> Self {
        self.l2 = penalty;
        self
    }

    fn probabilities(&self, x: &impl Features) -> Result<crate::classification::Votes, Rejected> {
        x.check(self.width)?;
        let raw = |class: &OfClass| class.as_ref().map_or(f64::NEG_INFINITY, |(weights, _)| x.dot(weights));
        let mut values: crate::classification::Votes = self.classes.iter().map(raw).collect();
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if values.iter().any(|value| value.is_nan()) || largest == f64::INFINITY {
            return Err(Rejected::Diverges);
        }
        values.iter_mut().for_each(|value| *value = (*value - largest).exp());
        let total: f64 = values.iter().sum();
        values.iter_mut().for_each(|value| *value /= total);
        Ok(values)
    }
}

impl<X: Features> Learner<X> for SoftmaxRegression {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check_class(*y)?;
        let probabilities = self.probabilities(x)?;
        // The classes step one by one; none may have stepped when one cannot.
        let y = *y as usize;
        let sound = |(index, class): (usize, &OfClass)| {
            let Some((weights, optimizer)) = class else { return Ok(()) };
            let gradient = gradient(probabilities[index], index == y);
            optimizer.check(weights, x, gradient, self.l2)
        };
        self.classes.iter().enumerate().try_for_each(sound)?;
        if self.classes.len() <= y {
            self.classes.resize(y + 1, None);
        }
        self.width = Some(x.width());
        self.appearance.see(y as Class);
        let new = || (vec![0.0; x.width()], self.optimizer.clone());
        self.classes[y].get_or_insert_with(new);
        for (index, class) in self.classes.iter_mut().enumerate() {
            if let Some((weights, optimizer)) = class {
                let probability = probabilities.get(index).copied().unwrap_or(0.0);
                optimizer.step(weights, x, gradient(probability, index == y), self.l2)?;
            }
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        Ok(Classification::new(self.probabilities(x)?).of_equals_the_first(self.appearance.iter()))
    }
}

fn gradient(probability: f64, is_it: bool) -> f64 {
    probability.clamp(1e-15, 1.0 - 1e-15) - f64::from(u8::from(is_it))
}
