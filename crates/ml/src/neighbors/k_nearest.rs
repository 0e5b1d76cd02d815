//! k nearest neighbours over a window of the last records, by Euclidean distance.
//!
//! - **Source**: Cover and Hart, "Nearest neighbor pattern classification", 1967. Neighbours vote by the inverse of their distance; one
//!   at distance 0 decides alone.
//! - **Learns** any classes, or finite numbers, from dense features of one scale. **Refuses** what
//!   [`GaussianNb`](crate::naive_bayes::GaussianNb) does. A prediction costs as
//!   much as the window is long.
//! - **Parallel**: one subtask, or one window for each key.
//! - **Numbers** agree with river's `KNNClassifier` and `KNNRegressor` over `LazySearch` to 1e-9 (`tests/learners/neighbors.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::neighbors::KNearestClassifier;
//!
//! let mut model = KNearestClassifier::new(3, 100);
//! for n in 0..20 {
//!     model.learn_one(&[f64::from(n)], &u32::from(n > 9))?;
//! }
//! assert_eq!(model.predict_one(&[12.4])?.probability(1), 1.0);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::classification::check_class;
use crate::cluster::squared_distance;
use crate::features::check_dense;
use crate::{Class, Classification, Learner, Rejected};

/// The last records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Window<Y> {
    k: usize,
    size: usize,
    width: Option<usize>,
    records: VecDeque<(Vec<f64>, Y)>,
}

impl<Y: Copy> Window<Y> {
    fn new(k: usize, size: usize) -> Self {
        Self { k: k.max(1), size: size.max(1), width: None, records: VecDeque::new() }
    }

    fn push(&mut self, x: &[f64], y: Y) {
        self.width = Some(x.len());
        // The oldest record's vector is used again.
        let mut kept = Vec::new();
        if self.records.len() == self.size
            && let Some((oldest, _)) = self.records.pop_front()
        {
            kept = oldest;
        }
        kept.clear();
        kept.extend_from_slice(x);
        self.records.push_back((kept, y));
    }

    /// The nearest, with their distances, the nearest first; of equals, the oldest.
    fn nearest(&self, x: &[f64]) -> SmallVec<[(f64, Y); 8]> {
        let mut nearest: SmallVec<[(f64, Y); 8]> = SmallVec::new();
        // Roots are compared, as squares that differ may have the same; but few roots have to be drawn.
        let mut limit = f64::INFINITY;
        for (record, y) in &self.records {
            let squared = squared_distance(record, x);
            if squared > limit {
                continue;
            }
            let distance = squared.sqrt();
            if nearest.len() < self.k || nearest.last().is_some_and(|(worst, _)| distance < *worst) {
                if nearest.len() == self.k {
                    nearest.pop();
                }
                let at = nearest.partition_point(|(other, _)| *other <= distance);
                nearest.insert(at, (distance, *y));
                if nearest.len() == self.k
                    && let Some((worst, _)) = nearest.last()
                {
                    limit = worst * worst * (1.0 + 1e-12);
                }
            }
        }
        nearest
    }
}

/// The classifier. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KNearestClassifier {
    window: Window<Class>,
    classes: u32,
}

impl KNearestClassifier {
    /// Of the last `window` records, the `k` nearest vote.
    pub fn new(k: usize, window: usize) -> Self {
        Self { window: Window::new(k, window), classes: 0 }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for KNearestClassifier {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check_class(*y)?;
        check_dense(x.as_ref(), self.window.width)?;
        self.window.push(x.as_ref(), *y);
        self.classes = self.classes.max(y + 1);
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        check_dense(x.as_ref(), self.window.width)?;
        let mut votes: SmallVec<[f64; 4]> = smallvec::smallvec![0.0; self.classes as usize];
        let nearest = self.window.nearest(x.as_ref());
        match nearest.first() {
            Some((0.0, class)) => votes[*class as usize] = 1.0,
            _ => nearest.iter().for_each(|(distance, class)| votes[*class as usize] += 1.0 / distance),
        }
        Ok(Classification::from_votes(votes))
    }
}

/// The regressor: the mean of the nearest. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KNearestRegressor {
    window: Window<f64>,
}

impl KNearestRegressor {
    /// Of the last `window` records, the mean of the `k` nearest.
    pub fn new(k: usize, window: usize) -> Self {
        Self { window: Window::new(k, window) }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for KNearestRegressor {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    fn learn_one(&mut self, x: &X, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)?;
        check_dense(x.as_ref(), self.window.width)?;
        self.window.push(x.as_ref(), *y);
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        check_dense(x.as_ref(), self.window.width)?;
        let nearest = self.window.nearest(x.as_ref());
        Ok(match nearest.first() {
            None => 0.0,
            Some((0.0, y)) => *y,
            Some(_) => nearest.iter().map(|(_, y)| y).sum::<f64>() / nearest.len() as f64,
        })
    }
}
