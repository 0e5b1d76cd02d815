//! `process_function`: a function over each record with a life, counters and state of its subtask (Flink's `ProcessFunction` as a rich function with
//! `CheckpointedFunction`), and the same over two streams (`CoProcessFunction`).
//!
//! - **Records**: `process_element` is called once for each, in order; what it collects has the record's event time.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: what the function names in `states`: lists, which are dealt out among the subtasks when the job is restored, and unions, of which
//!   every subtask then gets all. State and timers of keys: [`KeyedProcess`](super::KeyedProcess).
//!
//! ```
//! use std::sync::Arc;
//!
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::metrics::Counter;
//! use thalweg_dataflow::operator::OperatorContext;
//! use thalweg_dataflow::operators::{ProcessContext, ProcessFunction, ProcessWith};
//! use thalweg_dataflow::state::States;
//!
//! /// Sends words on in threes; those that wait for others are in the checkpoint.
//! #[derive(Clone, Default)]
//! struct Threes {
//!     waiting: Vec<String>,
//!     sent: Arc<Counter>,
//! }
//!
//! impl ProcessFunction for Threes {
//!     type In = &'static str;
//!     type Out = String;
//!
//!     fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
//!         self.sent = context.metrics.counter("threes");
//!         Ok(())
//!     }
//!
//!     fn states(&mut self, states: &mut States<'_>) {
//!         states.list("waiting", &mut self.waiting);
//!     }
//!
//!     fn process_element(&mut self, word: &'static str, context: &mut ProcessContext<'_, String>) -> Result<(), BoxError> {
//!         self.waiting.push(word.to_owned());
//!         if self.waiting.len() == 3 {
//!             context.collect(self.waiting.drain(..).collect::<Vec<_>>().join(" "));
//!             self.sent.add(1);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut harness = Harness::new(ProcessWith::new(Threes::default()));
//! ["deep", "and"].into_iter().for_each(|word| harness.push(word, 0));
//! harness.checkpoint(1);
//! harness.push("fast", 0);
//! assert_eq!(harness.values(), ["deep and fast"]);
//! assert_eq!(harness.metrics().counters()["threes"], 1);
//! ```

use super::ProcessContext;
use super::rich::Rich;
use crate::error::BoxError;
use crate::graph::Either;
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, Record};
use crate::state::States;
use crate::time::{MIN_WATERMARK, TaskClock, Timestamp};
use crate::type_name::own_name;

/// A function over the records of a stream. The engine runs a clone of it in each subtask.
pub trait ProcessFunction: Clone + Send + 'static {
    /// The records.
    type In: Send + 'static;
    /// What is emitted.
    type Out: Send + 'static;

    /// Called once, before anything else. The context has the subtask's number, and counters.
    ///
    /// # Errors
    /// Fail the job.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Names state of the subtask: [`States::list`] and [`States::union`].
    fn states(&mut self, _states: &mut States<'_>) {}

    /// Called for each record.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_element(
        &mut self,
        value: Self::In,
        context: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called once after everything else, if it was opened: also when the job fails or is cancelled.
    fn close(&mut self) {}
}

/// A function over the records of two streams. The engine runs a clone of it in each subtask.
pub trait CoProcessFunction: Clone + Send + 'static {
    /// The records of the first.
    type In1: Send + 'static;
    /// The records of the second.
    type In2: Send + 'static;
    /// What is emitted.
    type Out: Send + 'static;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Fail the job.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Names state of the subtask: [`States::list`] and [`States::union`].
    fn states(&mut self, _states: &mut States<'_>) {}

    /// Called for each record of the first stream.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_element1(
        &mut self,
        value: Self::In1,
        context: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called for each record of the second stream.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_element2(
        &mut self,
        value: Self::In2,
        context: &mut ProcessContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called once after everything else, if it was opened: also when the job fails or is cancelled.
    fn close(&mut self) {}
}

/// A function of two streams as one of the records of either.
#[derive(Clone, Debug)]
pub struct OfBoth<F>(F);

impl<F: CoProcessFunction> ProcessFunction for OfBoth<F> {
    type In = Either<F::In1, F::In2>;
    type Out = F::Out;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.0.open(context)
    }

    fn states(&mut self, states: &mut States<'_>) {
        self.0.states(states);
    }

    #[inline]
    fn process_element(
        &mut self,
        value: Self::In,
        context: &mut ProcessContext<'_, F::Out>,
    ) -> Result<(), BoxError> {
        match value {
            Either::Left(value) => self.0.process_element1(value, context),
            Either::Right(value) => self.0.process_element2(value, context),
        }
    }

    fn close(&mut self) {
        self.0.close();
    }
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct ProcessWith<F: ProcessFunction> {
    function: Rich<F>,
    watermark: Timestamp,
    clock: TaskClock,
}

impl<F: ProcessFunction> ProcessWith<F> {
    /// Calls `function` on every record.
    pub fn new(function: F) -> Self {
        let function = Rich::new(function, F::close);
        Self { function, watermark: MIN_WATERMARK, clock: TaskClock::default() }
    }
}

impl<F: CoProcessFunction> ProcessWith<OfBoth<F>> {
    /// Calls `function` on every record of both streams.
    pub fn of_both(function: F) -> Self {
        Self::new(OfBoth(function))
    }
}

impl<F: ProcessFunction> Operator for ProcessWith<F> {
    type In = F::In;
    type Out = F::Out;

    fn identity(&self) -> String {
        own_name::<F>().to_owned()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        self.function.open(|function| function.open(context))
    }

    fn states(&mut self, states: &mut States<'_>) {
        self.function.states(states);
    }

    fn process(&mut self, batch: &mut Batch<F::In>, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let Self { function, watermark, clock } = self;
        for Record { value, timestamp } in batch.records.drain(..) {
            let mut context = ProcessContext { output, timestamp, watermark: *watermark, clock };
            function.process_element(value, &mut context)?;
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        _: &mut Output<F::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.watermark = watermark;
        Ok(Some(watermark))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::harness::Harness;

    /// Counts what its subtask and all before it have seen of both sides, and tells of its life.
    #[derive(Clone)]
    struct Seen {
        mine: Vec<(u32, u32)>,
        all: Vec<u32>,
        told: Sender<&'static str>,
    }

    impl CoProcessFunction for Seen {
        type In1 = u32;
        type In2 = char;
        type Out = (usize, u32);

        fn open(&mut self, _: &OperatorContext) -> Result<(), BoxError> {
            Ok(self.told.send("open")?)
        }

        fn states(&mut self, states: &mut States<'_>) {
            states.list("mine", &mut self.mine);
            states.union("all", &mut self.all);
        }

        fn process_element1(
            &mut self,
            n: u32,
            _: &mut ProcessContext<'_, Self::Out>,
        ) -> Result<(), BoxError> {
            self.mine.push((n, n));
            self.all.push(n);
            Ok(())
        }

        fn process_element2(
            &mut self,
            _: char,
            context: &mut ProcessContext<'_, Self::Out>,
        ) -> Result<(), BoxError> {
            context.collect((self.mine.len(), self.all.iter().sum()));
            Ok(())
        }

        fn close(&mut self) {
            let _ = self.told.send("close");
        }
    }

    #[test]
    fn both_sides_share_state_that_is_restored_and_the_function_is_closed() {
        let (told, heard) = channel();
        let mut harness =
            Harness::new(ProcessWith::of_both(Seen { mine: Vec::new(), all: Vec::new(), told }));
        (1..=3).for_each(|n| harness.push(Either::Left(n), 0));
        harness.checkpoint(1);
        harness.push(Either::Left(10), 0);
        harness.push(Either::Right('?'), 0);
        assert_eq!(harness.values(), [(4, 16)]);
        drop(harness);
        // The template was never opened.
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["open", "close"]);
    }
}
