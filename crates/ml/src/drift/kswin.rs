//! KSWIN: the newest values of a window against a sample of the older ones, by the two-sample test of Kolmogorov and Smirnov.
//!
//! Source: Raab, Heusinger and Schleif, "Reactive soft prototype computing for concept drift streams", Neurocomputing 2020. The sample
//! is drawn by the
//! detector's own seeded chance, so where a drift is found varies a little with the seed, as in river. The probability is the exact one
//! (Hodges,
//! 1958, by counting lattice paths), for two samples of the same size.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::scratch::Pooled;

/// The detector. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kswin {
    alpha: f64,
    window_size: usize,
    stat_size: usize,
    seed: u64,
    window: VecDeque<f64>,
    rng: Rng,
    drifted: bool,
}

impl Default for Kswin {
    fn default() -> Self {
        Self::new(0.005, 100, 30, 0)
    }
}

impl Kswin {
    /// Tests, at level `alpha`, the newest `stat_size` of a window of `window_size` values.
    pub fn new(alpha: f64, window_size: usize, stat_size: usize, seed: u64) -> Self {
        let stat_size = stat_size.clamp(1, (window_size / 2).max(1));
        let (window, rng) = (VecDeque::new(), Rng::new(seed));
        Self { alpha, window_size: window_size.max(2), stat_size, seed, window, rng, drifted: false }
    }

    /// Tells it a value; says whether there is a drift. What is not finite is left out.
    pub fn update(&mut self, x: f64) -> bool {
        if !x.is_finite() {
            return false;
        }
        if self.drifted {
            *self = Self::new(self.alpha, self.window_size, self.stat_size, self.seed);
        }
        if self.window.len() == self.window_size {
            self.window.pop_front();
        }
        self.window.push_back(x);
        if self.window.len() < self.window_size {
            return false;
        }
        let older = self.window_size - self.stat_size;
        let drawn = self.rng.sample(older, self.stat_size);
        let sample: Pooled<f64> = drawn.iter().map(|index| self.window[*index]).collect();
        let newest: Pooled<f64> = self.window.iter().skip(older).copied().collect();
        let (statistic, p_value) = kolmogorov_smirnov(sample, newest);
        self.drifted = p_value <= self.alpha && statistic > 0.1;
        self.drifted
    }
}

/// The largest distance of the distributions of two samples of one size, and how probable one as large is when they do not differ.
pub(crate) fn kolmogorov_smirnov(mut a: Pooled<f64>, mut b: Pooled<f64>) -> (f64, f64) {
    a.sort_unstable_by(f64::total_cmp);
    b.sort_unstable_by(f64::total_cmp);
    let n = a.len();
    let (mut i, mut j, mut largest) = (0, 0, 0_usize);
    while i < n && j < n {
        let x = a[i].min(b[j]);
        while i < n && a[i] <= x {
            i += 1;
        }
        while j < n && b[j] <= x {
            j += 1;
        }
        largest = largest.max(i.abs_diff(j));
    }
    (largest as f64 / n as f64, exact_p_value(n, largest))
}

/// The share of lattice paths from (0, 0) to (n, n) that are ever `distance` off the diagonal.
fn exact_p_value(n: usize, distance: usize) -> f64 {
    if distance == 0 {
        return 1.0;
    }
    // probability[j]: of a path at (i, j) that all ways into it stayed within; the ways are weighted as drawn without replacement.
    let mut inside: Pooled<f64> = (0..=n).map(|_| 0.0).collect();
    for i in 0..=n {
        for j in 0..=n {
            inside[j] = if i.abs_diff(j) >= distance {
                0.0
            } else if i == 0 && j == 0 {
                1.0
            } else {
                let total = (i + j) as f64;
                let from_left = if j > 0 { inside[j - 1] * j as f64 / total } else { 0.0 };
                let from_below = if i > 0 { inside[j] * i as f64 / total } else { 0.0 };
                from_left + from_below
            };
        }
    }
    (1.0 - inside[n]).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_scipy() {
        // scipy.stats.ks_2samp([0..10], [5..15], method='exact'): statistic 0.5, pvalue 0.16782134274394334.
        let (statistic, p) =
            kolmogorov_smirnov((0..10).map(f64::from).collect(), (5..15).map(f64::from).collect());
        assert!(
            (statistic - 0.5).abs() < 1e-12 && (p - 0.167_821_342_743_943_34).abs() < 1e-12,
            "{statistic} {p}"
        );
    }
}
