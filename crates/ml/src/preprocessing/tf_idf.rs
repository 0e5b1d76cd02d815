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

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scratch::Pooled;
use crate::{Rejected, Sparse, Transformer};

/// The transformer. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfIdf {
    width: u32,
    texts: f64,
    /// The place of a word.
    words: BTreeMap<String, u32>,
    /// By place: in how many texts the word was.
    texts_of: Vec<f64>,
}

impl TfIdf {
    /// With room for `width` words.
    pub fn new(width: u32) -> Self {
        Self { width, texts: 0.0, words: BTreeMap::new(), texts_of: Vec::new() }
    }

    /// The place of a word.
    pub fn place(&self, word: &str) -> Option<u32> {
        self.words.get(word).copied()
    }
}

/// Calls `f` with the words of a text: those that begin with a letter, digit or underscore and go on with such, or hyphens; at least two
/// characters; in lower case.
fn each_word(text: &str, mut f: impl FnMut(&str)) {
    thread_local! {
        static LOWER: RefCell<String> = const { RefCell::new(String::new()) };
    }
    let mut lower = LOWER.take();
    lower.clear();
    // What small letters of a letter depend on its neighbours is told of the whole text only.
    if text.is_ascii() {
        lower.push_str(text);
        lower.make_ascii_lowercase();
    } else {
        lower.push_str(&text.to_lowercase());
    }
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    for word in lower.split(|c| !inside(c)).map(|word| word.trim_start_matches('-')) {
        if word.chars().nth(1).is_some() {
            f(word);
        }
    }
    LOWER.set(lower);
}

impl Transformer<String> for TfIdf {
    type Out = Sparse;

    fn learn(&mut self, text: &String) -> Result<(), Rejected> {
        let mut places = Pooled::<u32>::new();
        // In the order of the text, so that places are as a reader would expect them.
        each_word(text, |word| {
            let next = self.words.len() as u32;
            match self.words.get(word) {
                Some(place) => places.push(*place),
                None if next < self.width => {
                    self.words.insert(word.to_owned(), next);
                    self.texts_of.push(0.0);
                    places.push(next);
                }
                None => {}
            }
        });
        places.sort_unstable();
        places.dedup();
        places.iter().for_each(|place| self.texts_of[*place as usize] += 1.0);
        self.texts += 1.0;
        Ok(())
    }

    fn transform(&self, text: &String) -> Result<Sparse, Rejected> {
        let (mut places, mut total) = (Pooled::<u32>::new(), 0.0);
        each_word(text, |word| {
            places.extend(self.words.get(word).copied());
            total += 1.0;
        });
        places.sort_unstable();
        let weight = |of: &[u32]| {
            let texts = self.texts_of[of[0] as usize];
            let idf = libm::log((1.0 + self.texts) / (1.0 + texts)) + 1.0;
            (of[0], of.len() as f64 / total * idf)
        };
        let mut weights: Pooled<(u32, f64)> = places.chunk_by(|a, b| a == b).map(weight).collect();
        let length = weights.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
        weights.iter_mut().for_each(|(_, weight)| *weight /= length);
        Sparse::new(self.width, weights.iter().copied())
    }
}
