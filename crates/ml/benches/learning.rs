//! How many records a second learners take, predicted and learnt one by one, on one core. `crates/ml/benches/beside.py` runs river on the same.
//!
//! ```text
//! cargo bench -p thalweg-ml
//! ```

#![allow(missing_docs, reason = "a program")]

use std::hint::black_box;
use std::time::Instant;

use thalweg_ml::cluster::StreamingKMeans;
use thalweg_ml::ensemble::AdaptiveRandomForestClassifier;
use thalweg_ml::linear::LogisticRegression;
use thalweg_ml::naive_bayes::GaussianNb;
use thalweg_ml::rng::Rng;
use thalweg_ml::tree::HoeffdingTreeClassifier;
use thalweg_ml::{Class, Learner, Mergeable};

/// As `beside.py` makes them: 20 features, the class by a plane through them, with noise.
fn records(count: usize) -> Vec<([f64; 20], Class)> {
    let mut rng = Rng::new(7);
    let record = |_| {
        let x: [f64; 20] = std::array::from_fn(|_| rng.gaussian());
        let plane: f64 = x.iter().zip(1..).map(|(x, place)| x / f64::from(place)).sum();
        (x, Class::from(plane + 0.5 * rng.gaussian() > 0.0))
    };
    (0..count).map(record).collect()
}

/// The median of five runs, in records a second.
fn measure(name: &str, count: usize, mut run: impl FnMut()) {
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            run();
            count as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("{name}: {:.0} records/s", rates[2]);
}

fn prequential<L: Learner<[f64; 20], Target = Class>>(name: &str, records: &[([f64; 20], Class)], model: &L) {
    measure(name, records.len(), || {
        let mut model = model.clone();
        for (x, y) in records {
            let _ = black_box(model.predict_one(x));
            let _ = model.learn_one(x, y);
        }
        black_box(&model);
    });
}

fn main() {
    let records = records(100_000);
    prequential("logistic_regression", &records, &LogisticRegression::new());
    prequential("gaussian_nb", &records, &GaussianNb::default());
    prequential("hoeffding_tree", &records, &HoeffdingTreeClassifier::new());
    prequential("adaptive_random_forest", &records[..10_000], &AdaptiveRandomForestClassifier::new(10, 1));
    let model = StreamingKMeans::new(10).set_random_centers(20, 1.0, 1);
    measure("streaming_k_means", records.len(), || {
        let mut model = model.clone();
        for batch in records.chunks(10_000) {
            let mut part = Default::default();
            for (x, _) in batch {
                let _ = model.accumulate(&mut part, x, &());
            }
            Mergeable::<[f64; 20]>::update(&mut model, &part);
        }
        black_box(&model);
    });
}
