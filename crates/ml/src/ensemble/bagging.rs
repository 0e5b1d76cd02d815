//! Online bagging: copies of a learner, each of which learns each record as often as chance says.
//!
//! - **Source**: Oza and Russell, "Online bagging and boosting", AISTATS 2001: Poisson(1) times stands for drawing with replacement.
//! - **Learns** and **refuses** what its learner does; predictions are averaged. Deterministic by seed.
//! - **Parallel**: one subtask, or one bag for each key.
//! - **Scores** lie within the spread of river's `BaggingClassifier` and `BaggingRegressor` over seeds (`tests/learners/seeded.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::ensemble::Bagging;
//! use thalweg_ml::tree::HoeffdingTreeRegressor;
//!
//! let mut model = Bagging::new(HoeffdingTreeRegressor::new(), 5, 42);
//! for n in 0..500 {
//!     model.learn_one(&[f64::from(n % 2)], &f64::from(n % 2 * 10))?;
//! }
//! assert!(model.predict_one(&[1.0])? > 5.0);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::rng::Rng;
use crate::{Classification, Learner, Rejected};

/// Predictions that can be averaged.
pub trait Combine: Sized {
    /// Their average.
    fn combine(predictions: impl Iterator<Item = Self>) -> Self;
}

impl Combine for f64 {
    fn combine(predictions: impl Iterator<Item = f64>) -> f64 {
        let (count, sum) = predictions.fold((0.0, 0.0), |(count, sum), p| (count + 1.0, sum + p));
        if count > 0.0 { sum / count } else { 0.0 }
    }
}

impl Combine for Classification {
    fn combine(predictions: impl Iterator<Item = Self>) -> Self {
        let mut votes = smallvec::SmallVec::new();
        for prediction in predictions {
            let probabilities = prediction.probabilities();
            if votes.len() < probabilities.len() {
                votes.resize(probabilities.len(), 0.0);
            }
            votes.iter_mut().zip(probabilities).for_each(|(vote, p)| *vote += p);
        }
        Self::from_votes(votes)
    }
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bagging<L> {
    learners: Vec<L>,
    rng: Rng,
}

impl<L: Clone> Bagging<L> {
    /// With so many copies of `learner`.
    pub fn new(learner: L, copies: usize, seed: u64) -> Self {
        Self { learners: vec![learner; copies], rng: Rng::new(seed) }
    }
}

impl<X, L: Learner<X>> Learner<X> for Bagging<L>
where
    L::Prediction: Combine,
{
    type Target = L::Target;
    type Prediction = L::Prediction;

    #[inline]
    fn check_target(&self, y: &L::Target) -> Result<(), Rejected> {
        self.learners.first().map_or(Ok(()), |learner| learner.check_target(y))
    }

    fn learn_one(&mut self, x: &X, y: &L::Target) -> Result<(), Rejected> {
        let before = self.rng.clone();
        let mut first = true;
        for learner in &mut self.learners {
            for _ in 0..self.rng.poisson(1.0) {
                match learner.learn_one(x, y) {
                    // The first to learn says for all whether the record can be learnt; a later one that would diverge is the poorer by
                    // one record.
                    Err(reason) if first => {
                        self.rng = before;
                        return Err(reason);
                    }
                    Ok(()) | Err(_) => first = false,
                }
            }
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<L::Prediction, Rejected> {
        let predictions: SmallVec<[L::Prediction; 16]> =
            self.learners.iter().map(|learner| learner.predict_one(x)).collect::<Result<_, _>>()?;
        Ok(Combine::combine(predictions.into_iter()))
    }
}
