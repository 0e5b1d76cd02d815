//! Spark's streaming models against pyspark's numbers, batch by batch.

use crate::support::{close, data, golden, number, numbers};
use thalweg_ml::Learner;
use thalweg_ml::cluster::StreamingKMeans;
use thalweg_ml::cluster::streaming_k_means::TimeUnit;
use thalweg_ml::linear::{StreamingLinearRegressionWithSgd, StreamingLogisticRegressionWithSgd};

/// Features, and the label.
type Labelled = (Vec<f64>, f64);

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
    let mut compared = 0;
    for (key, theirs) in golden.as_object().unwrap() {
        let Some((kind, name)) = key.split_once('/') else { continue };
        let of = |key: &str| number(&theirs[key]);
        let run = |weights: &mut dyn FnMut(&[Labelled]) -> Vec<f64>| {
            let batches = theirs["weights"].as_array().unwrap();
            for (batch, theirs) in data(name).chunks(of("size") as usize).zip(batches) {
                let ours = weights(batch);
                ours.iter().zip(numbers(theirs)).for_each(|(ours, theirs)| close(*ours, theirs, key));
            }
        };
        if kind.starts_with("linear") {
            let model = StreamingLinearRegressionWithSgd::new(of("step"), of("iterations") as u32);
            let mut model = model.set_convergence_tol(of("tolerance"));
            run(&mut |batch| {
                model.learn_batch(batch, &mut |_, reason| panic!("{reason}"));
                model.weights().to_vec()
            });
            compared += 1;
        } else if kind.starts_with("logistic") {
            let model = StreamingLogisticRegressionWithSgd::new(of("step"), of("iterations") as u32);
            let mut model = model.set_convergence_tol(of("tolerance")).set_reg_param(of("penalty"));
            run(&mut |batch| {
                let batch: Vec<(Vec<f64>, u32)> = batch.iter().map(|(x, y)| (x.clone(), *y as u32)).collect();
                model.learn_batch(&batch, &mut |_, reason| panic!("{reason}"));
                model.weights().to_vec()
            });
            compared += 1;
        }
    }
    assert_eq!(compared, 7);
}
