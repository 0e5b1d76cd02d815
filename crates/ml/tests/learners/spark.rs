//! Spark's streaming models against pyspark's numbers, batch by batch.

use crate::support::{close, data, golden, number, numbers};
use thalweg_ml::Learner;
use thalweg_ml::cluster::StreamingKMeans;
use thalweg_ml::cluster::streaming_k_means::TimeUnit;
use thalweg_ml::linear::{StreamingLinearRegressionWithSgd, StreamingLogisticRegressionWithSgd};

#[test]
fn streaming_k_means_is_sparks() {
    let golden = golden("spark");
    for (key, theirs) in golden.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("k_means")) {
        let (k, size) = (number(&theirs["k"]) as usize, number(&theirs["size"]) as usize);
        let points: Vec<(Vec<f64>, ())> =
            data(key.split('/').nth(1).unwrap()).into_iter().take(1500).map(|(x, _)| (x, ())).collect();
        let unit = if theirs["unit"] == "points" { TimeUnit::Points } else { TimeUnit::Batches };
        let centers = points[..k].iter().map(|(x, ())| x.clone()).collect();
        let model = StreamingKMeans::new(k).set_decay_factor(number(&theirs["decay"])).set_time_unit(unit);
        let mut model = model.set_initial_centers(centers, vec![1.0; k]).unwrap();
        for batch in points.chunks(size) {
            model.learn_batch(batch, &mut |_, reason| panic!("{reason}"));
        }
        for (ours, theirs) in model.cluster_centers().iter().zip(theirs["centers"].as_array().unwrap()) {
            ours.iter().zip(numbers(theirs)).for_each(|(ours, theirs)| close(*ours, theirs, key));
        }
        for (ours, theirs) in model.cluster_weights().iter().zip(numbers(&theirs["weights"])) {
            close(*ours, theirs, key);
        }
    }
}

#[test]
fn streaming_regressions_are_sparks() {
    let golden = golden("spark");
    for name in ["diabetes", "trump_approval"] {
        let theirs = &golden[format!("linear/{name}")];
        let size = number(&theirs["size"]) as usize;
        let mut model = StreamingLinearRegressionWithSgd::new(number(&theirs["step"]), 50);
        for (batch, theirs) in data(name).chunks(size).zip(theirs["weights"].as_array().unwrap()) {
            model.learn_batch(batch, &mut |_, reason| panic!("{reason}"));
            model.weights().iter().zip(numbers(theirs)).for_each(|(ours, theirs)| close(*ours, theirs, name));
        }
    }
    for name in ["phishing", "breast_cancer"] {
        let theirs = &golden[format!("logistic/{name}")];
        let size = number(&theirs["size"]) as usize;
        let mut model = StreamingLogisticRegressionWithSgd::new(number(&theirs["step"]), 50);
        let data: Vec<(Vec<f64>, u32)> = data(name).into_iter().map(|(x, y)| (x, y as u32)).collect();
        for (batch, theirs) in data.chunks(size).zip(theirs["weights"].as_array().unwrap()) {
            model.learn_batch(batch, &mut |_, reason| panic!("{reason}"));
            model.weights().iter().zip(numbers(theirs)).for_each(|(ours, theirs)| close(*ours, theirs, name));
        }
    }
}
