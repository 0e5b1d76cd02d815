//! Holt–Winters: level, trend and season, each an exponential mean.
//!
//! - **Source**: Holt, 1957; Winters, "Forecasting sales by exponentially weighted moving averages", Management Science 1960; Hyndman
//!   and Athanasopoulos, "Forecasting: principles and
//!   practice", chapter 8. The first season sets the start.
//! - **Learns** finite values. **Refuses** what is no number, and what would make a multiplicative season infinite (levels around 0).
//! - **Parallel**: one subtask, or one series for each key.
//! - **Numbers** agree with river's `HoltWinters` to 1e-9 (`tests/learners/forecast.rs`, `wide.rs`), also around 0, where a season that multiplies
//!   amplifies the last rounding: operations are in river's order, and the first mean is rounded once, as there; with an additive season they do if it
//!   [begins with ratios](HoltWinters::begin_with_ratios).
//!
//! ```
//! use thalweg_ml::forecast::{Forecaster, HoltWinters};
//!
//! let mut series = HoltWinters::trend(0.5, 0.5);
//! for n in 0..20 {
//!     series.learn(f64::from(n) * 2.0)?;
//! }
//! assert!((series.forecast(3)[2] - 44.0).abs() < 0.1);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Forecaster, forecaster_learns};
use crate::Rejected;
use crate::exact_sum::ExactSum;

/// The forecaster. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoltWinters {
    alpha: f64,
    beta: Option<f64>,
    gamma: f64,
    seasonality: usize,
    multiplicative: bool,
    ratios: bool,
    first: Vec<f64>,
    level: f64,
    slope: f64,
    /// The last season's, the oldest first. Empty until there was a start.
    season: VecDeque<f64>,
    begun: bool,
}

impl HoltWinters {
    fn new(alpha: f64, beta: Option<f64>, gamma: f64, seasonality: usize, multiplicative: bool) -> Self {
        let (first, season) = (Vec::new(), VecDeque::new());
        Self {
            alpha,
            beta,
            gamma,
            seasonality,
            multiplicative,
            ratios: multiplicative,
            first,
            level: 0.0,
            slope: 0.0,
            season,
            begun: false,
        }
    }

    /// A level alone: exponential smoothing.
    pub fn level(alpha: f64) -> Self {
        Self::new(alpha, None, 0.0, 0, false)
    }

    /// A level and a trend (Holt).
    pub fn trend(alpha: f64, beta: f64) -> Self {
        Self::new(alpha, Some(beta), 0.0, 0, false)
    }

    /// A level, a trend, and a season of so many values that is added.
    pub fn additive(alpha: f64, beta: f64, gamma: f64, seasonality: usize) -> Self {
        Self::new(alpha, Some(beta), gamma, seasonality, false)
    }

    /// A level, a trend, and a season of so many values that multiplies.
    pub fn multiplicative(alpha: f64, beta: f64, gamma: f64, seasonality: usize) -> Self {
        Self::new(alpha, Some(beta), gamma, seasonality, true)
    }

    /// Begins a season that is added with the ratios of the first values to their mean, instead of their differences from it. It makes
    /// no sense, and fades; but it is what river does, to the last digit.
    #[must_use]
    pub fn begin_with_ratios(mut self) -> Self {
        self.ratios = true;
        self
    }

    /// The value that comes `h` after the next.
    fn ahead(&self, h: usize) -> f64 {
        let base = self.level + (h + 1) as f64 * self.slope;
        match self.season.get(h % self.season.len().max(1)) {
            None => base,
            Some(season) if self.multiplicative => base * season,
            Some(season) => base + season,
        }
    }

    fn begin(&mut self) {
        self.level = mean(&self.first);
        if self.beta.is_some() {
            let steps: Vec<f64> = self.first.windows(2).map(|pair| pair[1] - pair[0]).collect();
            self.slope = mean(&steps);
        }
        let of_season = |y: &f64| if self.ratios { y / self.level } else { y - self.level };
        // A season of one value has seen two.
        let last = self.first.iter().skip(self.first.len() - self.seasonality);
        self.season = if self.seasonality == 0 { VecDeque::new() } else { last.map(of_season).collect() };
        self.first = Vec::new();
        self.begun = true;
    }
}

/// The mean of some values, rounded once (as Python's `statistics.mean` rounds it).
fn mean(values: &[f64]) -> f64 {
    let (mut sum, count) = (ExactSum::default(), values.len() as f64);
    values.iter().for_each(|value| sum.add(*value));
    let near = sum.value() / count;
    // The sum was rounded, and so was the quotient: of that and its neighbours, the one that is nearest.
    let off = |mean: &f64| {
        let mut rest = sum.clone();
        rest.add_product(-mean, count);
        rest.value().abs()
    };
    [near, near.next_up(), near.next_down()]
        .into_iter()
        .min_by(|a, b| off(a).total_cmp(&off(b)))
        .unwrap_or(near)
}

impl Forecaster for HoltWinters {
    fn learn(&mut self, y: f64) -> Result<(), Rejected> {
        Rejected::unless_finite(y)?;
        if !self.begun {
            if self.ratios && self.first.iter().sum::<f64>() + y == 0.0 {
                return Err(Rejected::Diverges);
            }
            self.first.push(y);
            if self.first.len() >= self.seasonality.max(2) {
                self.begin();
            }
            return Ok(());
        }
        let season = self.season.front().copied();
        let deseasoned = match season {
            None => y,
            Some(season) if self.multiplicative => y / season,
            Some(season) => y - season,
        };
        let before = self.level + self.slope;
        let level = self.alpha * deseasoned + (1.0 - self.alpha) * before;
        let slope = self.beta.map_or(0.0, |beta| beta * (level - self.level) + (1.0 - beta) * self.slope);
        let season = season.map(|season| {
            // In river's order of operations: around 0, a season amplifies the last rounding to the first digit.
            let now = if self.multiplicative {
                self.gamma * y / before
            } else {
                self.gamma * (y - self.level - self.slope)
            };
            now + (1.0 - self.gamma) * season
        });
        if !(level.is_finite() && slope.is_finite() && season.is_none_or(f64::is_finite)) {
            return Err(Rejected::Diverges);
        }
        (self.level, self.slope) = (level, slope);
        if let Some(season) = season {
            self.season.pop_front();
            self.season.push_back(season);
        }
        Ok(())
    }

    fn forecast(&self, horizon: usize) -> Vec<f64> {
        let horizon = if self.begun { horizon } else { 0 };
        (0..horizon).map(|h| self.ahead(h)).collect()
    }

    fn next(&self) -> Option<f64> {
        self.begun.then(|| self.ahead(0))
    }
}

forecaster_learns!(HoltWinters);
