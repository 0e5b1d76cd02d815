//! Mini-batch k-means: centres that are the running means of their points, with a k-means++ start.
//!
//! - **Source**: Sculley, "Web-scale k-means clustering", WWW 2010; Arthur and Vassilvitskii, "k-means++: the advantages of careful
//!   seeding", SODA 2007.
//! - **Learns** from dense features: points are kept until there are enough to choose centres from; then each batch (or record) moves
//!   the centres. Deterministic by seed.
//! - **Refuses** features that are missing, infinite or of another number.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers** agree with scikit-learn's `MiniBatchKMeans.partial_fit` to 1e-9 from the same centres (`tests/learners/cluster.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::cluster::MiniBatchKMeans;
//!
//! let mut model = MiniBatchKMeans::new(2, 10, 42);
//! for n in 0..100 {
//!     model.learn_one(&[f64::from(n % 2) * 50.0 + f64::from(n % 5)], &())?;
//! }
//! let (low, high) = (model.predict_one(&[1.0])?, model.predict_one(&[51.0])?);
//! assert!(low.cluster != high.cluster && high.distance < 5.0);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::{Assignment, assign, k_means_plus_plus, nearest};
use crate::features::check_dense;
use crate::rng::Rng;
use crate::{Learner, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MiniBatchKMeans {
    k: usize,
    start: usize,
    width: Option<usize>,
    centers: Vec<f64>,
    counts: Vec<f64>,
    /// Points that centres are to be chosen from.
    waiting: Vec<(Vec<f64>, f64)>,
    rng: Rng,
}

impl MiniBatchKMeans {
    /// With `k` centres, chosen out of the first `start` points: at least `k`, better some times that.
    pub fn new(k: usize, start: usize, seed: u64) -> Self {
        let (width, centers, counts, waiting) = (None, Vec::new(), Vec::new(), Vec::new());
        Self { k, start: start.max(k).max(1), width, centers, counts, waiting, rng: Rng::new(seed) }
    }

    /// With these centres to begin with.
    ///
    /// # Errors
    /// When they are not of one dimension, or no numbers.
    pub fn with_centers(centers: &[Vec<f64>]) -> Result<Self, Rejected> {
        let width = centers.first().map(Vec::len);
        centers.iter().try_for_each(|center| check_dense(center, width))?;
        let model = Self::new(centers.len(), 1, 0);
        Ok(Self { width, centers: centers.concat(), counts: vec![0.0; centers.len()], ..model })
    }

    /// The centres; none before there were enough points.
    pub fn centers(&self) -> Vec<Vec<f64>> {
        self.centers.chunks_exact(self.width.unwrap_or(1).max(1)).map(<[f64]>::to_vec).collect()
    }

    fn begin(&mut self) {
        self.centers = k_means_plus_plus(&self.waiting, self.k, 0, &mut self.rng);
        self.counts = vec![0.0; self.centers.len() / self.width.unwrap_or(1).max(1)];
        let points = std::mem::take(&mut self.waiting);
        self.learn_points(points.iter().map(|(point, _)| point.as_slice()));
    }

    /// Moves each centre to the mean of all points that it has had, those of the batch assigned to the centres before it.
    fn learn_points<'a>(&mut self, points: impl Iterator<Item = &'a [f64]>) {
        let width = self.width.unwrap_or(1).max(1);
        let mut sums = vec![0.0; self.centers.len()];
        let mut news = vec![0.0; self.counts.len()];
        for point in points {
            let (at, _, _) = nearest(&self.centers, point);
            news[at] += 1.0;
            sums[at * width..][..width].iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
        }
        for (at, new) in news.into_iter().enumerate().filter(|(_, new)| *new > 0.0) {
            let before = self.counts[at];
            self.counts[at] += new;
            let (center, sum) = (&mut self.centers[at * width..][..width], &sums[at * width..][..width]);
            for (center, sum) in center.iter_mut().zip(sum) {
                *center = (*center * before + sum) / self.counts[at];
            }
        }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for MiniBatchKMeans {
    type Target = ();
    type Prediction = Assignment;

    fn learn_one(&mut self, x: &X, (): &()) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width)?;
        self.width = Some(x.len());
        if self.centers.is_empty() {
            self.waiting.push((x.to_vec(), 1.0));
            if self.waiting.len() >= self.start {
                self.begin();
            }
            return Ok(());
        }
        // One point moves one centre; no sums are needed.
        let (at, _, _) = nearest(&self.centers, x);
        let before = self.counts[at];
        self.counts[at] += 1.0;
        for (center, x) in self.centers[at * x.len()..][..x.len()].iter_mut().zip(x) {
            *center = (*center * before + x) / (before + 1.0);
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Assignment, Rejected> {
        check_dense(x.as_ref(), self.width)?;
        Ok(assign(&self.centers, x.as_ref()))
    }

    fn learn_batch(&mut self, batch: &[(X, ())], rejected: &mut dyn FnMut(usize, Rejected)) {
        let mut sound = Vec::with_capacity(batch.len());
        for (index, (x, ())) in batch.iter().enumerate() {
            match check_dense(x.as_ref(), self.width) {
                Ok(()) => {
                    self.width = Some(x.as_ref().len());
                    sound.push(x.as_ref());
                }
                Err(reason) => rejected(index, reason),
            }
        }
        if self.centers.is_empty() {
            self.waiting.extend(sound.into_iter().map(|x| (x.to_vec(), 1.0)));
            if self.waiting.len() >= self.start {
                self.begin();
            }
        } else {
            self.learn_points(sound.into_iter());
        }
    }
}
