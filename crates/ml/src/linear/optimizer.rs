//! How a linear learner takes its steps: plain SGD, AdaGrad, or FTRL-proximal.
//!
//! Sources: AdaGrad: Duchi, Hazan and Singer, JMLR 2011. FTRL-proximal: McMahan et al., "Ad click prediction: a view from the
//! trenches", KDD 2013; as in
//! river, weights are made of the sums at the beginning of a step, so a prediction uses those of the step before.

use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::learner::Rejected;

/// Takes steps, and keeps what it needs for the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Optimizer {
    /// The same rate for every step.
    Sgd {
        /// The learning rate.
        rate: f64,
    },
    /// A rate for each weight that falls with its gradients.
    AdaGrad {
        /// The learning rate.
        rate: f64,
        /// Keeps the first divisors from 0.
        epsilon: f64,
        /// The sums of squared gradients.
        squares: Vec<f64>,
    },
    /// Follow the regularised leader: L1 makes weights exactly 0.
    FtrlProximal {
        /// The learning rate.
        alpha: f64,
        /// Smooths the rate.
        beta: f64,
        /// The L1 penalty.
        l1: f64,
        /// The L2 penalty.
        l2: f64,
        /// The sums z of the paper.
        z: Vec<f64>,
        /// The sums n of the paper: of squared gradients.
        n: Vec<f64>,
    },
}

impl Optimizer {
    /// Plain SGD.
    pub fn sgd(rate: f64) -> Self {
        Self::Sgd { rate }
    }

    /// AdaGrad.
    pub fn ada_grad(rate: f64) -> Self {
        Self::AdaGrad { rate, epsilon: 1e-8, squares: Vec::new() }
    }

    /// FTRL-proximal.
    pub fn ftrl_proximal(alpha: f64, beta: f64, l1: f64, l2: f64) -> Self {
        Self::FtrlProximal { alpha, beta, l1, l2, z: Vec::new(), n: Vec::new() }
    }

    /// The learning rate.
    pub(crate) fn rate(&self) -> f64 {
        match self {
            Self::Sgd { rate } | Self::AdaGrad { rate, .. } | Self::FtrlProximal { alpha: rate, .. } => *rate,
        }
    }

    /// Whether a step of `weights` against the gradient `x · gradient + l2 · weights` would leave each of them a number.
    #[inline]
    pub(crate) fn check(
        &self,
        weights: &[f64],
        x: &impl Features,
        gradient: f64,
        l2: f64,
    ) -> Result<(), Rejected> {
        // Without branches, so that it is one pass of vector instructions.
        let mut sound = true;
        match self {
            Self::Sgd { rate } => {
                x.each(|i, xi| sound &= (weights[i] - rate * (xi * gradient + l2 * weights[i])).is_finite());
            }
            Self::AdaGrad { rate, epsilon, squares } => x.each(|i, xi| {
                let g = xi * gradient + l2 * weights[i];
                let sum = squares.get(i).copied().unwrap_or(0.0) + g * g;
                sound &= (sum + weights[i] - rate / (sum + epsilon).sqrt() * g).is_finite();
            }),
            Self::FtrlProximal { alpha, z, n, .. } => x.each(|i, xi| {
                let (z, n) = (z.get(i).copied().unwrap_or(0.0), n.get(i).copied().unwrap_or(0.0));
                let g = xi * gradient + l2 * weights[i];
                let sum = n + g * g;
                let w = self.fresh(z, n, weights[i]);
                sound &= (sum + z + g - (sum.sqrt() - n.sqrt()) / alpha * w).is_finite();
            }),
        }
        if sound { Ok(()) } else { Err(Rejected::Diverges) }
    }

    /// A weight of FTRL-proximal, made of its sums; as it was, while L1 outweighs them.
    #[inline]
    fn fresh(&self, z: f64, n: f64, weight: f64) -> f64 {
        match self {
            Self::FtrlProximal { alpha, beta, l1, l2, .. } if z.abs() > *l1 => {
                -(z - z.signum() * l1) / ((beta + n.sqrt()) / alpha + l2)
            }
            _ => weight,
        }
    }

    /// A step of `weights` against the gradient `x · gradient + l2 · weights`. Nothing changes if a weight would leave the numbers.
    #[inline]
    pub(crate) fn step(
        &mut self,
        weights: &mut [f64],
        x: &impl Features,
        gradient: f64,
        l2: f64,
    ) -> Result<(), Rejected> {
        self.check(weights, x, gradient, l2)?;
        match self {
            Self::Sgd { rate } => {
                let rate = *rate;
                x.each(|i, xi| weights[i] -= rate * (xi * gradient + l2 * weights[i]));
            }
            Self::AdaGrad { rate, epsilon, squares } => {
                squares.resize(weights.len(), 0.0);
                let (rate, epsilon) = (*rate, *epsilon);
                x.each(|i, xi| {
                    let g = xi * gradient + l2 * weights[i];
                    squares[i] += g * g;
                    weights[i] -= rate / (squares[i] + epsilon).sqrt() * g;
                });
            }
            Self::FtrlProximal { .. } => self.ftrl_step(weights, x, gradient, l2),
        }
        Ok(())
    }

    fn ftrl_step(&mut self, weights: &mut [f64], x: &impl Features, gradient: f64, penalty: f64) {
        let Self::FtrlProximal { alpha, beta, l1, l2, z, n } = self else { return };
        z.resize(weights.len(), 0.0);
        n.resize(weights.len(), 0.0);
        x.each(|i, xi| {
            let g = xi * gradient + penalty * weights[i];
            if z[i].abs() > *l1 {
                weights[i] = -(z[i] - z[i].signum() * *l1) / ((*beta + n[i].sqrt()) / *alpha + *l2);
            }
            let sum = n[i] + g * g;
            z[i] += g - (sum.sqrt() - n[i].sqrt()) / *alpha * weights[i];
            n[i] = sum;
        });
    }
}
