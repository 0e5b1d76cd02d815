//! `Min` and `Max`: the least and the greatest of a field of all values.
//!
//! Numbers with a point have one total order, that of Java's `Double.compare`, and so of Flink and Spark: −0.0 is less than 0.0, and
//! what is not a number is greater than everything else, infinity included. So neither depends on the order in which values come.
//!
//! ```
//! use thalweg_dataflow::window::aggregate::extremum::{greatest, least};
//!
//! assert_eq!(least(f64::NAN, 1.0), 1.0);
//! assert!(greatest(f64::NAN, 1.0).is_nan() && greatest(1.0, f64::NAN).is_nan());
//! assert!(least(0.0_f32, -0.0).is_sign_negative());
//! assert_eq!(least((1, "first"), (0, "second")), (0, "second"));
//! ```

use std::any::Any;
use std::cmp::Ordering;

use super::field::{CombineFields, FieldAggregate};

/// The least of what a function takes out of each value: `Min::new(|order: &Order| order.price)`.
pub type Min<T, F> = FieldAggregate<T, F, Least>;

/// The greatest of what a function takes out of each value: `Max::new(|order: &Order| order.price)`.
pub type Max<T, F> = FieldAggregate<T, F, Greatest>;

/// Takes the lesser.
#[derive(Clone, Copy, Debug)]
pub struct Least;

/// Takes the greater.
#[derive(Clone, Copy, Debug)]
pub struct Greatest;

impl<N: PartialOrd + 'static> CombineFields<N> for Least {
    #[inline]
    fn combine(a: N, b: N) -> N {
        least(a, b)
    }
}

impl<N: PartialOrd + 'static> CombineFields<N> for Greatest {
    #[inline]
    fn combine(a: N, b: N) -> N {
        greatest(a, b)
    }
}

/// The lesser of two, by the order of this [module](self); of equal ones the first.
#[inline]
pub fn least<N: PartialOrd + 'static>(a: N, b: N) -> N {
    if compare(&b, &a) == Ordering::Less { b } else { a }
}

/// The greater of two, by the order of this [module](self); of equal ones the first.
#[inline]
pub fn greatest<N: PartialOrd + 'static>(a: N, b: N) -> N {
    if compare(&b, &a) == Ordering::Greater { b } else { a }
}

/// Compares two of any type that has an order. Of two that cannot be compared, one that cannot be compared with itself is the greater:
/// such as a tuple, or an option, of what is not a number.
#[inline]
fn compare<N: PartialOrd + 'static>(a: &N, b: &N) -> Ordering {
    // Which type it is, is known when this is compiled.
    let (any_a, any_b): (&dyn Any, &dyn Any) = (a, b);
    if let (Some(a), Some(b)) = (any_a.downcast_ref::<f64>(), any_b.downcast_ref::<f64>()) {
        return a
            .is_nan()
            .cmp(&b.is_nan())
            .then_with(|| if a.is_nan() { Ordering::Equal } else { a.total_cmp(b) });
    }
    if let (Some(a), Some(b)) = (any_a.downcast_ref::<f32>(), any_b.downcast_ref::<f32>()) {
        return a
            .is_nan()
            .cmp(&b.is_nan())
            .then_with(|| if a.is_nan() { Ordering::Equal } else { a.total_cmp(b) });
    }
    a.partial_cmp(b).unwrap_or_else(|| a.partial_cmp(a).is_none().cmp(&b.partial_cmp(b).is_none()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![Just(f64::NAN), Just(-f64::NAN), Just(0.0), Just(-0.0), Just(f64::INFINITY), -3.0..3.0]
    }

    /// What can be told apart of a number.
    fn seen(n: f64) -> Option<u64> {
        (!n.is_nan()).then(|| n.to_bits())
    }

    proptest! {
        #[test]
        fn order_plays_no_role(numbers in prop::collection::vec(number(), 1..8), turn in 0_usize..8) {
            let mut turned = numbers.clone();
            turned.rotate_left(turn % numbers.len());
            let of = |numbers: &[f64], combine: fn(f64, f64) -> f64| numbers.iter().copied().reduce(combine).and_then(seen);
            prop_assert_eq!(of(&numbers, least), of(&turned, least));
            prop_assert_eq!(of(&numbers, greatest), of(&turned, greatest));
            let options = |numbers: &[f64], combine: fn(Option<f64>, Option<f64>) -> Option<f64>| {
                numbers.iter().map(|n| Some(*n)).reduce(combine).flatten().map(|n| (!n.is_nan()).then_some(n))
            };
            prop_assert_eq!(options(&numbers, least), options(&turned, least));
            prop_assert_eq!(options(&numbers, greatest), options(&turned, greatest));
        }
    }
}
