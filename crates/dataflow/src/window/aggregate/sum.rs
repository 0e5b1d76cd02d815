//! `Sum`: what a field of all values adds up to.

use std::ops::Add;

use super::field::{CombineFields, FieldAggregate};

/// Adds up what a function takes out of each value: `Sum::new(|order: &Order| order.price)`.
pub type Sum<T, F> = FieldAggregate<T, F, Added>;

/// Adds.
#[derive(Clone, Copy, Debug)]
pub struct Added;

impl<N: Add<Output = N>> CombineFields<N> for Added {
    #[inline]
    fn combine(a: N, b: N) -> N {
        a + b
    }
}
