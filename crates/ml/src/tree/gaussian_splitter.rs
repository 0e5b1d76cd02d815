//! What a leaf knows of a numeric feature: of each class, its range and its normal distribution.
//!
//! Source: Pfahringer, Holmes and Kirkby, "Handling numeric attributes in Hoeffding trees", PAKDD 2008.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::class_weights::ClassWeights;
use super::hoeffding_tree_classifier::Parameters;
use super::split::{Suggestion, Test};
use crate::Class;
use crate::moments::Moments;

/// How many thresholds are tried.
const SPLITS: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct OfClass {
    class: Class,
    min: f64,
    max: f64,
    moments: Moments,
}

/// A numeric feature, of each class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GaussianSplitter {
    classes: SmallVec<[OfClass; 2]>,
}

impl GaussianSplitter {
    #[inline]
    pub(crate) fn update(&mut self, x: f64, class: Class, weight: f64) {
        let known = self.classes.iter().position(|of| of.class == class);
        let of = match known {
            Some(index) => &mut self.classes[index],
            None => {
                self.classes.push(OfClass { class, min: x, max: x, moments: Moments::default() });
                let last = self.classes.len() - 1;
                &mut self.classes[last]
            }
        };
        of.min = of.min.min(x);
        of.max = of.max.max(x);
        of.moments.update(x, weight);
    }

    /// The logarithm of the density at `x`; minus infinity where too little is known.
    #[inline]
    pub(crate) fn log_density(&self, x: f64, class: Class) -> f64 {
        let Some(of) = self.classes.iter().find(|of| of.class == class) else { return f64::NEG_INFINITY };
        let variance = of.moments.variance(1.0);
        if variance <= 0.0 {
            return f64::NEG_INFINITY;
        }
        let apart = x - of.moments.mean();
        apart * apart / (-2.0 * variance) - 0.918_938_533_204_672_7 - 0.5 * variance.ln()
    }

    pub(crate) fn best(
        &self,
        feature: u32,
        before: &ClassWeights,
        parameters: &Parameters,
    ) -> Suggestion<ClassWeights> {
        let mut best = Suggestion::none();
        let min = self.classes.iter().map(|of| of.min).fold(f64::INFINITY, f64::min);
        let max = self.classes.iter().map(|of| of.max).fold(f64::NEG_INFINITY, f64::max);
        let step = (max - min) / (f64::from(SPLITS) + 1.0);
        for split in 1..=SPLITS {
            let threshold = min + step * f64::from(split);
            if !(min < threshold && threshold < max) {
                continue;
            }
            let after = self.divide(threshold);
            let merit = parameters.merit(before, &after);
            if merit > best.merit {
                let test = Test::Numeric { feature, threshold };
                best = Suggestion { merit, split: Some((test, after.into())) };
            }
        }
        best
    }

    /// How the weights divide at a threshold, as far as the distributions tell.
    fn divide(&self, threshold: f64) -> [ClassWeights; 2] {
        let (mut below, mut above) = (ClassWeights::default(), ClassWeights::default());
        for of in &self.classes {
            let weight = of.moments.weight();
            if threshold < of.min {
                above.add(of.class, weight);
            } else if threshold >= of.max {
                below.add(of.class, weight);
            } else {
                let deviation = of.moments.variance(1.0).sqrt();
                let z = (threshold - of.moments.mean()) / deviation;
                let share =
                    if deviation > 0.0 { 0.5 * (1.0 + libm::erf(z / std::f64::consts::SQRT_2)) } else { 0.0 };
                below.add(of.class, share * weight);
                above.add(of.class, weight - share * weight);
            }
        }
        [below, above]
    }
}
