//! Least squares out of sufficient statistics: learnt in parallel, solved once a batch.
//!
//! - **Source**: the normal equations with a ridge penalty, solved by Cholesky's decomposition.
//! - **Learns** finite targets, with an intercept, which is not penalised. **Refuses** what
//!   [`LinearRegression`](super::LinearRegression) does.
//! - **Parallel**: [`Mergeable`]; the sums are exact, so the model does not depend on the parallelism.
//! - **Numbers** agree with scikit-learn's `Ridge` to 1e-9 (`tests/learners/linear.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::LeastSquares;
//!
//! let mut model = LeastSquares::new(1e-9);
//! let batch: Vec<_> = (0..10).map(|n| (vec![f64::from(n)], f64::from(3 * n + 1))).collect();
//! model.learn_batch(&batch, &mut |_, _| unreachable!("all can be learnt"));
//! assert!((model.predict_one(&vec![100.0])? - 301.0).abs() < 1e-6);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::exact_sum::ExactSum;
use crate::features::check_dense;
use crate::scratch::Pooled;
use crate::{Learner, Mergeable, Rejected};

/// Exact sums of products of features, a constant 1 and the target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Products {
    width: Option<usize>,
    /// The upper triangle, row by row, of `z zᵀ` with z = (x, 1, y).
    sums: Vec<ExactSum>,
}

impl Products {
    fn add(&mut self, x: &[f64], y: f64) {
        let size = x.len() + 2;
        self.width = Some(x.len());
        self.sums.resize(size * (size + 1) / 2, ExactSum::default());
        let at = |index: usize| match index.checked_sub(x.len()) {
            None => x[index],
            Some(0) => 1.0,
            Some(_) => y,
        };
        let mut sums = self.sums.iter_mut();
        for i in 0..size {
            for (j, sum) in (i..size).zip(&mut sums) {
                sum.add(at(i) * at(j));
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        if other.width.is_some() {
            self.width = other.width;
            self.sums.resize(other.sums.len(), ExactSum::default());
            self.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| sum.merge(other));
        }
    }
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeastSquares {
    ridge: f64,
    products: Products,
    weights: Vec<f64>,
    intercept: f64,
}

impl LeastSquares {
    /// With a ridge penalty: a little above 0 keeps features that depend on each other from being insoluble.
    pub fn new(ridge: f64) -> Self {
        Self { ridge: ridge.max(0.0), products: Products::default(), weights: Vec::new(), intercept: 0.0 }
    }

    /// The weights; empty before anything was learnt.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The intercept.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    fn solve(&mut self) {
        let Some(width) = self.products.width else { return };
        let size = width + 2;
        let sum = |i: usize, j: usize| {
            let (i, j) = (i.min(j), i.max(j));
            self.products.sums[i * size - i * (i + 1) / 2 + j].value()
        };
        let count = sum(width, width);
        let mean: Pooled<f64> = (0..width).map(|i| sum(i, width) / count).collect();
        let target = sum(width, width + 1) / count;
        // Around the means, so that the intercept is not penalised, and large means cost no digits of the rest.
        let mut matrix: Pooled<f64> = std::iter::repeat_n(0.0, width * width).collect();
        for i in 0..width {
            for j in 0..width {
                matrix[i * width + j] = sum(i, j) - count * mean[i] * mean[j];
            }
            matrix[i * width + i] += self.ridge;
        }
        let right: Pooled<f64> = (0..width).map(|i| sum(i, width + 1) - count * mean[i] * target).collect();
        if let Some(weights) = cholesky_solve(matrix, right) {
            self.intercept = target - weights.iter().zip(&mean).map(|(a, b)| a * b).sum::<f64>();
            self.weights.clone_from(&weights);
        } else if self.weights.is_empty() {
            (self.weights, self.intercept) = (vec![0.0; width], target);
        }
    }
}

/// Solves `matrix · x = right` for a symmetric, positive definite matrix; `None` for any other.
fn cholesky_solve(mut matrix: Pooled<f64>, mut right: Pooled<f64>) -> Option<Pooled<f64>> {
    let n = right.len();
    for j in 0..n {
        for i in j..n {
            let dot: f64 = (0..j).map(|k| matrix[i * n + k] * matrix[j * n + k]).sum();
            let rest = matrix[i * n + j] - dot;
            matrix[i * n + j] = if i == j {
                if rest <= 0.0 || !rest.is_finite() {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / matrix[j * n + j]
            };
        }
    }
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| matrix[i * n + k] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| matrix[k * n + i] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i * n + i];
    }
    right.iter().all(|x| x.is_finite()).then_some(right)
}

impl<X: AsRef<[f64]>> Learner<X> for LeastSquares {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    fn learn_one(&mut self, x: &X, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)?;
        check_dense(x.as_ref(), self.products.width)?;
        self.products.add(x.as_ref(), *y);
        self.solve();
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        let x = x.as_ref();
        check_dense(x, self.products.width)?;
        Ok(x.iter().zip(&self.weights).map(|(x, weight)| x * weight).sum::<f64>() + self.intercept)
    }

    fn learn_batch(&mut self, batch: &[(X, f64)], rejected: &mut dyn FnMut(usize, Rejected)) {
        let mut part = Products::default();
        for (index, (x, y)) in batch.iter().enumerate() {
            if let Err(reason) = self.accumulate(&mut part, x, y) {
                rejected(index, reason);
            }
        }
        Mergeable::<X>::update(self, &part);
    }
}

impl<X: AsRef<[f64]>> Mergeable<X> for LeastSquares {
    type Partial = Products;

    fn accumulate(&self, partial: &mut Products, x: &X, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)?;
        check_dense(x.as_ref(), self.products.width.or(partial.width))?;
        partial.add(x.as_ref(), *y);
        Ok(())
    }

    fn merge(partial: &mut Products, other: &Products) {
        partial.merge(other);
    }

    fn update(&mut self, batch: &Products) {
        self.products.merge(batch);
        self.solve();
    }
}
