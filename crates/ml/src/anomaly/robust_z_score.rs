//! Robust z-score: how many deviations a value is off the median of a window, deviations measured by the median as well.
//!
//! - **Source**: Iglewicz and Hoaglin, "How to detect and handle outliers", 1993: `|x - median| / (1.4826 · MAD)`; above 3.5 is strange.
//! - **Learns** finite values. Half of a window may be strange without moving the score of the rest. Where more than half of the window
//!   is one value, any other scores
//!   infinitely strange. **Refuses** what is no number.
//! - **Parallel**: one subtask, or one window for each key.
//! - **Numbers** agree with scipy's `median_abs_deviation` to 1e-9 (`tests/learners/anomaly.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::anomaly::RobustZScore;
//!
//! let mut score = RobustZScore::new(50, 10);
//! for n in 0..50 {
//!     score.learn_one(&(20.0 + f64::from(n % 5)), &())?;
//! }
//! assert!(score.predict_one(&22.0)? < 1.0 && score.predict_one(&60.0)? > 3.5);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::scratch::Pooled;
use crate::{Learner, Rejected};

/// The learner: its prediction is the score. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobustZScore {
    size: usize,
    warm_up: usize,
    window: VecDeque<f64>,
    /// The same values, rising.
    sorted: Vec<f64>,
}

impl RobustZScore {
    /// Over the last `window` values; before there are `warm_up` of them, all score 0.
    pub fn new(window: usize, warm_up: usize) -> Self {
        Self { size: window.max(1), warm_up: warm_up.max(1), window: VecDeque::new(), sorted: Vec::new() }
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

impl Learner<f64> for RobustZScore {
    type Target = ();
    type Prediction = f64;

    fn learn_one(&mut self, x: &f64, (): &()) -> Result<(), Rejected> {
        Rejected::unless_finite(*x)?;
        if self.window.len() == self.size
            && let Some(oldest) = self.window.pop_front()
        {
            let at = self.sorted.partition_point(|value| *value < oldest);
            self.sorted.remove(at);
        }
        self.window.push_back(*x);
        let at = self.sorted.partition_point(|value| value < x);
        self.sorted.insert(at, *x);
        Ok(())
    }

    fn predict_one(&self, x: &f64) -> Result<f64, Rejected> {
        Rejected::unless_finite(*x)?;
        if self.sorted.len() < self.warm_up {
            return Ok(0.0);
        }
        let center = median(&self.sorted);
        let mut apart: Pooled<f64> = self.sorted.iter().map(|value| (value - center).abs()).collect();
        apart.sort_unstable_by(f64::total_cmp);
        let deviation = 1.4826 * median(&apart);
        let off = (x - center).abs();
        Ok(if off == 0.0 { 0.0 } else { off / deviation })
    }
}
