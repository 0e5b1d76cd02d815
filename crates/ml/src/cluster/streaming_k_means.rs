//! Streaming k-means, as Spark has it: centres that follow the batches, and forget the older ones.
//!
//! - **Source**: Spark MLlib's `StreamingKMeans`. Each batch's points go to their nearest centre; each centre becomes the mean of its
//!   points and of itself, its old weight
//!   times the decay factor. A cluster that is dying (its weight below 1e-8 of the heaviest) takes half of that one.
//! - **Learns** from dense features. **Refuses** those that are missing, infinite or not of the centres' dimension.
//! - **Parallel**: [`Mergeable`]; a batch's sums are exact, so the centres do not depend on the parallelism.
//! - **Numbers** agree with pyspark's to 1e-9 (`tests/learners/spark.rs`), and, in a [`MiniBatch`](crate::MiniBatch), with those of Flink ML's
//!   `OnlineKMeans` (`tests/learners/flink.rs`).
//! - **Where Spark's has no one answer**: the halves of a cluster that died are 1e-14 of their size apart. A point may be as near to both as numbers
//!   can tell; which takes it is then up to the rounding of the sums before, and so to the order of the records. Spark's own centres of ImageSegments
//!   with a decay factor of 0 are 22 % apart when the records of its batches are shuffled, or come in three partitions (`make_spark.py order`; of all
//!   other cases that are compared, 5e-16). Ours are those of exact sums, whatever the order.
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::cluster::StreamingKMeans;
//!
//! let mut model = StreamingKMeans::new(2).set_decay_factor(1.0).set_initial_centers(vec![vec![0.0], vec![1.0]], vec![0.0, 0.0])?;
//! model.learn_batch(&[(vec![-1.0], ()), (vec![9.0], ()), (vec![11.0], ())], &mut |_, _| {});
//! assert_eq!(model.cluster_centers(), [vec![-1.0], vec![10.0]]);
//! assert_eq!(model.predict_one(&vec![6.0])?.cluster, 1);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::{Assignment, assign, nearest};
use crate::exact_sum::ExactSum;
use crate::features::check_dense;
use crate::rng::Rng;
use crate::{Learner, Mergeable, Rejected};

/// In what a cluster's weight decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// By the decay factor with each batch.
    Batches,
    /// By the decay factor with each point.
    Points,
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamingKMeans {
    k: usize,
    dimensions: usize,
    decay: f64,
    unit: TimeUnit,
    splits: bool,
    /// One after the other.
    centers: Vec<f64>,
    weights: Vec<f64>,
}

/// A part of a batch: of each cluster, its points and their sum.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    counts: Vec<u64>,
    sums: Vec<ExactSum>,
}

impl StreamingKMeans {
    /// With `k` clusters, a decay factor of 1 (nothing is forgotten), in batches. The centres have to be set.
    pub fn new(k: usize) -> Self {
        let (centers, weights) = (Vec::new(), Vec::new());
        Self { k, dimensions: 0, decay: 1.0, unit: TimeUnit::Batches, splits: true, centers, weights }
    }

    /// Sets how much of its weight a cluster keeps with each unit of time: 0 keeps nothing, 1 everything.
    #[must_use]
    pub fn set_decay_factor(mut self, decay: f64) -> Self {
        self.decay = decay.clamp(0.0, 1.0);
        self
    }

    /// Sets after how many units of time a cluster has half of its weight.
    #[must_use]
    pub fn set_half_life(self, half_life: f64, unit: TimeUnit) -> Self {
        let decay = libm::exp(libm::log(0.5) / half_life);
        self.set_decay_factor(decay).set_time_unit(unit)
    }

    /// Sets in what weights decay.
    #[must_use]
    pub fn set_time_unit(mut self, unit: TimeUnit) -> Self {
        self.unit = unit;
        self
    }

    /// Lets dying clusters die, as Flink ML's `OnlineKMeans` does, which is this learner otherwise.
    #[must_use]
    pub fn without_splitting(mut self) -> Self {
        self.splits = false;
        self
    }

    /// Sets the centres to begin with, and how much each weighs.
    ///
    /// # Errors
    /// [`Rejected::Dimension`] if there are not k of each, all of one dimension; [`Rejected::Feature`] for what is no number.
    pub fn set_initial_centers(
        mut self,
        centers: Vec<Vec<f64>>,
        weights: Vec<f64>,
    ) -> Result<Self, Rejected> {
        for found in [centers.len(), weights.len()] {
            if found != self.k {
                return Err(Rejected::Dimension { expected: self.k, found });
            }
        }
        let dimensions = centers.first().map_or(0, Vec::len);
        centers.iter().try_for_each(|center| check_dense(center, Some(dimensions)))?;
        check_dense(&weights, None)?;
        (self.dimensions, self.centers, self.weights) = (dimensions, centers.concat(), weights);
        Ok(self)
    }

    /// Sets centres at random, normally distributed around 0, all of one weight.
    #[must_use]
    pub fn set_random_centers(mut self, dimensions: usize, weight: f64, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        self.dimensions = dimensions;
        self.centers = (0..self.k * dimensions).map(|_| rng.gaussian()).collect();
        self.weights = vec![weight; self.k];
        self
    }

    /// The centres.
    pub fn cluster_centers(&self) -> Vec<Vec<f64>> {
        self.centers.chunks_exact(self.dimensions.max(1)).map(<[f64]>::to_vec).collect()
    }

    /// How much each cluster weighs.
    pub fn cluster_weights(&self) -> &[f64] {
        &self.weights
    }

    fn check(&self, x: &[f64]) -> Result<(), Rejected> {
        if self.centers.is_empty() {
            return Err(Rejected::NotReady(
                "streaming k-means has no centres; call set_initial_centers or set_random_centers".to_owned(),
            ));
        }
        check_dense(x, Some(self.dimensions))
    }

    fn save_the_dying(&mut self) {
        let by_weight = |a: &usize, b: &usize| self.weights[*a].total_cmp(&self.weights[*b]);
        let (Some(heaviest), Some(lightest)) =
            ((0..self.k).rev().max_by(by_weight), (0..self.k).min_by(by_weight))
        else {
            return;
        };
        if self.weights[lightest] >= 1e-8 * self.weights[heaviest] || heaviest == lightest {
            return;
        }
        let weight = (self.weights[heaviest] + self.weights[lightest]) / 2.0;
        (self.weights[heaviest], self.weights[lightest]) = (weight, weight);
        for j in 0..self.dimensions {
            let x = self.centers[heaviest * self.dimensions + j];
            let apart = 1e-14 * x.abs().max(1.0);
            self.centers[heaviest * self.dimensions + j] = x + apart;
            self.centers[lightest * self.dimensions + j] = x - apart;
        }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for StreamingKMeans {
    type Target = ();
    type Prediction = Assignment;

    fn learn_one(&mut self, x: &X, y: &()) -> Result<(), Rejected> {
        // A batch of one, without the sums of all clusters.
        let ((), x) = (*y, x.as_ref());
        self.check(x)?;
        let (cluster, _, _) = nearest(&self.centers, x);
        self.weights.iter_mut().for_each(|weight| *weight *= self.decay);
        let weight = self.weights[cluster] + 1.0;
        let share = 1.0 / weight.max(1e-16);
        self.weights[cluster] = weight;
        for (center, x) in self.centers[cluster * self.dimensions..][..self.dimensions].iter_mut().zip(x) {
            *center = *center * (1.0 - share) + share * x;
        }
        if self.splits {
            self.save_the_dying();
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Assignment, Rejected> {
        self.check(x.as_ref())?;
        Ok(assign(&self.centers, x.as_ref()))
    }

    fn learn_batch(&mut self, batch: &[(X, ())], rejected: &mut dyn FnMut(usize, Rejected)) {
        let mut part = Part::default();
        for (index, (x, y)) in batch.iter().enumerate() {
            if let Err(reason) = self.accumulate(&mut part, x, y) {
                rejected(index, reason);
            }
        }
        Mergeable::<X>::update(self, &part);
    }
}

impl<X: AsRef<[f64]>> Mergeable<X> for StreamingKMeans {
    type Partial = Part;

    fn accumulate(&self, part: &mut Part, x: &X, (): &()) -> Result<(), Rejected> {
        let x = x.as_ref();
        self.check(x)?;
        if part.counts.is_empty() {
            part.counts = vec![0; self.k];
            part.sums = vec![ExactSum::default(); self.k * self.dimensions];
        }
        let (cluster, _, _) = nearest(&self.centers, x);
        part.counts[cluster] += 1;
        let sums = &mut part.sums[cluster * self.dimensions..][..self.dimensions];
        sums.iter_mut().zip(x).for_each(|(sum, x)| sum.add(*x));
        Ok(())
    }

    fn merge(part: &mut Part, other: &Part) {
        if part.counts.len() < other.counts.len() {
            part.counts.resize(other.counts.len(), 0);
            part.sums.resize(other.sums.len(), ExactSum::default());
        }
        part.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
        part.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| sum.merge(other));
    }

    fn update(&mut self, batch: &Part) {
        let points: u64 = batch.counts.iter().sum();
        let discount = match self.unit {
            TimeUnit::Batches => self.decay,
            TimeUnit::Points => libm::pow(self.decay, points as f64),
        };
        self.weights.iter_mut().for_each(|weight| *weight *= discount);
        for (cluster, count) in batch.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            let weight = self.weights[cluster] + count;
            let share = count / weight.max(1e-16);
            self.weights[cluster] = weight;
            let center = &mut self.centers[cluster * self.dimensions..][..self.dimensions];
            let sums = &batch.sums[cluster * self.dimensions..][..self.dimensions];
            for (center, sum) in center.iter_mut().zip(sums) {
                *center = *center * (1.0 - share) + share / count * sum.value();
            }
        }
        if self.splits {
            self.save_the_dying();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dying_cluster_takes_half_of_the_heaviest() {
        let centers = vec![vec![0.0], vec![1000.0]];
        let mut model = StreamingKMeans::new(2)
            .set_decay_factor(0.5)
            .set_initial_centers(centers, vec![1.0, 1e-8])
            .unwrap();
        model.learn_batch(&[(vec![1.0], ()), (vec![-1.0], ())], &mut |_, _| {});
        assert!(model.cluster_centers().iter().all(|center| center[0].abs() < 1e-13), "{model:?}");
        assert_eq!(model.cluster_weights()[0], model.cluster_weights()[1]);
        assert!(Learner::<Vec<f64>>::predict_one(&StreamingKMeans::new(2), &vec![1.0]).is_err());
    }
}
