//! A split: on what it divides, and how good it is.

use serde::{Deserialize, Serialize};

use super::class_weights::{ClassWeights, entropy};

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

/// How much a split lowers the entropy, in bits; minus infinity if fewer than two children get more than `min_fraction` of the weight.
pub(crate) fn information_gain(before: &ClassWeights, after: &[ClassWeights], min_fraction: f64) -> f64 {
    let total: f64 = after.iter().map(ClassWeights::total).sum();
    let large = after.iter().filter(|weights| total > 0.0 && weights.total() / total > min_fraction).count();
    if large < 2 {
        return f64::NEG_INFINITY;
    }
    let left: f64 = after.iter().map(|weights| weights.total() * entropy(weights)).sum();
    entropy(before) - left / total
}
