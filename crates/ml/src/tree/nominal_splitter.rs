//! What a leaf knows of a nominal feature, one whose numbers are categories: of each class, the weight of each category.

use serde::{Deserialize, Serialize};

use super::class_weights::ClassWeights;
use super::hoeffding_tree_classifier::Parameters;
use super::split::{Suggestion, Test};
use crate::Class;

/// A nominal feature, of each category and class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct NominalSplitter {
    /// By category, rising.
    categories: Vec<(f64, ClassWeights)>,
}

impl NominalSplitter {
    pub(crate) fn update(&mut self, x: f64, class: Class, weight: f64) {
        match self.categories.binary_search_by(|(category, _)| category.total_cmp(&x)) {
            Ok(at) => self.categories[at].1.add(class, weight),
            Err(at) => {
                let mut weights = ClassWeights::default();
                weights.add(class, weight);
                self.categories.insert(at, (x, weights));
            }
        }
    }

    /// The logarithm of the share of a category within a class; minus infinity for one that was not seen there.
    pub(crate) fn log_share(&self, x: f64, class: Class) -> f64 {
        let all: f64 = self.categories.iter().map(|(_, weights)| weights.get(class)).sum();
        let of = self.categories.iter().find(|(category, _)| *category == x);
        libm::log(of.map_or(0.0, |(_, weights)| weights.get(class)) / all.max(f64::MIN_POSITIVE))
    }

    /// A child for each category, or one category against all others.
    pub(crate) fn best(
        &self,
        feature: u32,
        before: &ClassWeights,
        parameters: &Parameters,
    ) -> Suggestion<ClassWeights> {
        let mut best = Suggestion::none();
        if !parameters.binary {
            let after: Vec<ClassWeights> =
                self.categories.iter().map(|(_, weights)| weights.clone()).collect();
            let merit = parameters.merit(before, &after);
            let categories = self.categories.iter().map(|(category, _)| *category).collect();
            best = Suggestion { merit, split: Some((Test::Categories { feature, categories }, after)) };
        }
        for (category, weights) in &self.categories {
            let mut others = ClassWeights::default();
            for (_, weights) in self.categories.iter().filter(|(other, _)| other != category) {
                weights.iter().for_each(|(class, weight)| others.add(class, weight));
            }
            let after = vec![weights.clone(), others];
            let merit = parameters.merit(before, &after);
            if merit > best.merit {
                let test = Test::Category { feature, category: *category };
                best = Suggestion { merit, split: Some((test, after)) };
            }
        }
        best
    }
}
