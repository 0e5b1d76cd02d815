//! Spark's streaming regressions: on each batch, some iterations of gradient descent, from where the batch before left off.
//!
//! - **Source**: Spark MLlib's `StreamingLinearRegressionWithSGD` and `StreamingLogisticRegressionWithSGD`: iteration i steps along the
//!   mean gradient of
//!   the batch by `step / √i`, and stops early when a step moves the weights by less than the convergence tolerance.
//! - **Learns** finite targets, or classes 0 and 1; without an intercept, as Spark does. A batch without records changes nothing.
//! - **Refuses** records that [`LinearRegression`](super::LinearRegression) would, and leaves the batch's others their effect. A batch
//!   that would make a
//!   weight infinite is refused, all of it.
//! - **Parallel**: one subtask. Each iteration needs all of the batch.
//! - **Numbers** agree with pyspark's to 1e-9 (`tests/learners/spark.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::StreamingLinearRegressionWithSgd;
//!
//! let mut model = StreamingLinearRegressionWithSgd::new(0.5, 50).set_initial_weights(vec![0.0]);
//! let batch: Vec<_> = (0..10).map(|n| (vec![f64::from(n) / 10.0], f64::from(n) / 5.0)).collect();
//! (0..20).for_each(|_| model.learn_batch(&batch, &mut |_, _| {}));
//! assert!((model.predict_one(&vec![2.0])? - 4.0).abs() < 0.05);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::sigmoid;
use crate::classification::check_binary;
use crate::features::Features;
use crate::scratch::Pooled;
use crate::{Class, Classification, Learner, Rejected};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct GradientDescent {
    step_size: f64,
    iterations: u32,
    regularization: f64,
    tolerance: f64,
    weights: Vec<f64>,
}

impl GradientDescent {
    fn width(&self) -> Option<usize> {
        (!self.weights.is_empty()).then_some(self.weights.len())
    }

    fn raw(&self, x: &impl Features) -> Result<f64, Rejected> {
        x.check(self.width())?;
        let raw = x.dot(&self.weights);
        if raw.is_finite() { Ok(raw) } else { Err(Rejected::Diverges) }
    }

    /// `multiplier` says, from the weighted sum and the target, how often the features are in the gradient.
    fn descend<'a, X: Features + 'a>(
        &mut self,
        batch: &[(&'a X, f64)],
        multiplier: impl Fn(f64, f64) -> f64,
    ) -> Result<(), Rejected> {
        let Some((first, _)) = batch.first() else { return Ok(()) };
        let mut weights: Pooled<f64> = self.weights.iter().copied().collect();
        weights.resize(first.width(), 0.0);
        let mut gradient: Pooled<f64> = weights.iter().map(|_| 0.0).collect();
        for iteration in 1..=self.iterations {
            gradient.fill(0.0);
            for (x, y) in batch {
                let times = multiplier(x.dot(&weights), *y);
                x.each(|i, value| gradient[i] += times * value);
            }
            let step = self.step_size / f64::from(iteration).sqrt();
            let (mut moved, mut norm) = (0.0, 0.0);
            for (weight, gradient) in weights.iter_mut().zip(gradient.iter()) {
                let before = *weight;
                *weight =
                    *weight * (1.0 - step * self.regularization) - step * (gradient / batch.len() as f64);
                moved += (*weight - before) * (*weight - before);
                norm += *weight * *weight;
            }
            if !norm.is_finite() {
                return Err(Rejected::Diverges);
            }
            // Spark compares with the weights of the step before only once there were two of its own.
            if iteration > 1 && moved.sqrt() < self.tolerance * norm.sqrt().max(1.0) {
                break;
            }
        }
        self.weights.clone_from(&weights);
        Ok(())
    }
}

macro_rules! streaming {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            descent: GradientDescent,
        }

        impl $name {
            /// With this step size and number of iterations a batch (Spark's defaults: 0.1, 50), no penalty, and a tolerance of 0.001.
            pub fn new(step_size: f64, iterations: u32) -> Self {
                let descent = GradientDescent {
                    step_size,
                    iterations,
                    regularization: 0.0,
                    tolerance: 0.001,
                    weights: Vec::new(),
                };
                Self { descent }
            }

            /// Sets the weights to begin with: zeros unless they are set.
            #[must_use]
            pub fn set_initial_weights(mut self, weights: Vec<f64>) -> Self {
                self.descent.weights = weights;
                self
            }

            /// Sets how little a step may move the weights before a batch's descent ends; 0 never ends it early.
            #[must_use]
            pub fn set_convergence_tol(mut self, tolerance: f64) -> Self {
                self.descent.tolerance = tolerance;
                self
            }

            /// Sets the L2 penalty.
            #[must_use]
            pub fn set_reg_param(mut self, regularization: f64) -> Self {
                self.descent.regularization = regularization;
                self
            }

            /// The weights; empty before anything was learnt.
            pub fn weights(&self) -> &[f64] {
                &self.descent.weights
            }
        }
    };
}

streaming!(StreamingLinearRegressionWithSgd, "Linear regression. See the [module](self).");
streaming!(StreamingLogisticRegressionWithSgd, "Logistic regression. See the [module](self).");

/// Checks a batch's records, descends along the sound ones, and tells of the others; of all, if the descent diverges.
fn learn_batch<X: Features, Y>(
    descent: &mut GradientDescent,
    batch: &[(X, Y)],
    rejected: &mut dyn FnMut(usize, Rejected),
    target: impl Fn(&Y) -> Result<f64, Rejected>,
    multiplier: impl Fn(f64, f64) -> f64,
) {
    let mut width = descent.width();
    let (mut sound, mut places) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
    for (index, (x, y)) in batch.iter().enumerate() {
        match target(y).and_then(|y| x.check(width).map(|()| y)) {
            Ok(y) => {
                width = Some(x.width());
                sound.push((x, y));
                places.push(index);
            }
            Err(reason) => rejected(index, reason),
        }
    }
    if let Err(reason) = descent.descend(&sound, multiplier) {
        places.into_iter().for_each(|index| rejected(index, reason.clone()));
    }
}

/// A batch of one.
fn learn_one<X: Features>(
    descent: &mut GradientDescent,
    x: &X,
    y: f64,
    multiplier: impl Fn(f64, f64) -> f64,
) -> Result<(), Rejected> {
    x.check(descent.width())?;
    descent.descend(&[(x, y)], multiplier)
}

fn of_line(raw: f64, y: f64) -> f64 {
    raw - y
}

fn of_curve(raw: f64, y: f64) -> f64 {
    1.0 / (1.0 + (-raw).exp()) - y
}

impl<X: Features> Learner<X> for StreamingLinearRegressionWithSgd {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    fn learn_one(&mut self, x: &X, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)?;
        learn_one(&mut self.descent, x, *y, of_line)
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        self.descent.raw(x)
    }

    fn learn_batch(&mut self, batch: &[(X, f64)], rejected: &mut dyn FnMut(usize, Rejected)) {
        let target = |y: &f64| Rejected::unless_finite(*y).map(|()| *y);
        learn_batch(&mut self.descent, batch, rejected, target, of_line);
    }
}

impl<X: Features> Learner<X> for StreamingLogisticRegressionWithSgd {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)?;
        learn_one(&mut self.descent, x, f64::from(*y), of_curve)
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        Ok(Classification::binary(sigmoid(self.descent.raw(x)?)))
    }

    fn learn_batch(&mut self, batch: &[(X, Class)], rejected: &mut dyn FnMut(usize, Rejected)) {
        let target = |y: &Class| check_binary(*y).map(|()| f64::from(*y));
        learn_batch(&mut self.descent, batch, rejected, target, of_curve);
    }
}
