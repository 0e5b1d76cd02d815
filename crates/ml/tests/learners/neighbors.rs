//! Nearest neighbours against river's numbers.

use crate::support::{check_classifier, check_regressor, data, golden};
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
    // The flow of water is of many equal distances.
    for name in ["trump_approval", "water_flow"] {
        let model = Pipeline::new(StandardScaler::new(), KNearestRegressor::new(5, 200));
        check_regressor(&golden, &format!("knn_regressor/{name}"), &data(name), model);
    }
}
