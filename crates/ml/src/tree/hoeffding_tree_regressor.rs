//! Hoeffding tree for numbers: leaves predict by the mean of their targets, or by a linear model, whichever has erred less of late.
//!
//! - **Source**: Ikonomovska, Gama and Džeroski, "Learning model trees from evolving data streams", 2011 (FIMT-DD, without its drift
//!   detection); splits lower the variance.
//! - **Learns** finite targets, from dense features. **Refuses** what [`LinearRegression`] does.
//! - **Parallel**: one subtask, or one tree for each key.
//! - **Numbers** agree with river's `HoeffdingTreeRegressor` (TE-BST splitter) to 1e-9 (`tests/learners/trees.rs`, `wide.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::rng::Rng;
//! use thalweg_ml::tree::HoeffdingTreeRegressor;
//!
//! let (mut tree, mut rng) = (HoeffdingTreeRegressor::new(), Rng::new(1));
//! for _ in 0..5000 {
//!     let x = [rng.uniform() * 10.0];
//!     tree.learn_one(&x, &if x[0] > 5.0 { 100.0 } else { 0.0 })?;
//! }
//! assert!((tree.predict_one(&[8.0])? - 100.0).abs() < 5.0);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::hoeffding_bound;
use super::search_splitter::SearchSplitter;
use super::split::{Suggestion, Test};
use crate::features::check_dense;
use crate::linear::LinearRegression;
use crate::moments::Moments;
use crate::rng::Rng;
use crate::{Learner, Rejected};

/// How a leaf predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegressionLeaf {
    /// By the mean.
    Mean,
    /// By a linear model.
    Model,
    /// By whichever has erred less of late.
    Adaptive,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parameters {
    grace_period: f64,
    max_depth: u32,
    delta: f64,
    tau: f64,
    leaf: RegressionLeaf,
    model: LinearRegression,
    decay: f64,
    min_samples: f64,
    max_features: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Leaf {
    targets: Moments,
    depth: u32,
    tried_at: f64,
    active: bool,
    features: Vec<(u32, SearchSplitter)>,
    model: LinearRegression,
    error_of_mean: f64,
    error_of_model: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Node {
    Leaf(Box<Leaf>),
    Branch(Test, [u32; 2]),
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoeffdingTreeRegressor {
    parameters: Parameters,
    width: Option<usize>,
    nodes: Vec<Node>,
    rng: Rng,
}

impl Default for HoeffdingTreeRegressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Leaf {
    fn predict(&self, x: &[f64], parameters: &Parameters) -> f64 {
        let by_mean = match parameters.leaf {
            RegressionLeaf::Mean => true,
            RegressionLeaf::Model => false,
            RegressionLeaf::Adaptive => self.error_of_mean < self.error_of_model,
        };
        if by_mean { self.targets.mean() } else { self.by_model(x) }
    }

    /// The mean, where the model has left the numbers.
    fn by_model(&self, x: &[f64]) -> f64 {
        self.model.raw(x).unwrap_or(self.targets.mean())
    }

    fn learn(&mut self, x: &[f64], y: f64, weight: f64, parameters: &Parameters, rng: &mut Rng) {
        if parameters.leaf == RegressionLeaf::Adaptive {
            let (mean, model) = (y - self.targets.mean(), y - self.by_model(x));
            self.error_of_mean = parameters.decay * self.error_of_mean + mean * mean;
            self.error_of_model = parameters.decay * self.error_of_model + model * model;
        }
        self.targets.update(y, weight);
        if self.active {
            if self.features.is_empty() {
                let splitter = |feature: usize| (feature as u32, SearchSplitter::default());
                self.features = match parameters.max_features {
                    Some(most) if (most as usize) < x.len() => {
                        rng.sample(x.len(), most as usize).iter().copied().map(splitter).collect()
                    }
                    _ => (0..x.len()).map(splitter).collect(),
                };
            }
            for (feature, splitter) in &mut self.features {
                splitter.update(x[*feature as usize], y, weight);
            }
        }
        if parameters.leaf != RegressionLeaf::Mean {
            // A step that diverges leaves the model as it was; the mean is there.
            let _ = self.model.learn_weighted(x, y, weight);
        }
    }

    /// The split to take now, if there is one. What is no longer worth remembering is forgotten.
    fn decide(&mut self, parameters: &Parameters) -> Option<(Test, Vec<Moments>)> {
        let best = |(feature, splitter): &(u32, SearchSplitter)| {
            splitter.best(*feature, &self.targets, parameters.min_samples)
        };
        let mut suggestions: Vec<Suggestion<Moments>> = self.features.iter().map(best).collect();
        // "Not to split" is the first of equals.
        suggestions.insert(0, Suggestion::none());
        suggestions.sort_by(|a, b| a.merit.total_cmp(&b.merit));
        let best = suggestions.pop()?;
        let second = suggestions.last()?.merit;
        let bound = hoeffding_bound(1.0, parameters.delta, self.targets.weight());
        if best.merit > 0.0 && (second / best.merit < 1.0 - bound || bound < parameters.tau) {
            return best.split;
        }
        if best.merit > 0.0 && second > 0.0 {
            let limit = second / best.merit - 2.0 * bound;
            for (_, splitter) in &mut self.features {
                splitter.prune(&self.targets, parameters.min_samples, best.merit, limit);
            }
        }
        None
    }
}

impl HoeffdingTreeRegressor {
    /// A tree with river's defaults.
    pub fn new() -> Self {
        let parameters = Parameters {
            grace_period: 200.0,
            max_depth: 980,
            delta: 1e-7,
            tau: 0.05,
            leaf: RegressionLeaf::Adaptive,
            model: LinearRegression::new(),
            decay: 0.95,
            min_samples: 5.0,
            max_features: None,
        };
        Self { parameters, width: None, nodes: Vec::new(), rng: Rng::new(0) }
    }

    /// Sets the weight that a leaf sees between two tries to split it: 200 unless it is set.
    #[must_use]
    pub fn grace_period(mut self, weight: f64) -> Self {
        self.parameters.grace_period = weight;
        self
    }

    /// Sets how probable it may be that a split is not the best: 1e-7 unless it is set.
    #[must_use]
    pub fn delta(mut self, delta: f64) -> Self {
        self.parameters.delta = delta;
        self
    }

    /// Sets below which bound two splits count as equally good, so that one is taken: 0.05 unless it is set.
    #[must_use]
    pub fn tau(mut self, tau: f64) -> Self {
        self.parameters.tau = tau;
        self
    }

    /// Sets the weight that each side of a split has at least: 5 unless it is set.
    #[must_use]
    pub fn min_samples_split(mut self, weight: f64) -> Self {
        self.parameters.min_samples = weight;
        self
    }

    /// Sets how fast the errors fade by which an adaptive leaf chooses: 0.95 unless it is set.
    #[must_use]
    pub fn model_selector_decay(mut self, decay: f64) -> Self {
        self.parameters.decay = decay;
        self
    }

    /// Sets the depth below which nothing is split.
    #[must_use]
    pub fn max_depth(mut self, depth: u32) -> Self {
        self.parameters.max_depth = depth;
        self
    }

    /// Sets how leaves predict: adaptively unless it is set.
    #[must_use]
    pub fn leaf_prediction(mut self, leaf: RegressionLeaf) -> Self {
        self.parameters.leaf = leaf;
        self
    }

    /// Sets the model that leaves begin with.
    #[must_use]
    pub fn leaf_model(mut self, model: LinearRegression) -> Self {
        self.parameters.model = model;
        self
    }

    /// Sets how many features, drawn anew for each leaf, it looks at: all, unless it is set.
    #[must_use]
    pub fn max_features(mut self, features: u32, seed: u64) -> Self {
        self.parameters.max_features = Some(features);
        self.rng = Rng::new(seed);
        self
    }

    /// The number of leaves.
    pub fn leaves(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node, Node::Leaf(_))).count()
    }

    fn leaf_of(&self, x: &[f64]) -> usize {
        let mut at = 0;
        while let Node::Branch(test, children) = &self.nodes[at] {
            at = children[test.child(x).unwrap_or(0)] as usize;
        }
        at
    }

    pub(crate) fn check(&self, x: &[f64], y: f64) -> Result<(), Rejected> {
        Rejected::unless_finite(y)?;
        check_dense(x, self.width)
    }

    /// Learns a checked record with a weight.
    pub(crate) fn learn_weighted(&mut self, x: &[f64], y: f64, weight: f64) {
        self.width = Some(x.len());
        if self.nodes.is_empty() {
            let leaf = Leaf {
                targets: Moments::default(),
                depth: 0,
                tried_at: 0.0,
                active: true,
                features: Vec::new(),
                model: self.parameters.model.clone(),
                error_of_mean: 0.0,
                error_of_model: 0.0,
            };
            self.nodes.push(Node::Leaf(Box::new(leaf)));
        }
        let at = self.leaf_of(x);
        let Self { parameters, nodes, rng, .. } = self;
        let Node::Leaf(leaf) = &mut nodes[at] else { return };
        leaf.learn(x, y, weight, parameters, rng);
        if !leaf.active {
            return;
        }
        if leaf.depth >= parameters.max_depth {
            leaf.active = false;
            leaf.features = Vec::new();
            return;
        }
        let seen = leaf.targets.weight();
        if seen - leaf.tried_at < parameters.grace_period {
            return;
        }
        leaf.tried_at = seen;
        if let Some((test, targets)) = leaf.decide(parameters) {
            let child = |targets: Moments| {
                let (depth, tried_at, model) = (leaf.depth + 1, targets.weight(), leaf.model.clone());
                let (error_of_mean, error_of_model) = (leaf.error_of_mean, leaf.error_of_model);
                let (active, features) = (true, Vec::new());
                Leaf { targets, depth, tried_at, active, features, model, error_of_mean, error_of_model }
            };
            let children: Vec<Node> =
                targets.into_iter().map(|targets| Node::Leaf(Box::new(child(targets)))).collect();
            let first = nodes.len() as u32;
            nodes[at] = Node::Branch(test, [first, first + 1]);
            nodes.extend(children);
        }
    }

    /// Predicts from checked features; 0 before anything was learnt.
    pub(crate) fn predict(&self, x: &[f64]) -> f64 {
        if self.nodes.is_empty() {
            return 0.0;
        }
        match &self.nodes[self.leaf_of(x)] {
            Node::Leaf(leaf) => leaf.predict(x, &self.parameters),
            Node::Branch(..) => 0.0,
        }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for HoeffdingTreeRegressor {
    type Target = f64;
    type Prediction = f64;

    #[inline]
    fn check_target(&self, y: &f64) -> Result<(), Rejected> {
        Rejected::unless_finite(*y)
    }

    fn learn_one(&mut self, x: &X, y: &f64) -> Result<(), Rejected> {
        self.check(x.as_ref(), *y)?;
        self.learn_weighted(x.as_ref(), *y, 1.0);
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<f64, Rejected> {
        check_dense(x.as_ref(), self.width)?;
        Ok(self.predict(x.as_ref()))
    }
}
