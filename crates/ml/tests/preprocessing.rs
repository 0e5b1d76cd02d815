//! Transformers against river's numbers.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::{close, data, golden, number, numbers};
use thalweg_ml::Transformer;
use thalweg_ml::preprocessing::{MinMaxScaler, StandardScaler, TfIdf, VarianceThreshold};

#[test]
fn scales_are_rivers() {
    let golden = golden("preprocessing");
    let (mut standard, mut min_max) = (StandardScaler::new(), MinMaxScaler::default());
    for (n, (x, _)) in data("breast_cancer").into_iter().enumerate() {
        standard.learn(&x).unwrap();
        min_max.learn(&x).unwrap();
        if n % 40 == 0 {
            for (key, ours) in [("standard", standard.transform(&x)), ("min_max", min_max.transform(&x))] {
                let theirs = numbers(&golden[key][n / 40]);
                ours.unwrap().into_iter().zip(theirs).for_each(|(ours, theirs)| close(ours, theirs, key));
            }
        }
    }
}

#[test]
fn what_varies_is_rivers() {
    let (golden, mut threshold) = (golden("preprocessing"), VarianceThreshold::new(0.05));
    for (n, (x, _)) in data("phishing").into_iter().enumerate() {
        threshold.learn(&x).unwrap();
        if n % 100 == 0 {
            let ours: Vec<f64> =
                (0..x.len()).filter(|feature| threshold.passes(*feature)).map(|f| f as f64).collect();
            assert_eq!(ours, numbers(&golden["variance_threshold"][n / 100]));
        }
    }
}

#[test]
fn words_weigh_what_rivers_do() {
    let golden = golden("preprocessing");
    let mut tf_idf = TfIdf::new(1000);
    let texts = golden["tf_idf"]["texts"].as_array().unwrap();
    for (text, theirs) in texts.iter().zip(golden["tf_idf"]["rows"].as_array().unwrap()) {
        let text = text.as_str().unwrap().to_owned();
        tf_idf.learn(&text).unwrap();
        let ours = tf_idf.transform(&text).unwrap();
        assert_eq!(ours.iter().count(), theirs.as_object().unwrap().len());
        for (word, theirs) in theirs.as_object().unwrap() {
            close(ours.get(tf_idf.place(word).unwrap()), number(theirs), word);
        }
    }
}
