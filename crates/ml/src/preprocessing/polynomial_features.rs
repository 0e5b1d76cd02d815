//! Polynomial features: all products of up to so many features, the features themselves first.
//!
//! - **Source**: Gergonne, "Application de la méthode des moindres quarrés à l'interpolation des suites", 1815.
//! - **Learns** nothing. **Refuses** features that are missing or infinite, and products that would be.
//! - **Numbers** agree with river's `PolynomialExtender` (`tests/learners/preprocessing.rs`): in the order of combinations, by size, then by place.
//!
//! ```
//! use thalweg_ml::Transformer;
//! use thalweg_ml::preprocessing::PolynomialFeatures;
//!
//! assert_eq!(PolynomialFeatures::new(2).transform(&[3.0, 5.0])?, [3.0, 5.0, 9.0, 15.0, 25.0]);
//! assert_eq!(PolynomialFeatures::new(2).interaction_only().transform(&[3.0, 5.0])?, [3.0, 5.0, 15.0]);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::features::check_dense;
use crate::{Dense, Rejected, Transformer};

/// The transformer. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolynomialFeatures {
    degree: u32,
    interaction_only: bool,
}

impl PolynomialFeatures {
    /// Products of up to `degree` features.
    pub fn new(degree: u32) -> Self {
        Self { degree, interaction_only: false }
    }

    /// No feature twice in a product.
    #[must_use]
    pub fn interaction_only(mut self) -> Self {
        self.interaction_only = true;
        self
    }

    fn products(&self, x: &[f64], size: u32, from: usize, product: f64, out: &mut Dense) {
        if size == 0 {
            out.push(product);
            return;
        }
        for index in from..x.len() {
            let next = if self.interaction_only { index + 1 } else { index };
            self.products(x, size - 1, next, product * x[index], out);
        }
    }
}

impl<X: AsRef<[f64]>> Transformer<X> for PolynomialFeatures {
    type Out = Dense;

    fn learn(&mut self, x: &X) -> Result<(), Rejected> {
        check_dense(x.as_ref(), None)
    }

    fn transform(&self, x: &X) -> Result<Dense, Rejected> {
        check_dense(x.as_ref(), None)?;
        let mut out = Dense::new();
        (1..=self.degree).for_each(|size| self.products(x.as_ref(), size, 0, 1.0, &mut out));
        check_dense(&out, None)?;
        Ok(out)
    }
}
