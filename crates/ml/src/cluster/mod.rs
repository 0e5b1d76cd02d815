//! Clusters: which records are alike, without labels.

pub mod clu_stream;
pub mod db_stream;
pub mod mini_batch_k_means;
pub mod streaming_k_means;

use serde::{Deserialize, Serialize};

pub use clu_stream::CluStream;
pub use db_stream::DbStream;
pub use mini_batch_k_means::MiniBatchKMeans;
pub use streaming_k_means::StreamingKMeans;

use crate::features::in_lanes;
use crate::rng::Rng;

/// Which cluster a record belongs to, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The cluster's number.
    pub cluster: u32,
    /// The distance to its centre; infinite while there are no clusters.
    pub distance: f64,
    /// The distance to the next centre; infinite if there is none.
    pub next_distance: f64,
}

/// The nearest of some centres, the first of several, with squared distances: `centers` holds one after the other.
#[inline]
pub(crate) fn nearest(centers: &[f64], x: &[f64]) -> (usize, f64, f64) {
    let (mut best, mut distance, mut next) = (0, f64::INFINITY, f64::INFINITY);
    for (index, center) in centers.chunks_exact(x.len().max(1)).enumerate() {
        let squared = in_lanes(center, x, |a, b| (a - b) * (a - b));
        if squared < distance {
            (next, distance, best) = (distance, squared, index);
        } else if squared < next {
            next = squared;
        }
    }
    (best, distance, next)
}

#[inline]
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// k centres out of weighted points, far from each other (Arthur and Vassilvitskii, "k-means++", SODA 2007), then moved to the means of
/// their points ten times.
/// Fewer, where there are fewer points that differ.
pub(crate) fn k_means_plus_plus(
    points: &[(Vec<f64>, f64)],
    k: usize,
    rounds: usize,
    rng: &mut Rng,
) -> Vec<f64> {
    let Some(width) = points.first().map(|(point, _)| point.len()) else { return Vec::new() };
    let draw = |masses: &[f64], rng: &mut Rng| {
        let total: f64 = masses.iter().sum();
        let mut left = rng.uniform() * total;
        let at = masses.iter().position(|mass| {
            left -= mass;
            left < 0.0
        });
        (total > 0.0).then(|| at.unwrap_or(masses.len() - 1))
    };
    let mut masses: Vec<f64> = points.iter().map(|(_, weight)| *weight).collect();
    let mut centers: Vec<f64> = Vec::with_capacity(k * width);
    while centers.len() < k * width
        && let Some(at) = draw(&masses, rng)
    {
        centers.extend_from_slice(&points[at].0);
        for (mass, (point, weight)) in masses.iter_mut().zip(points) {
            *mass = weight * nearest(&centers, point).1;
        }
    }
    for _ in 0..rounds {
        let mut sums = vec![0.0; centers.len()];
        let mut weights = vec![0.0; centers.len() / width.max(1)];
        for (point, weight) in points {
            let (at, _, _) = nearest(&centers, point);
            weights[at] += weight;
            sums[at * width..][..width].iter_mut().zip(point).for_each(|(sum, x)| *sum += weight * x);
        }
        for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            for j in at * width..(at + 1) * width {
                centers[j] = sums[j] / weight;
            }
        }
    }
    centers
}

/// The assignment to the nearest of some centres.
pub(crate) fn assign(centers: &[f64], x: &[f64]) -> Assignment {
    let (cluster, distance, next) = nearest(centers, x);
    Assignment { cluster: cluster as u32, distance: distance.sqrt(), next_distance: next.sqrt() }
}
