//! Naive Bayes: each feature speaks for a class on its own. What is learnt are counts and moments, so all three are
//! [`Mergeable`](crate::Mergeable).

pub mod bernoulli;
pub mod gaussian;
pub mod multinomial;

pub use bernoulli::BernoulliNb;
pub use gaussian::GaussianNb;
pub use multinomial::MultinomialNb;

use crate::Classification;

/// Probabilities out of the logarithms of what is proportional to them; minus infinity is a class that was never seen.
pub(crate) fn of_log_likelihoods(mut logs: crate::classification::Votes) -> Classification {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return Classification::default();
    }
    let total = libm::log(logs.iter().map(|log| (log - largest).exp()).sum::<f64>()) + largest;
    logs.iter_mut().for_each(|log| *log = (*log - total).exp());
    Classification::new(logs)
}
