//! Bayesian personalised ranking: factors learnt from what users chose, against what they might have chosen.
//!
//! - **Source**: Rendle, Freudenthaler, Gantner and Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit feedback", UAI
//!   2009. With each choice, an item that the user has
//!   not chosen is drawn, and the factors step so that the chosen one ranks higher. Deterministic by seed.
//! - **Learns** (user, item) pairs. **Refuses** nothing.
//! - **Numbers**: river, Spark and scikit-learn have no such learner; it ranks what is liked above what is not (`tests/learners/recommend.rs`).
//! - **Parallel**: one subtask, or one model for each key.
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::recommend::BayesianPersonalizedRanking;
//!
//! let mut model = BayesianPersonalizedRanking::new(8, 42);
//! for n in 0..6000_u32 {
//!     // Even users choose even items.
//!     let user = n % 10;
//!     model.learn_one(&(user, n / 10 % 10 * 2 + user % 2), &())?;
//! }
//! let best = model.recommend(&4, 5, |_| false);
//! assert!(best.iter().all(|(item, _)| item % 2 == 0), "{best:?}");
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Factors, Id, Start, dot, top};
use crate::linear::sigmoid;
use crate::rng::Rng;
use crate::{Learner, Rejected};

/// How often an item is drawn before one is given up that the user has not chosen.
const DRAWS: u32 = 10;

/// The learner: its prediction is the score of an item for a user. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct BayesianPersonalizedRanking<U: Id, I: Id> {
    users: Factors<U>,
    items: Factors<I>,
    /// What each user has chosen, and all items, to draw from.
    #[serde(with = "crate::pairs")]
    chosen: BTreeMap<U, BTreeSet<I>>,
    all: Vec<I>,
    rate: f64,
    l2: f64,
    rng: Rng,
}

impl<U: Id, I: Id> BayesianPersonalizedRanking<U, I> {
    /// With so many factors, a learning rate of 0.05 and a penalty of 0.002.
    pub fn new(factors: usize, seed: u64) -> Self {
        Self {
            users: Factors::new(factors, Start::Normal(0.1, seed)),
            items: Factors::new(factors, Start::Normal(0.1, !seed)),
            chosen: BTreeMap::new(),
            all: Vec::new(),
            rate: 0.05,
            l2: 0.002,
            rng: Rng::new(seed),
        }
    }

    /// Sets the learning rate and the L2 penalty.
    #[must_use]
    pub fn rates(mut self, rate: f64, l2: f64) -> Self {
        (self.rate, self.l2) = (rate, l2);
        self
    }

    /// The items that rank highest for a user, but for those left out.
    pub fn recommend(&self, user: &U, n: usize, leave_out: impl Fn(&I) -> bool) -> Vec<(I, f64)> {
        self.users.with(user, |_, factors| {
            let known = self.items.known().filter(|(item, _)| !leave_out(item));
            top(known.map(|(item, (bias, of))| (item.clone(), bias + dot(factors, of))), n)
        })
    }

    /// Whether a user has chosen an item.
    pub fn has_chosen(&self, user: &U, item: &I) -> bool {
        self.chosen.get(user).is_some_and(|chosen| chosen.contains(item))
    }
}

impl<U: Id, I: Id> Learner<(U, I)> for BayesianPersonalizedRanking<U, I> {
    type Target = ();
    type Prediction = f64;

    fn learn_one(&mut self, (user, item): &(U, I), (): &()) -> Result<(), Rejected> {
        if !self.items.has(item) {
            let fresh = self.items.take(item);
            self.items.put(item, fresh);
            self.all.push(item.clone());
        }
        match self.chosen.get_mut(user) {
            Some(chosen) if chosen.contains(item) => {}
            Some(chosen) => drop(chosen.insert(item.clone())),
            None => drop(self.chosen.insert(user.clone(), BTreeSet::from([item.clone()]))),
        }
        let Self { users, items, chosen, all, rng, .. } = self;
        let has_chosen = |other: &I| chosen.get(user).is_some_and(|chosen| chosen.contains(other));
        let drawn = (0..DRAWS).map(|_| &all[rng.below(all.len())]).find(|other| !has_chosen(other));
        let Some(other) = drawn else { return Ok(()) };
        let (_, mut of_user) = users.take(user);
        let (mut chosen, mut rejected) = (items.take(item), items.take(other));
        let apart = chosen.0 + dot(&of_user, &chosen.1) - rejected.0 - dot(&of_user, &rejected.1);
        // The logistic function keeps steps below the rate, so nothing diverges.
        let step = self.rate * sigmoid(-apart);
        let shrink = 1.0 - self.rate * self.l2;
        chosen.0 = chosen.0 * shrink + step;
        rejected.0 = rejected.0 * shrink - step;
        for (user, (plus, minus)) in of_user.iter_mut().zip(chosen.1.iter_mut().zip(&mut rejected.1)) {
            let (u, p, m) = (*user, *plus, *minus);
            *user = u * shrink + step * (p - m);
            *plus = p * shrink + step * u;
            *minus = m * shrink - step * u;
        }
        users.put(user, (0.0, of_user));
        items.put(item, chosen);
        items.put(other, rejected);
        Ok(())
    }

    fn predict_one(&self, (user, item): &(U, I)) -> Result<f64, Rejected> {
        let of_item = |_, factors: &[f64]| self.items.with(item, |bias, others| bias + dot(factors, others));
        Ok(self.users.with(user, of_item))
    }
}
