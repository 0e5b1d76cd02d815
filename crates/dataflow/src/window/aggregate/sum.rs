//! `Sum`: what a field of all values adds up to.

use std::marker::PhantomData;
use std::ops::Add;

use super::AggregateFunction;
use crate::record::Data;
use crate::state::StateData;

/// Adds up what a function takes out of each value. The sum of nothing is `None`; a window always has something.
#[derive(Clone, Debug)]
pub struct Sum<T, F> {
    field: F,
    values: PhantomData<fn(T)>,
}

impl<T, N, F: FnMut(&T) -> N> Sum<T, F> {
    /// Adds up what `field` takes out of each value.
    pub fn new(field: F) -> Self {
        Self { field, values: PhantomData }
    }
}

impl<T, N, F> AggregateFunction for Sum<T, F>
where
    T: Data,
    N: StateData + Add<Output = N>,
    F: FnMut(&T) -> N + Clone + Send + 'static,
{
    type In = T;
    type Accumulator = Option<N>;
    type Out = Option<N>;

    fn create_accumulator(&mut self) -> Option<N> {
        None
    }

    #[inline]
    fn add(&mut self, sum: &mut Option<N>, value: T) {
        let term = (self.field)(&value);
        *sum = Some(match sum.take() {
            Some(sum) => sum + term,
            None => term,
        });
    }

    fn merge(&mut self, a: Option<N>, b: Option<N>) -> Option<N> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        }
    }

    fn get_result(&mut self, sum: &Option<N>) -> Option<N> {
        sum.clone()
    }
}
