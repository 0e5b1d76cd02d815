//! t-digest: quantiles, most exact at the ends.
//!
//! - **Source**: Dunning and Ertl, "Computing extremely accurate quantiles using t-digests", 2019 (the merging digest, with the arcsine
//!   scale).
//! - Merging is nearly exact: a digest of parts is as good as that of the whole, and not the same to the last bit.
//!
//! ```
//! use thalweg_ml::sketch::TDigest;
//!
//! let mut digest = TDigest::new(100.0);
//! (0..10_000).for_each(|n| digest.insert(f64::from(n)));
//! assert!((digest.quantile(0.5).unwrap() - 5000.0).abs() < 100.0);
//! assert!((digest.quantile(0.999).unwrap() - 9990.0).abs() < 5.0);
//! ```

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::window::aggregate::AggregateFunction;

use crate::scratch::Pooled;

/// How many values wait before they are merged in.
const BUFFER: usize = 512;

/// The sketch. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TDigest {
    compression: f64,
    /// Mean and weight, by mean.
    centroids: Vec<(f64, f64)>,
    waiting: Vec<(f64, f64)>,
    /// The least and the greatest value.
    range: Option<(f64, f64)>,
}

impl TDigest {
    /// With about `compression` centroids: 100 is usual.
    pub fn new(compression: f64) -> Self {
        Self { compression: compression.max(20.0), centroids: Vec::new(), waiting: Vec::new(), range: None }
    }

    /// Adds a value. What is not finite is left out.
    pub fn insert(&mut self, x: f64) {
        if !x.is_finite() {
            return;
        }
        self.range = Some(self.range.map_or((x, x), |(low, high)| (low.min(x), high.max(x))));
        self.waiting.push((x, 1.0));
        if self.waiting.len() >= BUFFER {
            self.compress();
        }
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Self) {
        if let Some((low, high)) = other.range {
            self.range = Some(self.range.map_or((low, high), |(own, top)| (own.min(low), top.max(high))));
            self.waiting.extend(other.centroids.iter().chain(&other.waiting));
            self.compress();
        }
    }

    fn scale(&self, q: f64) -> f64 {
        self.compression / std::f64::consts::TAU * libm::asin(2.0 * q - 1.0)
    }

    fn compress(&mut self) {
        let compressed = self.compressed();
        self.centroids.clone_from(&compressed);
        self.waiting.clear();
    }

    fn compressed(&self) -> Pooled<(f64, f64)> {
        let mut all: Pooled<(f64, f64)> = self.centroids.iter().chain(&self.waiting).copied().collect();
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let total: f64 = all.iter().map(|(_, weight)| weight).sum();
        let mut merged = Pooled::<(f64, f64)>::new();
        let (mut before, mut floor) = (0.0, self.scale(0.0));
        for (mean, weight) in all.iter().copied() {
            match merged.last_mut() {
                // A centroid may span one step of the scale.
                Some(last) if self.scale(((before + last.1 + weight) / total).min(1.0)) - floor <= 1.0 => {
                    last.1 += weight;
                    last.0 += (mean - last.0) * weight / last.1;
                }
                Some(last) => {
                    before += last.1;
                    floor = self.scale((before / total).min(1.0));
                    merged.push((mean, weight));
                }
                None => merged.push((mean, weight)),
            }
        }
        merged
    }

    /// The value below which a share `q` of the values lies, about; none of no values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (low, high) = self.range?;
        let centroids = self.compressed();
        let total: f64 = centroids.iter().map(|(_, weight)| weight).sum();
        let wanted = q.clamp(0.0, 1.0) * total;
        // Between the middles of centroids values are spread evenly; the ends are the least and the greatest.
        let (mut at, mut value, mut below) = (0.0, low, 0.0);
        for (mean, weight) in centroids.iter().copied() {
            let middle = below + weight / 2.0;
            if wanted <= middle {
                let share = if middle > at { (wanted - at) / (middle - at) } else { 1.0 };
                return Some(value + (mean - value) * share);
            }
            (at, value, below) = (middle, mean, below + weight);
        }
        let share = if total > at { (wanted - at) / (total - at) } else { 1.0 };
        Some(value + (high - value) * share)
    }
}

/// Quantiles: an aggregate.
#[derive(Clone, Debug)]
pub struct Quantiles<T, F> {
    compression: f64,
    wanted: Vec<f64>,
    field: F,
    types: PhantomData<fn(T)>,
}

impl<T, F: FnMut(&T) -> f64> Quantiles<T, F> {
    /// The `wanted` quantiles (0 to 1) of what `field` takes out of records.
    pub fn new(wanted: &[f64], field: F) -> Self {
        Self { compression: 100.0, wanted: wanted.to_vec(), field, types: PhantomData }
    }
}

impl<T: Data, F: FnMut(&T) -> f64 + Clone + Send + 'static> AggregateFunction for Quantiles<T, F> {
    type In = T;
    type Accumulator = TDigest;
    type Out = Vec<f64>;

    fn create_accumulator(&mut self) -> TDigest {
        TDigest::new(self.compression)
    }

    fn add(&mut self, digest: &mut TDigest, record: T) {
        digest.insert((self.field)(&record));
    }

    fn merge(&mut self, mut a: TDigest, b: TDigest) -> TDigest {
        a.merge(&b);
        a
    }

    fn get_result(&mut self, digest: &TDigest) -> Vec<f64> {
        self.wanted.iter().filter_map(|q| digest.quantile(*q)).collect()
    }
}
