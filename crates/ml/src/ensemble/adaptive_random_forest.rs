//! Adaptive random forest: Hoeffding trees that look at few features each, see records by chance, and are replaced when they drift.
//!
//! - **Source**: Gomes et al., "Adaptive random forests for evolving data stream classification", Machine Learning 2017; Gomes,
//!   Barddal, Boiko Ferreira and Bifet, "Adaptive random
//!   forests for data stream regression", ESANN 2018. Each record counts Poisson(6) times; of √d features each leaf looks at its own; a
//!   tree whose errors rise a
//!   little ([`Adwin`] at 0.01) begins another in the background, which takes its place when they rise for certain (at 0.001).
//! - **Learns** and **refuses** what [`HoeffdingTreeClassifier`] and [`HoeffdingTreeRegressor`] do. Deterministic by seed.
//! - **Parallel**: one subtask, or one forest for each key.
//! - **Scores** lie within the spread of river's `ARFClassifier` and `ARFRegressor` over seeds (`tests/learners/seeded.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::ensemble::AdaptiveRandomForestClassifier;
//! use thalweg_ml::rng::Rng;
//!
//! let (mut forest, mut rng) = (AdaptiveRandomForestClassifier::new(5, 42), Rng::new(1));
//! for _ in 0..1000 {
//!     let x = [rng.uniform(), rng.uniform(), rng.uniform()];
//!     forest.learn_one(&x, &u32::from(x[0] > 0.5))?;
//! }
//! assert_eq!(forest.predict_one(&[0.95, 0.5, 0.5])?.class(), Some(1));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::classification::check_class;
use crate::drift::Adwin;
use crate::features::check_dense;
use crate::moments::Moments;
use crate::rng::Rng;
use crate::tree::{HoeffdingTreeClassifier, HoeffdingTreeRegressor};
use crate::{Class, Classification, Learner, Rejected};

/// How often a record counts on average.
const LAMBDA: f64 = 6.0;

/// A tree, what watches it, and what grows in its background.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member<T> {
    tree: T,
    background: Option<T>,
    warning: Adwin,
    drift: Adwin,
    /// Right predictions of all (classes), or squared errors (numbers).
    score: Moments,
}

impl<T> Member<T> {
    fn new(tree: T) -> Self {
        let (warning, drift) = (Adwin::new(0.01), Adwin::new(0.001));
        Self { tree, background: None, warning, drift, score: Moments::default() }
    }

    /// Watches an error, and replaces the tree if it has drifted.
    fn watch(&mut self, error: f64, mut grow: impl FnMut() -> T) {
        if self.warning.update(error) {
            self.background = Some(grow());
            self.warning = Adwin::new(0.01);
        }
        if self.drift.update(error) {
            *self = Self::new(self.background.take().unwrap_or_else(grow));
        }
    }
}

fn sqrt_features(width: usize) -> u32 {
    ((width as f64).sqrt().round_ties_even() as u32).max(1)
}

/// The classifier. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveRandomForestClassifier {
    trees: usize,
    template: HoeffdingTreeClassifier,
    members: Vec<Member<HoeffdingTreeClassifier>>,
    width: Option<usize>,
    rng: Rng,
}

impl AdaptiveRandomForestClassifier {
    /// With so many trees: 10 are river's default.
    pub fn new(trees: usize, seed: u64) -> Self {
        let template = HoeffdingTreeClassifier::new().grace_period(50.0).delta(0.01);
        Self { trees, template, members: Vec::new(), width: None, rng: Rng::new(seed) }
    }

    /// Grows trees as this one is set up, but for the number of features they look at.
    #[must_use]
    pub fn trees_like(mut self, tree: HoeffdingTreeClassifier) -> Self {
        self.template = tree;
        self
    }
}

impl<X: AsRef<[f64]>> Learner<X> for AdaptiveRandomForestClassifier {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_class(*y)?;
        check_dense(x, self.width)?;
        self.width = Some(x.len());
        let features = sqrt_features(x.len());
        let Self { template, members, rng, trees, .. } = self;
        let grow = |rng: &mut Rng| template.clone().max_features(features, rng.bits());
        while members.len() < *trees {
            members.push(Member::new(grow(rng)));
        }
        for member in members {
            let right = member.tree.votes(x).class().filter(|_| member.tree.nodes() > 0) == Some(*y);
            member.score.update(f64::from(right), 1.0);
            let weight = f64::from(rng.poisson(LAMBDA));
            if weight > 0.0 {
                if let Some(background) = &mut member.background {
                    background.learn_weighted(x, *y, weight);
                }
                member.tree.learn_weighted(x, *y, weight);
                member.watch(f64::from(!right), || grow(rng));
            }
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width)?;
        let mut votes = smallvec::SmallVec::new();
        for member in &self.members {
            let said = member.tree.votes(x);
            let accuracy = member.score.mean();
            let weight = if accuracy > 0.0 { accuracy } else { 1.0 };
            if votes.len() < said.probabilities().len() {
                votes.resize(said.probabilities().len(), 0.0);
            }
            votes.iter_mut().zip(said.probabilities()).for_each(|(vote, p)| *vote += p * weight);
        }
        Ok(Classification::from_votes(votes))
    }
}

/// The regressor: its prediction is the median of its trees'. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveRandomForestRegressor {
    trees: usize,
    template: HoeffdingTreeRegressor,
    members: Vec<(Member<HoeffdingTreeRegressor>, Moments)>,
    width: Option<usize>,
    rng: Rng,
}

impl AdaptiveRandomForestRegressor {
    /// With so many trees: 10 are river's default.
    pub fn new(trees: usize, seed: u64) -> Self {
        let template = HoeffdingTreeRegressor::new().grace_period(50.0).delta(0.01);
        Self { trees, template, members: Vec::new(), width: None, rng: Rng::new(seed) }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for AdaptiveRandomForestRegressor {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    fn learn_one(&mut self, x: &X, y: &f64) -> Result<(), Rejected> {
        let x = x.as_ref();
        Rejected::unless_finite(*y)?;
        check_dense(x, self.width)?;
        self.width = Some(x.len());
        let features = sqrt_features(x.len());
        let Self { template, members, rng, trees, .. } = self;
        let grow = |rng: &mut Rng| template.clone().max_features(features, rng.bits());
        while members.len() < *trees {
            members.push((Member::new(grow(rng)), Moments::default()));
        }
        for (member, errors) in members {
            let error = y - member.tree.predict(x);
            member.score.update(error * error, 1.0);
            let weight = f64::from(rng.poisson(LAMBDA));
            if weight > 0.0 {
                if let Some(background) = &mut member.background {
                    background.learn_weighted(x, *y, weight);
                }
                member.tree.learn_weighted(x, *y, weight);
                // Within three deviations of the errors, between 0 and 1.
                errors.update(error, 1.0);
                let deviation = errors.variance(1.0).sqrt();
                let scaled =
                    if deviation > 0.0 { (error + 3.0 * deviation) / (6.0 * deviation) } else { 0.5 };
                member.watch(scaled, || grow(rng));
            }
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width)?;
        let mut all: smallvec::SmallVec<[f64; 16]> =
            self.members.iter().map(|(member, _)| member.tree.predict(x)).collect();
        all.sort_by(f64::total_cmp);
        let middle = all.len() / 2;
        Ok(match all.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => all[middle],
            _ => (all[middle - 1] + all[middle]) / 2.0,
        })
    }
}
