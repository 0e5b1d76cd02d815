//! `Average`: the mean of a field of all values.

use std::marker::PhantomData;

use super::AggregateFunction;
use crate::record::Data;

/// The mean of what a function takes out of each value. The mean of nothing is `None`; a window always has something.
#[derive(Clone, Debug)]
pub struct Average<T, F> {
    field: F,
    values: PhantomData<fn(T)>,
}

impl<T, F: FnMut(&T) -> f64> Average<T, F> {
    /// The mean of what `field` takes out of each value.
    pub fn new(field: F) -> Self {
        Self { field, values: PhantomData }
    }
}

impl<T, F> AggregateFunction for Average<T, F>
where
    T: Data,
    F: FnMut(&T) -> f64 + Clone + Send + 'static,
{
    type In = T;
    /// The sum and the count.
    type Accumulator = (f64, u64);
    type Out = Option<f64>;
    const COMMUTATIVE: bool = true;

    fn create_accumulator(&mut self) -> (f64, u64) {
        (0.0, 0)
    }

    #[inline]
    fn add(&mut self, (sum, count): &mut (f64, u64), value: T) {
        *sum += (self.field)(&value);
        *count += 1;
    }

    fn merge(&mut self, a: (f64, u64), b: (f64, u64)) -> (f64, u64) {
        (a.0 + b.0, a.1 + b.1)
    }

    fn get_result(&mut self, (sum, count): &(f64, u64)) -> Option<f64> {
        (*count > 0).then(|| sum / *count as f64)
    }
}
