//! Classes, and what a classifier says: a probability for each of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::learner::Rejected;

/// A class, by number. Of two classes, 1 is the positive one. Names become numbers in [`Classes`].
pub type Class = u32;

/// The highest number that a class may have: learners keep an entry for every number up to the highest seen.
pub const MAX_CLASS: Class = 9_999;

/// Refuses numbers above [`MAX_CLASS`].
#[inline]
pub(crate) fn check_class(class: Class) -> Result<(), Rejected> {
    if class <= MAX_CLASS { Ok(()) } else { Err(too_high(class)) }
}

#[cold]
fn too_high(class: Class) -> Rejected {
    Rejected::Target(format!("class {class} is above {MAX_CLASS}; number the classes from 0"))
}

/// Refuses all classes but 0 and 1.
#[inline]
pub(crate) fn check_binary(class: Class) -> Result<(), Rejected> {
    if class <= 1 {
        Ok(())
    } else {
        Err(Rejected::Target(format!("class {class} for a learner of two classes, 0 and 1; see OneVsRest")))
    }
}

/// A number for each class. Those of up to twelve classes are in place; beyond, each prediction allocates.
pub type Votes = SmallVec<[f64; 12]>;

/// The probability of each class. Empty before anything was learnt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    probabilities: Votes,
    /// Of several most probable classes, the one that it says, if that is not the lowest.
    says: Option<Class>,
}

impl Classification {
    /// Of these probabilities, class 0 first.
    pub fn new(probabilities: Votes) -> Self {
        Self { probabilities, says: None }
    }

    /// Of two classes, by the probability of class 1.
    #[inline]
    pub fn binary(positive: f64) -> Self {
        let mut probabilities = SmallVec::new();
        probabilities.push(1.0 - positive);
        probabilities.push(positive);
        Self { probabilities, says: None }
    }

    /// Of votes, which are scaled to sum to 1; left as they are if all are 0.
    pub fn from_votes(mut votes: Votes) -> Self {
        let total: f64 = votes.iter().sum();
        if total > 0.0 {
            votes.iter_mut().for_each(|vote| *vote /= total);
        }
        Self { probabilities: votes, says: None }
    }

    /// Says, of several classes that are the most probable, the one that comes first in this order: that in which a learner saw them.
    #[must_use]
    pub fn of_equals_the_first(mut self, order: impl IntoIterator<Item = Class>) -> Self {
        let most = self.probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let is_most = |class: &Class| self.probabilities.get(*class as usize) == Some(&most);
        self.says = order.into_iter().find(is_most);
        self
    }

    /// The most probable class; of several the lowest, or the one that was seen first, as the learner says. `None` before anything was
    /// learnt.
    #[inline]
    pub fn class(&self) -> Option<Class> {
        if self.says.is_some() {
            return self.says;
        }
        let mut best: Option<(Class, f64)> = None;
        for (class, probability) in self.probabilities.iter().enumerate() {
            if best.is_none_or(|(_, most)| *probability > most) {
                best = Some((class as Class, *probability));
            }
        }
        best.map(|(class, _)| class)
    }

    /// The probability of a class: 0 for one that was never seen.
    #[inline]
    pub fn probability(&self, class: Class) -> f64 {
        self.probabilities.get(class as usize).copied().unwrap_or(0.0)
    }

    /// The probabilities, class 0 first.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }
}

/// The classes that a learner has seen, in the order in which they appeared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Appearance {
    order: Vec<Class>,
    seen: Vec<bool>,
}

impl Appearance {
    /// Notes a class.
    #[inline]
    pub(crate) fn see(&mut self, class: Class) {
        if !self.has(class) {
            self.seen.resize(self.seen.len().max(class as usize + 1), false);
            self.seen[class as usize] = true;
            self.order.push(class);
        }
    }

    /// Whether a class was seen.
    #[inline]
    pub(crate) fn has(&self, class: Class) -> bool {
        self.seen.get(class as usize).is_some_and(|seen| *seen)
    }

    /// They, the first to have appeared first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Class> + '_ {
        self.order.iter().copied()
    }
}

/// Gives names numbers, in the order in which they appear.
///
/// ```
/// use thalweg_ml::Classes;
///
/// let mut classes = Classes::default();
/// assert_eq!([classes.number("cat")?, classes.number("dog")?, classes.number("cat")?], [0, 1, 0]);
/// assert_eq!(classes.name(1), Some("dog"));
/// assert!(Classes::of(["yes", "no"])?.known("maybe").is_err());
/// # Ok::<(), thalweg_ml::Rejected>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Classes {
    names: Vec<String>,
    numbers: BTreeMap<String, Class>,
}

impl Classes {
    /// These names, from 0.
    ///
    /// # Errors
    /// When there are more than [`MAX_CLASS`] of them.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Rejected> {
        let mut classes = Self::default();
        for name in names {
            classes.number(name)?;
        }
        Ok(classes)
    }

    /// The number of a name; a new one if it was not seen before.
    ///
    /// # Errors
    /// When there are too many names.
    pub fn number(&mut self, name: &str) -> Result<Class, Rejected> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let number = self.names.len() as Class;
        check_class(number)?;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    /// The number of a name that was seen before.
    ///
    /// # Errors
    /// [`Rejected::Category`] if it was not.
    pub fn known(&self, name: &str) -> Result<Class, Rejected> {
        self.numbers.get(name).copied().ok_or_else(|| Rejected::Category(name.to_owned()))
    }

    /// How many there are: the number that a new name gets.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a number.
    pub fn name(&self, class: Class) -> Option<&str> {
        self.names.get(class as usize).map(String::as_str)
    }
}
