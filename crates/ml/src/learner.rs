//! The contract of everything that learns: pure, deterministic, its whole model a plain serde value.
//!
//! A [`Learner`] is told one record after the other, and can be asked at any time. It owns no clock, no thread and no
//! source of chance but a seeded [`Rng`](crate::rng::Rng) that is part of its state; so the same records in the same order make the same
//! model, bit for bit, also when it was written to a checkpoint and read back in between. What runs it is an operator:
//! [`Learn`](crate::operators::Learn) record by record, [`Train`](crate::operators::Train) and
//! [`TrainInOne`](crate::operators::TrainInOne) batch by batch.
//!
//! A record that cannot be learnt is [`Rejected`] *before* anything of the model changes. One bad record never poisons a model.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use thalweg_ml::{Learner, Rejected};
//!
//! /// Predicts the mean of what it has seen.
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Mean {
//!     count: f64,
//!     mean: f64,
//! }
//!
//! impl<X> Learner<X> for Mean {
//!     type Target = f64;
//!     type Prediction = f64;
//!
//!     fn learn_one(&mut self, _: &X, y: &f64) -> Result<(), Rejected> {
//!         Rejected::unless_finite(*y)?;
//!         self.count += 1.0;
//!         self.mean += (y - self.mean) / self.count;
//!         Ok(())
//!     }
//!
//!     fn predict_one(&self, _: &X) -> Result<f64, Rejected> {
//!         Ok(self.mean)
//!     }
//! }
//!
//! let mut mean = Mean::default();
//! mean.learn_one(&(), &1.0)?;
//! mean.learn_one(&(), &4.0)?;
//! assert!(mean.learn_one(&(), &f64::NAN).is_err());
//! assert_eq!(mean.predict_one(&())?, 2.5);
//! # Ok::<(), Rejected>(())
//! ```

use serde::{Deserialize, Serialize};
use thalweg_dataflow::state::StateData;
use thiserror::Error;

use crate::scratch::Spare;

/// Values beyond this are rejected: their squares, and sums of those, would leave what an `f64` can hold.
pub const MAX_MAGNITUDE: f64 = 1e100;

/// Why a record was neither learnt nor predicted. The record is at fault, and trying again does not help, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Error, Serialize, Deserialize)]
pub enum Rejected {
    /// A feature that is missing (NaN), infinite, or beyond [`MAX_MAGNITUDE`].
    #[error(
        "feature {feature} is missing, infinite or beyond 1e100; impute it before the learner, or mend where the record is made"
    )]
    Feature {
        /// Its place, from 0.
        feature: usize,
    },
    /// More or fewer features than the records that were learnt before.
    #[error("the record has {found} features, the model has learnt from records of {expected}")]
    Dimension {
        /// As learnt.
        expected: usize,
        /// As found.
        found: usize,
    },
    /// A target that this learner cannot learn from.
    #[error("the target cannot be learnt from: {0}")]
    Target(String),
    /// A value that the model was told does not exist.
    #[error("unknown category: {0}")]
    Category(String),
    /// The step would have taken the model out of what numbers can hold; it stays as it was. The learning rate is too high for data
    /// of this scale.
    #[error("learning this record would make the model infinite; scale the features, or learn more slowly")]
    Diverges,
    /// The model has not learnt enough to predict.
    #[error("the model is not ready to predict: {0}")]
    NotReady(String),
}

impl Rejected {
    /// Rejects a target that is no number, or beyond [`MAX_MAGNITUDE`].
    ///
    /// # Errors
    /// [`Rejected::Target`].
    #[inline]
    pub fn unless_finite(target: f64) -> Result<(), Self> {
        if target.abs() <= MAX_MAGNITUDE { Ok(()) } else { Err(Self::bad_target(target)) }
    }

    #[cold]
    fn bad_target(target: f64) -> Self {
        Self::Target(format!("{target} is no number that can be learnt"))
    }
}

/// Learns from one record after the other. `X` is what it predicts from: the features.
pub trait Learner<X>: StateData {
    /// What it learns to predict; `()` for those that learn from the features alone.
    type Target: StateData;
    /// What it predicts.
    type Prediction: StateData;

    /// Learns one record.
    ///
    /// # Errors
    /// When the record cannot be learnt. The model is then as it was.
    fn learn_one(&mut self, x: &X, y: &Self::Target) -> Result<(), Rejected>;

    /// Predicts, and changes nothing.
    ///
    /// # Errors
    /// When the features cannot be predicted from.
    fn predict_one(&self, x: &X) -> Result<Self::Prediction, Rejected>;

    /// Whether this could be a target, whatever the features: what comes before the learner asks, so that it learns nothing from a
    /// record that is refused.
    ///
    /// # Errors
    /// When it cannot be learnt from.
    fn check_target(&self, _: &Self::Target) -> Result<(), Rejected> {
        Ok(())
    }

    /// Learns a micro-batch, and says of each record that it could not learn why, with its place in the batch. Record by record, unless
    /// the learner knows better.
    fn learn_batch(&mut self, batch: &[(X, Self::Target)], rejected: &mut dyn FnMut(usize, Rejected)) {
        for (index, (x, y)) in batch.iter().enumerate() {
            if let Err(reason) = self.learn_one(x, y) {
                rejected(index, reason);
            }
        }
    }
}

/// A learner whose micro-batch can be learnt in parts, in parallel: each part is accumulated under the model of the batch before,
/// the parts are merged, and the model is brought up to date once.
///
/// Merging must not depend on the order of records or parts, bit for bit: sums are kept in an
/// [`ExactSum`](crate::exact_sum::ExactSum). Then the model does not depend on the parallelism.
pub trait Mergeable<X>: Learner<X> {
    /// What is kept of a part of a batch.
    type Partial: StateData + Default;

    /// Adds one record to a part.
    ///
    /// # Errors
    /// When the record cannot be learnt. The part is then as it was.
    fn accumulate(&self, partial: &mut Self::Partial, x: &X, y: &Self::Target) -> Result<(), Rejected>;

    /// Adds another part to a part.
    fn merge(partial: &mut Self::Partial, other: &Self::Partial);

    /// Learns a whole batch out of what was accumulated.
    fn update(&mut self, batch: &Self::Partial);
}

/// Makes features out of features: scales, encodes, fills in. It learns from what it sees, before it transforms it.
pub trait Transformer<X>: StateData {
    /// What comes out.
    type Out;

    /// Learns from a record's features.
    ///
    /// # Errors
    /// When they cannot be learnt from. The transformer is then as it was.
    fn learn(&mut self, x: &X) -> Result<(), Rejected>;

    /// The features, transformed. Changes nothing.
    ///
    /// # Errors
    /// When they cannot be transformed.
    fn transform(&self, x: &X) -> Result<Self::Out, Rejected>;
}

/// Two transformers, one behind the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(
    serialize = "A: Serialize, B: Serialize",
    deserialize = "A: Deserialize<'de>, B: Deserialize<'de>"
))]
pub struct Chain<A, B> {
    first: A,
    next: B,
    /// Space for what the first was before a record.
    #[serde(skip)]
    before: Spare<Option<A>>,
}

impl<A, B> Chain<A, B> {
    /// One transformer before another.
    pub fn new(first: A, next: B) -> Self {
        Self { first, next, before: Spare(None) }
    }
}

impl<X, A: Transformer<X>, B: Transformer<A::Out>> Transformer<X> for Chain<A, B> {
    type Out = B::Out;

    fn learn(&mut self, x: &X) -> Result<(), Rejected> {
        // What the second refuses must not have been learnt by the first.
        match &mut self.before.0 {
            Some(before) => before.clone_from(&self.first),
            None => self.before.0 = Some(self.first.clone()),
        }
        self.first.learn(x)?;
        let result = self.first.transform(x).and_then(|x| self.next.learn(&x));
        if result.is_err()
            && let Some(before) = &mut self.before.0
        {
            std::mem::swap(&mut self.first, before);
        }
        result
    }

    fn transform(&self, x: &X) -> Result<B::Out, Rejected> {
        self.next.transform(&self.first.transform(x)?)
    }
}

/// A transformer before a learner. When a record is learnt, the transformer learns it first; predicting changes neither (as in river's
/// pipelines). Of a record whose target is refused, neither learns anything; of one that the learner refuses since its own step would
/// diverge, the transformer keeps the features.
///
/// ```
/// use thalweg_ml::linear::LogisticRegression;
/// use thalweg_ml::preprocessing::StandardScaler;
/// use thalweg_ml::{Learner, Pipeline};
///
/// let mut model = Pipeline::new(StandardScaler::new(), LogisticRegression::new());
/// for n in 0..100 {
///     let x = vec![f64::from(n % 10) * 1000.0];
///     model.learn_one(&x, &u32::from(n % 10 > 4))?;
/// }
/// assert_eq!(model.predict_one(&vec![9000.0])?.class(), Some(1));
/// # Ok::<(), thalweg_ml::Rejected>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pipeline<T, L> {
    transformer: T,
    learner: L,
}

impl<T, L> Pipeline<T, L> {
    /// A transformer before a learner: together a learner.
    pub fn new(transformer: T, learner: L) -> Self {
        Self { transformer, learner }
    }

    /// The transformer.
    pub fn transformer(&self) -> &T {
        &self.transformer
    }

    /// The learner.
    pub fn last(&self) -> &L {
        &self.learner
    }
}

impl<X, T: Transformer<X>, L: Learner<T::Out>> Learner<X> for Pipeline<T, L> {
    type Target = L::Target;
    type Prediction = L::Prediction;

    #[inline]
    fn check_target(&self, y: &L::Target) -> Result<(), Rejected> {
        self.learner.check_target(y)
    }

    fn learn_one(&mut self, x: &X, y: &L::Target) -> Result<(), Rejected> {
        self.learner.check_target(y)?;
        self.transformer.learn(x)?;
        self.learner.learn_one(&self.transformer.transform(x)?, y)
    }

    fn predict_one(&self, x: &X) -> Result<L::Prediction, Rejected> {
        self.learner.predict_one(&self.transformer.transform(x)?)
    }
}
