//! `Min` and `Max`: the least and the greatest of a field of all values; of equal ones the first.

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

impl<N: PartialOrd> CombineFields<N> for Least {
    #[inline]
    fn combine(a: N, b: N) -> N {
        if b < a { b } else { a }
    }
}

impl<N: PartialOrd> CombineFields<N> for Greatest {
    #[inline]
    fn combine(a: N, b: N) -> N {
        if b > a { b } else { a }
    }
}
