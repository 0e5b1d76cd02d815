//! Hoeffding tree (VFDT): a decision tree that grows out of a stream.
//!
//! - **Source**: Domingos and Hulten, "Mining high-speed data streams", KDD 2000; leaves that predict by naive Bayes where that has
//!   been the better of the two: Gama, Rocha and
//!   Medas, "Accurate decision trees for mining high-speed data streams", KDD 2003.
//! - **Learns** any classes, from dense features; those named [nominal](HoeffdingTreeClassifier::nominal) are categories, of which new
//!   ones may appear at any time.
//! - **Refuses** what [`GaussianNb`](crate::naive_bayes::GaussianNb) does.
//! - **Parallel**: one subtask, or one tree for each key.
//! - **Numbers** agree with river's `HoeffdingTreeClassifier`: same splits, probabilities to 1e-9 (`tests/learners/trees.rs`). As there, a leaf
//!   that is all but pure forgets what it knows of
//!   its features; the limit of river on a tree's memory is not there: [`max_depth`](HoeffdingTreeClassifier::max_depth) bounds it.
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::rng::Rng;
//! use thalweg_ml::tree::HoeffdingTreeClassifier;
//!
//! let (mut tree, mut rng) = (HoeffdingTreeClassifier::new(), Rng::new(1));
//! for _ in 0..5000 {
//!     let x = [rng.uniform(), rng.uniform()];
//!     tree.learn_one(&x, &u32::from((x[0] > 0.5) ^ (x[1] > 0.7)))?;
//! }
//! assert_eq!(tree.predict_one(&[0.9, 0.9])?.class(), Some(0));
//! assert!(tree.leaves() > 2);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::class_weights::ClassWeights;
use super::classifier_leaf::ClassifierLeaf;
use super::hoeffding_bound;
use super::split::{SplitCriterion, Test};
use crate::classification::check_class;
use crate::features::check_dense;
use crate::rng::Rng;
use crate::{Class, Classification, Learner, Rejected};

/// How a leaf predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeafPrediction {
    /// By its classes' shares.
    MajorityClass,
    /// By naive Bayes.
    NaiveBayes,
    /// By whichever of the two has been right more often.
    NaiveBayesAdaptive,
}

/// What a tree is grown by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) grace_period: f64,
    pub(crate) max_depth: u32,
    pub(crate) delta: f64,
    pub(crate) tau: f64,
    pub(crate) leaf_prediction: LeafPrediction,
    pub(crate) nominal: Vec<u32>,
    pub(crate) criterion: SplitCriterion,
    /// Whether a feature that is nominal is split into one category and the others only.
    pub(crate) binary: bool,
    pub(crate) nb_threshold: f64,
    pub(crate) min_branch_fraction: f64,
    pub(crate) max_share_to_split: f64,
    /// How many features a leaf looks at; all, unless it is said.
    pub(crate) max_features: Option<u32>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            grace_period: 200.0,
            max_depth: 980,
            delta: 1e-7,
            tau: 0.05,
            leaf_prediction: LeafPrediction::NaiveBayesAdaptive,
            nominal: Vec::new(),
            criterion: SplitCriterion::InformationGain,
            binary: false,
            nb_threshold: 0.0,
            min_branch_fraction: 0.01,
            max_share_to_split: 0.99,
            max_features: None,
        }
    }
}

impl Parameters {
    /// How good a split is.
    pub(crate) fn merit(&self, before: &ClassWeights, after: &[ClassWeights]) -> f64 {
        self.criterion.merit(before, after, self.min_branch_fraction)
    }

    /// The split that a leaf should take now, if it should: Some(None) is "none of them ever", which starts it afresh.
    pub(crate) fn decide(&self, leaf: &ClassifierLeaf) -> Option<Option<(Test, Vec<ClassWeights>)>> {
        if leaf.weights.is_pure() {
            return None;
        }
        let mut suggestions = leaf.suggestions(self);
        let best = suggestions.pop()?;
        let should = suggestions.last().is_none_or(|second| {
            let range = self.criterion.range(leaf.weights.len());
            let bound = hoeffding_bound(range, self.delta, leaf.weights.total());
            best.merit - second.merit > bound || bound < self.tau
        });
        should.then_some(best.split)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "half of the nodes are leaves, and they are what is looked up")]
enum Node {
    Leaf(ClassifierLeaf),
    Branch(Test, u32, Vec<u32>),
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoeffdingTreeClassifier {
    pub(crate) parameters: Parameters,
    width: Option<usize>,
    /// The number of classes seen, or rather the highest and one.
    classes: u32,
    nodes: Vec<Node>,
    rng: Rng,
}

impl Default for HoeffdingTreeClassifier {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! tree_parameters {
    () => {
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

        /// Sets the depth below which nothing is split.
        #[must_use]
        pub fn max_depth(mut self, depth: u32) -> Self {
            self.parameters.max_depth = depth;
            self
        }

        /// Sets how leaves predict: adaptively unless it is set.
        #[must_use]
        pub fn leaf_prediction(mut self, prediction: $crate::tree::LeafPrediction) -> Self {
            self.parameters.leaf_prediction = prediction;
            self
        }

        /// Says which features are categories, by their places: none unless it is said.
        #[must_use]
        pub fn nominal(mut self, features: impl IntoIterator<Item = u32>) -> Self {
            self.parameters.nominal = features.into_iter().collect();
            self
        }

        /// Sets what makes one split better than another: the information gain unless it is set.
        #[must_use]
        pub fn split_criterion(mut self, criterion: $crate::tree::SplitCriterion) -> Self {
            self.parameters.criterion = criterion;
            self
        }

        /// Lets nominal features be split into one category and all others only, not into one child for each.
        #[must_use]
        pub fn binary_split(mut self) -> Self {
            self.parameters.binary = true;
            self
        }

        /// Sets the weight below which a leaf of [`LeafPrediction::NaiveBayes`]($crate::tree::LeafPrediction::NaiveBayes) predicts by its
        /// classes' shares: 0 unless it is set.
        #[must_use]
        pub fn nb_threshold(mut self, weight: f64) -> Self {
            self.parameters.nb_threshold = weight;
            self
        }

        /// Sets which share of the weight two children of a split have to get at least (0.01 unless it is set), and above which share of
        /// one class a leaf is not split (0.99).
        #[must_use]
        pub fn shares(mut self, min_branch_fraction: f64, max_share_to_split: f64) -> Self {
            self.parameters.min_branch_fraction = min_branch_fraction;
            self.parameters.max_share_to_split = max_share_to_split;
            self
        }
    };
}
pub(crate) use tree_parameters;

impl HoeffdingTreeClassifier {
    /// A tree with river's defaults.
    pub fn new() -> Self {
        let (width, classes, nodes, rng) = (None, 0, Vec::new(), Rng::new(0));
        Self { parameters: Parameters::default(), width, classes, nodes, rng }
    }

    tree_parameters!();

    /// Sets how many features, drawn anew for each leaf, it looks at: all, unless it is set. Forests want their trees to differ.
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

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The weight of what a subtree has seen.
    fn weight_below(&self, node: usize) -> f64 {
        match &self.nodes[node] {
            Node::Leaf(leaf) => leaf.weights.total(),
            Node::Branch(_, _, children) => {
                children.iter().map(|child| self.weight_below(*child as usize)).sum()
            }
        }
    }

    /// The leaf of a record; where a category was not seen, that of the heaviest child.
    fn leaf_of(&self, x: &[f64]) -> usize {
        let mut at = 0;
        while let Node::Branch(test, _, children) = &self.nodes[at] {
            at = match test.child(x) {
                Some(child) => children[child] as usize,
                None => self.heaviest(children),
            };
        }
        at
    }

    fn heaviest(&self, children: &[u32]) -> usize {
        let mut best = (0, f64::NEG_INFINITY);
        for child in children {
            let weight = self.weight_below(*child as usize);
            if weight > best.1 {
                best = (*child as usize, weight);
            }
        }
        best.0
    }

    /// The leaf to learn a record in: a category that was not seen gets a leaf of its own.
    fn leaf_to_learn(&mut self, x: &[f64]) -> usize {
        let mut at = 0;
        loop {
            let next = self.nodes.len() as u32;
            let depth = match &mut self.nodes[at] {
                Node::Leaf(_) => return at,
                Node::Branch(test, depth, children) => match test.child(x) {
                    Some(child) => {
                        at = children[child] as usize;
                        continue;
                    }
                    None => {
                        test.add_category(x);
                        children.push(next);
                        *depth
                    }
                },
            };
            self.nodes.push(Node::Leaf(ClassifierLeaf::new(ClassWeights::default(), depth + 1)));
            at = next as usize;
        }
    }

    pub(crate) fn check(&self, x: &[f64], y: Class) -> Result<(), Rejected> {
        check_class(y)?;
        check_dense(x, self.width)
    }

    /// Learns a checked record with a weight.
    pub(crate) fn learn_weighted(&mut self, x: &[f64], y: Class, weight: f64) {
        self.width = Some(x.len());
        self.classes = self.classes.max(y + 1);
        if self.nodes.is_empty() {
            self.nodes.push(Node::Leaf(ClassifierLeaf::new(ClassWeights::default(), 0)));
        }
        let at = self.leaf_to_learn(x);
        let Self { parameters, nodes, rng, .. } = self;
        let Node::Leaf(leaf) = &mut nodes[at] else { return };
        leaf.learn(x, y, weight, parameters, rng);
        if !leaf.active {
            return;
        }
        if leaf.depth >= parameters.max_depth {
            leaf.deactivate();
            return;
        }
        let seen = leaf.weights.total();
        if seen - leaf.tried_at < parameters.grace_period {
            return;
        }
        leaf.tried_at = seen;
        match parameters.decide(leaf) {
            None => {}
            Some(None) => leaf.forget(),
            Some(Some((test, weights))) => {
                let (depth, first) = (leaf.depth, nodes.len() as u32);
                let children = (first..).take(weights.len()).collect();
                nodes[at] = Node::Branch(test, depth, children);
                nodes.extend(
                    weights.into_iter().map(|weights| Node::Leaf(ClassifierLeaf::new(weights, depth + 1))),
                );
            }
        }
    }

    /// The votes of a record's leaf, class by class; those of classes never seen there are 0.
    pub(crate) fn votes(&self, x: &[f64]) -> Classification {
        let mut votes = smallvec::smallvec![0.0; self.classes as usize];
        if !self.nodes.is_empty()
            && let Node::Leaf(leaf) = &self.nodes[self.leaf_of(x)]
        {
            leaf.predict(x, &self.parameters).vote(&mut votes);
        }
        Classification::new(votes)
    }
}

impl<X: AsRef<[f64]>> Learner<X> for HoeffdingTreeClassifier {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        self.check(x.as_ref(), *y)?;
        self.learn_weighted(x.as_ref(), *y, 1.0);
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        check_dense(x.as_ref(), self.width)?;
        Ok(self.votes(x.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_split_and_unseen_ones_are_learnt() {
        let mut tree = HoeffdingTreeClassifier::new().nominal([0]);
        let mut rng = Rng::new(3);
        for _ in 0..3000 {
            let x = [rng.below(3) as f64, rng.uniform()];
            tree.learn_one(&x, &u32::from(x[0] == 1.0)).unwrap();
        }
        assert!(tree.leaves() >= 2);
        assert_eq!(tree.predict_one(&[1.0, 0.5]).unwrap().class(), Some(1));
        assert!(tree.predict_one(&[9.0, 0.5]).unwrap().class().is_some());
        for _ in 0..300 {
            tree.learn_one(&[9.0, rng.uniform()], &2).unwrap();
        }
        assert_eq!(tree.predict_one(&[9.0, 0.5]).unwrap().class(), Some(2));
    }
}
