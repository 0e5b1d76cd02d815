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

use crate::classification::{Appearance, check_class};
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
    fn nearest(&self, x: &[f64]) -> SmallVec<[(f64, Y); 32]> {
        let mut nearest: SmallVec<[(f64, Y); 32]> = SmallVec::new();
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
    appearance: Appearance,
    weighted: bool,
    softmax: bool,
}

impl KNearestClassifier {
    /// Of the last `window` records, the `k` nearest vote.
    pub fn new(k: usize, window: usize) -> Self {
        Self {
            window: Window::new(k, window),
            classes: 0,
            appearance: Appearance::default(),
            weighted: true,
            softmax: false,
        }
    }

    /// Lets neighbours vote alike, however far they are.
    #[must_use]
    pub fn unweighted(mut self) -> Self {
        self.weighted = false;
        self
    }

    /// Makes probabilities of votes by the softmax, not by their shares.
    #[must_use]
    pub fn softmax(mut self) -> Self {
        self.softmax = true;
        self
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
        self.appearance.see(*y);
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        check_dense(x.as_ref(), self.window.width)?;
        let mut votes: crate::classification::Votes = smallvec::smallvec![0.0; self.classes as usize];
        let nearest = self.window.nearest(x.as_ref());
        match nearest.first() {
            None => return Ok(Classification::new(votes)),
            Some((0.0, class)) => {
                votes[*class as usize] = 1.0;
                return Ok(Classification::new(votes));
            }
            Some(_) => nearest.iter().for_each(|(distance, class)| {
                votes[*class as usize] += if self.weighted { 1.0 / distance } else { 1.0 };
            }),
        }
        if self.softmax {
            let most = votes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for (class, vote) in votes.iter_mut().enumerate() {
                // A number that was never seen is no class.
                let is_class = self.appearance.has(class as Class);
                *vote = if is_class { libm::exp(*vote - most) } else { 0.0 };
            }
        }
        Ok(Classification::from_votes(votes))
    }
}

/// The regressor: the mean of the nearest, unless it is said otherwise. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KNearestRegressor {
    window: Window<f64>,
    aggregation: Aggregation,
}

/// What is made of the neighbours' numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aggregation {
    /// Their mean.
    #[default]
    Mean,
    /// Their median.
    Median,
    /// Their mean, weighted by the inverse of their distance.
    WeightedMean,
}

impl KNearestRegressor {
    /// Of the last `window` records, the mean of the `k` nearest.
    pub fn new(k: usize, window: usize) -> Self {
        Self { window: Window::new(k, window), aggregation: Aggregation::Mean }
    }

    /// Sets what is made of the neighbours' numbers: their mean, unless it is set.
    #[must_use]
    pub fn aggregate(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
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
            Some(_) => match self.aggregation {
                Aggregation::Mean => nearest.iter().map(|(_, y)| y).sum::<f64>() / nearest.len() as f64,
                Aggregation::Median => {
                    let mut all: SmallVec<[f64; 32]> = nearest.iter().map(|(_, y)| *y).collect();
                    all.sort_by(f64::total_cmp);
                    let middle = all.len() / 2;
                    if all.len() % 2 == 1 { all[middle] } else { (all[middle - 1] + all[middle]) / 2.0 }
                }
                Aggregation::WeightedMean => {
                    let weights: f64 = nearest.iter().map(|(distance, _)| 1.0 / distance).sum();
                    nearest.iter().map(|(distance, y)| y / distance).sum::<f64>() / weights
                }
            },
        })
    }
}
