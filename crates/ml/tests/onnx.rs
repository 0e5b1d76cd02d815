//! scikit-learn's models, out of ONNX files, against what scikit-learn says.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "learners/support.rs"]
mod support;

use std::path::Path;

use support::{close_by, golden, numbers};
use thalweg_dataflow::harness::Harness;
use thalweg_dataflow::record::Keyed;
use thalweg_datastream::StreamExecutionEnvironment;
use thalweg_ml::datastream::PredictExt;
use thalweg_ml::metrics::ClassificationMetric;
use thalweg_ml::onnx::{OnnxClassifier, OnnxRegressor};
use thalweg_ml::operators::{Learn, ModelVersion, Observation, Predict};
use thalweg_ml::{Learner, from_json, to_json};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/onnx/{name}.onnx")))
        .unwrap()
}

fn rows(name: &str) -> Vec<Vec<f64>> {
    golden("onnx")[name]["rows"].as_array().unwrap().iter().map(numbers).collect()
}

#[test]
fn classifiers_say_what_they_say_in_scikit_learn() {
    let golden = golden("onnx");
    for name in ["logistic", "softmax", "sgd", "tree", "forest", "boosted"] {
        let model = OnnxClassifier::from_bytes(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let theirs = golden[name]["predict_proba"].as_array().unwrap();
        let rows = rows(name);
        assert_eq!((rows.len(), model.width()), (theirs.len(), rows[0].len()));
        for (x, theirs) in rows.iter().zip(theirs) {
            let (ours, theirs) = (model.predict_one(x).unwrap(), numbers(theirs));
            assert_eq!(ours.probabilities().len(), theirs.len(), "{name}");
            ours.probabilities()
                .iter()
                .zip(theirs)
                .for_each(|(ours, theirs)| close_by(*ours, theirs, 2e-5, name));
        }
    }
}

#[test]
fn regressors_say_what_they_say_in_scikit_learn() {
    let golden = golden("onnx");
    for name in ["linear", "ridge", "lasso", "tree_regressor", "forest_regressor", "boosted_regressor"] {
        let model = OnnxRegressor::from_bytes(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (x, theirs) in rows(name).iter().zip(numbers(&golden[name]["predict"])) {
            close_by(model.predict_one(x).unwrap(), theirs, 2e-5, name);
        }
    }
}

#[test]
fn a_model_is_state_and_refuses_what_others_do() {
    let model = OnnxClassifier::from_bytes(file("tree")).unwrap();
    let read: OnnxClassifier = from_json("tree", &to_json("tree", &model).unwrap()).unwrap();
    let x = rows("tree").remove(3);
    assert_eq!(read.predict_one(&x).unwrap(), model.predict_one(&x).unwrap());
    assert!(model.predict_one(&vec![1.0]).is_err());
    assert!(model.predict_one(&vec![f64::NAN; x.len()]).is_err());
    let error = OnnxRegressor::from_bytes(b"nothing of the kind".to_vec()).unwrap_err().to_string();
    assert!(error.contains("cannot be run"), "{error}");

    // Scored while it runs, and over a restore.
    let operator = || Learn::<u8, u32, Vec<f64>, _, ClassificationMetric>::new(model.clone());
    let mut harness = Harness::new(operator());
    harness.push(Keyed::new(1, Observation::Example(1, x.clone(), 0)), 0);
    let before = harness.values();
    let mut harness = harness.restore(operator(), 2);
    harness.push(Keyed::new(1, Observation::Example(1, x, 0)), 0);
    assert_eq!(harness.values()[0].prediction, before[0].prediction);
}

#[test]
fn it_predicts_in_a_stream_and_a_newer_one_takes_its_place() {
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(2);
    let model = OnnxRegressor::from_bytes(file("linear")).unwrap();
    let newer =
        ModelVersion { key: (), version: 1, model: OnnxRegressor::from_bytes(file("lasso")).unwrap() };
    let models = env.from_collection(vec![newer]);
    let x = rows("linear").remove(0);
    let records = env.from_collection(vec![x.clone(); 500]);
    let predicted = records.predict(|x| ((), x), Predict::at_once(model.clone()), &models);
    let predicted = predicted.execute_and_collect("predicted").unwrap();
    assert_eq!(predicted.len(), 500);
    let lasso = OnnxRegressor::from_bytes(file("lasso")).unwrap();
    let (old, new) = (model.predict_one(&x).unwrap(), lasso.predict_one(&x).unwrap());
    assert!(old != new);
    assert!(predicted.iter().all(|of| of.prediction == if of.version == 0 { old } else { new }));
}
