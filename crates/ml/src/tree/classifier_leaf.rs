//! A leaf of a classifier: how often it saw each class, and, while it is active, what it knows of each feature.

use serde::{Deserialize, Serialize};

use super::class_weights::ClassWeights;
use super::gaussian_splitter::GaussianSplitter;
use super::hoeffding_tree_classifier::{LeafPrediction, Parameters};
use super::nominal_splitter::NominalSplitter;
use super::split::Suggestion;
use crate::Class;
use crate::rng::Rng;

/// What is known of a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Splitter {
    Numeric(GaussianSplitter),
    Nominal(NominalSplitter),
}

/// The leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClassifierLeaf {
    pub(crate) weights: ClassWeights,
    pub(crate) depth: u32,
    /// The weight that it had when it was last tried to be split.
    pub(crate) tried_at: f64,
    pub(crate) active: bool,
    /// Which features it looks at, with what it knows of them; none before its first record.
    features: Vec<(u32, Splitter)>,
    majority_right: f64,
    bayes_right: f64,
}

impl ClassifierLeaf {
    pub(crate) fn new(weights: ClassWeights, depth: u32) -> Self {
        let tried_at = weights.total();
        let (features, majority_right, bayes_right) = (Vec::new(), 0.0, 0.0);
        Self { weights, depth, tried_at, active: true, features, majority_right, bayes_right }
    }

    /// Forgets what is known of the features.
    pub(crate) fn forget(&mut self) {
        self.features = Vec::new();
    }

    pub(crate) fn deactivate(&mut self) {
        self.active = false;
        self.forget();
    }

    pub(crate) fn learn(
        &mut self,
        x: &[f64],
        class: Class,
        weight: f64,
        parameters: &Parameters,
        rng: &mut Rng,
    ) {
        if self.active && parameters.leaf_prediction == LeafPrediction::NaiveBayesAdaptive {
            if self.weights.argmax().is_none_or(|most| most == class) {
                self.majority_right += weight;
            }
            if self.bayes(x).argmax() == Some(class) {
                self.bayes_right += weight;
            }
        }
        self.weights.add(class, weight);
        if !self.active {
            return;
        }
        if self.features.is_empty() {
            self.choose_features(x.len(), parameters, rng);
        }
        for (feature, splitter) in &mut self.features {
            let x = x[*feature as usize];
            match splitter {
                Splitter::Numeric(splitter) => splitter.update(x, class, weight),
                Splitter::Nominal(splitter) => splitter.update(x, class, weight),
            }
        }
    }

    fn choose_features(&mut self, width: usize, parameters: &Parameters, rng: &mut Rng) {
        let splitter = |feature: u32| {
            let nominal = parameters.nominal.contains(&feature);
            let splitter = if nominal {
                Splitter::Nominal(NominalSplitter::default())
            } else {
                Splitter::Numeric(GaussianSplitter::default())
            };
            (feature, splitter)
        };
        self.features = match parameters.max_features {
            Some(most) if (most as usize) < width => {
                rng.sample(width, most as usize).iter().map(|feature| splitter(*feature as u32)).collect()
            }
            _ => (0..width as u32).map(splitter).collect(),
        };
    }

    #[inline]
    fn bayes(&self, x: &[f64]) -> ClassWeights {
        let total = self.weights.total();
        if total == 0.0 {
            return ClassWeights::default();
        }
        let logs = self.weights.map(|class, weight| {
            if weight <= 0.0 {
                return 0.0;
            }
            let mut log = (weight / total).ln();
            for (feature, splitter) in &self.features {
                let x = x[*feature as usize];
                let more = match splitter {
                    Splitter::Numeric(splitter) => splitter.log_density(x, class),
                    Splitter::Nominal(splitter) => splitter.log_share(x, class),
                };
                if more > f64::NEG_INFINITY {
                    log += more;
                }
            }
            log
        });
        let largest = logs.iter().map(|(_, log)| log).fold(f64::NEG_INFINITY, f64::max);
        let all = largest + logs.iter().map(|(_, log)| (log - largest).exp()).sum::<f64>().ln();
        logs.map(|_, log| (log - all).exp())
    }

    #[inline]
    pub(crate) fn predict(&self, x: &[f64], parameters: &Parameters) -> ClassWeights {
        let bayes = match parameters.leaf_prediction {
            LeafPrediction::MajorityClass => false,
            LeafPrediction::NaiveBayes => self.weights.total() >= parameters.nb_threshold,
            LeafPrediction::NaiveBayesAdaptive => self.bayes_right >= self.majority_right,
        };
        if self.active && bayes { self.bayes(x) } else { self.weights.clone().normalized() }
    }

    /// The splits that it might take, the best last; "not to split" is the first of equals.
    pub(crate) fn suggestions(&self, parameters: &Parameters) -> Vec<Suggestion<ClassWeights>> {
        let mut suggestions = vec![Suggestion::none()];
        if self.weights.largest() / self.weights.total() > parameters.max_share_to_split {
            return suggestions;
        }
        suggestions.extend(self.features.iter().map(|(feature, splitter)| match splitter {
            Splitter::Numeric(splitter) => splitter.best(*feature, &self.weights, parameters),
            Splitter::Nominal(splitter) => splitter.best(*feature, &self.weights, parameters),
        }));
        suggestions.sort_by(|a, b| a.merit.total_cmp(&b.merit));
        suggestions
    }
}
