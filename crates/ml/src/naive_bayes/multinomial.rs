//! Multinomial naive Bayes: features count how often something occurs, such as words in a text.
//!
//! - **Source**: Manning, Raghavan and Schütze, "Introduction to information retrieval", chapter 13; with additive smoothing.
//! - **Learns** any classes, from dense or sparse features, none of them negative. **Refuses** negative ones, and what
//!   [`GaussianNb`](super::GaussianNb) does.
//! - **Parallel**: [`Mergeable`]; a batch's sums are exact.
//! - **Numbers** agree with river's `MultinomialNB` to 1e-9 (`tests/learners/naive_bayes.rs`). A term is one that was seen with any class.
//!
//! ```
//! use thalweg_ml::naive_bayes::MultinomialNb;
//! use thalweg_ml::{Learner, Sparse};
//!
//! let mut model = MultinomialNb::new(1.0);
//! let (cheap, pills, hello, lunch) = ((0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0));
//! model.learn_one(&Sparse::new(1000, [cheap, pills])?, &1)?;
//! model.learn_one(&Sparse::new(1000, [hello, lunch])?, &0)?;
//! assert_eq!(model.predict_one(&Sparse::new(1000, [pills, hello, cheap])?)?.class(), Some(1));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::of_log_likelihoods;
use crate::classification::{Appearance, check_class};
use crate::exact_sum::ExactSum;
use crate::features::Features;
use crate::{Class, Classification, Learner, Mergeable, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultinomialNb {
    alpha: f64,
    width: Option<usize>,
    count: f64,
    classes: Vec<OfClass>,
    appearance: Appearance,
    /// Which features were seen.
    terms: BTreeMap<u32, Vec<f64>>,
}

/// The records of a class, and how often anything occurred in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct OfClass {
    records: f64,
    total: f64,
}

/// A part of a batch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    width: Option<usize>,
    records: Vec<u64>,
    #[serde(with = "crate::pairs")]
    sums: BTreeMap<(u32, Class), ExactSum>,
}

impl Default for MultinomialNb {
    fn default() -> Self {
        Self::new(1.0)
    }
}

fn check(x: &impl Features, y: Class, width: Option<usize>) -> Result<(), Rejected> {
    check_class(y)?;
    x.check(width)?;
    let mut negative = None;
    x.each(|i, value| {
        if value < 0.0 {
            negative = negative.or(Some(i));
        }
    });
    negative.map_or(Ok(()), |feature| Err(Rejected::Feature { feature }))
}

impl MultinomialNb {
    /// With this smoothing: what is added to each count.
    pub fn new(alpha: f64) -> Self {
        let (classes, terms, appearance) = (Vec::new(), BTreeMap::new(), Appearance::default());
        Self { alpha, width: None, count: 0.0, classes, appearance, terms }
    }

    fn class(&mut self, y: Class) -> &mut OfClass {
        let class = y as usize;
        if self.classes.len() <= class {
            self.classes.resize(class + 1, OfClass::default());
        }
        &mut self.classes[class]
    }

    fn add(&mut self, term: u32, y: Class, frequency: f64) {
        let counts = self.terms.entry(term).or_default();
        if counts.len() <= y as usize {
            counts.resize(y as usize + 1, 0.0);
        }
        counts[y as usize] += frequency;
        self.class(y).total += frequency;
    }
}

impl<X: Features> Learner<X> for MultinomialNb {
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check(x, *y, self.width)?;
        self.width = Some(x.width());
        self.count += 1.0;
        self.appearance.see(*y);
        self.class(*y).records += 1.0;
        x.each(|i, frequency| self.add(i as u32, *y, frequency));
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        check(x, 0, self.width)?;
        let terms = self.terms.len() as f64;
        let log_prior = |class: &OfClass| {
            if class.records == 0.0 { f64::NEG_INFINITY } else { libm::log(class.records / self.count) }
        };
        let mut logs: crate::classification::Votes = self.classes.iter().map(log_prior).collect();
        x.each(|i, frequency| {
            let counts = self.terms.get(&(i as u32));
            for (class, log) in logs.iter_mut().enumerate() {
                let count = counts.and_then(|counts| counts.get(class)).copied().unwrap_or(0.0);
                let of_all = self.classes[class].total + self.alpha * terms;
                *log += frequency * libm::log((count + self.alpha) / of_all);
            }
        });
        Ok(of_log_likelihoods(logs).of_equals_the_first(self.appearance.iter()))
    }
}

impl<X: Features> Mergeable<X> for MultinomialNb {
    type Partial = Part;

    fn accumulate(&self, partial: &mut Part, x: &X, y: &Class) -> Result<(), Rejected> {
        check(x, *y, self.width.or(partial.width))?;
        partial.width = Some(x.width());
        let class = *y as usize;
        if partial.records.len() <= class {
            partial.records.resize(class + 1, 0);
        }
        partial.records[class] += 1;
        x.each(|i, frequency| partial.sums.entry((i as u32, *y)).or_default().add(frequency));
        Ok(())
    }

    fn merge(partial: &mut Part, other: &Part) {
        partial.width = partial.width.or(other.width);
        if partial.records.len() < other.records.len() {
            partial.records.resize(other.records.len(), 0);
        }
        partial.records.iter_mut().zip(&other.records).for_each(|(records, other)| *records += other);
        for (place, sum) in &other.sums {
            partial.sums.entry(*place).or_default().merge(sum);
        }
    }

    fn update(&mut self, batch: &Part) {
        self.width = self.width.or(batch.width);
        for (class, records) in batch.records.iter().enumerate() {
            if *records > 0 {
                self.appearance.see(class as Class);
            }
            self.count += *records as f64;
            self.class(class as Class).records += *records as f64;
        }
        for ((term, class), sum) in &batch.sums {
            self.add(*term, *class, sum.value());
        }
    }
}
