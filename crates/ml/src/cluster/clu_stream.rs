//! CluStream: micro-clusters keep the moments of what they saw, and of when; clusters are made of them when they are asked for.
//!
//! - **Source**: Aggarwal, Han, Wang and Yu, "A framework for clustering evolving data streams", VLDB 2003.
//! - **Learns** from dense features of one scale. A record joins the nearest micro-cluster if it lies within its boundary; else it
//!   makes one of its own, and the one of least
//!   relevance goes, or the two nearest become one. Clusters are made of micro-clusters by k-means, with a k-means++ start.
//!   Deterministic by seed.
//! - **Refuses** features that are missing, infinite or of another number.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers**: the micro-clusters are those of river's `CluStream` to 1e-9 (`tests/learners/cluster.rs`); river makes clusters of them by
//!   another k-means.
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::cluster::CluStream;
//!
//! let mut model = CluStream::new(2, 10, 42);
//! for n in 0..500 {
//!     model.learn_one(&[f64::from(n % 2) * 20.0 + f64::from(n % 7) * 0.1], &())?;
//! }
//! assert_ne!(model.predict_one(&[0.3])?.cluster, model.predict_one(&[20.3])?.cluster);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::{Assignment, assign, k_means_plus_plus, squared_distance};
use crate::features::check_dense;
use crate::moments::Moments;
use crate::rng::Rng;
use crate::{Learner, Rejected};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct MicroCluster {
    center: Vec<f64>,
    features: Vec<Moments>,
    time: Moments,
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CluStream {
    k: usize,
    max_micro: usize,
    radius_factor: f64,
    window: f64,
    gap: u64,
    width: Option<usize>,
    seen: u64,
    micro: Vec<MicroCluster>,
    centers: Vec<f64>,
    rng: Rng,
}

impl MicroCluster {
    fn new(x: &[f64], time: f64) -> Self {
        let mut micro = Self {
            center: x.to_vec(),
            features: vec![Moments::default(); x.len()],
            time: Moments::default(),
        };
        micro.insert(x, time);
        micro
    }

    fn insert(&mut self, x: &[f64], time: f64) {
        self.time.update(time, 1.0);
        self.features.iter_mut().zip(x).for_each(|(moments, x)| moments.update(*x, 1.0));
        self.recenter();
    }

    fn recenter(&mut self) {
        self.center.iter_mut().zip(&self.features).for_each(|(center, moments)| *center = moments.mean());
    }

    /// Begins anew, in the space that is there.
    fn reset(&mut self, x: &[f64], time: f64) {
        self.time = Moments::default();
        self.features.fill(Moments::default());
        self.insert(x, time);
    }

    fn merge(&mut self, other: &Self) {
        self.time.merge(&other.time);
        self.features.iter_mut().zip(&other.features).for_each(|(own, other)| own.merge(other));
        self.recenter();
    }

    fn deviation(&self) -> f64 {
        let sum: f64 = self.features.iter().map(|moments| moments.variance(1.0).max(0.0).sqrt()).sum();
        sum / self.features.len() as f64
    }

    /// About when the newest records came.
    fn relevance(&self, max_micro: f64) -> f64 {
        let (mean, weight) = (self.time.mean(), self.time.weight());
        if weight < 2.0 * max_micro {
            return mean;
        }
        let quantile = std::f64::consts::SQRT_2 * inverse_error(max_micro / weight - 1.0);
        mean + self.time.variance(1.0).sqrt() * quantile
    }
}

/// The first terms of the series of the inverse error function, as river has them.
fn inverse_error(x: f64) -> f64 {
    let z = std::f64::consts::PI.sqrt() * x;
    let terms = [
        1.0 / 24.0,
        7.0 / 960.0,
        127.0 / 80_640.0,
        4369.0 / 11_612_160.0,
        34_807.0 / 364_953_600.0,
        20_036_983.0 / 797_058_662_400.0,
    ];
    let (mut result, mut power) = (x / 2.0, z);
    for term in terms {
        power *= z * z;
        result += term * power;
    }
    result
}

impl CluStream {
    /// With `k` clusters of up to `max_micro` micro-clusters, and river's defaults: those of the last 1000 records are relevant,
    /// clusters are made every 100.
    pub fn new(k: usize, max_micro: usize, seed: u64) -> Self {
        Self {
            k,
            max_micro: max_micro.max(2),
            radius_factor: 2.0,
            window: 1000.0,
            gap: 100,
            width: None,
            seen: 0,
            micro: Vec::new(),
            centers: Vec::new(),
            rng: Rng::new(seed),
        }
    }

    /// Sets for how many records a micro-cluster stays relevant, and after how many clusters are made.
    #[must_use]
    pub fn time(mut self, window: u64, gap: u64) -> Self {
        (self.window, self.gap) = (window as f64, gap.max(1));
        self
    }

    /// The micro-clusters: weights and centres.
    pub fn micro_clusters(&self) -> Vec<(f64, Vec<f64>)> {
        self.micro.iter().map(|micro| (micro.time.weight(), micro.center.clone())).collect()
    }

    fn make_room(&mut self, x: &[f64], time: f64) {
        let limit = time - self.window;
        let forgotten = self.micro.iter().position(|micro| micro.relevance(self.max_micro as f64) < limit);
        if let Some(at) = forgotten {
            self.micro[at].reset(x, time);
            return;
        }
        let (mut nearest, mut least) = ((0, 1), f64::INFINITY);
        for a in 0..self.micro.len() {
            for b in 0..a {
                let apart = squared_distance(&self.micro[a].center, &self.micro[b].center);
                if apart < least {
                    (nearest, least) = ((a, b), apart);
                }
            }
        }
        // The second is before the first.
        let (before, rest) = self.micro.split_at_mut(nearest.0);
        let (Some(one), Some(other)) = (rest.first_mut(), before.get_mut(nearest.1)) else { return };
        one.merge(other);
        other.reset(x, time);
    }
}

impl<X: AsRef<[f64]>> Learner<X> for CluStream {
    type Target = ();
    type Prediction = Assignment;

    fn learn_one(&mut self, x: &X, (): &()) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width)?;
        self.width = Some(x.len());
        let time = self.seen as f64;
        self.seen += 1;
        if self.micro.len() < self.max_micro && self.seen <= self.max_micro as u64 {
            self.micro.push(MicroCluster::new(x, self.max_micro as f64 - 1.0));
            return Ok(());
        }
        let (mut at, mut least) = (0, f64::INFINITY);
        for (index, micro) in self.micro.iter().enumerate() {
            let apart = squared_distance(&micro.center, x);
            if apart < least {
                (at, least) = (index, apart);
            }
        }
        let own = &self.micro[at];
        let radius = if own.time.weight() == 1.0 {
            let others = self.micro.iter().enumerate().filter(|(index, _)| *index != at);
            let apart = others.map(|(_, other)| squared_distance(&other.center, &own.center));
            apart.fold(f64::INFINITY, f64::min).sqrt()
        } else {
            own.deviation() * self.radius_factor
        };
        if least.sqrt() < radius {
            self.micro[at].insert(x, time);
        } else {
            self.make_room(x, time);
        }
        if self.seen.is_multiple_of(self.gap) {
            let points: Vec<(Vec<f64>, f64)> =
                self.micro.iter().map(|micro| (micro.center.clone(), micro.time.weight())).collect();
            self.centers = k_means_plus_plus(&points, self.k, 10, &mut self.rng);
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Assignment, Rejected> {
        check_dense(x.as_ref(), self.width)?;
        Ok(assign(&self.centers, x.as_ref()))
    }
}
