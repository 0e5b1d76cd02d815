//! Page–Hinkley: the cumulated deviation of values from their mean, against its extreme.
//!
//! Source: Page, "Continuous inspection schemes", Biometrika 1954. Numbers agree with river's (`tests/learners/drift.rs`).

use serde::{Deserialize, Serialize};

/// Which changes of the mean count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Rises.
    Up,
    /// Falls.
    Down,
    /// Either.
    Both,
}

/// The detector. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageHinkley {
    min_instances: f64,
    delta: f64,
    threshold: f64,
    alpha: f64,
    direction: Direction,
    count: f64,
    mean: f64,
    increase: f64,
    decrease: f64,
    /// The lowest that `increase`, and the highest that `decrease`, has been. None before the first value.
    min_increase: Option<f64>,
    max_decrease: f64,
    drifted: bool,
}

impl Default for PageHinkley {
    fn default() -> Self {
        Self::new(0.005, 50.0)
    }
}

impl PageHinkley {
    /// Changes of the mean by up to `delta` are borne; there is a drift when the cumulated deviation has left its extreme by
    /// `threshold`. Nothing is said
    /// before 30 values.
    pub fn new(delta: f64, threshold: f64) -> Self {
        Self {
            min_instances: 30.0,
            delta,
            threshold,
            alpha: 1.0 - 0.0001,
            direction: Direction::Both,
            count: 0.0,
            mean: 0.0,
            increase: 0.0,
            decrease: 0.0,
            min_increase: None,
            max_decrease: -1.0,
            drifted: false,
        }
    }

    /// Says which changes count. Both, unless it is said.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Says before how many values nothing is said, and by which factor (below 1) deviations fade.
    #[must_use]
    pub fn warm_start(mut self, min_instances: u32, alpha: f64) -> Self {
        (self.min_instances, self.alpha) = (f64::from(min_instances), alpha);
        self
    }

    /// Tells it a value; says whether there is a drift. What is not finite is left out.
    pub fn update(&mut self, x: f64) -> bool {
        if !x.is_finite() {
            return false;
        }
        if self.drifted {
            let Self { min_instances, delta, threshold, alpha, direction, .. } = *self;
            *self = Self { min_instances, alpha, direction, ..Self::new(delta, threshold) };
        }
        self.count += 1.0;
        self.mean += (x - self.mean) / self.count;
        let deviation = x - self.mean;
        self.increase = self.alpha * self.increase + deviation - self.delta;
        self.decrease = self.alpha * self.decrease + deviation + self.delta;
        let lowest = self.min_increase.map_or(self.increase, |lowest| lowest.min(self.increase));
        self.min_increase = Some(lowest);
        self.max_decrease = self.max_decrease.max(self.decrease);
        if self.count >= self.min_instances {
            let up = self.increase - lowest > self.threshold;
            let down = self.max_decrease - self.decrease > self.threshold;
            self.drifted = match self.direction {
                Direction::Up => up,
                Direction::Down => down,
                Direction::Both => up || down,
            };
        }
        self.drifted
    }
}
