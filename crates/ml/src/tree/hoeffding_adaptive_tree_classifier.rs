//! Hoeffding adaptive tree: where a branch errs more than it did, another grows beside it, and takes its place once it errs less.
//!
//! - **Source**: Bifet and Gavaldà, "Adaptive learning from evolving data streams", IDA 2009 (HAT): every node watches its errors with
//!   an [`Adwin`].
//! - **Learns** and **refuses** what [`HoeffdingTreeClassifier`](super::HoeffdingTreeClassifier) does.
//! - **Parallel**: one subtask, or one tree for each key.
//! - **Numbers** agree with river's `HoeffdingAdaptiveTreeClassifier` to 1e-9 without bootstrap sampling, which draws from another
//!   source of chance there; with it, within the spread over seeds
//!   (`tests/learners/trees.rs`, `tests/learners/seeded.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::rng::Rng;
//! use thalweg_ml::tree::HoeffdingAdaptiveTreeClassifier;
//!
//! let (mut tree, mut rng) = (HoeffdingAdaptiveTreeClassifier::new(7), Rng::new(1));
//! for n in 0..12_000 {
//!     let x = [rng.uniform(), rng.uniform()];
//!     let drifted = n > 6000;
//!     tree.learn_one(&x, &u32::from((x[0] > 0.5) != drifted))?;
//! }
//! assert_eq!(tree.predict_one(&[0.9, 0.5])?.class(), Some(0));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::class_weights::ClassWeights;
use super::classifier_leaf::ClassifierLeaf;
use super::hoeffding_tree_classifier::{Parameters, tree_parameters};
use super::split::Test;
use crate::classification::check_class;
use crate::drift::Adwin;
use crate::features::check_dense;
use crate::moments::Moments;
use crate::rng::Rng;
use crate::{Class, Classification, Learner, Rejected};

/// A node with what watches its errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    kind: Kind,
    detector: Adwin,
    errors: Moments,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Leaf(Box<ClassifierLeaf>),
    Branch(Box<Branch>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Branch {
    test: Test,
    weights: ClassWeights,
    depth: u32,
    children: Vec<Node>,
    /// What grows beside it.
    alternate: Option<Node>,
}

/// When a branch gives way to its alternate, and whether leaves draw weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Watch {
    window_threshold: f64,
    significance: f64,
    bootstrap: bool,
}

/// What stays the same while a record goes down the tree.
struct Growth<'a> {
    tree: &'a Parameters,
    watch: Watch,
    rng: &'a mut Rng,
}

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoeffdingAdaptiveTreeClassifier {
    parameters: Parameters,
    watch: Watch,
    width: Option<usize>,
    classes: u32,
    root: Option<Node>,
    rng: Rng,
}

impl Node {
    fn leaf(weights: ClassWeights, depth: u32) -> Self {
        let leaf = Box::new(ClassifierLeaf::new(weights, depth));
        Self { kind: Kind::Leaf(leaf), detector: Adwin::new(0.002), errors: Moments::default() }
    }

    fn weight(&self) -> f64 {
        match &self.kind {
            Kind::Leaf(leaf) => leaf.weights.total(),
            Kind::Branch(branch) => branch.children.iter().map(Self::weight).sum(),
        }
    }

    fn leaves(&self) -> usize {
        match &self.kind {
            Kind::Leaf(_) => 1,
            Kind::Branch(branch) => branch.children.iter().map(Self::leaves).sum(),
        }
    }

    /// What a leaf says, its voice the stronger the less it errs.
    fn vote(&self, leaf: &ClassifierLeaf, x: &[f64], parameters: &Parameters) -> ClassWeights {
        if leaf.weights.is_empty() {
            return ClassWeights::default();
        }
        let mut votes = leaf.predict(x, parameters);
        let error = self.errors.mean();
        let divisor = votes.total() * error * error;
        if divisor != 0.0 {
            votes.scale(1.0 / divisor);
        }
        votes
    }

    /// What the leaf below says.
    fn below(&self, x: &[f64], parameters: &Parameters) -> ClassWeights {
        match &self.kind {
            Kind::Leaf(leaf) => self.vote(leaf, x, parameters),
            Kind::Branch(branch) => branch.child(x).below(x, parameters),
        }
    }

    /// Adds what the leaf below, and those of alternates on the way, say.
    fn vote_all(&self, x: &[f64], parameters: &Parameters, votes: &mut crate::classification::Votes) {
        match &self.kind {
            Kind::Leaf(leaf) => self.vote(leaf, x, parameters).vote(votes),
            Kind::Branch(branch) => {
                if let Some(alternate) = &branch.alternate {
                    alternate.vote_all(x, parameters, votes);
                }
                branch.child(x).vote_all(x, parameters, votes);
            }
        }
    }

    /// Watches an error. Says whether they have risen.
    fn watch(&mut self, error: bool) -> bool {
        let before = self.errors.mean();
        let changed = self.detector.update(f64::from(error));
        self.errors.update(f64::from(error), 1.0);
        if changed && before > self.errors.mean() {
            // They have fallen: that is counted anew, and nothing else.
            self.errors = Moments::default();
            return false;
        }
        changed
    }
}

impl Branch {
    fn child(&self, x: &[f64]) -> &Node {
        let heaviest = || {
            let mut best = (0, f64::NEG_INFINITY);
            for (index, child) in self.children.iter().enumerate() {
                let weight = child.weight();
                if weight > best.1 {
                    best = (index, weight);
                }
            }
            best.0
        };
        &self.children[self.test.child(x).unwrap_or_else(heaviest)]
    }
}

impl Default for HoeffdingAdaptiveTreeClassifier {
    fn default() -> Self {
        Self::new(0)
    }
}

impl HoeffdingAdaptiveTreeClassifier {
    /// A tree with river's defaults, and this seed for its bootstrap sampling.
    pub fn new(seed: u64) -> Self {
        Self {
            parameters: Parameters::default(),
            watch: Watch { window_threshold: 300.0, significance: 0.05, bootstrap: true },
            width: None,
            classes: 0,
            root: None,
            rng: Rng::new(seed),
        }
    }

    tree_parameters!();

    /// Sets whether leaves see records by a Poisson-distributed weight: they do, unless it is set.
    #[must_use]
    pub fn bootstrap_sampling(mut self, bootstrap: bool) -> Self {
        self.watch.bootstrap = bootstrap;
        self
    }

    /// Sets how many records a branch and its alternate have to have seen before they are compared (300 unless it is set), and how
    /// probable it may be that the worse one is kept (0.05).
    #[must_use]
    pub fn switching(mut self, window_threshold: u32, significance: f64) -> Self {
        (self.watch.window_threshold, self.watch.significance) = (window_threshold.into(), significance);
        self
    }

    /// The number of leaves, without those of alternates.
    pub fn leaves(&self) -> usize {
        self.root.as_ref().map_or(0, Node::leaves)
    }

    fn learn(node: &mut Node, x: &[f64], y: Class, growth: &mut Growth<'_>, is_root: bool) {
        match &mut node.kind {
            Kind::Leaf(_) => Self::learn_in_leaf(node, x, y, growth),
            Kind::Branch(_) => Self::learn_in_branch(node, x, y, growth, is_root),
        }
    }

    fn learn_in_leaf(node: &mut Node, x: &[f64], y: Class, growth: &mut Growth<'_>) {
        let weight = if growth.watch.bootstrap { f64::from(growth.rng.poisson(1.0).max(1)) } else { 1.0 };
        let said = node.below(x, growth.tree).argmax();
        let _ = node.watch(said != Some(y));
        let Kind::Leaf(leaf) = &mut node.kind else { return };
        leaf.learn(x, y, weight, growth.tree, growth.rng);
        let seen = leaf.weights.total();
        if seen - leaf.tried_at < growth.tree.grace_period {
            return;
        }
        if leaf.depth >= growth.tree.max_depth {
            leaf.deactivate();
            return;
        }
        if !leaf.active {
            return;
        }
        leaf.tried_at = seen;
        match growth.tree.decide(leaf) {
            None => {}
            Some(None) => leaf.forget(),
            Some(Some((test, weights))) => {
                let (depth, own) = (leaf.depth, leaf.weights.clone());
                let children = weights.into_iter().map(|weights| Node::leaf(weights, depth + 1)).collect();
                let branch = Branch { test, weights: own, depth, children, alternate: None };
                let kind = Kind::Branch(Box::new(branch));
                *node = Node { kind, detector: Adwin::new(0.002), errors: Moments::default() };
            }
        }
    }

    fn learn_in_branch(node: &mut Node, x: &[f64], y: Class, growth: &mut Growth<'_>, is_root: bool) {
        let said = node.below(x, growth.tree).argmax();
        let risen = node.watch(said != Some(y));
        let errors = node.errors;
        let Kind::Branch(branch) = &mut node.kind else { return };
        branch.weights.add(y, 1.0);
        if risen {
            node.errors = Moments::default();
            branch.alternate = Some(Node::leaf(ClassWeights::default(), branch.depth));
        } else if let Some(mut alternate) = branch.alternate.take() {
            match growth.watch.compare(&errors, &alternate.errors) {
                std::cmp::Ordering::Equal => branch.alternate = Some(alternate),
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Greater => {
                    // As in river, the record at hand is lost with the branch, but for that of the root.
                    if is_root {
                        Self::learn(&mut alternate, x, y, growth, true);
                    }
                    *node = alternate;
                    return;
                }
            }
        }
        if let Some(alternate) = &mut branch.alternate {
            Self::learn(alternate, x, y, growth, false);
            // As in river and MOA, an alternate that splits has proved itself.
            if matches!(alternate.kind, Kind::Branch(_))
                && let Some(alternate) = branch.alternate.take()
            {
                *node = alternate;
                return;
            }
        }
        let child = match branch.test.child(x) {
            Some(child) => child,
            None if branch.test.add_category(x) => {
                branch.children.push(Node::leaf(ClassWeights::default(), branch.depth + 1));
                branch.children.len() - 1
            }
            None => 0,
        };
        Self::learn(&mut branch.children[child], x, y, growth, false);
    }
}

impl Watch {
    /// Whether the alternate is the better one (greater), the worse one (less), or nobody can tell yet.
    fn compare(self, own: &Moments, alternate: &Moments) -> std::cmp::Ordering {
        if own.weight() <= self.window_threshold || alternate.weight() <= self.window_threshold {
            return std::cmp::Ordering::Equal;
        }
        let (rate, other) = (own.mean(), alternate.mean());
        let n = 1.0 / alternate.weight() + 1.0 / own.weight();
        let bound = (2.0 * rate * (1.0 - rate) * libm::log(2.0 / self.significance) * n).max(0.0).sqrt();
        if bound < rate - other {
            std::cmp::Ordering::Greater
        } else if bound < other - rate {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Equal
        }
    }
}

impl<X: AsRef<[f64]>> Learner<X> for HoeffdingAdaptiveTreeClassifier {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        let x = x.as_ref();
        check_class(*y)?;
        check_dense(x, self.width)?;
        self.width = Some(x.len());
        self.classes = self.classes.max(y + 1);
        let Self { parameters, watch, root, rng, .. } = self;
        let root = root.get_or_insert_with(|| Node::leaf(ClassWeights::default(), 0));
        Self::learn(root, x, *y, &mut Growth { tree: parameters, watch: *watch, rng }, true);
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        let x = x.as_ref();
        check_dense(x, self.width)?;
        let mut votes = smallvec::smallvec![0.0; self.classes as usize];
        if let Some(root) = &self.root {
            root.vote_all(x, &self.parameters, &mut votes);
        }
        // By a factor, as river's: where two are all but equal, that decides which is the greater.
        let total: f64 = votes.iter().sum();
        if total > 0.0 {
            votes.iter_mut().for_each(|vote: &mut f64| *vote *= 1.0 / total);
        }
        Ok(Classification::new(votes))
    }
}
