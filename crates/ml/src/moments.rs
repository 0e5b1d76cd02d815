//! Mean and variance, one value after the other: in floats ([`Moments`], Welford's way), and so that parts can be merged in any
//! order with the same result ([`ExactMoments`]).

use serde::{Deserialize, Serialize};

use crate::exact_sum::ExactSum;

/// The weight, mean and sum of squared deviations of what was seen (Welford, 1962; West, 1979, with weights).
///
/// ```
/// use thalweg_ml::moments::Moments;
///
/// let mut moments = Moments::default();
/// [2.0, 4.0, 9.0].into_iter().for_each(|x| moments.update(x, 1.0));
/// assert_eq!((moments.mean(), moments.variance(1.0)), (5.0, 13.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    weight: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Adds a value; takes it back with a negative weight.
    #[inline]
    pub fn update(&mut self, x: f64, weight: f64) {
        self.weight += weight;
        if self.weight <= 0.0 {
            *self = Self::default();
            return;
        }
        let before = self.mean;
        self.mean += weight / self.weight * (x - self.mean);
        self.squares += weight * (x - before) * (x - self.mean);
    }

    /// Adds what another has seen (Chan, Golub and LeVeque, 1979).
    pub fn merge(&mut self, other: &Self) {
        let total = self.weight + other.weight;
        if total <= 0.0 {
            return;
        }
        let apart = self.mean - other.mean;
        self.squares = self.squares + other.squares + apart * apart * self.weight * other.weight / total;
        self.mean = (self.weight * self.mean + other.weight * other.mean) / total;
        self.weight = total;
    }

    /// Takes away what another has seen, which must be a part of this.
    pub fn subtract(&mut self, other: &Self) {
        // In river's order of operations, to the last rounding: a tree's choice between equals hangs on it.
        let weight = self.weight - other.weight;
        let (weight, mean) = if weight > 0.0 {
            (weight, (self.weight * self.mean - other.weight * other.mean) / weight)
        } else {
            (0.0, 0.0)
        };
        let total = weight + other.weight;
        let apart = mean - other.mean;
        let between = if total > 0.0 { apart * apart * weight * other.weight / total } else { 0.0 };
        self.squares = self.squares - other.squares - between;
        (self.weight, self.mean) = (weight, mean);
    }

    /// Makes what was seen weigh so much of what it did.
    pub fn scale(&mut self, factor: f64) {
        self.weight *= factor;
        self.squares *= factor;
    }

    /// The sum of the weights.
    #[inline]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The mean; 0 of nothing.
    #[inline]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The sum of the squared deviations from the mean.
    #[inline]
    pub fn sum_of_squares(&self) -> f64 {
        self.squares
    }

    /// The variance, with `ddof` (0 or 1) degrees of freedom taken off; 0 if there are no more than that.
    #[inline]
    pub fn variance(&self, ddof: f64) -> f64 {
        if self.weight > ddof { self.squares / (self.weight - ddof) } else { 0.0 }
    }
}

/// Mean and variance, kept as such, as river's scaler keeps them: to the last rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Scale {
    #[inline]
    pub(crate) fn update(&mut self, x: f64) {
        self.count += 1.0;
        let before = self.mean;
        self.mean += (x - before) / self.count;
        self.variance += ((x - before) * (x - self.mean) - self.variance) / self.count;
    }

    /// Adds a batch.
    pub(crate) fn merge(&mut self, batch: &ExactMoments) {
        let (count, mean, variance) = (batch.count() as f64, batch.mean(), batch.variance());
        let total = self.count + count;
        if count == 0.0 {
            return;
        }
        let (own, apart) = (self.count / total, mean - self.mean);
        self.variance += (count / total) * (variance - self.variance + apart * apart * own);
        self.mean += (count / total) * apart;
        self.count = total;
    }

    /// How many deviations `x` is off the mean; 0 where there is no deviation.
    #[inline]
    pub(crate) fn scale(&self, x: f64) -> f64 {
        if self.variance > 0.0 { (x - self.mean) / self.variance.sqrt() } else { 0.0 }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.mean.is_finite() && self.variance.is_finite()
    }
}

/// Mean and variance out of exact sums: whatever the order, and in whatever parts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExactMoments {
    count: u64,
    sum: ExactSum,
    /// Each square as it is, so that subtracting the mean's loses nothing.
    squares: ExactSum,
}

impl ExactMoments {
    /// Adds a value.
    #[inline]
    pub fn update(&mut self, x: f64) {
        self.count += 1;
        self.sum.add(x);
        self.squares.add_product(x, x);
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; 0 of nothing.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum.value() / self.count as f64 }
    }

    /// The variance with divisor `count`; 0 of nothing.
    pub fn variance(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        // Σ(x - m)² = Σx² - m·(2Σx - n·m), whatever m is, which is n·(mean - m)² more than about the mean: so it does not count that the mean is rounded, nor, in two parts, that the
        // sum is. All products are split like the squares are.
        let (sum, mean, count) = (self.sum.value(), self.mean(), self.count as f64);
        let mut low = self.sum.clone();
        low.add(-sum);
        let low = low.value();
        let of_all = count * mean;
        let of_all_low = count.mul_add(mean, -of_all);
        let mut rest = self.squares.clone();
        for (a, b) in [(-2.0 * mean, sum), (-2.0 * mean, low), (mean, of_all), (mean, of_all_low)] {
            rest.add_product(a, b);
        }
        let off = ((sum - of_all) + (low - of_all_low)) / count;
        (rest.value() / count - off * off).max(0.0)
    }
}

impl From<&ExactMoments> for Moments {
    fn from(exact: &ExactMoments) -> Self {
        let weight = exact.count as f64;
        Self { weight, mean: exact.mean(), squares: exact.variance() * weight }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_variance_far_from_zero_is_that_of_the_values_as_they_are() {
        // Their sum and their mean are no numbers of 64 bits; the difference is.
        for (a, b) in
            [(999_221.318_795_431_6, 999_164.826_380_709_5), (1e9 + 0.1, 1e9 + 0.2), (3e12, 3e12 + 1.0)]
        {
            let mut exact = ExactMoments::default();
            exact.update(a);
            exact.update(b);
            let expected = (a - b) * (a - b) / 4.0;
            assert!((exact.variance() / expected - 1.0).abs() < 1e-12, "{} {expected}", exact.variance());
        }
    }

    proptest! {
        #[test]
        fn all_ways_agree(values in prop::collection::vec(-1e3..1e3, 2..60), cut in 0_usize..60, shift in prop_oneof![Just(0.0), Just(1e6)]) {
            let values: Vec<f64> = values.iter().map(|x| x + shift).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-7 * (1.0 + b.abs());
            let (left, right) = values.split_at(cut.min(values.len()));
            let of = |values: &[f64]| { let mut m = Moments::default(); values.iter().for_each(|x| m.update(*x, 1.0)); m };
            let exact = |values: &[f64]| { let mut m = ExactMoments::default(); values.iter().for_each(|x| m.update(*x)); m };
            let mut merged = of(left);
            merged.merge(&of(right));
            let mut parts = exact(left);
            parts.merge(&exact(right));
            prop_assert!(near(merged.mean(), mean) && near(merged.variance(0.0), variance));
            prop_assert!(near(parts.mean(), mean) && near(parts.variance(), variance), "{} {}", parts.variance(), variance);
            let mut whole = of(&values);
            whole.subtract(&of(right));
            if !left.is_empty() {
                prop_assert!(near(whole.mean(), of(left).mean()) && near(whole.variance(0.0), of(left).variance(0.0)) || shift > 0.0);
            }
        }
    }
}
