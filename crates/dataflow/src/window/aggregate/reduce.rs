//! `ReduceAggregate`: values combined two by two, into one of the same type.

use std::marker::PhantomData;

use super::AggregateFunction;
use crate::state::StateData;

/// Combines values by a function, which must be associative (Flink's `ReduceFunction`). The result of nothing
/// is `None`; a window always has something.
#[derive(Clone, Debug)]
pub struct ReduceAggregate<T, F> {
    function: F,
    values: PhantomData<fn(T)>,
}

impl<T, F: FnMut(T, T) -> T> ReduceAggregate<T, F> {
    /// Combines values by `function`.
    pub fn new(function: F) -> Self {
        Self { function, values: PhantomData }
    }
}

impl<T: StateData, F: FnMut(T, T) -> T + Clone + Send + 'static> AggregateFunction for ReduceAggregate<T, F> {
    type In = T;
    type Accumulator = Option<T>;
    type Out = Option<T>;

    fn create_accumulator(&mut self) -> Option<T> {
        None
    }

    #[inline]
    fn add(&mut self, reduced: &mut Option<T>, value: T) {
        *reduced = Some(match reduced.take() {
            Some(reduced) => (self.function)(reduced, value),
            None => value,
        });
    }

    fn merge(&mut self, a: Option<T>, b: Option<T>) -> Option<T> {
        match (a, b) {
            (Some(a), Some(b)) => Some((self.function)(a, b)),
            (a, b) => a.or(b),
        }
    }

    fn get_result(&mut self, reduced: &Option<T>) -> Option<T> {
        reduced.clone()
    }
}
