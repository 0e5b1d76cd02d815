//! A split: on what it divides, and how good it is.

use serde::{Deserialize, Serialize};

use super::class_weights::{ClassWeights, entropy};

/// What makes one split of classes better than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SplitCriterion {
    /// By how much it lowers the entropy.
    #[default]
    InformationGain,
    /// By how pure its children are (Gini).
    Gini,
    /// Of two classes, by how far apart their distributions over the children are (Hellinger): for classes of which one is rare.
    Hellinger,
}

impl SplitCriterion {
    /// How good a split is; minus infinity if fewer than two children get more than `min_fraction` of the weight.
    pub(crate) fn merit(self, before: &ClassWeights, after: &[ClassWeights], min_fraction: f64) -> f64 {
        let total: f64 = after.iter().map(ClassWeights::total).sum();
        let large = after.iter().filter(|of| total > 0.0 && of.total() / total > min_fraction).count();
        if large < 2 {
            return f64::NEG_INFINITY;
        }
        match self {
            Self::InformationGain => information_gain(before, after, total),
            Self::Gini => 1.0 - after.iter().map(|of| of.total() / total * gini(of)).sum::<f64>(),
            Self::Hellinger => hellinger(after),
        }
    }

    /// From the least to the greatest merit.
    pub(crate) fn range(self, classes: usize) -> f64 {
        match self {
            Self::Gini => 1.0,
            Self::InformationGain | Self::Hellinger => libm::log2(classes.max(2) as f64),
        }
    }
}

fn gini(weights: &ClassWeights) -> f64 {
    let total = weights.total();
    if total == 0.0 {
        return 1.0;
    }
    weights.iter().fold(1.0, |gini, (_, weight)| gini - (weight / total) * (weight / total))
}

/// Of classes 0 and 1 and the first two children; 0 where one of these has not seen both.
fn hellinger(after: &[ClassWeights]) -> f64 {
    let [left, right, ..] = after else { return 0.0 };
    if [left, right].iter().any(|of| !of.has(0) || !of.has(1)) {
        return 0.0;
    }
    let (negative, positive) = (left.get(0) + right.get(0), left.get(1) + right.get(1));
    if negative <= 0.0 || positive <= 0.0 {
        return 0.0;
    }
    let apart = |of: &ClassWeights| (of.get(0) / negative).sqrt() - (of.get(1) / positive).sqrt();
    (apart(left) * apart(left) + apart(right) * apart(right)).sqrt()
}

/// On what a branch divides records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Test {
    /// At most the threshold: the first child; above: the second.
    Numeric { feature: u32, threshold: f64 },
    /// This category: the first child; any other: the second.
    Category { feature: u32, category: f64 },
    /// A child for each category.
    Categories { feature: u32, categories: Vec<f64> },
}

impl Test {
    /// Which child; `None` for a category that was not seen.
    #[inline]
    pub(crate) fn child(&self, x: &[f64]) -> Option<usize> {
        match self {
            Self::Numeric { feature, threshold } => Some(usize::from(x[*feature as usize] > *threshold)),
            Self::Category { feature, category } => Some(usize::from(x[*feature as usize] != *category)),
            Self::Categories { feature, categories } => {
                categories.iter().position(|category| *category == x[*feature as usize])
            }
        }
    }

    /// Adds a child for the category of a record, where each category has one.
    pub(crate) fn add_category(&mut self, x: &[f64]) -> bool {
        if let Self::Categories { feature, categories } = self {
            categories.push(x[*feature as usize]);
            return true;
        }
        false
    }
}

/// A split that a leaf might take; `S` is what its children begin with.
#[derive(Clone, Debug)]
pub(crate) struct Suggestion<S> {
    pub(crate) merit: f64,
    /// None: not to split at all.
    pub(crate) split: Option<(Test, Vec<S>)>,
}

impl<S> Suggestion<S> {
    /// Not to split, which is better than no split only where none is possible.
    pub(crate) fn none() -> Self {
        Self { merit: f64::NEG_INFINITY, split: None }
    }
}

/// How much a split lowers the entropy, in bits.
fn information_gain(before: &ClassWeights, after: &[ClassWeights], total: f64) -> f64 {
    let left: f64 = after.iter().map(|weights| weights.total() * entropy(weights)).sum();
    entropy(before) - left / total
}
