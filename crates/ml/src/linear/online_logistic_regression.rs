//! Online logistic regression, as Flink ML has it: one step of FTRL-proximal along the mean gradient of each batch.
//!
//! - **Source**: McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013; Flink ML's `OnlineLogisticRegression`.
//! - **Learns** classes 0 and 1, from dense or sparse features, without an intercept, as Flink ML does. A batch's mean is, for each
//!   feature, that over the records that have it.
//! - **Refuses** what [`LogisticRegression`](super::LogisticRegression) does. A batch that would make a weight infinite changes nothing.
//! - **Parallel**: [`Mergeable`]; a batch's sums are exact, so the model does not depend on the parallelism.
//! - **Numbers** agree with Flink ML's to 1e-9 (`tests/learners/flink.rs`). In a [`MiniBatch`](crate::MiniBatch) it learns batches of so many
//!   records; on `DStream`s, those of the batch interval.
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::OnlineLogisticRegression;
//!
//! let mut model = OnlineLogisticRegression::new();
//! let batch: Vec<_> = (0..10).map(|n| (vec![f64::from(n % 5) - 2.0, 1.0], u32::from(n % 5 > 2))).collect();
//! (0..100).for_each(|_| model.learn_batch(&batch, &mut |_, _| unreachable!("all can be learnt")));
//! assert_eq!(model.predict_one(&vec![2.0, 1.0])?.class(), Some(1));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::classification::check_binary;
use crate::exact_sum::ExactSum;
use crate::features::Features;
use crate::scratch::Pooled;
use crate::{Class, Classification, Learner, Mergeable, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnlineLogisticRegression {
    alpha: f64,
    beta: f64,
    l1: f64,
    l2: f64,
    width: Option<usize>,
    weights: Vec<f64>,
    /// The sums of the paper.
    z: Vec<f64>,
    n: Vec<f64>,
}

/// A part of a batch: of each feature, the sum of its gradients, and how many records have it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Gradients {
    width: Option<usize>,
    of: BTreeMap<u32, (ExactSum, u64)>,
}

impl Default for OnlineLogisticRegression {
    fn default() -> Self {
        Self::new()
    }
}

impl OnlineLogisticRegression {
    /// With Flink ML's defaults: alpha and beta 0.1, no penalty.
    pub fn new() -> Self {
        Self {
            alpha: 0.1,
            beta: 0.1,
            l1: 0.0,
            l2: 0.0,
            width: None,
            weights: Vec::new(),
            z: Vec::new(),
            n: Vec::new(),
        }
    }

    /// Sets the learning rate and what smooths it.
    #[must_use]
    pub fn set_alpha_beta(mut self, alpha: f64, beta: f64) -> Self {
        (self.alpha, self.beta) = (alpha, beta);
        self
    }

    /// Sets the penalty, and how much of it is L1: `elastic_net`, from 0 to 1.
    #[must_use]
    pub fn set_reg(mut self, reg: f64, elastic_net: f64) -> Self {
        (self.l1, self.l2) = (elastic_net * reg, (1.0 - elastic_net) * reg);
        self
    }

    /// Sets the weights to begin with: zeros unless they are set.
    #[must_use]
    pub fn set_initial_weights(mut self, weights: Vec<f64>) -> Self {
        (self.width, self.weights) = (Some(weights.len()), weights);
        self
    }

    /// The weights; empty before anything was learnt.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    fn widen(&mut self, width: usize) {
        for state in [&mut self.weights, &mut self.z, &mut self.n] {
            state.resize(width, 0.0);
        }
    }

    /// A step along a gradient; nothing, if it would leave the numbers.
    fn descend(&mut self, gradient: &[f64]) {
        let width = gradient.len();
        self.width = Some(width);
        self.widen(width);
        let step = |i: usize| {
            let g = gradient[i];
            let sum = self.n[i] + g * g;
            let sigma = (sum.sqrt() - self.n[i].sqrt()) / self.alpha;
            let z = self.z[i] + (g - sigma * self.weights[i]);
            let weight = if z.abs() <= self.l1 {
                0.0
            } else {
                let l1 = if z < 0.0 { -self.l1 } else { self.l1 };
                (l1 - z) / ((self.beta + sum.sqrt()) / self.alpha + self.l2)
            };
            [weight, z, sum]
        };
        let stepped: Pooled<f64> = (0..width).flat_map(step).collect();
        if !stepped.iter().all(|value| value.is_finite()) {
            return;
        }
        for (i, of) in stepped.chunks_exact(3).enumerate() {
            (self.weights[i], self.z[i], self.n[i]) = (of[0], of[1], of[2]);
        }
    }

    fn probability(&self, x: &impl Features) -> Result<f64, Rejected> {
        x.check(self.width)?;
        let raw = x.dot(&self.weights);
        if raw.is_finite() { Ok(1.0 / (1.0 + libm::exp(-raw))) } else { Err(Rejected::Diverges) }
    }
}

impl<X: Features> Learner<X> for OnlineLogisticRegression {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)?;
        let error = self.probability(x)? - f64::from(*y);
        let mut gradient: Pooled<f64> = std::iter::repeat_n(0.0, x.width()).collect();
        x.each(|i, value| gradient[i] = error * value);
        self.descend(&gradient);
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        Ok(Classification::binary(self.probability(x)?))
    }

    fn learn_batch(&mut self, batch: &[(X, Class)], rejected: &mut dyn FnMut(usize, Rejected)) {
        let mut part = Gradients::default();
        for (index, (x, y)) in batch.iter().enumerate() {
            if let Err(reason) = self.accumulate(&mut part, x, y) {
                rejected(index, reason);
            }
        }
        Mergeable::<X>::update(self, &part);
    }
}

impl<X: Features> Mergeable<X> for OnlineLogisticRegression {
    type Partial = Gradients;

    fn accumulate(&self, partial: &mut Gradients, x: &X, y: &Class) -> Result<(), Rejected> {
        check_binary(*y)?;
        x.check(self.width.or(partial.width))?;
        let error = self.probability(x)? - f64::from(*y);
        partial.width = Some(x.width());
        x.each(|i, value| {
            let (sum, records) = partial.of.entry(i as u32).or_default();
            sum.add(error * value);
            *records += 1;
        });
        Ok(())
    }

    fn merge(partial: &mut Gradients, other: &Gradients) {
        partial.width = partial.width.or(other.width);
        for (feature, (sum, records)) in &other.of {
            let (own, count) = partial.of.entry(*feature).or_default();
            own.merge(sum);
            *count += records;
        }
    }

    fn update(&mut self, batch: &Gradients) {
        let Some(width) = self.width.or(batch.width) else { return };
        if batch.width.is_none() {
            (self.width, ()) = (Some(width), self.widen(width));
            return;
        }
        // Features that no record of the batch has are of gradient 0, which may still move their weights, as in Flink ML.
        let mean = |(sum, records): &(ExactSum, u64)| sum.value() / *records as f64;
        let gradient: Pooled<f64> = (0..width).map(|i| batch.of.get(&(i as u32)).map_or(0.0, mean)).collect();
        self.descend(&gradient);
    }
}
