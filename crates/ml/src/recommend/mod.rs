//! Recommendations: which items a user may like next.

pub mod bayesian_personalized_ranking;
pub mod co_occurrence;
pub mod matrix_factorization;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::hash::key_hash;
use thalweg_dataflow::state::StateData;

pub use bayesian_personalized_ranking::BayesianPersonalizedRanking;
pub use co_occurrence::{Click, ItemCoOccurrence, Recommended};
pub use matrix_factorization::MatrixFactorization;

use crate::rng::Rng;
use crate::scratch::Pooled;

/// What users and items may be.
pub trait Id: StateData + Ord + std::hash::Hash {}
impl<T: StateData + Ord + std::hash::Hash> Id for T {}

/// The best of some scored items, the best first; of equals, the lower item.
pub(crate) fn top<I: Ord>(scored: impl Iterator<Item = (I, f64)>, n: usize) -> Vec<(I, f64)> {
    let mut scored: Vec<(I, f64)> = scored.collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    scored.truncate(n);
    scored
}

/// The latent factors of users, or of items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Factors<I: Id> {
    count: usize,
    start: Start,
    #[serde(with = "crate::pairs")]
    of: BTreeMap<I, (f64, Vec<f64>)>,
}

/// What factors begin with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Start {
    Constant(f64),
    /// Normally distributed with this deviation, by this seed and the id: the same in whatever order ids appear.
    Normal(f64, u64),
}

impl<I: Id> Factors<I> {
    pub(crate) fn new(count: usize, start: Start) -> Self {
        Self { count, start, of: BTreeMap::new() }
    }

    /// Calls `f` with bias and factors, as they are or as they would begin.
    pub(crate) fn with<R>(&self, id: &I, f: impl FnOnce(f64, &[f64]) -> R) -> R {
        match self.of.get(id) {
            Some((bias, factors)) => f(*bias, factors),
            None => f(0.0, &self.fresh(id)),
        }
    }

    /// Whether there is one of this id.
    pub(crate) fn has(&self, id: &I) -> bool {
        self.of.contains_key(id)
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = (&I, &(f64, Vec<f64>))> {
        self.of.iter()
    }

    /// Takes bias and factors out, to be put back by [`put`](Self::put): what is new begins.
    pub(crate) fn take(&mut self, id: &I) -> (f64, Vec<f64>) {
        match self.of.get_mut(id) {
            Some((bias, factors)) => (*bias, std::mem::take(factors)),
            None => (0.0, self.fresh(id).to_vec()),
        }
    }

    /// Puts back what was taken out.
    pub(crate) fn put(&mut self, id: &I, value: (f64, Vec<f64>)) {
        match self.of.get_mut(id) {
            Some(kept) => *kept = value,
            None => drop(self.of.insert(id.clone(), value)),
        }
    }

    fn fresh(&self, id: &I) -> Pooled<f64> {
        match self.start {
            Start::Constant(value) => std::iter::repeat_n(value, self.count).collect(),
            Start::Normal(deviation, seed) => {
                let mut rng = Rng::new(seed ^ key_hash(id));
                (0..self.count).map(|_| rng.gaussian() * deviation).collect()
            }
        }
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
