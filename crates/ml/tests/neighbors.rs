//! Nearest neighbours against river's numbers.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::{check_classifier, check_regressor, data, golden};
use thalweg_ml::Pipeline;
use thalweg_ml::neighbors::{KNearestClassifier, KNearestRegressor};
use thalweg_ml::preprocessing::StandardScaler;

#[test]
fn nearest_neighbours_are_rivers() {
    let golden = golden("neighbors");
    for name in ["phishing", "image_segments"] {
        let model = Pipeline::new(StandardScaler::new(), KNearestClassifier::new(5, 200));
        check_classifier(&golden, &format!("knn/{name}"), &data(name), model);
    }
    let model = Pipeline::new(StandardScaler::new(), KNearestRegressor::new(5, 200));
    check_regressor(&golden, "knn_regressor/trump_approval", &data("trump_approval"), model);
}
