//! Weights of classes, in the order in which the classes appeared: sums and ties depend on it.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Class, Classification};

/// A class and its weight, several times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClassWeights {
    entries: SmallVec<[(Class, f64); 12]>,
}

impl ClassWeights {
    #[inline]
    pub(crate) fn add(&mut self, class: Class, weight: f64) {
        match self.entries.iter_mut().find(|(of, _)| *of == class) {
            Some((_, sum)) => *sum += weight,
            None => self.entries.push((class, weight)),
        }
    }

    pub(crate) fn get(&self, class: Class) -> f64 {
        self.entries.iter().find(|(of, _)| *of == class).map_or(0.0, |(_, weight)| *weight)
    }

    pub(crate) fn has(&self, class: Class) -> bool {
        self.entries.iter().any(|(of, _)| *of == class)
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Class, f64)> + '_ {
        self.entries.iter().copied()
    }

    #[inline]
    pub(crate) fn total(&self) -> f64 {
        self.entries.iter().map(|(_, weight)| weight).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn largest(&self) -> f64 {
        self.entries.iter().map(|(_, weight)| *weight).fold(0.0, f64::max)
    }

    /// The class of the largest weight; of several the first to have appeared.
    #[inline]
    pub(crate) fn argmax(&self) -> Option<Class> {
        let mut best: Option<(Class, f64)> = None;
        for (class, weight) in self.iter() {
            if best.is_none_or(|(_, most)| weight > most) {
                best = Some((class, weight));
            }
        }
        best.map(|(class, _)| class)
    }

    /// Whether there is no weight but of one class.
    pub(crate) fn is_pure(&self) -> bool {
        self.iter().filter(|(_, weight)| *weight != 0.0).count() < 2
    }

    #[inline]
    pub(crate) fn scale(&mut self, factor: f64) {
        self.entries.iter_mut().for_each(|(_, weight)| *weight *= factor);
    }

    /// Scaled to sum to 1; as they are, if they sum to 0.
    #[inline]
    pub(crate) fn normalized(mut self) -> Self {
        let total = self.total();
        if total != 0.0 {
            self.scale(1.0 / total);
        }
        self
    }

    #[inline]
    pub(crate) fn map(&self, f: impl Fn(Class, f64) -> f64) -> Self {
        Self { entries: self.iter().map(|(class, weight)| (class, f(class, weight))).collect() }
    }

    /// Adds to a vote for each class by number.
    #[inline]
    pub(crate) fn vote(&self, votes: &mut crate::classification::Votes) {
        for (class, weight) in self.iter() {
            if votes.len() <= class as usize {
                votes.resize(class as usize + 1, 0.0);
            }
            votes[class as usize] += weight;
        }
    }
}

impl From<&ClassWeights> for Classification {
    fn from(weights: &ClassWeights) -> Self {
        let mut votes = SmallVec::new();
        weights.vote(&mut votes);
        Classification::new(votes)
    }
}

/// The entropy of a distribution, in bits.
pub(crate) fn entropy(weights: &ClassWeights) -> f64 {
    let (mut entropy, mut total) = (0.0, 0.0);
    for (_, weight) in weights.iter().filter(|(_, weight)| *weight > 0.0) {
        entropy -= weight * libm::log2(weight);
        total += weight;
    }
    if total > 0.0 { (entropy + total * libm::log2(total)) / total } else { 0.0 }
}
