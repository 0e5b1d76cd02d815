//! Half-space trees: records that fall where few fell in the window before are strange.
//!
//! - **Source**: Tan, Ting and Liu, "Fast anomaly detection for streaming data", IJCAI 2011. The trees are drawn once, by seed, over
//!   features between 0 and 1
//!   ([`MinMaxScaler`](crate::preprocessing::MinMaxScaler)) unless limits are given; a window of records fills them, and the next
//!   window is scored by it.
//! - **Scores** are between 0 and 1, and 0 in the first window. **Refuses** features that are missing, infinite or of another number.
//! - **Parallel**: one subtask, or one forest for each key.
//! - **Scores** separate as well as river's `HalfSpaceTrees`, within its spread over seeds (`tests/learners/seeded.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::anomaly::HalfSpaceTrees;
//! use thalweg_ml::rng::Rng;
//!
//! let (mut trees, mut rng) = (HalfSpaceTrees::new(25, 8, 100, 42), Rng::new(1));
//! for _ in 0..500 {
//!     trees.learn_one(&[0.5 + rng.gaussian() * 0.02, 0.5 + rng.gaussian() * 0.02], &())?;
//! }
//! assert!(trees.predict_one(&[0.9, 0.1])? > trees.predict_one(&[0.5, 0.5])? + 0.1);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::features::check_dense;
use crate::rng::Rng;
use crate::{Learner, Rejected};

/// How far from an edge of its space a split is at least.
const PADDING: f64 = 0.15;

/// A complete tree: node i has the children 2i + 1 and 2i + 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    /// Of each node that is no leaf, the feature and where it is split.
    splits: Vec<(u32, f64)>,
    /// Of each node, the records of the last full window, and of the open one.
    reference: Vec<u32>,
    latest: Vec<u32>,
}

/// The learner: its prediction is the score. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HalfSpaceTrees {
    trees: usize,
    height: u32,
    window: u32,
    limits: Vec<(f64, f64)>,
    width: Option<usize>,
    forest: Vec<Tree>,
    count: u32,
    filled: bool,
    rng: Rng,
}

impl HalfSpaceTrees {
    /// With so many trees of this height, and windows of so many records (river's defaults: 10, 8, 250).
    pub fn new(trees: usize, height: u32, window: u32, seed: u64) -> Self {
        Self {
            trees,
            height: height.clamp(1, 20),
            window: window.max(1),
            limits: Vec::new(),
            width: None,
            forest: Vec::new(),
            count: 0,
            filled: false,
            rng: Rng::new(seed),
        }
    }

    /// Says between what each feature lies, by their places; from 0 to 1 where it is not said.
    #[must_use]
    pub fn limits(mut self, limits: Vec<(f64, f64)>) -> Self {
        self.limits = limits;
        self
    }

    fn grow(&mut self, width: usize) {
        let mut limits = self.limits.clone();
        limits.resize(width, (0.0, 1.0));
        let nodes = (1 << (self.height + 1)) - 1;
        for _ in 0..self.trees {
            let mut splits = vec![(0, 0.0); (1 << self.height) - 1];
            split(&mut splits, 0, &mut limits.clone(), &mut self.rng);
            self.forest.push(Tree { splits, reference: vec![0; nodes], latest: vec![0; nodes] });
        }
    }
}

/// Splits a node and all below it.
fn split(splits: &mut [(u32, f64)], at: usize, limits: &mut [(f64, f64)], rng: &mut Rng) {
    if at >= splits.len() {
        return;
    }
    // The wider a feature's space, the sooner it is split.
    let total: f64 = limits.iter().map(|(low, high)| high - low).sum();
    let mut left = rng.uniform() * total;
    let drawn = limits.iter().position(|(low, high)| {
        left -= high - low;
        left < 0.0
    });
    let feature = drawn.unwrap_or(limits.len() - 1);
    let (low, high) = limits[feature];
    let padding = PADDING * (high - low);
    let threshold = low + padding + rng.uniform() * (high - low - 2.0 * padding);
    splits[at] = (feature as u32, threshold);
    limits[feature].1 = threshold;
    split(splits, 2 * at + 1, limits, rng);
    limits[feature] = (threshold, high);
    split(splits, 2 * at + 2, limits, rng);
    limits[feature] = (low, high);
}

impl Tree {
    fn learn(&mut self, x: &[f64]) {
        let mut at = 0;
        self.latest[at] += 1;
        while let Some((feature, threshold)) = self.splits.get(at) {
            at = 2 * at + 1 + usize::from(x[*feature as usize] >= *threshold);
            self.latest[at] += 1;
        }
    }

    fn score(&self, x: &[f64], too_few: f64) -> f64 {
        let (mut at, mut weight, mut score) = (0, 1.0, 0.0);
        loop {
            let mass = f64::from(self.reference[at]);
            score += mass * weight;
            match self.splits.get(at) {
                Some((feature, threshold)) if mass >= too_few => {
                    at = 2 * at + 1 + usize::from(x[*feature as usize] >= *threshold);
                    weight *= 2.0;
                }
                _ => return score,
            }
        }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for HalfSpaceTrees {
    type Target = ();
    type Prediction = f64;

    fn learn_one(&mut self, x: &X, (): &()) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width)?;
        if x.is_empty() {
            return Err(Rejected::Dimension { expected: 1, found: 0 });
        }
        if self.forest.is_empty() {
            self.width = Some(x.len());
            self.grow(x.len());
        }
        self.forest.iter_mut().for_each(|tree| tree.learn(x));
        self.count += 1;
        if self.count == self.window {
            (self.count, self.filled) = (0, true);
            for tree in &mut self.forest {
                std::mem::swap(&mut tree.reference, &mut tree.latest);
                tree.latest.fill(0);
            }
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        check_dense(x.as_ref(), self.width)?;
        if !self.filled {
            return Ok(0.0);
        }
        let too_few = 0.1 * f64::from(self.window);
        let score: f64 = self.forest.iter().map(|tree| tree.score(x.as_ref(), too_few)).sum();
        let most = self.trees as f64 * f64::from(self.window) * ((1_u64 << (self.height + 1)) - 1) as f64;
        Ok(1.0 - score / most)
    }
}
