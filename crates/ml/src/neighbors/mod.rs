//! Nearest neighbours: a prediction out of the records that are most like the one at hand.

pub mod k_nearest;

pub use k_nearest::{Aggregation, KNearestClassifier, KNearestRegressor};
