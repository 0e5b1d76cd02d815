//! Matrix factorisation against river's numbers.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::{close, data, golden, numbers};
use thalweg_ml::Learner;
use thalweg_ml::recommend::MatrixFactorization;

#[test]
fn factors_are_rivers() {
    let golden = golden("recommend");
    let mut model = MatrixFactorization::new(5, 0).begin_with(0.1).rates(0.02, 0.03, 0.01);
    for ((x, y), theirs) in data("chick_weights").into_iter().zip(numbers(&golden["predictions"])) {
        let pair = (x[0] as u32, x[1] as u32);
        close(model.predict_one(&pair).unwrap(), theirs, "a chick's weight");
        model.learn_one(&pair, &y).unwrap();
    }
}
