//! ADWIN: a window over the last values that grows while they look alike, and drops its older part when they do not.
//!
//! Source: Bifet and Gavaldà, "Learning from time-changing data with adaptive windowing", SIAM SDM 2007. The window is kept as buckets
//! of 1, 2, 4, …
//! values, at most five of a size, so it takes memory logarithmic in its length. Every 32nd value it is looked for a cut whose sides
//! have means that
//! differ by more than chance explains at `delta`. Numbers agree with river's to 1e-9 (`tests/learners/drift.rs`).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How many buckets of a size there may be.
const MAX_BUCKETS: usize = 5;
/// How often a cut is looked for.
const CLOCK: u64 = 32;
/// A side of a cut has at least so many values.
const MIN_SIDE: f64 = 5.0;
/// No cut is looked for in a window of up to so many values.
const GRACE: f64 = 10.0;

/// The detector. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adwin {
    delta: f64,
    /// Row r holds buckets of 2^r values, the oldest first: sum, and sum of squared deviations.
    rows: Vec<VecDeque<(f64, f64)>>,
    width: f64,
    total: f64,
    /// The sum of squared deviations of the whole window.
    squares: f64,
    ticks: u64,
    drifted: bool,
}

impl Default for Adwin {
    fn default() -> Self {
        Self::new(0.002)
    }
}

impl Adwin {
    /// A detector with confidence `delta`: the smaller, the rarer false alarms.
    pub fn new(delta: f64) -> Self {
        let rows = vec![VecDeque::new()];
        Self { delta, rows, width: 0.0, total: 0.0, squares: 0.0, ticks: 0, drifted: false }
    }

    /// The number of values in the window.
    pub fn width(&self) -> u64 {
        self.width as u64
    }

    /// The mean of the values in the window; 0 of none.
    pub fn estimation(&self) -> f64 {
        if self.width > 0.0 { self.total / self.width } else { 0.0 }
    }

    /// Tells it a value; says whether there is a drift. What is not finite is left out.
    pub fn update(&mut self, x: f64) -> bool {
        if !x.is_finite() {
            return false;
        }
        if self.drifted {
            *self = Self::new(self.delta);
        }
        self.insert(x);
        self.compress();
        self.ticks += 1;
        self.drifted = self.ticks.is_multiple_of(CLOCK) && self.width > GRACE && self.shrink();
        self.drifted
    }

    fn insert(&mut self, x: f64) {
        self.rows[0].push_back((x, 0.0));
        self.width += 1.0;
        if self.width > 1.0 {
            let apart = x - self.total / (self.width - 1.0);
            self.squares += (self.width - 1.0) * apart * apart / self.width;
        }
        self.total += x;
    }

    /// Merges the two oldest buckets of each row that has too many into one of the next row.
    fn compress(&mut self) {
        let mut row = 0;
        while self.rows[row].len() > MAX_BUCKETS {
            if row + 1 == self.rows.len() {
                self.rows.push(VecDeque::new());
            }
            let (Some(a), Some(b)) = (self.rows[row].pop_front(), self.rows[row].pop_front()) else { return };
            let size = (1_u64 << row) as f64;
            let apart = a.0 / size - b.0 / size;
            let squares = a.1 + b.1 + size * size * apart * apart / (size + size);
            self.rows[row + 1].push_back((a.0 + b.0, squares));
            row += 1;
        }
    }

    /// Drops the oldest buckets for as long as there is a cut. Says whether there was one.
    fn shrink(&mut self) -> bool {
        let mut any = false;
        while self.has_cut() {
            any = true;
            self.drop_oldest();
        }
        any
    }

    fn has_cut(&self) -> bool {
        let (mut before, mut after) = ((0.0, 0.0), (self.width, self.total));
        for (row, buckets) in self.rows.iter().enumerate().rev() {
            let size = (1_u64 << row) as f64;
            for (index, (sum, _)) in buckets.iter().enumerate() {
                before = (before.0 + size, before.1 + sum);
                after = (after.0 - size, after.1 - sum);
                if row == 0 && index + 1 == buckets.len() {
                    return false;
                }
                if before.0 >= MIN_SIDE && after.0 >= MIN_SIDE && self.differ(before, after) {
                    return true;
                }
            }
        }
        false
    }

    fn differ(&self, (n0, u0): (f64, f64), (n1, u1): (f64, f64)) -> bool {
        let delta = libm::log(2.0 * libm::log(self.width) / self.delta);
        let harmonic = 1.0 / (n0 - MIN_SIDE + 1.0) + 1.0 / (n1 - MIN_SIDE + 1.0);
        let variance = self.squares / self.width;
        let bound = (2.0 * harmonic * variance * delta).sqrt() + 2.0 / 3.0 * delta * harmonic;
        (u0 / n0 - u1 / n1).abs() > bound
    }

    fn drop_oldest(&mut self) {
        let row = self.rows.len() - 1;
        let Some((sum, squares)) = self.rows[row].pop_front() else { return };
        let size = (1_u64 << row) as f64;
        self.width -= size;
        self.total -= sum;
        let apart = sum / size - self.total / self.width;
        self.squares -= squares + size * self.width * apart * apart / (size + self.width);
        if self.rows[row].is_empty() && row > 0 {
            self.rows.pop();
        }
    }
}
