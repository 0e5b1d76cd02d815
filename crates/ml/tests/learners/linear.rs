//! Linear learners against river's and scikit-learn's numbers.

use crate::support::{check_classifier, check_regressor, close, data, golden, number, numbers};
use thalweg_ml::ensemble::OneVsRest;
use thalweg_ml::linear::{
    LeastSquares, LinearRegression, LogisticRegression, Optimizer, PassiveAggressiveClassifier,
    PassiveAggressiveRegressor, RecursiveLeastSquares, SoftmaxRegression, Variant,
};
use thalweg_ml::preprocessing::StandardScaler;
use thalweg_ml::{Learner, Pipeline};

fn scaled<L>(learner: L) -> Pipeline<StandardScaler, L> {
    Pipeline::new(StandardScaler::new(), learner)
}

#[test]
fn logistic_regression_is_rivers() {
    let golden = golden("linear");
    for name in ["phishing", "breast_cancer"] {
        let data = data(name);
        let check = |key: &str, model: LogisticRegression| {
            check_classifier(&golden, &format!("{key}/{name}"), &data, scaled(model));
        };
        let sgd = || LogisticRegression::with(Optimizer::sgd(0.05));
        check("logistic_sgd", sgd());
        check("logistic_sgd_l2", sgd().l2(0.01));
        check("logistic_ada_grad", LogisticRegression::with(Optimizer::ada_grad(0.1)));
        check("logistic_ftrl", LogisticRegression::with(Optimizer::ftrl_proximal(0.05, 1.0, 0.5, 1.0)));
    }
}

#[test]
fn passive_aggressive_learners_are_rivers() {
    let golden = golden("linear");
    for name in ["phishing", "breast_cancer"] {
        for (mode, variant) in [Variant::Pa, Variant::Pa1, Variant::Pa2].into_iter().enumerate() {
            let model = PassiveAggressiveClassifier::new(0.05, variant);
            check_classifier(
                &golden,
                &format!("passive_aggressive_{mode}/{name}"),
                &data(name),
                scaled(model),
            );
        }
    }
    let model = PassiveAggressiveRegressor::new(1.0, Variant::Pa1, 0.1);
    check_regressor(
        &golden,
        "passive_aggressive_regressor/trump_approval",
        &data("trump_approval"),
        scaled(model),
    );
}

#[test]
fn linear_regression_is_rivers() {
    let golden = golden("linear");
    for name in ["trump_approval", "diabetes", "water_flow"] {
        let data = data(name);
        let check = |key: &str, model: LinearRegression| {
            check_regressor(&golden, &format!("{key}/{name}"), &data, scaled(model));
        };
        check("linear_sgd", LinearRegression::with(Optimizer::sgd(0.01)).intercept_rate(0.1));
        check("linear_ada_grad", LinearRegression::with(Optimizer::ada_grad(0.5)).l2(0.001));
        check("linear_ftrl", LinearRegression::with(Optimizer::ftrl_proximal(0.5, 1.0, 0.01, 0.1)));
        let key = format!("recursive_least_squares/{name}");
        check_regressor(&golden, &key, &data, scaled(RecursiveLeastSquares::new(1.0, 1.0)));
    }
}

#[test]
fn least_squares_is_scikit_learns_ridge() {
    let golden = golden("linear");
    for name in ["trump_approval", "diabetes"] {
        let (mut model, theirs) = (LeastSquares::new(0.5), &golden[format!("ridge/{name}")]);
        for batch in data(name).chunks(100) {
            model.learn_batch(batch, &mut |_, reason| panic!("{reason}"));
        }
        for (ours, theirs) in model.weights().iter().zip(numbers(&theirs["coef"])) {
            close(*ours, theirs, name);
        }
        close(model.intercept(), number(&theirs["intercept"]), name);
    }
}

#[test]
fn softmax_and_one_vs_rest_are_rivers() {
    let golden = golden("linear");
    for name in ["image_segments", "digits", "wine", "solar_flare"] {
        let data = data(name);
        let softmax = SoftmaxRegression::with(Optimizer::sgd(0.05));
        check_classifier(&golden, &format!("softmax/{name}"), &data, scaled(softmax));
        let one_vs_rest = OneVsRest::new(LogisticRegression::with(Optimizer::sgd(0.05)));
        check_classifier(&golden, &format!("one_vs_rest/{name}"), &data, scaled(one_vs_rest));
    }
}
