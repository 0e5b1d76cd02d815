//! `process`: a function over each record that sees its time and may emit to side outputs (Flink's `ProcessFunction`).
//!
//! - **Records**: the function is called once for each, in order; what it collects has the record's event time.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: none. State and timers belong to keys: [`KeyedProcess`](super::KeyedProcess).
//!
//! ```
//! use thalweg_dataflow::OutputTag;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{Process, ProcessContext};
//!
//! const ODD: OutputTag<u32> = OutputTag::new("odd");
//! let split = Process::new(|n: u32, context: &mut ProcessContext<'_, u32>| {
//!     if n % 2 == 0 { context.collect(n) } else { context.output(&ODD, n) }
//!     Ok(())
//! });
//! let (mut harness, odd) = Harness::with_side(split, &ODD);
//! (1..=4).for_each(|n| harness.push(n, 0));
//! harness.end();
//! assert_eq!((harness.values(), odd.values()), (vec![2, 4], vec![1, 3]));
//! ```

use std::marker::PhantomData;

use crate::error::BoxError;
use crate::operator::{Operator, OperatorContext};
use crate::output::{Output, OutputTag};
use crate::record::{Batch, Record};
use crate::time::{MIN_WATERMARK, TaskClock, Timestamp};

/// What a function sees and emits to while it works on one record.
pub struct ProcessContext<'a, Out> {
    pub(crate) output: &'a mut Output<Out>,
    pub(crate) timestamp: Timestamp,
    pub(crate) watermark: Timestamp,
    pub(crate) clock: &'a TaskClock,
}

impl<Out: Send + 'static> ProcessContext<'_, Out> {
    /// Hands on `value`, with the event time of the record.
    #[inline]
    pub fn collect(&mut self, value: Out) {
        self.output.push(value, self.timestamp);
    }

    /// Hands `value` to a side output, with the event time of the record. Where nobody reads it, it is dropped.
    pub fn output<S: Send + 'static>(&mut self, tag: &OutputTag<S>, value: S) {
        self.output.push_side(tag, value, self.timestamp);
    }

    /// The event time of the record (milliseconds), or [`NO_TIMESTAMP`](crate::time::NO_TIMESTAMP).
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The watermark that the operator has reached (milliseconds).
    pub fn current_watermark(&self) -> Timestamp {
        self.watermark
    }

    /// The processing time (milliseconds), as of the current batch.
    pub fn current_processing_time(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct Process<In, Out, F> {
    function: F,
    watermark: Timestamp,
    clock: TaskClock,
    types: PhantomData<fn(In) -> Out>,
}

impl<In, Out, F> Process<In, Out, F>
where
    F: FnMut(In, &mut ProcessContext<'_, Out>) -> Result<(), BoxError>,
{
    /// Calls `function` on every record.
    pub fn new(function: F) -> Self {
        Self { function, watermark: MIN_WATERMARK, clock: TaskClock::default(), types: PhantomData }
    }
}

impl<In, Out, F> Operator for Process<In, Out, F>
where
    In: Send + 'static,
    Out: Send + 'static,
    F: FnMut(In, &mut ProcessContext<'_, Out>) -> Result<(), BoxError> + Send + 'static,
{
    type In = In;
    type Out = Out;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<In>, output: &mut Output<Out>) -> Result<(), BoxError> {
        let Self { function, watermark, clock, .. } = self;
        for Record { value, timestamp } in batch.records.drain(..) {
            let mut context = ProcessContext { output, timestamp, watermark: *watermark, clock };
            function(value, &mut context)?;
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        _: &mut Output<Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.watermark = watermark;
        Ok(Some(watermark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Event, Harness};

    #[test]
    fn a_function_sees_the_time() {
        let times = Process::new(|(): (), context: &mut ProcessContext<'_, (i64, i64)>| {
            context.collect((context.current_watermark(), context.current_processing_time()));
            Ok(())
        });
        let mut harness = Harness::new(times);
        harness.set_processing_time(70);
        harness.watermark(5);
        harness.push((), 9);
        assert_eq!(harness.events(), [Event::Watermark(5), Event::Record((5, 70), 9)]);
    }
}
