//! SNARIMAX without the X: an ARIMA-like forecaster whose lags are weighed by an online linear regression.
//!
//! - **Source**: Box and Jenkins, "Time series analysis", 1970; online as in river's `SNARIMAX`: the series is differenced `d` times
//!   (and `sd` times over the season `m`); the last `p`
//!   values and `q` errors (and `sp`, `sq` of them a season apart), scaled, are the features of a linear regression by stochastic
//!   gradients.
//! - **Learns** finite values. **Refuses** what is no number, and a step that would diverge.
//! - **Parallel**: one subtask, or one series for each key.
//! - **Numbers** agree with river's to 1e-9 (`tests/learners/forecast.rs`).
//!
//! ```
//! use thalweg_ml::forecast::{Forecaster, Snarimax};
//!
//! let mut series = Snarimax::new(12, 1, 0).seasonal(12, 0, 1, 0).learning_rate(0.01, 0.3);
//! for n in 0..200 {
//!     series.learn(f64::from(n) + f64::from(n % 12) * 3.0)?;
//! }
//! let next = series.forecast(1)[0];
//! assert!((next - (200.0 + 24.0)).abs() < 1.0, "{next}");
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Forecaster, forecaster_learns};
use crate::Rejected;
use crate::moments::Scale;
use crate::scratch::Spare;

/// The forecaster. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snarimax {
    p: usize,
    d: usize,
    q: usize,
    m: usize,
    sp: usize,
    sd: usize,
    sq: usize,
    rate: f64,
    intercept_rate: f64,
    intercept: f64,
    /// The newest first.
    values: VecDeque<f64>,
    differences: VecDeque<f64>,
    errors: VecDeque<f64>,
    /// Of each lag, its scale and its weight.
    lags: Vec<(Scale, f64)>,
    /// How past values count when the series is differenced.
    past: Vec<(usize, f64)>,
    /// Space for what the lags were before a value.
    #[serde(skip)]
    before: Spare<Vec<(Scale, f64)>>,
}

/// Adds to the front, and keeps so many.
fn push(queue: &mut VecDeque<f64>, value: f64, keep: usize) {
    queue.push_front(value);
    queue.truncate(keep);
}

impl Snarimax {
    /// ARIMA(p, d, q), with river's learning rates of 0.01.
    pub fn new(p: usize, d: usize, q: usize) -> Self {
        let mut model = Self {
            p,
            d,
            q,
            m: 1,
            sp: 0,
            sd: 0,
            sq: 0,
            rate: 0.01,
            intercept_rate: 0.01,
            intercept: 0.0,
            values: VecDeque::new(),
            differences: VecDeque::new(),
            errors: VecDeque::new(),
            lags: vec![(Scale::default(), 0.0); p + q],
            past: Vec::new(),
            before: Spare::default(),
        };
        model.past = model.coefficients();
        model
    }

    /// Seasons of `m` values: the values of `sp` seasons, differences of `sd`, errors of `sq`.
    #[must_use]
    pub fn seasonal(mut self, m: usize, sp: usize, sd: usize, sq: usize) -> Self {
        (self.m, self.sp, self.sd, self.sq) = (m.max(1), sp, sd, sq);
        self.lags = vec![(Scale::default(), 0.0); self.p + sp + self.q + sq];
        self.past = self.coefficients();
        self
    }

    /// Sets the learning rates of the weights and of the intercept.
    #[must_use]
    pub fn learning_rate(mut self, rate: f64, intercept_rate: f64) -> Self {
        (self.rate, self.intercept_rate) = (rate, intercept_rate);
        self
    }

    /// Sets the intercept to begin with.
    #[must_use]
    pub fn intercept(mut self, intercept: f64) -> Self {
        self.intercept = intercept;
        self
    }

    /// How often each past value counts when the series is differenced: the product of (1 - B)^d and (1 - B^m)^sd, as lags and
    /// coefficients, those of 0 and the present left out, of which it is 1.
    fn coefficients(&self) -> Vec<(usize, f64)> {
        let binomial = |n: usize, lag: usize| {
            let step = move |(k, coefficient): (usize, f64)| {
                (k < n).then(|| (k + 1, -coefficient * (n - k) as f64 / (k + 1) as f64))
            };
            std::iter::successors(Some((0, 1.0)), move |at| step(*at)).map(move |(k, c)| (k * lag, c))
        };
        let mut all: Vec<(usize, f64)> = Vec::new();
        for (lag, coefficient) in binomial(self.d, 1) {
            for (season, of_season) in binomial(self.sd, self.m) {
                match all.iter_mut().find(|(at, _)| *at == lag + season) {
                    Some((_, sum)) => *sum += coefficient * of_season,
                    None => all.push((lag + season, coefficient * of_season)),
                }
            }
        }
        all.retain(|(lag, coefficient)| *lag > 0 && *coefficient != 0.0);
        all
    }

    /// The lags that are there, by their places among all.
    fn features<'a>(
        &self,
        differences: &'a VecDeque<f64>,
        errors: &'a VecDeque<f64>,
    ) -> impl Iterator<Item = (usize, f64)> + Clone + use<'a> {
        let (p, sp, q) = (self.p, self.sp, self.q);
        let groups = [
            (differences, 1, p, 0),
            (differences, self.m, sp, p),
            (errors, 1, q, p + sp),
            (errors, self.m, self.sq, p + sp + q),
        ];
        groups.into_iter().flat_map(|(queue, step, count, place)| {
            let of = move |lag: usize| Some((place + lag - 1, *queue.get(lag * step - 1)?));
            (1..=count).filter_map(of)
        })
    }

    fn scaled(&self, (place, value): (usize, f64)) -> f64 {
        self.lags[place].0.scale(value)
    }

    fn predict(&self, features: impl Iterator<Item = (usize, f64)>) -> f64 {
        let weighted = features.map(|feature| self.scaled(feature) * self.lags[feature.0].1);
        weighted.sum::<f64>() + self.intercept
    }

    /// The difference of a value to those before it, or back from one: as far as they are there.
    fn against(&self, values: &VecDeque<f64>) -> f64 {
        self.past.iter().map_while(|(lag, coefficient)| Some(coefficient * values.get(lag - 1)?)).sum()
    }

    /// Learns a difference from the lags before it. Says how far it was off.
    fn fit(
        &mut self,
        differences: &VecDeque<f64>,
        errors: &VecDeque<f64>,
        y: f64,
    ) -> Result<(f64, f64), Rejected> {
        let features = self.features(differences, errors);
        let difference = y + self.against(&self.values);
        let error = difference - self.predict(features.clone());
        self.before.0.clone_from(&self.lags);
        let intercept = self.intercept;
        for (place, value) in features.clone() {
            self.lags[place].0.update(value);
        }
        // The scales have learnt; the regression learns from what they make now.
        let gradient = 2.0 * (self.predict(features.clone()) - difference).clamp(-5e11, 5e11);
        self.intercept -= self.intercept_rate * gradient;
        for feature in features {
            let scaled = self.scaled(feature);
            self.lags[feature.0].1 -= self.rate * gradient * scaled;
        }
        let sound = |(scale, weight): &(Scale, f64)| weight.is_finite() && scale.is_sound();
        if !self.intercept.is_finite() || !self.lags.iter().all(sound) || !error.is_finite() {
            std::mem::swap(&mut self.lags, &mut self.before.0);
            self.intercept = intercept;
            return Err(Rejected::Diverges);
        }
        Ok((difference, error))
    }
}

impl Forecaster for Snarimax {
    fn learn(&mut self, y: f64) -> Result<(), Rejected> {
        Rejected::unless_finite(y)?;
        let past = self.past.iter().map(|(lag, _)| *lag).max().unwrap_or(0);
        if self.values.len() >= past {
            let (mut differences, mut errors) =
                (std::mem::take(&mut self.differences), std::mem::take(&mut self.errors));
            let fitted = self.fit(&differences, &errors, y);
            if let Ok((difference, error)) = fitted {
                push(&mut differences, difference, self.p.max(self.m * self.sp));
                push(&mut errors, error, self.q.max(self.m * self.sq));
            }
            (self.differences, self.errors) = (differences, errors);
            fitted?;
        }
        push(&mut self.values, y, self.d + self.m * self.sd);
        Ok(())
    }

    fn forecast(&self, horizon: usize) -> Vec<f64> {
        let (mut values, mut differences, mut errors) =
            (self.values.clone(), self.differences.clone(), self.errors.clone());
        let mut forecasts = Vec::with_capacity(horizon);
        for _ in 0..horizon {
            let difference = self.predict(self.features(&differences, &errors));
            let value = difference - self.against(&values);
            push(&mut differences, difference, self.p.max(self.m * self.sp));
            push(&mut values, value, self.d + self.m * self.sd);
            push(&mut errors, 0.0, self.q.max(self.m * self.sq));
            forecasts.push(value);
        }
        forecasts
    }

    fn next(&self) -> Option<f64> {
        Some(self.predict(self.features(&self.differences, &self.errors)) - self.against(&self.values))
    }
}

forecaster_learns!(Snarimax);
