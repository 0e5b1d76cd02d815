//! `flat_map`: none, one or many records for each. `map` and `filter` are a line over it.
//!
//! - **Records**: the function is called once for each, in order; what it collects has the record's event time.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: none.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{Collect, FlatMap};
//!
//! let words = FlatMap::new(|line: String, out: &mut Collect<'_, String>| {
//!     for word in line.split(' ') {
//!         out.collect(word.to_owned());
//!     }
//!     Ok(())
//! });
//! let mut harness = Harness::new(words);
//! harness.push("deep and fast".to_owned(), 7);
//! assert_eq!(harness.values(), ["deep", "and", "fast"]);
//! ```

use std::marker::PhantomData;

use crate::error::BoxError;
use crate::operator::Operator;
use crate::output::{Output, OutputTag};
use crate::record::Batch;
use crate::time::Timestamp;

/// Collects what a function makes of one record.
pub struct Collect<'a, T> {
    output: &'a mut Output<T>,
    timestamp: Timestamp,
}

impl<'a, T: Send + 'static> Collect<'a, T> {
    pub(crate) fn new(output: &'a mut Output<T>, timestamp: Timestamp) -> Self {
        Self { output, timestamp }
    }

    /// Hands on `value`, with the event time of the record it was made of.
    #[inline]
    pub fn collect(&mut self, value: T) {
        self.output.push(value, self.timestamp);
    }

    /// Hands `value` to a side output, with the same event time. Where nobody reads it, it is dropped.
    pub fn output<S: Send + 'static>(&mut self, tag: &OutputTag<S>, value: S) {
        self.output.push_side(tag, value, self.timestamp);
    }

    /// The event time of the record (milliseconds), or [`NO_TIMESTAMP`](crate::time::NO_TIMESTAMP).
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct FlatMap<In, Out, F> {
    function: F,
    types: PhantomData<fn(In) -> Out>,
}

impl<In, Out, F> FlatMap<In, Out, F>
where
    F: FnMut(In, &mut Collect<'_, Out>) -> Result<(), BoxError>,
{
    /// Calls `function` on every record.
    pub fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }
}

impl<In, Out, F> Operator for FlatMap<In, Out, F>
where
    In: Send + 'static,
    Out: Send + 'static,
    F: FnMut(In, &mut Collect<'_, Out>) -> Result<(), BoxError> + Send + 'static,
{
    type In = In;
    type Out = Out;

    fn process(&mut self, batch: &mut Batch<In>, output: &mut Output<Out>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            (self.function)(record.value, &mut Collect { output, timestamp: record.timestamp })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Event, Harness};

    #[test]
    fn many_none_and_the_record_time() {
        let mut harness = Harness::new(FlatMap::new(|n: usize, out: &mut Collect<'_, usize>| {
            (0..n).for_each(|i| out.collect(i));
            Ok(())
        }));
        harness.push(0, 5);
        harness.push(2, 6);
        harness.watermark(6);
        assert_eq!(harness.events(), [Event::Record(0, 6), Event::Record(1, 6), Event::Watermark(6)]);
        // More than one batch out of one record keeps its order.
        harness.push(5000, 7);
        assert_eq!(harness.values(), (0..5000).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_names_the_operator() {
        let mut harness =
            Harness::new(FlatMap::new(|_: u8, _: &mut Collect<'_, u8>| Err("seven is not allowed".into())));
        let failure = harness.try_push(7, 0).unwrap_err().to_string();
        assert!(failure.contains("`FlatMap`") && failure.contains("seven is not allowed"), "{failure}");
    }
}
