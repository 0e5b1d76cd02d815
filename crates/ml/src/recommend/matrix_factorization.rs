//! Matrix factorisation: a rating is the mean, the biases of user and item, and how well their factors fit; learnt by stochastic
//! gradients.
//!
//! - **Source**: Koren, Bell and Volinsky, "Matrix factorization techniques for recommender systems", IEEE Computer 2009 (FunkSVD with
//!   biases).
//! - **Learns** finite ratings of (user, item). Users and items may appear at any time. **Refuses** ratings that are no numbers, and
//!   steps that would diverge.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers** agree with river's `BiasedMF` to 1e-9 from the same factors (`tests/learners/recommend.rs`); factors otherwise begin by chance,
//!   by seed and id.
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::recommend::MatrixFactorization;
//!
//! let mut model = MatrixFactorization::new(4, 42);
//! for n in 0..4000_u32 {
//!     let (user, item) = (n % 7, n / 7 % 5);
//!     model.learn_one(&(user, item), &f64::from(1 + (user + item) % 2 * 4))?;
//! }
//! assert!(model.predict_one(&(2, 1))? > model.predict_one(&(2, 2))? + 2.0);
//! assert_eq!(model.recommend(&2, 2).len(), 2);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::{Factors, Id, Start, dot, top};
use crate::moments::Moments;
use crate::{Learner, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct MatrixFactorization<U: Id, I: Id> {
    users: Factors<U>,
    items: Factors<I>,
    mean: Moments,
    bias_rate: f64,
    rate: f64,
    l2: f64,
}

impl<U: Id, I: Id> MatrixFactorization<U, I> {
    /// With so many factors, which begin with a deviation of 0.1; learning rates of 0.025 and a penalty of 0.001.
    pub fn new(factors: usize, seed: u64) -> Self {
        let (users, items) = (Start::Normal(0.1, seed), Start::Normal(0.1, !seed));
        Self {
            users: Factors::new(factors, users),
            items: Factors::new(factors, items),
            mean: Moments::default(),
            bias_rate: 0.025,
            rate: 0.025,
            l2: 0.001,
        }
    }

    /// Lets all factors begin with this value.
    #[must_use]
    pub fn begin_with(mut self, value: f64) -> Self {
        self.users = Factors::new(self.users.count, Start::Constant(value));
        self.items = Factors::new(self.items.count, Start::Constant(value));
        self
    }

    /// Sets the learning rates of biases and of factors, and the L2 penalty of both.
    #[must_use]
    pub fn rates(mut self, biases: f64, factors: f64, l2: f64) -> Self {
        (self.bias_rate, self.rate, self.l2) = (biases, factors, l2);
        self
    }

    /// The items that this user would rate highest, and how.
    pub fn recommend(&self, user: &U, n: usize) -> Vec<(I, f64)> {
        self.users.with(user, |bias, factors| {
            let base = self.mean.mean() + bias;
            let rate =
                |(item, (bias, of)): (&I, &(f64, Vec<f64>))| (item.clone(), base + bias + dot(factors, of));
            top(self.items.known().map(rate), n)
        })
    }
}

impl<U: Id, I: Id> Learner<(U, I)> for MatrixFactorization<U, I> {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    fn learn_one(&mut self, (user, item): &(U, I), y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)?;
        let mut mean = self.mean;
        mean.update(*y, 1.0);
        let (mut of_user, mut of_item) = (self.users.take(user), self.items.take(item));
        let predicted = mean.mean() + of_user.0 + of_item.0 + dot(&of_user.1, &of_item.1);
        let gradient = (2.0 * (predicted - y)).clamp(-1e12, 1e12);
        let biases = [of_user.0, of_item.0].map(|bias| bias - self.bias_rate * (gradient + self.l2 * bias));
        let (rate, l2) = (self.rate, self.l2);
        let step = |own: f64, other: f64| own - rate * (gradient * other + l2 * own);
        let sound = biases.iter().all(|bias| bias.is_finite())
            && of_user.1.iter().zip(&of_item.1).all(|(u, i)| (step(*u, *i) + step(*i, *u)).is_finite());
        if sound {
            (of_user.0, of_item.0, self.mean) = (biases[0], biases[1], mean);
            for (user, item) in of_user.1.iter_mut().zip(&mut of_item.1) {
                (*user, *item) = (step(*user, *item), step(*item, *user));
            }
        } else if !self.users.has(user) || !self.items.has(item) {
            // What is put back is as it was; an id that is new stays unknown.
            if self.users.has(user) {
                self.users.put(user, of_user);
            } else if self.items.has(item) {
                self.items.put(item, of_item);
            }
            return Err(Rejected::Diverges);
        }
        self.users.put(user, of_user);
        self.items.put(item, of_item);
        if sound { Ok(()) } else { Err(Rejected::Diverges) }
    }

    fn predict_one(&self, (user, item): &(U, I)) -> Result<f64, Rejected> {
        let of_item = |bias: f64, factors: &[f64]| {
            self.items.with(item, |of_item, others| self.mean.mean() + bias + of_item + dot(factors, others))
        };
        Ok(self.users.with(user, of_item))
    }
}
