//! What sum, least and greatest have in common: a field of each value, combined two by two.

use std::marker::PhantomData;

use super::AggregateFunction;
use crate::record::Data;
use crate::state::StateData;

/// How two fields become one, whichever comes first.
pub trait CombineFields<N>: Clone + Send + 'static {
    /// What `a` and `b` become.
    fn combine(a: N, b: N) -> N;
}

/// Combines what a function takes out of each value. The result of nothing is `None`; a window always has something.
#[derive(Clone, Debug)]
pub struct FieldAggregate<T, F, C> {
    field: F,
    values: PhantomData<fn(T)>,
    combine: PhantomData<fn() -> C>,
}

impl<T, N, F: FnMut(&T) -> N, C: CombineFields<N>> FieldAggregate<T, F, C> {
    /// Of what `field` takes out of each value.
    pub fn new(field: F) -> Self {
        Self { field, values: PhantomData, combine: PhantomData }
    }
}

impl<T, N, F, C> AggregateFunction for FieldAggregate<T, F, C>
where
    T: Data,
    N: StateData,
    F: FnMut(&T) -> N + Clone + Send + 'static,
    C: CombineFields<N>,
{
    type In = T;
    type Accumulator = Option<N>;
    type Out = Option<N>;
    const COMMUTATIVE: bool = true;

    fn create_accumulator(&mut self) -> Option<N> {
        None
    }

    #[inline]
    fn add(&mut self, accumulator: &mut Option<N>, value: T) {
        let field = (self.field)(&value);
        *accumulator = Some(match accumulator.take() {
            Some(before) => C::combine(before, field),
            None => field,
        });
    }

    fn merge(&mut self, a: Option<N>, b: Option<N>) -> Option<N> {
        match (a, b) {
            (Some(a), Some(b)) => Some(C::combine(a, b)),
            (a, b) => a.or(b),
        }
    }

    fn get_result(&mut self, accumulator: &Option<N>) -> Option<N> {
        accumulator.clone()
    }
}
