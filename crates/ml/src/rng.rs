//! Chance that is part of a model's state: seeded, written to checkpoints, the same on every machine and in every version.
//!
//! It is SplitMix64 (Steele, Lea and Flood, 2014), one word of state. A crate's generator would do as well, but what it yields may change
//! with its version, and a model restored after an update would go on in another way than one that was not.

use serde::{Deserialize, Serialize};

use crate::scratch::Pooled;

/// A source of seeded chance.
///
/// ```
/// use thalweg_ml::rng::Rng;
///
/// let (mut a, mut b) = (Rng::new(7), Rng::new(7));
/// assert_eq!(a.uniform(), b.uniform());
/// assert!((0..1000).all(|_| a.below(6) < 6));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Chance from this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, but not including, 1.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// From 0 up to, but not including, `n`; 0 if `n` is 0.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Normally distributed, with mean 0 and deviation 1.
    pub fn gaussian(&mut self) -> f64 {
        // Box and Muller; the logarithm's argument is never 0.
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Poisson distributed (Knuth's way, for small rates).
    pub fn poisson(&mut self, rate: f64) -> u32 {
        let (limit, mut product, mut count) = (libm::exp(-rate), self.uniform(), 0);
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// `count` different numbers below `n`, in the order in which they were drawn; all of them if there are no more.
    pub fn sample(&mut self, n: usize, count: usize) -> Pooled<usize> {
        let mut pool: Pooled<usize> = (0..n).collect();
        let count = count.min(n);
        for index in 0..count {
            let other = index + self.below(n - index);
            pool.swap(index, other);
        }
        pool.truncate(count);
        pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values_never_change() {
        let mut rng = Rng::new(0);
        assert_eq!([rng.bits(), rng.bits()], [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]);
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        let (mut rng, n) = (Rng::new(1), 20_000);
        let gaussian: Vec<f64> = (0..n).map(|_| rng.gaussian()).collect();
        let mean = gaussian.iter().sum::<f64>() / f64::from(n);
        let variance = gaussian.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let poisson = (0..n).map(|_| f64::from(rng.poisson(6.0))).sum::<f64>() / f64::from(n);
        assert!((poisson - 6.0).abs() < 0.1, "{poisson}");
        let mut drawn = rng.sample(5, 9);
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 1, 2, 3, 4]);
    }
}
