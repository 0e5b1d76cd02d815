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

/// The probability of each class. Empty before anything was learnt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    probabilities: SmallVec<[f64; 4]>,
}

impl Classification {
    /// Of these probabilities, class 0 first.
    pub fn new(probabilities: SmallVec<[f64; 4]>) -> Self {
        Self { probabilities }
    }

    /// Of two classes, by the probability of class 1.
    #[inline]
    pub fn binary(positive: f64) -> Self {
        let mut probabilities = SmallVec::new();
        probabilities.push(1.0 - positive);
        probabilities.push(positive);
        Self { probabilities }
    }

    /// Of votes, which are scaled to sum to 1; left as they are if all are 0.
    pub fn from_votes(mut votes: SmallVec<[f64; 4]>) -> Self {
        let total: f64 = votes.iter().sum();
        if total > 0.0 {
            votes.iter_mut().for_each(|vote| *vote /= total);
        }
        Self { probabilities: votes }
    }

    /// The most probable class; the lowest of several. `None` before anything was learnt.
    #[inline]
    pub fn class(&self) -> Option<Class> {
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

    /// The name of a number.
    pub fn name(&self, class: Class) -> Option<&str> {
        self.names.get(class as usize).map(String::as_str)
    }
}
