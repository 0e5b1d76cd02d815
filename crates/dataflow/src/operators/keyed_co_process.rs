//! `process` on two keyed streams that are connected: a function with state and timers that both sides share (Flink's
//! `KeyedCoProcessFunction`).
//!
//! - **Records**: `process_element1` is called for those of the first input, `process_element2` for those of
//!   the second. The order between the two is not defined.
//! - **Watermarks** are the lower of the two inputs' and call `on_timer` for the event-time timers that are
//!   due, then pass. What timers do that are set anew, at the end, and after it: as of [`KeyedProcess`](super::KeyedProcess).
//! - **Barriers** are aligned over both inputs, then pass.
//! - **State**: as of [`KeyedProcess`](super::KeyedProcess).
//!
//! ```
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::graph::Either;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{KeyedCoProcess, KeyedCoProcessFunction, KeyedProcessContext};
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{States, ValueState};
//!
//! /// Prices orders by the last rate of their currency.
//! #[derive(Clone, Default)]
//! struct Convert {
//!     rate: ValueState<String, u64>,
//! }
//!
//! impl KeyedCoProcessFunction for Convert {
//!     type Key = String;
//!     type In1 = u64;
//!     type In2 = u64;
//!     type Out = u64;
//!
//!     fn states(&mut self, states: &mut States<'_>) {
//!         states.keyed("rate", &mut self.rate);
//!     }
//!     fn process_element1(&mut self, order: u64, context: &mut KeyedProcessContext<'_, String, u64>) -> Result<(), BoxError> {
//!         if let Some(rate) = self.rate.value(&context.current_key()) {
//!             context.collect(order * rate);
//!         }
//!         Ok(())
//!     }
//!     fn process_element2(&mut self, rate: u64, context: &mut KeyedProcessContext<'_, String, u64>) -> Result<(), BoxError> {
//!         self.rate.update(&context.current_key(), rate);
//!         Ok(())
//!     }
//! }
//!
//! let mut harness = Harness::new(KeyedCoProcess::new(Convert::default()));
//! let eur = "EUR".to_owned();
//! harness.push(Either::Right(Keyed::new(eur.clone(), 3)), 0);
//! harness.push(Either::Left(Keyed::new(eur, 5)), 0);
//! assert_eq!(harness.values(), [15]);
//! ```

use super::keyed_process::{KeyedProcessContext, KeyedTime, OnTimer};
use super::rich::Rich;
use crate::error::BoxError;
use crate::graph::Either;
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, CurrentKey, Keyed, Record};
use crate::state::{Key, States};
use crate::time::Timestamp;
use crate::type_name::own_name;
use crate::window::TimeDomain;

/// A function over the records of two keyed streams, with state and timers. The engine runs a clone of it in
/// each subtask.
pub trait KeyedCoProcessFunction: Clone + Send + 'static {
    /// What both streams are keyed by.
    type Key: Key;
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

    /// Names every piece of state, always the same under the same name, and none twice: every field that is a
    /// [`ValueState`](crate::state::ValueState) or one of its kin. A function without state names nothing:
    /// `fn states(&mut self, _: &mut States<'_>) {}`. State that is not named here cannot be used.
    fn states(&mut self, states: &mut States<'_>);

    /// Called for each record of the first stream.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_element1(
        &mut self,
        value: Self::In1,
        context: &mut KeyedProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called for each record of the second stream.
    ///
    /// # Errors
    /// Fail the job, with the record's origin.
    fn process_element2(
        &mut self,
        value: Self::In2,
        context: &mut KeyedProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called when a timer is due that this key has set.
    ///
    /// # Errors
    /// Fail the job.
    fn on_timer(
        &mut self,
        _timer: OnTimer,
        _context: &mut KeyedProcessContext<'_, Self::Key, Self::Out>,
    ) -> Result<(), BoxError> {
        Ok(())
    }

    /// Called once after everything else, if it was opened: also when the job fails or is cancelled.
    fn close(&mut self) {}
}

/// The context of a function `F` over two keyed streams, for its signatures: `context: &mut CoContextOf<'_, Self>`.
pub type CoContextOf<'a, F> =
    KeyedProcessContext<'a, <F as KeyedCoProcessFunction>::Key, <F as KeyedCoProcessFunction>::Out>;

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct KeyedCoProcess<F: KeyedCoProcessFunction> {
    function: Rich<F>,
    time: KeyedTime<F::Key>,
}

impl<F: KeyedCoProcessFunction> KeyedCoProcess<F> {
    /// Calls `function` on every record and timer.
    pub fn new(function: F) -> Self {
        Self { function: Rich::new(function, F::close), time: KeyedTime::default() }
    }
}

impl<F: KeyedCoProcessFunction> Operator for KeyedCoProcess<F> {
    type In = Either<Keyed<F::Key, F::In1>, Keyed<F::Key, F::In2>>;
    type Out = F::Out;

    fn identity(&self) -> String {
        own_name::<F>().to_owned()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.time.open(context);
        self.function.open(|function| function.open(context))
    }

    fn states(&mut self, states: &mut States<'_>) {
        self.time.states(states);
        self.function.states(states);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let Self { function, time } = self;
        for Record { value, timestamp } in batch.records.drain(..) {
            match value {
                Either::Left(Keyed { hash, key, value }) => {
                    let key = CurrentKey { hash, key: &key };
                    function.process_element1(value, &mut time.context(key, timestamp, output))?;
                }
                Either::Right(Keyed { hash, key, value }) => {
                    let key = CurrentKey { hash, key: &key };
                    function.process_element2(value, &mut time.context(key, timestamp, output))?;
                }
            }
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<F::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        let Self { function, time } = self;
        time.fire(TimeDomain::Event, watermark, output, |timer, context| function.on_timer(timer, context))?;
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.time.next_timer()
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let Self { function, time } = self;
        time.fire(TimeDomain::Processing, now, output, |timer, context| function.on_timer(timer, context))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::Harness;
    use crate::state::ValueState;

    /// Adds the left, subtracts the right, and says so 5 ms of event time after each record.
    #[derive(Clone, Default)]
    struct Balance(ValueState<u8, i64>);

    impl Balance {
        fn add(&mut self, amount: i64, context: &mut KeyedProcessContext<'_, u8, (u8, i64)>) {
            let before = self.0.value(&context.current_key()).copied().unwrap_or(0);
            self.0.update(&context.current_key(), before + amount);
            context.register_event_time_timer(context.timestamp() + 5);
        }
    }

    impl KeyedCoProcessFunction for Balance {
        type Key = u8;
        type In1 = i64;
        type In2 = i32;
        type Out = (u8, i64);

        fn states(&mut self, states: &mut States<'_>) {
            states.keyed("balance", &mut self.0);
        }

        fn process_element1(
            &mut self,
            amount: i64,
            context: &mut KeyedProcessContext<'_, u8, Self::Out>,
        ) -> Result<(), BoxError> {
            self.add(amount, context);
            Ok(())
        }

        fn process_element2(
            &mut self,
            amount: i32,
            context: &mut KeyedProcessContext<'_, u8, Self::Out>,
        ) -> Result<(), BoxError> {
            self.add(-i64::from(amount), context);
            Ok(())
        }

        fn on_timer(
            &mut self,
            _: OnTimer,
            context: &mut KeyedProcessContext<'_, u8, Self::Out>,
        ) -> Result<(), BoxError> {
            let key = context.current_key();
            context.collect((*key.key(), self.0.value(&key).copied().unwrap_or(0)));
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn both_sides_share_state_and_timers_through_a_restore(
            records in prop::collection::vec((any::<bool>(), 0_u8..5, 0_i32..9), 1..50),
            cut in 0_usize..50,
            parallelism in 1_usize..5,
        ) {
            let balance = || KeyedCoProcess::new(Balance::default());
            let mut harness = Harness::new(balance());
            let (mut model, mut due): (BTreeMap<u8, i64>, BTreeMap<i64, u8>) = Default::default();
            for (index, (left, key, amount)) in records.into_iter().enumerate() {
                if index == cut {
                    harness = harness.restore(balance(), parallelism);
                }
                let (time, amount) = (index as i64, i64::from(amount));
                *model.entry(key).or_insert(0) += if left { amount } else { -amount };
                harness.push(
                    if left { Either::Left(Keyed::new(key, amount)) } else { Either::Right(Keyed::new(key, amount as i32)) },
                    time,
                );
                due.insert(time + 5, key);
                harness.watermark(time);
                let expected: Vec<(u8, i64)> = due.remove(&time).map(|key| (key, model[&key])).into_iter().collect();
                prop_assert_eq!(harness.values(), expected);
            }
        }
    }
}
