//! Functions of windows: what is called when a window fires, and when it is forgotten.
//!
//! A closure over key, window and result is one. [`ProcessWindowFunction`] sees more: the watermark and the clock, side outputs, state of the
//! key and of the window, and it is told when a window is over.
//!
//! - **Firing**: `process` is called each time that a window of a key fires, also again for records that come late but not too late. What it emits
//!   has the window's last millisecond as its event time.
//! - **Forgetting**: `clear` is called once for each key of a window, when the window is over: when the watermark has passed its end and the
//!   allowed lateness, or, for windows of processing time, when it has fired. What a trigger purges is not forgotten by that; global windows never
//!   are.
//! - **State**: what the function names in `states`, for each key; keyed, `window-state`: for each window of a key its
//!   [`WindowState`](ProcessWindowFunction::WindowState), which goes with the window.
//!
//! ```
//! use std::time::Duration;
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{States, ValueState};
//! use thalweg_dataflow::window::aggregate::Count;
//! use thalweg_dataflow::window::{
//!     AlignedWindows, Lateness, ProcessWindowFunction, ProcessWindow, TumblingEventTimeWindows, WindowContextOf,
//! };
//!
//! /// Says how many there were, whether that corrects what was said before, and how many windows of the key are over.
//! #[derive(Clone, Default)]
//! struct Corrected {
//!     over: ValueState<char, u32>,
//! }
//!
//! impl ProcessWindowFunction for Corrected {
//!     type Key = char;
//!     type In = u64;
//!     type Out = (char, u64, bool, u32);
//!     /// How often the window has fired.
//!     type WindowState = u32;
//!
//!     fn states(&mut self, states: &mut States<'_>) {
//!         states.keyed("over", &mut self.over);
//!     }
//!
//!     fn process(&mut self, n: u64, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
//!         *context.window_state() += 1;
//!         let (again, over) = (*context.window_state() > 1, self.over.value(context).copied().unwrap_or(0));
//!         context.collect((*context.key(), n, again, over));
//!         Ok(())
//!     }
//!
//!     fn clear(&mut self, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
//!         let over = self.over.value(context).copied().unwrap_or(0);
//!         self.over.update(context, over + 1);
//!         Ok(())
//!     }
//! }
//!
//! let each_second = TumblingEventTimeWindows::of(Duration::from_secs(1));
//! let lateness = Lateness { allowed: 500, tag: None };
//! let mut harness =
//!     Harness::new(AlignedWindows::new(each_second, lateness, Count::new(), ProcessWindow::new(Corrected::default())));
//! for (time, watermark) in [(100, 999), (200, 1400), (1100, 2000)] {
//!     harness.push(Keyed::new('a', ()), time);
//!     harness.watermark(watermark);
//! }
//! assert_eq!(harness.values(), [('a', 1, false, 0), ('a', 2, true, 0), ('a', 1, false, 1)]);
//! ```

use super::TimeWindow;
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::operator::OperatorContext;
use crate::operators::{Collect, Rich};
use crate::output::{Output, OutputTag};
use crate::record::{CurrentKey, KeyContext};
use crate::state::{Key, KeyedTable, StateData, States};
use crate::time::{TaskClock, Timestamp};
use crate::type_name::own_name;

/// The window of a key that fires, or is forgotten.
#[derive(Debug)]
pub struct WindowOf<'a, K> {
    pub(super) key: &'a K,
    pub(super) window: TimeWindow,
    pub(super) watermark: Timestamp,
    pub(super) clock: &'a TaskClock,
}

impl<K> Clone for WindowOf<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for WindowOf<'_, K> {}

/// What windows call, for each key, when they fire: a closure, or a [`ProcessWindowFunction`] by way of [`ProcessWindow`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function of a window",
    note = "it is `|key: &K, window: TimeWindow, result: R, out: &mut Collect<'_, Out>| Ok(())`, or a `ProcessWindow`"
)]
pub trait WindowFunction<K, R, Out>: Clone + Send + 'static {
    /// Whether [`clear`](Self::clear) does anything: windows then go over their keys once more when they are forgotten.
    const CLEARS: bool = false;
    /// Whether it keeps anything for a window. Windows that are joined with others cannot have that.
    const HAS_WINDOW_STATE: bool = false;

    /// What tells it from others. It is part of the operator's identity.
    fn identity(&self) -> &'static str {
        ""
    }

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Fail the job.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Names its state.
    fn states(&mut self, _states: &mut States<'_>) {}

    /// A window of a key fires.
    ///
    /// # Errors
    /// Fail the job.
    fn fire(&mut self, of: WindowOf<'_, K>, result: R, output: &mut Output<Out>) -> Result<(), BoxError>;

    /// A window of a key is forgotten.
    ///
    /// # Errors
    /// Fail the job.
    fn clear(&mut self, _of: WindowOf<'_, K>, _output: &mut Output<Out>) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<K, R, Out, F> WindowFunction<K, R, Out> for F
where
    Out: Send + 'static,
    F: FnMut(&K, TimeWindow, R, &mut Collect<'_, Out>) -> Result<(), BoxError> + Clone + Send + 'static,
{
    #[inline]
    fn fire(&mut self, of: WindowOf<'_, K>, result: R, output: &mut Output<Out>) -> Result<(), BoxError> {
        self(of.key, of.window, result, &mut Collect::new(output, of.window.max_timestamp()))
    }
}

/// A function over the windows of a keyed stream, with state of the key and of the window (Flink's `ProcessWindowFunction`; of a stream without
/// keys, with `()` for its key, `ProcessAllWindowFunction`). The engine runs a clone of it in each subtask. See the [module](self).
pub trait ProcessWindowFunction: Clone + Send + 'static {
    /// What the stream is keyed by.
    type Key: Key;
    /// What it is handed: all records of the window as a `Vec`, in the order in which they came, or the result of an aggregate.
    type In: Send + 'static;
    /// What is emitted.
    type Out: Send + 'static;
    /// What it keeps for each window of each key; `()`: nothing. It is part of checkpoints, is found again at any parallelism, and goes with the
    /// window. Other than Flink's it needs no clearing. Session windows, which are joined with others, cannot have any: the job is refused.
    type WindowState: StateData + Default;

    /// Called once, before anything else.
    ///
    /// # Errors
    /// Fail the job.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Names the state that is kept for each key, whatever the window (Flink's `globalState`), as
    /// [`KeyedProcessFunction::states`](crate::operators::KeyedProcessFunction::states) does.
    fn states(&mut self, _states: &mut States<'_>) {}

    /// Called when a window of a key fires.
    ///
    /// # Errors
    /// Fail the job.
    fn process(
        &mut self,
        elements: Self::In,
        context: &mut WindowContextOf<'_, Self>,
    ) -> Result<(), BoxError>;

    /// Called once for each key of a window, before the window and its state are forgotten.
    ///
    /// # Errors
    /// Fail the job.
    fn clear(&mut self, _context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
        Ok(())
    }

    /// Called once after everything else, if it was opened: also when the job fails or is cancelled.
    fn close(&mut self) {}
}

/// The context of a function `F`, for its signatures: `context: &mut WindowContextOf<'_, Self>`.
pub type WindowContextOf<'a, F> = WindowContext<
    'a,
    <F as ProcessWindowFunction>::Key,
    <F as ProcessWindowFunction>::WindowState,
    <F as ProcessWindowFunction>::Out,
>;

/// The states of the windows of each key: by window, the earliest first.
type WindowStates<K, S> = KeyedTable<K, Vec<(TimeWindow, S)>>;

/// What a function sees and emits to while it works on one window of one key.
pub struct WindowContext<'a, K, S, Out> {
    of: WindowOf<'a, K>,
    hash: u64,
    states: &'a mut WindowStates<K, S>,
    nothing: &'a mut S,
    output: &'a mut Output<Out>,
}

impl<'a, K: Key, S: StateData + Default, Out: Send + 'static> WindowContext<'a, K, S, Out> {
    /// The window.
    pub fn window(&self) -> TimeWindow {
        self.of.window
    }

    /// The key.
    pub fn key(&self) -> &'a K {
        self.of.key
    }

    /// Hands on `value`, with the window's last millisecond as its event time.
    #[inline]
    pub fn collect(&mut self, value: Out) {
        self.output.push(value, self.of.window.max_timestamp());
    }

    /// Hands `value` to a side output, with the same time. Where nobody reads it, it is dropped.
    pub fn output<V: Send + 'static>(&mut self, tag: &OutputTag<V>, value: V) {
        self.output.push_side(tag, value, self.of.window.max_timestamp());
    }

    /// The watermark that the operator has reached (milliseconds): that which makes the window fire, or a later one.
    pub fn current_watermark(&self) -> Timestamp {
        self.of.watermark
    }

    /// The processing time (milliseconds), as of the current batch.
    pub fn current_processing_time(&self) -> Timestamp {
        self.of.clock.now()
    }

    /// What is kept for this window of this key; the default when it is first asked for.
    pub fn window_state(&mut self) -> &mut S {
        let WindowOf { key, window, .. } = self.of;
        if size_of::<S>() == 0 {
            return self.nothing;
        }
        if self.states.get(self.hash, key).is_none() {
            self.states.insert(self.hash, key, Vec::new());
        }
        let Some(of_key) = self.states.get_mut(self.hash, key) else { unreachable!("it is there by now") };
        let place = match of_key.binary_search_by_key(&window, |(window, _)| *window) {
            Ok(place) => place,
            Err(place) => {
                of_key.insert(place, (window, S::default()));
                place
            }
        };
        &mut of_key[place].1
    }

    /// By what state of the key is read and written, whatever the window: `self.total.value(&context.global_state())`. The context itself is taken,
    /// too: `self.total.value(context)`.
    pub fn global_state(&self) -> CurrentKey<'a, K> {
        CurrentKey { hash: self.hash, key: self.of.key }
    }
}

impl<K, S, Out> KeyContext<K> for WindowContext<'_, K, S, Out> {
    #[inline]
    fn at_key(&self) -> CurrentKey<'_, K> {
        CurrentKey { hash: self.hash, key: self.of.key }
    }
}

/// A [`ProcessWindowFunction`], as windows call it.
#[derive(Clone, Debug)]
pub struct ProcessWindow<F: ProcessWindowFunction> {
    function: Rich<F>,
    states: WindowStates<F::Key, F::WindowState>,
    /// What is handed out for a state that has no size, and so nothing to keep.
    nothing: F::WindowState,
}

impl<F: ProcessWindowFunction> ProcessWindow<F> {
    /// Calls `function` for each window of each key.
    pub fn new(function: F) -> Self {
        let (states, nothing) = (KeyedTable::default(), F::WindowState::default());
        Self { function: Rich::new(function, F::close), states, nothing }
    }
}

impl<F: ProcessWindowFunction> WindowFunction<F::Key, F::In, F::Out> for ProcessWindow<F> {
    const CLEARS: bool = true;
    const HAS_WINDOW_STATE: bool = size_of::<F::WindowState>() > 0;

    fn identity(&self) -> &'static str {
        own_name::<F>()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.function.open(|function| function.open(context))
    }

    fn states(&mut self, states: &mut States<'_>) {
        if Self::HAS_WINDOW_STATE {
            states.keyed("window-state", &mut self.states);
        }
        self.function.states(states);
    }

    fn fire(
        &mut self,
        of: WindowOf<'_, F::Key>,
        elements: F::In,
        output: &mut Output<F::Out>,
    ) -> Result<(), BoxError> {
        let (hash, Self { function, states, nothing }) = (key_hash(of.key), self);
        function.process(elements, &mut WindowContext { of, hash, states, nothing, output })
    }

    fn clear(&mut self, of: WindowOf<'_, F::Key>, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let (WindowOf { key, window, .. }, hash) = (of, key_hash(of.key));
        let Self { function, states, nothing } = self;
        function.clear(&mut WindowContext { of, hash, states, nothing, output })?;
        if !Self::HAS_WINDOW_STATE {
            return Ok(());
        }
        // Looked at before it is written to: what is written to is part of the next checkpoint.
        let Some(of_key) = states.get(hash, key) else { return Ok(()) };
        let Ok(place) = of_key.binary_search_by_key(&window, |(window, _)| *window) else { return Ok(()) };
        if of_key.len() == 1 {
            states.remove(hash, key);
        } else if let Some(of_key) = states.get_mut(hash, key) {
            of_key.remove(place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
