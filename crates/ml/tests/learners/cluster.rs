//! Clusterers against river's and scikit-learn's numbers.

use crate::support::{close, data, golden, number, numbers};
use thalweg_ml::cluster::{CluStream, DbStream, MiniBatchKMeans};
use thalweg_ml::preprocessing::StandardScaler;
use thalweg_ml::{Learner, Transformer};

/// The first 1500 records, each scaled as the scaler had it then.
fn scaled(name: &str) -> Vec<Vec<f64>> {
    let mut scaler = StandardScaler::new();
    let scale = |(x, _): (Vec<f64>, f64)| {
        scaler.learn(&x).unwrap();
        scaler.transform(&x).unwrap().to_vec()
    };
    data(name).into_iter().take(1500).map(scale).collect()
}

#[test]
fn shared_density_is_rivers() {
    let golden = golden("cluster");
    for name in ["bananas", "image_segments"] {
        let theirs = &golden[format!("dbstream/{name}")];
        let mut model = DbStream::new(0.8).fading(0.01, 4);
        let mut labels = Vec::new();
        for (n, x) in scaled(name).iter().enumerate() {
            model.learn_one(x, &()).unwrap();
            if n % 50 == 49 {
                labels.push(f64::from(model.predict_one(x).unwrap().cluster));
            }
        }
        assert_eq!(labels, numbers(&theirs["labels"]), "{name}");
        let mut weights = model.micro_cluster_weights();
        weights.sort_by(f64::total_cmp);
        assert_eq!(weights.len() as f64, number(&theirs["micro"]), "{name}");
        for (ours, theirs) in weights.into_iter().zip(numbers(&theirs["weights"])) {
            close(ours, theirs, name);
        }
        let (centers, theirs) = (model.clusters(), theirs["centers"].as_array().unwrap());
        assert_eq!(centers.len(), theirs.len(), "{name}");
        for (ours, theirs) in centers.iter().flatten().zip(theirs.iter().flat_map(numbers)) {
            close(*ours, theirs, name);
        }
    }
}

#[test]
fn micro_clusters_are_rivers() {
    let golden = golden("cluster");
    for name in ["bananas", "image_segments"] {
        let mut model = CluStream::new(3, 30, 1).time(500, 100);
        scaled(name).iter().for_each(|x| model.learn_one(x, &()).unwrap());
        let theirs = golden[format!("clustream/{name}")]["micro"].as_array().unwrap();
        let ours = model.micro_clusters();
        assert_eq!(ours.len(), theirs.len());
        for ((weight, center), theirs) in ours.into_iter().zip(theirs) {
            let theirs = numbers(theirs);
            close(weight, theirs[0], name);
            center.into_iter().zip(&theirs[1..]).for_each(|(ours, theirs)| close(ours, *theirs, name));
        }
    }
}

#[test]
fn mini_batches_are_scikit_learns() {
    let golden = golden("cluster");
    for name in ["bananas", "image_segments"] {
        let (points, theirs) = (scaled(name), &golden[format!("mini_batch_k_means/{name}")]);
        let mut model = MiniBatchKMeans::with_centers(&points[..5]).unwrap();
        for batch in points.chunks(100) {
            let batch: Vec<_> = batch.iter().map(|x| (x.clone(), ())).collect();
            model.learn_batch(&batch, &mut |_, reason| panic!("{reason}"));
        }
        for (ours, theirs) in model.centers().iter().zip(theirs["centers"].as_array().unwrap()) {
            ours.iter().zip(numbers(theirs)).for_each(|(ours, theirs)| close(*ours, theirs, name));
        }
    }
}
