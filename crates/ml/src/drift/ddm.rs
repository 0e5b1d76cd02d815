//! DDM: the rate of errors of a classifier, against the lowest that it has had.
//!
//! Source: Gama, Medas, Castillo and Rodrigues, "Learning with drift detection", SBIA 2004. A rate of errors p over n records has the
//! deviation
//! √(p(1-p)/n); when rate and deviation together rise above their lowest by two deviations there is a warning, by three a drift.
//! Numbers agree with
//! river's (`tests/learners/drift.rs`).

use serde::{Deserialize, Serialize};

/// The detector. It is told 1 for an error, 0 for none. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ddm {
    warm_start: f64,
    warning_level: f64,
    drift_level: f64,
    count: f64,
    rate: f64,
    /// The lowest sum of rate and deviation, and both of them then.
    lowest: Option<(f64, f64)>,
    warning: bool,
    drifted: bool,
}

impl Default for Ddm {
    fn default() -> Self {
        Self::new(30, 2.0, 3.0)
    }
}

impl Ddm {
    /// Nothing is said before `warm_start` records; there is a warning, and a drift, when the rate has risen by so many deviations.
    pub fn new(warm_start: u32, warning_level: f64, drift_level: f64) -> Self {
        let warm_start = f64::from(warm_start);
        let (count, rate, lowest, warning, drifted) = (0.0, 0.0, None, false, false);
        Self { warm_start, warning_level, drift_level, count, rate, lowest, warning, drifted }
    }

    /// Whether the rate is on its way to a drift.
    pub fn warns(&self) -> bool {
        self.warning
    }

    /// Tells it whether there was an error (above 0.5); says whether there is a drift.
    pub fn update(&mut self, x: f64) -> bool {
        if self.drifted {
            let Self { warm_start, warning_level, drift_level, .. } = *self;
            *self = Self { warm_start, warning_level, drift_level, ..Self::default() };
        }
        let x = f64::from(x > 0.5);
        self.count += 1.0;
        self.rate += (x - self.rate) / self.count;
        let deviation = (self.rate * (1.0 - self.rate) / self.count).max(0.0).sqrt();
        if self.count <= self.warm_start {
            return false;
        }
        let level = self.rate + deviation;
        if self.lowest.is_none_or(|(rate, deviation)| level <= rate + deviation) {
            self.lowest = Some((self.rate, deviation));
        }
        let (rate, low) = self.lowest.unwrap_or_default();
        self.drifted = level > rate + self.drift_level * low;
        self.warning = !self.drifted && level > rate + self.warning_level * low;
        self.drifted
    }
}
