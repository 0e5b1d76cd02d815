//! `Min` and `Max`: the least and the greatest of a field of all values.

use std::marker::PhantomData;

use super::AggregateFunction;
use crate::record::Data;
use crate::state::StateData;

/// The least of what a function takes out of each value; of equal ones the first. That of nothing is `None`; a window always has something.
#[derive(Clone, Debug)]
pub struct Min<T, F> {
    field: F,
    values: PhantomData<fn(T)>,
}

/// The greatest of what a function takes out of each value; of equal ones the first. That of nothing is `None`; a window always has something.
#[derive(Clone, Debug)]
pub struct Max<T, F> {
    field: F,
    values: PhantomData<fn(T)>,
}

impl<T, N, F: FnMut(&T) -> N> Min<T, F> {
    /// The least of what `field` takes out of each value.
    pub fn new(field: F) -> Self {
        Self { field, values: PhantomData }
    }
}

impl<T, N, F: FnMut(&T) -> N> Max<T, F> {
    /// The greatest of what `field` takes out of each value.
    pub fn new(field: F) -> Self {
        Self { field, values: PhantomData }
    }
}

/// `a`, unless `b` is better.
#[inline]
fn better<N>(a: Option<N>, b: Option<N>, is_better: impl FnOnce(&N, &N) -> bool) -> Option<N> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if is_better(&b, &a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

impl<T, N, F> AggregateFunction for Min<T, F>
where
    T: Data,
    N: StateData + PartialOrd,
    F: FnMut(&T) -> N + Clone + Send + 'static,
{
    type In = T;
    type Accumulator = Option<N>;
    type Out = Option<N>;

    fn create_accumulator(&mut self) -> Option<N> {
        None
    }

    #[inline]
    fn add(&mut self, least: &mut Option<N>, value: T) {
        let field = (self.field)(&value);
        *least = self.merge(least.take(), Some(field));
    }

    #[inline]
    fn merge(&mut self, a: Option<N>, b: Option<N>) -> Option<N> {
        better(a, b, |b, a| b < a)
    }

    fn get_result(&mut self, least: &Option<N>) -> Option<N> {
        least.clone()
    }
}

impl<T, N, F> AggregateFunction for Max<T, F>
where
    T: Data,
    N: StateData + PartialOrd,
    F: FnMut(&T) -> N + Clone + Send + 'static,
{
    type In = T;
    type Accumulator = Option<N>;
    type Out = Option<N>;

    fn create_accumulator(&mut self) -> Option<N> {
        None
    }

    #[inline]
    fn add(&mut self, greatest: &mut Option<N>, value: T) {
        let field = (self.field)(&value);
        *greatest = self.merge(greatest.take(), Some(field));
    }

    #[inline]
    fn merge(&mut self, a: Option<N>, b: Option<N>) -> Option<N> {
        better(a, b, |b, a| b > a)
    }

    fn get_result(&mut self, greatest: &Option<N>) -> Option<N> {
        greatest.clone()
    }
}
