//! Features made out of features, learnt as they come. A transformer learns a record before it transforms it; a prediction changes
//! nothing.

pub mod feature_hasher;
pub mod imputer;
pub mod min_max_scaler;
pub mod one_hot_encoder;
pub mod polynomial_features;
pub mod standard_scaler;
pub mod tf_idf;
pub mod variance_threshold;

pub use feature_hasher::FeatureHasher;
pub use imputer::{Imputer, Statistic};
pub use min_max_scaler::MinMaxScaler;
pub use one_hot_encoder::{OneHotEncoder, UnknownCategory};
pub use polynomial_features::PolynomialFeatures;
pub use standard_scaler::StandardScaler;
pub use tf_idf::TfIdf;
pub use variance_threshold::VarianceThreshold;
