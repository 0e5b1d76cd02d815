//! Feature hashing: any number of named features in a vector of a fixed width, without remembering a name.
//!
//! - **Source**: Weinberger, Dasgupta, Langford, Smola and Attenberg, "Feature hashing for large scale multitask learning", ICML 2009:
//!   the hash says the place, and a bit of
//!   it the sign, so that names that meet cancel out on average.
//! - **Learns** nothing: it is the same in every subtask. The hash is the engine's [`key_hash`], which never changes.
//! - **Refuses** values that are missing or infinite.
//!
//! ```
//! use thalweg_ml::Transformer;
//! use thalweg_ml::preprocessing::FeatureHasher;
//!
//! let words = vec![("river".to_owned(), 2.0), ("deep".to_owned(), 1.0)];
//! let hashed = FeatureHasher::new(1 << 18).transform(&words)?;
//! assert_eq!(hashed.iter().map(|(_, value)| value.abs()).sum::<f64>(), 3.0);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};
use thalweg_dataflow::hash::key_hash;

use crate::{Features, Rejected, Sparse, Transformer};

/// The transformer. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureHasher {
    width: u32,
}

impl FeatureHasher {
    /// Into vectors of this width: at least 1, and best some times the number of names.
    pub fn new(width: u32) -> Self {
        Self { width: width.max(1) }
    }
}

impl Transformer<Vec<(String, f64)>> for FeatureHasher {
    type Out = Sparse;

    fn learn(&mut self, _: &Vec<(String, f64)>) -> Result<(), Rejected> {
        Ok(())
    }

    fn transform(&self, x: &Vec<(String, f64)>) -> Result<Sparse, Rejected> {
        let entry = |(name, value): &(String, f64)| {
            let hash = key_hash(name.as_str());
            let place = ((u128::from(hash) * u128::from(self.width)) >> 64) as u32;
            (place, if hash & 1 == 0 { *value } else { -*value })
        };
        let hashed = Sparse::new(self.width, x.iter().map(entry))?;
        hashed.check(None)?;
        Ok(hashed)
    }
}
