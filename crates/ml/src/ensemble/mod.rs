//! Many learners as one.

pub mod adaptive_random_forest;
pub mod bagging;
pub mod one_vs_rest;

pub use adaptive_random_forest::{AdaptiveRandomForestClassifier, AdaptiveRandomForestRegressor};
pub use bagging::{Bagging, Combine};
pub use one_vs_rest::OneVsRest;
