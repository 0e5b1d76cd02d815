//! One-hot encoding: a place of a sparse vector for each category of each field.
//!
//! - **Source**: Suits, "Use of dummy variables in regression equations", JASA 1957.
//! - **Learns** new categories, in the order in which they come, until the vector is full. A category that is not known, in a
//!   prediction or when there is no room, is left
//!   out or refused, as [`UnknownCategory`] says.
//! - **Agrees** with river's `OneHotEncoder`, but with places instead of names (`tests/learners/preprocessing.rs`).
//!
//! ```
//! use thalweg_ml::Transformer;
//! use thalweg_ml::preprocessing::{OneHotEncoder, UnknownCategory};
//!
//! let mut encoder = OneHotEncoder::new(100, UnknownCategory::Ignore);
//! let record = vec!["red".to_owned(), "round".to_owned()];
//! encoder.learn(&record)?;
//! assert_eq!(encoder.transform(&record)?.iter().collect::<Vec<_>>(), [(0, 1.0), (1, 1.0)]);
//! // "red" as the second field is another category, and "blue" has not been seen.
//! assert_eq!(encoder.transform(&vec!["blue".to_owned(), "red".to_owned()])?.iter().count(), 0);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scratch::Pooled;
use crate::{Rejected, Sparse, Transformer};

/// What becomes of a category that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownCategory {
    /// It is left out: its field has no 1 at all.
    Ignore,
    /// The record is refused ([`Rejected::Category`]).
    Refuse,
}

/// The transformer. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHotEncoder {
    width: u32,
    unknown: UnknownCategory,
    fields: Vec<BTreeMap<String, u32>>,
    next: u32,
}

impl OneHotEncoder {
    /// With room for `width` categories of all fields together.
    pub fn new(width: u32, unknown: UnknownCategory) -> Self {
        Self { width, unknown, fields: Vec::new(), next: 0 }
    }
}

impl Transformer<Vec<String>> for OneHotEncoder {
    type Out = Sparse;

    fn learn(&mut self, x: &Vec<String>) -> Result<(), Rejected> {
        let new = |(field, category): &(usize, &String)| {
            !self.fields.get(*field).is_some_and(|known| known.contains_key(*category))
        };
        let room = (self.width - self.next) as usize;
        if self.unknown == UnknownCategory::Refuse
            && x.iter().enumerate().filter(new).count() > room
            && let Some((field, category)) = x.iter().enumerate().find(new)
        {
            let all = self.width;
            return Err(Rejected::Category(format!(
                "{category} in field {field}: all {all} places are taken"
            )));
        }
        if self.fields.len() < x.len() {
            self.fields.resize(x.len(), BTreeMap::new());
        }
        for (known, category) in self.fields.iter_mut().zip(x) {
            if self.next < self.width && !known.contains_key(category) {
                known.insert(category.clone(), self.next);
                self.next += 1;
            }
        }
        Ok(())
    }

    fn transform(&self, x: &Vec<String>) -> Result<Sparse, Rejected> {
        let mut places = Pooled::<(u32, f64)>::new();
        for (field, category) in x.iter().enumerate() {
            match self.fields.get(field).and_then(|known| known.get(category)) {
                Some(place) => places.push((*place, 1.0)),
                None if self.unknown == UnknownCategory::Ignore => {}
                None => return Err(Rejected::Category(format!("{category} in field {field}"))),
            }
        }
        Sparse::new(self.width, places.iter().copied())
    }
}
