//! What a leaf of a regressor knows of a feature: a search tree of its values, rounded to one digit, with the moments of the targets up
//! to each.
//!
//! Source: Ikonomovska, Gama and Džeroski, "Learning model trees from evolving data streams", Data Mining and Knowledge Discovery 2011
//! (E-BST); rounded, as in river's
//! TE-BST, so that it stays small.

use serde::{Deserialize, Serialize};

use super::split::{Suggestion, Test};
use crate::moments::Moments;
use crate::scratch::{Pooled, pool};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    value: f64,
    /// Of the targets of records that came down here with at most this value.
    up_to: Moments,
    left: Option<u32>,
    right: Option<u32>,
}

/// The search tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchSplitter {
    nodes: Vec<Node>,
    root: Option<u32>,
}

/// Rounds to one digit after the point, half to even, as if the digits were written out.
fn round(x: f64) -> f64 {
    let tenths = x * 10.0;
    let near_half = ((tenths.fract().abs() - 0.5).abs()) < 1e-6;
    if tenths.abs() > 1e15 {
        x
    } else if near_half {
        // The product may have been rounded onto, or off, the half.
        format!("{x:.1}").parse().unwrap_or(x)
    } else {
        tenths.round_ties_even() / 10.0
    }
}

/// How much a split lowers the variance; 0 if a side has fewer than `min` records.
fn variance_reduction(before: &Moments, after: [&Moments; 2], min: f64) -> f64 {
    if after.iter().any(|side| side.weight() < min) {
        return 0.0;
    }
    let within = |side: &Moments| side.weight() / before.weight() * side.variance(1.0);
    before.variance(1.0) - within(after[0]) - within(after[1])
}

/// What is left to do: on the way down to the left, at a node, before and after its right side.
#[derive(Clone, Copy)]
enum Step {
    Descend(u32),
    Judge(u32),
    Add(u32),
    Subtract(u32),
}
pool!(Step);

impl SearchSplitter {
    pub(crate) fn update(&mut self, x: f64, y: f64, weight: f64) {
        let value = round(x);
        let new = self.nodes.len() as u32;
        let mut link = self.root;
        let mut parent: Option<(u32, bool)> = None;
        while let Some(at) = link {
            let node = &mut self.nodes[at as usize];
            if value <= node.value {
                node.up_to.update(y, weight);
            }
            if value == node.value {
                return;
            }
            let right = value > node.value;
            parent = Some((at, right));
            link = if right { node.right } else { node.left };
        }
        let mut up_to = Moments::default();
        up_to.update(y, weight);
        self.nodes.push(Node { value, up_to, left: None, right: None });
        match parent {
            None => self.root = Some(new),
            Some((at, true)) => self.nodes[at as usize].right = Some(new),
            Some((at, false)) => self.nodes[at as usize].left = Some(new),
        }
    }

    pub(crate) fn best(&self, feature: u32, before: &Moments, min_samples: f64) -> Suggestion<Moments> {
        let mut best: (f64, Option<(f64, [Moments; 2])>) = (f64::NEG_INFINITY, None);
        let mut aside = Moments::default();
        let mut steps: Pooled<Step> = self.root.into_iter().map(Step::Descend).collect();
        while let Some(step) = steps.pop() {
            match step {
                Step::Descend(at) => {
                    let node = &self.nodes[at as usize];
                    if let Some(right) = node.right {
                        steps.extend([Step::Subtract(at), Step::Descend(right), Step::Add(at)]);
                    }
                    steps.push(Step::Judge(at));
                    steps.extend(node.left.map(Step::Descend));
                }
                Step::Add(at) => aside.merge(&self.nodes[at as usize].up_to),
                Step::Subtract(at) => aside.subtract(&self.nodes[at as usize].up_to),
                Step::Judge(at) => {
                    let node = &self.nodes[at as usize];
                    let mut left = node.up_to;
                    left.merge(&aside);
                    let mut right = *before;
                    right.subtract(&left);
                    let merit = variance_reduction(before, [&left, &right], min_samples);
                    if merit > best.0 {
                        best = (merit, Some((node.value, [left, right])));
                    }
                }
            }
        }
        let (merit, best) = best;
        let split = best.map(|(threshold, sides)| (Test::Numeric { feature, threshold }, sides.to_vec()));
        Suggestion { merit, split }
    }

    /// Forgets values below which no split is any longer likely to be the best: those whose merit is below `limit` (of the best one's),
    /// together with all
    /// below them.
    pub(crate) fn prune(&mut self, before: &Moments, min_samples: f64, best_merit: f64, limit: f64) {
        let Some(root) = self.root else { return };
        let mut aside = Moments::default();
        if self.prune_below(root, &mut aside, before, min_samples, best_merit, limit) {
            self.root = None;
        }
        self.compact();
    }

    /// Says whether the whole subtree is to go. A tree is as deep as its values came in order, so what is left to do is a list of its own.
    fn prune_below(
        &mut self,
        root: u32,
        aside: &mut Moments,
        before: &Moments,
        min_samples: f64,
        best_merit: f64,
        limit: f64,
    ) -> bool {
        /// How far a node is.
        enum Step {
            Left,
            Right,
            Self_,
        }
        let mut steps = vec![(root, Step::Left)];
        // Whether the subtree that was looked at last is to go.
        let mut bad = true;
        while let Some((at, step)) = steps.pop() {
            let Node { left, right, up_to, .. } = self.nodes[at as usize].clone();
            match step {
                Step::Left => {
                    bad = true;
                    steps.push((at, Step::Right));
                    steps.extend(left.map(|left| (left, Step::Left)));
                }
                Step::Right if !bad => {}
                Step::Right => {
                    self.nodes[at as usize].left = None;
                    steps.push((at, Step::Self_));
                    if let Some(right) = right {
                        aside.merge(&up_to);
                        steps.push((right, Step::Left));
                    }
                }
                Step::Self_ => {
                    if right.is_some() {
                        aside.subtract(&up_to);
                    }
                    if !bad {
                        continue;
                    }
                    self.nodes[at as usize].right = None;
                    let mut below = up_to;
                    below.merge(aside);
                    let mut above = *before;
                    above.subtract(&below);
                    bad = variance_reduction(before, [&below, &above], min_samples) / best_merit < limit;
                }
            }
        }
        bad
    }

    /// Drops nodes that nothing leads to.
    fn compact(&mut self) {
        let mut kept = Vec::new();
        let mut to_visit: Vec<(u32, Option<(usize, bool)>)> =
            self.root.iter().map(|root| (*root, None)).collect();
        while let Some((at, parent)) = to_visit.pop() {
            let new = kept.len();
            let Node { value, up_to, left, right } = self.nodes[at as usize].clone();
            kept.push(Node { value, up_to, left: None, right: None });
            if let Some((parent, is_right)) = parent {
                let parent: &mut Node = &mut kept[parent];
                *(if is_right { &mut parent.right } else { &mut parent.left }) = Some(new as u32);
            }
            to_visit.extend(left.map(|left| (left, Some((new, false)))));
            to_visit.extend(right.map(|right| (right, Some((new, true)))));
        }
        self.root = (!kept.is_empty()).then_some(0);
        self.nodes = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_order_make_a_deep_tree_and_no_deep_recursion() {
        let (mut splitter, mut before) = (SearchSplitter::default(), Moments::default());
        for n in 0..3000_u32 {
            let y = f64::from(n % 7);
            splitter.update(f64::from(n), y, 1.0);
            before.update(y, 1.0);
        }
        // Each node but the last has a right one: what a recursion would go down.
        splitter.prune(&before, 5.0, 1.0, f64::INFINITY);
        assert!(splitter.nodes.is_empty(), "with no merit high enough, all go");
    }

    #[test]
    fn rounds_as_python_does() {
        for (x, rounded) in
            [(0.25, 0.2), (0.35, 0.3), (2.675, 2.7), (-0.05, -0.1), (0.15, 0.1), (1e300, 1e300), (5.0, 5.0)]
        {
            assert_eq!(round(x), rounded, "{x}");
        }
    }
}
