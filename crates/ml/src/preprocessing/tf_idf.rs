//! TF-IDF: how often a word is in a text, and how rare it is in all texts so far.
//!
//! - **Source**: Spärck Jones, "A statistical interpretation of term specificity and its application in retrieval", 1972; smoothed and
//!   normalised as in river and
//!   scikit-learn: `tf · (ln((1 + n) / (1 + df)) + 1)`, scaled to length 1.
//! - **Learns** in how many texts each word was. Words are lower case, of at least two letters, digits or hyphens; they become places
//!   of a [`Sparse`] vector in the order in which
//!   they come, until it is full: further ones are left out.
//! - **Numbers** agree with river's `TFIDF` to 1e-9 (`tests/learners/preprocessing.rs`).
//!
//! ```
//! use thalweg_ml::Transformer;
//! use thalweg_ml::preprocessing::TfIdf;
//!
//! let mut tf_idf = TfIdf::new(1000);
//! for text in ["the river is deep", "the boat is fast"] {
//!     tf_idf.learn(&text.to_owned())?;
//! }
//! let weights = tf_idf.transform(&"the deep river".to_owned())?;
//! let weight = |word| weights.get(tf_idf.place(word).unwrap());
//! assert!(weight("deep") > weight("the"));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Rejected, Sparse, Transformer};

/// The transformer. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfIdf {
    width: u32,
    texts: f64,
    /// The place of a word, and in how many texts it was.
    words: BTreeMap<String, (u32, f64)>,
}

impl TfIdf {
    /// With room for `width` words.
    pub fn new(width: u32) -> Self {
        Self { width, texts: 0.0, words: BTreeMap::new() }
    }

    /// The place of a word.
    pub fn place(&self, word: &str) -> Option<u32> {
        self.words.get(word).map(|(place, _)| *place)
    }
}

/// The words of a text: those that begin with a letter, digit or underscore and go on with such, or hyphens; at least two characters.
fn words(text: &str) -> impl Iterator<Item = String> {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let lower = text.to_lowercase();
    let found: Vec<String> = lower
        .split(move |c| !inside(c))
        .map(|word| word.trim_start_matches('-').to_owned())
        .filter(|word| word.chars().count() >= 2)
        .collect();
    found.into_iter()
}

impl Transformer<String> for TfIdf {
    type Out = Sparse;

    fn learn(&mut self, text: &String) -> Result<(), Rejected> {
        let distinct: BTreeSet<String> = words(text).collect();
        // In the order of the text, so that places are as a reader would expect them.
        for word in words(text) {
            let place = self.words.len() as u32;
            if place < self.width {
                self.words.entry(word).or_insert((place, 0.0));
            }
        }
        for word in distinct {
            if let Some((_, texts)) = self.words.get_mut(&word) {
                *texts += 1.0;
            }
        }
        self.texts += 1.0;
        Ok(())
    }

    fn transform(&self, text: &String) -> Result<Sparse, Rejected> {
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        let mut total = 0.0;
        for word in words(text) {
            *counts.entry(word).or_insert(0.0) += 1.0;
            total += 1.0;
        }
        let weight = |(word, count): (String, f64)| {
            let (place, texts) = self.words.get(&word)?;
            let idf = libm::log((1.0 + self.texts) / (1.0 + texts)) + 1.0;
            Some((*place, count / total * idf))
        };
        let weights: Vec<(u32, f64)> = counts.into_iter().filter_map(weight).collect();
        let length = weights.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
        Sparse::new(self.width, weights.into_iter().map(|(place, weight)| (place, weight / length)))
    }
}
