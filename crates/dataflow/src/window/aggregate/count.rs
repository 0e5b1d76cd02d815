//! `Count`: how many values there are.

use std::marker::PhantomData;

use super::AggregateFunction;
use crate::record::Data;

/// Counts values of any type.
#[derive(Clone, Debug)]
pub struct Count<T>(PhantomData<fn(T)>);

impl<T> Count<T> {
    /// Counts.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Count<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Data> AggregateFunction for Count<T> {
    type In = T;
    type Accumulator = u64;
    type Out = u64;
    const COMMUTATIVE: bool = true;

    fn create_accumulator(&mut self) -> u64 {
        0
    }

    #[inline]
    fn add(&mut self, count: &mut u64, _: T) {
        *count += 1;
    }

    fn merge(&mut self, a: u64, b: u64) -> u64 {
        a + b
    }

    fn get_result(&mut self, count: &u64) -> u64 {
        *count
    }
}
