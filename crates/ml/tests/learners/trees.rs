//! Trees against river's numbers: the same splits, the same probabilities.

use crate::support::{check_classifier, check_regressor, data, golden};
use thalweg_ml::Pipeline;
use thalweg_ml::preprocessing::StandardScaler;
use thalweg_ml::tree::{
    HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier, HoeffdingTreeRegressor, LeafPrediction,
    RegressionLeaf,
};

fn quick() -> HoeffdingTreeClassifier {
    HoeffdingTreeClassifier::new().grace_period(50.0).delta(1e-3)
}

#[test]
fn hoeffding_trees_are_rivers() {
    let golden = golden("trees");
    for name in ["phishing", "bananas", "image_segments", "digits"] {
        let data = data(name);
        let check = |key: &str, tree: HoeffdingTreeClassifier| {
            check_classifier(&golden, &format!("{key}/{name}"), &data, tree);
        };
        check("hoeffding_default", HoeffdingTreeClassifier::new());
        check("hoeffding", quick());
        check("hoeffding_majority", quick().leaf_prediction(LeafPrediction::MajorityClass));
        check("hoeffding_bayes", quick().leaf_prediction(LeafPrediction::NaiveBayes));
    }
    for (key, leaf) in [("mc", LeafPrediction::MajorityClass), ("nba", LeafPrediction::NaiveBayesAdaptive)] {
        let tree = quick().nominal(0..10).leaf_prediction(leaf);
        check_classifier(
            &golden,
            &format!("hoeffding_nominal_{key}/solar_flare"),
            &data("solar_flare"),
            tree,
        );
    }
    check_classifier(&golden, "hoeffding_nominal/phishing", &data("phishing"), quick().nominal(0..9));
}

#[test]
fn adaptive_trees_are_rivers() {
    let golden = golden("trees");
    let tree =
        || HoeffdingAdaptiveTreeClassifier::new(0).grace_period(50.0).delta(1e-3).bootstrap_sampling(false);
    for name in ["phishing", "bananas", "image_segments", "digits"] {
        check_classifier(&golden, &format!("adaptive/{name}"), &data(name), tree());
    }
    let mut swapped = data("bananas");
    swapped.extend(data("bananas").into_iter().map(|(x, y)| (x, 1.0 - y)));
    check_classifier(&golden, "adaptive_drift/bananas", &swapped, tree());
}

#[test]
fn regression_trees_are_rivers() {
    let golden = golden("trees");
    for name in ["trump_approval", "diabetes", "water_flow"] {
        for (leaf, key) in [
            (RegressionLeaf::Mean, "mean"),
            (RegressionLeaf::Model, "model"),
            (RegressionLeaf::Adaptive, "adaptive"),
        ] {
            let tree = HoeffdingTreeRegressor::new().grace_period(50.0).delta(0.01).leaf_prediction(leaf);
            let model = Pipeline::new(StandardScaler::new(), tree);
            check_regressor(&golden, &format!("regressor_{key}/{name}"), &data(name), model);
        }
    }
}
