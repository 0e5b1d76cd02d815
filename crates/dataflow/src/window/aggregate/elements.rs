//! `Elements`: all values, in the order in which they came: for window functions that need every one.

use std::marker::PhantomData;

use super::AggregateFunction;
use crate::state::StateData;

/// Keeps all values. State grows with every record; an aggregate that keeps less is better where there is one.
#[derive(Clone, Debug)]
pub struct Elements<T>(PhantomData<fn(T)>);

impl<T> Elements<T> {
    /// Keeps all values.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Elements<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: StateData> AggregateFunction for Elements<T> {
    type In = T;
    type Accumulator = Vec<T>;
    type Out = Vec<T>;

    fn create_accumulator(&mut self) -> Vec<T> {
        Vec::new()
    }

    fn add(&mut self, elements: &mut Vec<T>, value: T) {
        elements.push(value);
    }

    fn merge(&mut self, mut a: Vec<T>, mut b: Vec<T>) -> Vec<T> {
        a.append(&mut b);
        a
    }

    fn get_result(&mut self, elements: &Vec<T>) -> Vec<T> {
        elements.clone()
    }
}
