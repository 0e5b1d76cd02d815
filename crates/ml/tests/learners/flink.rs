//! Flink ML's online learners against its numbers, batch by batch.

use crate::support::{close, data, golden, number, numbers};
use thalweg_ml::cluster::StreamingKMeans;
use thalweg_ml::linear::OnlineLogisticRegression;
use thalweg_ml::{Learner, MiniBatch};

#[test]
fn online_k_means_is_flinks() {
    let golden = golden("flink");
    let mut compared = 0;
    for (key, theirs) in golden.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("k_means")) {
        let (k, size) = (number(&theirs["k"]) as usize, number(&theirs["size"]) as usize);
        let points: Vec<Vec<f64>> =
            data(key.split('/').nth(1).unwrap()).into_iter().take(1500).map(|(x, _)| x).collect();
        let model = StreamingKMeans::new(k).set_decay_factor(number(&theirs["decay"]));
        let model =
            model.without_splitting().set_initial_centers(points[..k].to_vec(), vec![1.0; k]).unwrap();
        let mut model = MiniBatch::new(model, size);
        for x in &points {
            model.learn_one(x, &()).unwrap();
        }
        let (ours, centers) = (model.learner().cluster_centers(), theirs["centers"].as_array().unwrap());
        for (ours, theirs) in ours.iter().flatten().zip(centers.iter().flat_map(numbers)) {
            close(*ours, theirs, key);
            compared += 1;
        }
        for (ours, theirs) in model.learner().cluster_weights().iter().zip(numbers(&theirs["weights"])) {
            close(*ours, theirs, key);
        }
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn online_logistic_regression_is_flinks() {
    let golden = golden("flink");
    let mut compared = 0;
    for (key, theirs) in golden.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("logistic")) {
        let model =
            OnlineLogisticRegression::new().set_reg(number(&theirs["reg"]), number(&theirs["elastic_net"]));
        let size = number(&theirs["size"]) as usize;
        let mut model = MiniBatch::new(model, size);
        let mut versions = theirs["weights"].as_array().unwrap().iter();
        for (n, (x, y)) in data(key.split('/').nth(1).unwrap()).into_iter().enumerate() {
            model.learn_one(&x, &(y as u32)).unwrap();
            if n % size == size - 1 {
                let theirs = numbers(&versions.next().unwrap()["coefficients"]);
                for (ours, theirs) in model.learner().weights().iter().zip(theirs) {
                    close(*ours, theirs, &format!("{key}, after {} records", n + 1));
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 500, "{compared}");
}
