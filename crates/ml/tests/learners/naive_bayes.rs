//! Naive Bayes against river's numbers.

use crate::support::{check_classifier, close_by, data, golden};
use thalweg_ml::naive_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use thalweg_ml::{Class, Mergeable};

#[test]
fn all_three_are_rivers() {
    let golden = golden("naive_bayes");
    for name in ["phishing", "image_segments", "digits", "bananas", "iris", "wine"] {
        check_classifier(&golden, &format!("gaussian/{name}"), &data(name), GaussianNb::default());
    }
    for name in ["phishing", "digits"] {
        check_classifier(&golden, &format!("multinomial/{name}"), &data(name), MultinomialNb::new(0.7));
        check_classifier(&golden, &format!("bernoulli/{name}"), &data(name), BernoulliNb::new(0.7, 0.4));
    }
}

/// Learnt in parts, a batch makes the model that it makes record by record.
fn parts_make_the_whole<L>(model: L)
where
    L: Mergeable<Vec<f64>, Target = Class, Prediction = thalweg_ml::Classification>,
{
    let data = data("digits");
    let (mut one_by_one, mut in_parts) = (model.clone(), model);
    for batch in data.chunks(300) {
        let mut parts = vec![L::Partial::default(); 3];
        for (n, (x, y)) in batch.iter().enumerate() {
            one_by_one.learn_one(x, &(*y as Class)).unwrap();
            in_parts.accumulate(&mut parts[n % 3], x, &(*y as Class)).unwrap();
        }
        let mut whole = L::Partial::default();
        parts.iter().rev().for_each(|part| L::merge(&mut whole, part));
        in_parts.update(&whole);
    }
    for (x, _) in &data {
        let (a, b) = (one_by_one.predict_one(x).unwrap(), in_parts.predict_one(x).unwrap());
        (0..10).for_each(|class| close_by(a.probability(class), b.probability(class), 1e-7, "a part"));
    }
}

#[test]
fn what_is_learnt_in_parts_is_what_is_learnt_one_by_one() {
    parts_make_the_whole(GaussianNb::default());
    parts_make_the_whole(MultinomialNb::default());
    parts_make_the_whole(BernoulliNb::new(1.0, 0.5));
}
