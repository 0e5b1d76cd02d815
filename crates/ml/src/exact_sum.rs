//! Sums of floats that do not depend on the order of what is added: for what is learnt in parallel.
//!
//! The sum is kept as a fixed-point number as wide as all of `f64` (after Neal, "Fast exact summation using small and large
//! superaccumulators", 2015, the small one): 64-bit words that overlap by 32 bits, so that two billion values can be added before a
//! carry has to be passed on. Adding is exact, so it is associative and commutative; only reading rounds, once. That is why a
//! model trained in parts on four subtasks is the same as on one, to the last bit.

use serde::{Deserialize, Serialize};

/// Words of 32 bits, from 2^-1074 up to beyond 2^1024, and one for what 2^31 of the largest make.
const WORDS: usize = 68;
/// Carries are passed on before so many values have been added since the last time.
const ADDS: u32 = 1 << 29;

/// The exponents (as they are written) of values that are first summed in one number of 128 bits: from 2^-18 to below 2^32.
const NEAR: std::ops::Range<u64> = 1005..1055;
/// That number counts in units of 2^-70: as a place in the words, and a shift there.
const NEAR_WORD: u32 = (1074 - 70) / 32;
const NEAR_SHIFT: u32 = (1074 - 70) % 32;
/// So many values of up to 102 bits have room in it.
const NEAR_ADDS: u32 = 1 << 24;

/// A sum of finite floats: exact, and so the same in whatever order, and in whatever parts, it is made.
///
/// ```
/// use thalweg_ml::exact_sum::ExactSum;
///
/// let mut sum = ExactSum::default();
/// for value in [1e16, 1.0, -1e16, 1e-30] {
///     sum.add(value);
/// }
/// assert_eq!(sum.value(), 1.0 + 1e-30);
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExactSum {
    /// What most values come to: the high and the low half of a number in units of 2^-70.
    near_high: i64,
    near_low: u64,
    near_adds: u32,
    words: Vec<i64>,
    /// The place of the first word kept: sums of similar values need only a few.
    first: u32,
    adds: u32,
}

impl ExactSum {
    /// Adds a value. What is not finite is left out: learners refuse it before.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = (bits >> 52) & 0x7FF;
        if !NEAR.contains(&exponent) {
            return self.add_far(value);
        }
        let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
        let units = i128::from(mantissa) << (exponent - NEAR.start);
        self.set_near(self.near() + if value < 0.0 { -units } else { units });
        self.near_adds += 1;
        if self.near_adds >= NEAR_ADDS {
            self.spread();
        }
    }

    /// Adds a product as it is, and not as it is rounded: in two parts that are exact together.
    #[inline]
    pub(crate) fn add_product(&mut self, a: f64, b: f64) {
        let product = a * b;
        self.add(product);
        self.add(a.mul_add(b, -product));
    }

    #[inline]
    fn near(&self) -> i128 {
        (i128::from(self.near_high) << 64) | i128::from(self.near_low)
    }

    #[inline]
    fn set_near(&mut self, near: i128) {
        (self.near_high, self.near_low) = ((near >> 64) as i64, near as u64);
    }

    /// Spreads the number of 128 bits over the words.
    #[cold]
    fn spread(&mut self) {
        let near = self.near();
        let sign = if near < 0 { -1 } else { 1 };
        let (mut rest, mut word, mut bits) = (near.unsigned_abs(), NEAR_WORD, 32 - NEAR_SHIFT);
        while rest != 0 {
            let part = (rest & ((1 << bits) - 1)) as i64;
            let shifted = if word == NEAR_WORD { part << NEAR_SHIFT } else { part };
            let at = self.room_for(word);
            self.words[at] += sign * shifted;
            (rest, word, bits) = (rest >> bits, word + 1, 32);
        }
        self.set_near(0);
        self.near_adds = 0;
        self.count();
    }

    /// Notes that the words were added to.
    fn count(&mut self) {
        self.adds += 1;
        if self.adds >= ADDS {
            self.carry();
        }
    }

    /// Adds a value, whatever its size.
    fn add_far(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = (bits >> 52) & 0x7FF;
        if exponent == 0x7FF || value == 0.0 {
            return;
        }
        let fraction = bits & ((1 << 52) - 1);
        // Subnormals have the place of exponent 1, without the leading bit.
        let (mantissa, place) =
            if exponent == 0 { (fraction, 0) } else { (fraction | (1 << 52), exponent - 1) };
        let (word, shift) = ((place / 32) as u32, (place % 32) as u32);
        let wide = u128::from(mantissa) << shift;
        let parts = [wide as u32, (wide >> 32) as u32, (wide >> 64) as u32];
        let at = self.room_for(word);
        let sign = if value < 0.0 { -1 } else { 1 };
        for (slot, part) in self.words[at..at + 3].iter_mut().zip(parts) {
            *slot += sign * i64::from(part);
        }
        self.count();
    }

    /// Makes sure that words `word` to `word + 2` are there, and says where the first of them is.
    #[inline]
    fn room_for(&mut self, word: u32) -> usize {
        if word < self.first || word as usize + 3 > self.first as usize + self.words.len() {
            self.grow(word);
        }
        (word - self.first) as usize
    }

    #[cold]
    fn grow(&mut self, word: u32) {
        let end = if self.words.is_empty() { word } else { self.first + self.words.len() as u32 };
        let first = if self.words.is_empty() { word } else { self.first.min(word) };
        let end = end.max(word + 3);
        let mut words = vec![0; (end - first) as usize];
        if !self.words.is_empty() {
            let at = (self.first - first) as usize;
            words[at..at + self.words.len()].copy_from_slice(&self.words);
        }
        (self.words, self.first) = (words, first);
    }

    /// Passes carries on, so that each word but the last holds 32 bits.
    fn carry(&mut self) {
        let mut carry = 0_i64;
        for word in &mut self.words {
            let sum = *word + carry;
            carry = sum >> 32;
            *word = sum & 0xFFFF_FFFF;
        }
        while carry != 0 && carry != -1 {
            self.words.push(carry & 0xFFFF_FFFF);
            carry >>= 32;
        }
        if carry == -1 {
            match self.words.last_mut() {
                Some(last) => *last -= 1 << 32,
                None => self.words.push(-1),
            }
        }
        self.adds = 1;
    }

    /// Adds what another sum has.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        for sum in [&mut other, &mut *self] {
            sum.spread();
            sum.carry();
        }
        for (index, word) in other.words.iter().enumerate() {
            if *word != 0 {
                let at = self.room_for(other.first + index as u32);
                self.words[at] += word;
            }
        }
        self.adds = 2;
    }

    /// The sum, rounded once, to the nearest.
    pub fn value(&self) -> f64 {
        // In space of its own, of which the words that may be other than 0 are looked at.
        let mut words = [0_i64; WORDS + 6];
        let (mut low, mut high) = (NEAR_WORD as usize, NEAR_WORD as usize + 5);
        if !self.words.is_empty() {
            let first = self.first as usize;
            words[first..first + self.words.len()].copy_from_slice(&self.words);
            (low, high) = (low.min(first), high.max(first + self.words.len()));
        }
        let near = self.near();
        let sign = if near < 0 { -1 } else { 1 };
        let (mut rest, mut word, mut bits) = (near.unsigned_abs(), NEAR_WORD as usize, 32 - NEAR_SHIFT);
        while rest != 0 {
            let part = (rest & ((1 << bits) - 1)) as i64;
            words[word] += sign * if word == NEAR_WORD as usize { part << NEAR_SHIFT } else { part };
            (rest, word, bits) = (rest >> bits, word + 1, 32);
        }
        let words = &mut words[low..(high + 2).min(WORDS + 6)];
        carry(words);
        let negative = words.last().is_some_and(|last| *last < 0);
        if negative {
            words.iter_mut().for_each(|word| *word = -*word);
            carry(words);
        }
        let Some(top) = words.iter().rposition(|word| *word != 0) else { return 0.0 };
        // The highest bits, and whether any bit below them is set: what rounding needs to know.
        let word = |index: usize| u128::from(words[index] as u64);
        let mut high = word(top);
        let mut lowest = top;
        while lowest > 0 && (high >> 64) == 0 {
            lowest -= 1;
            high = (high << 32) | word(lowest);
        }
        let sticky = words[..lowest].iter().any(|word| *word != 0);
        let exponent = (low as i32 + lowest as i32) * 32 - 1074;
        let magnitude = compose(high, sticky, exponent);
        if negative { -magnitude } else { magnitude }
    }
}

/// Passes carries on, so that each word but the last holds 32 bits; the last has the sign.
fn carry(words: &mut [i64]) {
    let mut carry = 0_i64;
    let last = words.len() - 1;
    for (place, word) in words.iter_mut().enumerate() {
        let sum = *word + carry;
        if place == last {
            *word = sum;
            return;
        }
        carry = sum >> 32;
        *word = sum & 0xFFFF_FFFF;
    }
}

/// `high · 2^exponent`, rounded to the nearest, ties to even; `sticky` says that there is a little more.
fn compose(high: u128, sticky: bool, exponent: i32) -> f64 {
    let bits = 128 - high.leading_zeros() as i32;
    // Subnormal results have fewer bits.
    let keep = 53.min(bits + exponent + 1074);
    let drop = bits - keep;
    if drop <= 0 {
        return libm::ldexp(high as f64, exponent);
    }
    let (mut kept, rest) = (high >> drop, high & ((1 << drop) - 1));
    let half = 1_u128 << (drop - 1);
    if rest > half || (rest == half && (sticky || kept & 1 == 1)) {
        kept += 1;
    }
    libm::ldexp(kept as f64, exponent + drop)
}

/// Sums are never wider than this many words.
const _: () = assert!(WORDS >= (1074 + 1024) / 32 + 2);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    fn finite() -> impl Strategy<Value = f64> {
        prop_oneof![
            -1e3..1e3,
            any::<f64>().prop_filter("finite", |x| x.abs() < 1e300),
            (-1074_i32..900).prop_map(|e| libm::ldexp(1.0, e)),
            // Around the ends of what is summed in one number.
            (-2.0..2.0, prop_oneof![-20_i32..-16, 29..35]).prop_map(|(x, e)| libm::ldexp(x, e))
        ]
    }

    proptest! {
        #[test]
        fn one_value_is_itself(value in finite()) {
            prop_assert_eq!(sum(&[value]).value(), value);
            prop_assert_eq!(sum(&[value, -value]).value(), 0.0);
        }

        #[test]
        fn integers_sum_exactly(values in prop::collection::vec(-1_000_000_i64..1_000_000, 0..200)) {
            let floats: Vec<f64> = values.iter().map(|n| *n as f64).collect();
            prop_assert_eq!(sum(&floats).value(), values.iter().sum::<i64>() as f64);
        }

        #[test]
        fn order_and_parts_do_not_matter(values in prop::collection::vec(finite(), 0..60), cut in 0_usize..60, seed in any::<u64>()) {
            let whole = sum(&values).value();
            let mut shuffled = values.clone();
            let mut rng = crate::rng::Rng::new(seed);
            (1..shuffled.len()).for_each(|i| { let j = rng.below(i + 1); shuffled.swap(i, j) });
            prop_assert_eq!(sum(&shuffled).value().to_bits(), whole.to_bits());
            let (left, right) = shuffled.split_at(cut.min(shuffled.len()));
            let mut parts = sum(left);
            parts.merge(&sum(right));
            prop_assert_eq!(parts.value().to_bits(), whole.to_bits());
        }
    }

    #[test]
    fn the_greatest_of_what_is_summed_in_one_number_have_room_in_it() {
        let (mut sum, greatest) = (ExactSum::default(), libm::ldexp(2.0 - f64::EPSILON, 31));
        sum.set_near(i128::from((1_u64 << 53) - 1) << 49);
        let most = sum.near() * i128::from(NEAR_ADDS);
        assert!(most > 0 && most >> 126 == 0, "{most}");
        sum.set_near(-most);
        sum.near_adds = NEAR_ADDS - 1;
        sum.add(-greatest);
        let expected = -greatest * f64::from(NEAR_ADDS);
        assert!(
            (sum.value() - (expected - greatest)).abs() <= expected.abs() * f64::EPSILON,
            "{}",
            sum.value()
        );
    }

    #[test]
    fn rounding_is_to_the_nearest_even() {
        let ulp = f64::EPSILON;
        assert_eq!(sum(&[1.0, ulp / 2.0]).value(), 1.0);
        assert_eq!(sum(&[1.0, ulp / 2.0, 1e-300]).value(), 1.0 + ulp);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]).value(), 1.0 + 2.0 * ulp);
        assert_eq!(sum(&[-1.0, -ulp / 2.0, -1e-300]).value(), -1.0 - ulp);
    }
}
