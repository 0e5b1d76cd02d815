//! DBSTREAM: micro-clusters that share density make up clusters of any shape and number, and fade.
//!
//! - **Source**: Hahsler and Bolaños, "Clustering data streams based on shared density between micro-clusters", IEEE TKDE 2016.
//! - **Learns** from dense features of one scale. **Refuses** those that are missing, infinite or of another number. A record costs as
//!   much as there are micro-clusters.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers** agree with river's `DBSTREAM`: the same micro-clusters, centres to 1e-9 (`tests/learners/cluster.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::cluster::DbStream;
//!
//! let mut model = DbStream::new(1.5);
//! for n in 0..200 {
//!     model.learn_one(&[f64::from(n % 2) * 20.0 + f64::from(n % 3) * 0.3], &())?;
//! }
//! assert_eq!(model.clusters().len(), 2);
//! assert_ne!(model.predict_one(&[0.1])?.cluster, model.predict_one(&[20.1])?.cluster);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Assignment, assign, squared_distance};
use crate::features::check_dense;
use crate::scratch::Pooled;
use crate::{Learner, Rejected};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct MicroCluster {
    center: Vec<f64>,
    updated: f64,
    weight: f64,
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DbStream {
    radius: f64,
    fading: f64,
    cleanup: f64,
    intersection: f64,
    min_weight: f64,
    width: Option<usize>,
    time: f64,
    micro: BTreeMap<u32, MicroCluster>,
    /// Of two micro-clusters, the lower number first: the density that they share, and when it was last brought up to date.
    #[serde(with = "crate::pairs")]
    shared: BTreeMap<(u32, u32), (f64, f64)>,
}

impl DbStream {
    /// With micro-clusters of this radius, and river's defaults: fading by 0.01, a cleanup every second record.
    pub fn new(radius: f64) -> Self {
        Self {
            radius,
            fading: 0.01,
            cleanup: 2.0,
            intersection: 0.3,
            min_weight: 1.0,
            width: None,
            time: 0.0,
            micro: BTreeMap::new(),
            shared: BTreeMap::new(),
        }
    }

    /// Sets how fast weights fade (by `2^-fading` with each record), and how many records there are between cleanups.
    #[must_use]
    pub fn fading(mut self, fading: f64, cleanup_interval: u32) -> Self {
        (self.fading, self.cleanup) = (fading, f64::from(cleanup_interval.max(1)));
        self
    }

    /// Sets which share of their density two micro-clusters must have in common to belong together, and the weight below which one is
    /// noise.
    #[must_use]
    pub fn density(mut self, intersection_factor: f64, minimum_weight: f64) -> Self {
        (self.intersection, self.min_weight) = (intersection_factor, minimum_weight);
        self
    }

    /// The weights of the micro-clusters.
    pub fn micro_cluster_weights(&self) -> Vec<f64> {
        self.micro.values().map(|micro| micro.weight).collect()
    }

    fn faded(&self, since: f64) -> f64 {
        libm::exp2(-self.fading * (self.time - since))
    }

    fn cleanup(&mut self) {
        let weak = libm::exp2(-self.fading * self.cleanup);
        let (fading, time) = (self.fading, self.time);
        let faded = |since: f64| libm::exp2(-fading * (time - since));
        self.micro.retain(|_, micro| micro.weight * faded(micro.updated) >= weak);
        let micro = &self.micro;
        self.shared.retain(|(a, b), _| micro.contains_key(a) && micro.contains_key(b));
        let limit = self.intersection * weak;
        for (density, updated) in self.shared.values_mut() {
            if *density * faded(*updated) < limit {
                (*density, *updated) = (0.0, 0.0);
            }
        }
    }

    /// The clusters: their centres.
    pub fn clusters(&self) -> Vec<Vec<f64>> {
        let width = self.width.unwrap_or(1).max(1);
        self.centers().chunks_exact(width).map(<[f64]>::to_vec).collect()
    }

    /// Whether two micro-clusters share enough density to belong together.
    fn belong(&self, a: u32, b: u32, density: f64) -> bool {
        let (Some(one), Some(other)) = (self.micro.get(&a), self.micro.get(&b)) else { return false };
        let strong = one.weight > self.min_weight && other.weight > self.min_weight;
        strong && density / ((one.weight + other.weight) / 2.0) > self.intersection
    }

    /// The centres of the clusters, one after the other.
    fn centers(&self) -> Pooled<f64> {
        const NONE: u32 = u32::MAX;
        let ids: Pooled<u32> = self.micro.keys().copied().collect();
        let mut labels: Pooled<u32> = ids.iter().map(|_| NONE).collect();
        let (mut count, mut open) = (0, Pooled::<u32>::new());
        for (place, (id, micro)) in self.micro.iter().enumerate() {
            if labels[place] != NONE || micro.weight < self.min_weight {
                continue;
            }
            // As in river, densities are followed from the lower number to the higher only.
            open.push(*id);
            while let Some(at) = open.pop() {
                let Ok(place) = ids.binary_search(&at) else { continue };
                if labels[place] != NONE {
                    continue;
                }
                labels[place] = count;
                let shared = self.shared.range((at, 0)..=(at, u32::MAX));
                let near = shared.filter(|((a, b), (density, _))| self.belong(*a, *b, *density));
                open.extend(near.map(|((_, b), _)| *b));
            }
            count += 1;
        }
        let width = self.width.unwrap_or(0);
        let mut centers: Pooled<f64> = std::iter::repeat_n(0.0, count as usize * width).collect();
        let mut weights: Pooled<f64> = std::iter::repeat_n(0.0, count as usize).collect();
        for (label, micro) in labels.iter().zip(self.micro.values()).filter(|(label, _)| **label != NONE) {
            let (label, center) = (*label as usize, &mut centers[*label as usize * width..][..width]);
            if weights[label] == 0.0 {
                center.copy_from_slice(&micro.center);
            } else {
                for (own, other) in center.iter_mut().zip(&micro.center) {
                    *own = (*own * weights[label] + other * micro.weight) / (weights[label] + micro.weight);
                }
            }
            weights[label] += micro.weight;
        }
        centers
    }
}

impl<X: AsRef<[f64]>> Learner<X> for DbStream {
    type Target = ();
    type Prediction = Assignment;

    fn learn_one(&mut self, x: &X, (): &()) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width)?;
        self.width = Some(x.len());
        let near = |micro: &MicroCluster| squared_distance(&micro.center, x).sqrt() < self.radius;
        let neighbours: Pooled<u32> =
            self.micro.iter().filter(|(_, micro)| near(micro)).map(|(id, _)| *id).collect();
        if neighbours.is_empty() {
            let id = self.micro.last_key_value().map_or(0, |(id, _)| id + 1);
            self.micro.insert(id, MicroCluster { center: x.to_vec(), updated: self.time, weight: 1.0 });
        }
        // Where they were, one after the other.
        let mut before = Pooled::<f64>::new();
        neighbours.iter().for_each(|id| before.extend_from_slice(&self.micro[id].center));
        for (index, id) in neighbours.iter().enumerate() {
            let (time, sigma) = (self.time, self.radius / 3.0);
            let faded = self.faded(self.micro[id].updated);
            if let Some(micro) = self.micro.get_mut(id) {
                micro.weight = micro.weight * faded + 1.0;
                micro.updated = time;
                let pull = libm::exp(-squared_distance(x, &micro.center) / (2.0 * (sigma * sigma)));
                micro.center.iter_mut().zip(x).for_each(|(center, x)| *center += pull * (x - *center));
            }
            for other in &neighbours[index + 1..] {
                let place = (*id, *other);
                let (fading, now) = (self.fading, self.time);
                let faded = |since: f64| libm::exp2(-fading * (now - since));
                match self.shared.get_mut(&place) {
                    Some((density, at)) => (*density, *at) = (*density * faded(*at) + 1.0, time),
                    None => drop(self.shared.insert(place, (1.0, time))),
                }
            }
        }
        // Centres that would come too close to each other stay where they were.
        for a in 0..neighbours.len() {
            for b in a + 1..neighbours.len() {
                let (one, other) = (&self.micro[&neighbours[a]].center, &self.micro[&neighbours[b]].center);
                if squared_distance(one, other).sqrt() < self.radius {
                    for index in [a, b] {
                        if let Some(micro) = self.micro.get_mut(&neighbours[index]) {
                            micro.center.copy_from_slice(&before[index * x.len()..][..x.len()]);
                        }
                    }
                }
            }
        }
        self.time += 1.0;
        if self.time % self.cleanup == 0.0 {
            self.cleanup();
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Assignment, Rejected> {
        check_dense(x.as_ref(), self.width)?;
        Ok(assign(&self.centers(), x.as_ref()))
    }
}
