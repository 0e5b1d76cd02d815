//! Hoeffding trees: a leaf splits once it has seen enough to be sure that the best split is the best.
//!
//! | tree | for |
//! |---|---|
//! | [`HoeffdingTreeClassifier`] | classes (VFDT) |
//! | [`HoeffdingAdaptiveTreeClassifier`] | classes that drift: branches that err more and more are replaced |
//! | [`HoeffdingTreeRegressor`] | numbers (FIMT-DD's leaves) |

mod class_weights;
mod classifier_leaf;
mod gaussian_splitter;
pub mod hoeffding_adaptive_tree_classifier;
pub mod hoeffding_tree_classifier;
pub mod hoeffding_tree_regressor;
mod nominal_splitter;
mod search_splitter;
mod split;

pub use hoeffding_adaptive_tree_classifier::HoeffdingAdaptiveTreeClassifier;
pub use hoeffding_tree_classifier::{HoeffdingTreeClassifier, LeafPrediction};
pub use hoeffding_tree_regressor::{HoeffdingTreeRegressor, RegressionLeaf};
pub use split::SplitCriterion;

/// How far an observed mean may be from the true one, of values within `range`, with confidence `1 - delta` (Hoeffding, 1963).
pub(crate) fn hoeffding_bound(range: f64, delta: f64, weight: f64) -> f64 {
    (range * range * libm::log(1.0 / delta) / (2.0 * weight)).sqrt()
}
