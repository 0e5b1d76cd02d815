//! Detectors of drift: told one number after the other, mostly how wrong each prediction was, they say when its distribution has changed.
//!
//! ```
//! use thalweg_ml::drift::{Adwin, DriftDetector};
//!
//! let mut detector = DriftDetector::from(Adwin::new(0.002));
//! let errors = (0..2000).map(|n| f64::from(n >= 1000));
//! let found = errors.enumerate().find(|(_, error)| detector.update(*error)).map(|(n, _)| n);
//! assert!(found.is_some_and(|n| (1000..1100).contains(&n)));
//! ```

pub mod adwin;
pub mod ddm;
pub mod kswin;
pub mod page_hinkley;

use serde::{Deserialize, Serialize};

pub use adwin::Adwin;
pub use ddm::Ddm;
pub use kswin::Kswin;
pub use page_hinkley::PageHinkley;

/// Any of the detectors. After a drift it begins anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DriftDetector {
    /// A window that shrinks when its halves differ.
    Adwin(Adwin),
    /// The rate of errors of a classifier.
    Ddm(Ddm),
    /// The mean, by its cumulated deviation.
    PageHinkley(PageHinkley),
    /// The distribution, by the test of Kolmogorov and Smirnov.
    Kswin(Kswin),
}

impl DriftDetector {
    /// Tells it a number; says whether there is a drift.
    pub fn update(&mut self, x: f64) -> bool {
        match self {
            Self::Adwin(detector) => detector.update(x),
            Self::Ddm(detector) => detector.update(x),
            Self::PageHinkley(detector) => detector.update(x),
            Self::Kswin(detector) => detector.update(x),
        }
    }
}

macro_rules! from {
    ($($detector:ident),*) => {$(
        impl From<$detector> for DriftDetector {
            fn from(detector: $detector) -> Self {
                Self::$detector(detector)
            }
        }
    )*};
}
from!(Adwin, Ddm, PageHinkley, Kswin);
