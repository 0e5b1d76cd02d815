//! Windows with a trigger of their own, and evictors: they keep all records until their trigger lets them go.
//!
//! - **Records** are added to each of their windows, in the order in which they come; then the trigger is asked. When a window fires, the
//!   evictor drops what it likes, and the function is handed what is left. A result has the window's last millisecond as its event
//!   time.
//! - **Late records**: as of all [windows](super); global windows know none.
//! - **Watermarks** call the trigger for the timers that are due, then pass. A window of event time is forgotten when the watermark has passed its
//!   end and the allowed lateness; one of processing time at its end.
//! - **The end**: timers of event time fire; a count that is not full does not.
//! - **State**: keyed, `windows`, `timers-event`, `timers-processing`; union, `watermark`.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{Collect, KeyedProcess};
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::window::evictor::NoEvictor;
//! use thalweg_dataflow::window::trigger::{CountTrigger, PurgingTrigger};
//! use thalweg_dataflow::window::{GlobalWindows, Lateness, TimeWindow, TriggeredWindows};
//!
//! let pairs = TriggeredWindows::new(
//!     GlobalWindows,
//!     PurgingTrigger::of(CountTrigger::of(2)),
//!     NoEvictor,
//!     Lateness::default(),
//!     |_: &char, _: TimeWindow, values: Vec<u32>, out: &mut Collect<'_, Vec<u32>>| {
//!         out.collect(values);
//!         Ok(())
//!     },
//! );
//! let mut harness = Harness::new(KeyedProcess::new(pairs));
//! for (key, value) in [('a', 1), ('b', 2), ('a', 3), ('a', 4)] {
//!     harness.push(Keyed::new(key, value), 0);
//! }
//! harness.end();
//! assert_eq!(harness.values(), [[1, 3]]);
//! ```

use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::evictor::Evictor;
use super::function::{WindowFunction, WindowOf};
use super::global::FixedWindows;
use super::time::no_event_time;
use super::trigger::{Trigger, TriggerContext, TriggerResult, WindowTimers};
use super::{Lateness, TimeDomain, TimeWindow};
use crate::error::BoxError;
use crate::metrics::OperatorMetrics;
use crate::operator::OperatorContext;
use crate::operators::{KeyedProcessContext, KeyedProcessFunction, OnTimer};
use crate::state::{Key, StateData, States, ValueState};
use crate::time::{NO_TIMESTAMP, Timestamp};

/// A window of one key that is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open<T, S> {
    window: TimeWindow,
    elements: Vec<(Timestamp, T)>,
    state: S,
    timers: WindowTimers,
}

/// The function that [`KeyedProcess`](crate::operators::KeyedProcess) runs. See the [module](self).
pub struct TriggeredWindows<K, T, W, R: Trigger<T>, E, Out, F> {
    assigner: W,
    trigger: R,
    evictor: E,
    lateness: Lateness<T>,
    function: F,
    windows: ValueState<K, Vec<Open<T, R::State>>>,
    metrics: Arc<OperatorMetrics>,
    types: PhantomData<fn() -> Out>,
}

impl<K: Key, T: StateData, W: Copy, R: Trigger<T>, E: Clone, Out, F: Clone> Clone
    for TriggeredWindows<K, T, W, R, E, Out, F>
{
    fn clone(&self) -> Self {
        Self {
            assigner: self.assigner,
            trigger: self.trigger.clone(),
            evictor: self.evictor.clone(),
            lateness: self.lateness.clone(),
            function: self.function.clone(),
            windows: self.windows.clone(),
            metrics: self.metrics.clone(),
            types: PhantomData,
        }
    }
}

impl<K, T, W, R, E, Out, F> TriggeredWindows<K, T, W, R, E, Out, F>
where
    K: Key,
    T: StateData,
    W: FixedWindows,
    R: Trigger<T>,
    E: Evictor<T>,
    Out: Send + 'static,
    F: WindowFunction<K, Vec<T>, Out>,
{
    /// Calls `function` with the records of a window when `trigger` says so.
    pub fn new(assigner: W, trigger: R, evictor: E, lateness: Lateness<T>, function: F) -> Self {
        let (windows, metrics) = (ValueState::default(), Arc::default());
        Self { assigner, trigger, evictor, lateness, function, windows, metrics, types: PhantomData }
    }

    /// What the records of a window wait for at the most; `None`: for ever.
    fn over_at(&self, window: TimeWindow) -> Option<(TimeDomain, Timestamp)> {
        let end = window.max_timestamp();
        match self.assigner.domain()? {
            TimeDomain::Event => Some((TimeDomain::Event, end.saturating_add(self.lateness.allowed))),
            TimeDomain::Processing => Some((TimeDomain::Processing, end)),
        }
    }

    /// The windows of a key, until they are put back: so the function may use all of `self` meanwhile.
    fn take(&mut self, context: &KeyedProcessContext<'_, K, Out>) -> Vec<Open<T, R::State>> {
        self.windows.value_mut(&context.current_key()).map(std::mem::take).unwrap_or_default()
    }

    fn put_back(&mut self, all: Vec<Open<T, R::State>>, context: &KeyedProcessContext<'_, K, Out>) {
        let key = context.current_key();
        match self.windows.value_mut(&key) {
            Some(_) if all.is_empty() => drop(self.windows.clear(&key)),
            Some(windows) => *windows = all,
            None if all.is_empty() => {}
            None => drop(self.windows.update(&key, all)),
        }
    }

    /// Does what the trigger said.
    fn see_to(
        &mut self,
        result: TriggerResult,
        open: &mut Open<T, R::State>,
        context: &mut KeyedProcessContext<'_, K, Out>,
    ) -> Result<(), BoxError> {
        for (domain, time) in open.timers.new.drain(..) {
            match domain {
                TimeDomain::Event => context.register_event_time_timer(time),
                TimeDomain::Processing => context.register_processing_time_timer(time),
            }
        }
        if result.is_fire() {
            let Open { window, elements, .. } = open;
            self.evictor.evict_before(elements, *window);
            // Flink does not call the function of a window that has nothing, either.
            if !elements.is_empty() {
                let values = elements.iter().map(|(_, value)| value.clone()).collect();
                let (key, watermark, clock, output) = context.parts();
                self.function.fire(WindowOf { key, window: *window, watermark, clock }, values, output)?;
            }
            self.evictor.evict_after(elements, *window);
        }
        if result.is_purge() {
            open.elements.clear();
        }
        Ok(())
    }
}

impl<K, T, W, R, E, Out, F> KeyedProcessFunction for TriggeredWindows<K, T, W, R, E, Out, F>
where
    K: Key,
    T: StateData,
    W: FixedWindows,
    R: Trigger<T>,
    E: Evictor<T>,
    Out: Send + 'static,
    F: WindowFunction<K, Vec<T>, Out>,
{
    type Key = K;
    type In = T;
    type Out = Out;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.metrics = context.metrics.clone();
        self.function.open(context)
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("windows", &mut self.windows);
        self.function.states(states);
    }

    fn process_element(
        &mut self,
        value: T,
        context: &mut KeyedProcessContext<'_, K, Out>,
    ) -> Result<(), BoxError> {
        let (watermark, now) = (context.current_watermark(), context.current_processing_time());
        let time = match self.assigner.domain() {
            Some(TimeDomain::Processing) => now,
            Some(TimeDomain::Event) if context.timestamp() == NO_TIMESTAMP => return Err(no_event_time()),
            Some(TimeDomain::Event) | None => context.timestamp(),
        };
        let mut all = self.take(context);
        let mut is_late = true;
        for window in self.assigner.windows_at(time) {
            let over_at = self.over_at(window);
            if matches!(over_at, Some((TimeDomain::Event, end)) if end <= watermark) {
                continue;
            }
            is_late = false;
            let place = all.iter().position(|open| open.window == window).unwrap_or_else(|| {
                all.push(Open {
                    window,
                    elements: Vec::new(),
                    state: R::State::default(),
                    timers: WindowTimers::default(),
                });
                all.len() - 1
            });
            let open = &mut all[place];
            open.elements.push((time, value.clone()));
            if let Some((domain, end)) = over_at {
                open.timers.register(domain, end);
            }
            let Open { state, timers, .. } = open;
            let result = self.trigger.on_element(
                &value,
                time,
                window,
                &mut TriggerContext { state, watermark, now, timers },
            );
            self.see_to(result, open, context)?;
        }
        self.put_back(all, context);
        if is_late {
            context.push_late(&self.metrics, self.lateness.tag.as_ref(), value);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: OnTimer,
        context: &mut KeyedProcessContext<'_, K, Out>,
    ) -> Result<(), BoxError> {
        let (watermark, now) = (context.current_watermark(), context.current_processing_time());
        let (mut all, mut failure) = (self.take(context), None);
        all.retain_mut(|open| {
            let set = open.timers.of(timer.domain);
            let Some(place) = set.iter().position(|time| *time == timer.time) else { return true };
            set.swap_remove(place);
            let Open { window, state, timers, .. } = open;
            let (window, trigger) = (*window, &mut self.trigger);
            let trigger_context = &mut TriggerContext { state, watermark, now, timers };
            let result = match timer.domain {
                TimeDomain::Event => trigger.on_event_time(timer.time, window, trigger_context),
                TimeDomain::Processing => trigger.on_processing_time(timer.time, window, trigger_context),
            };
            if let Err(error) = self.see_to(result, open, context) {
                failure.get_or_insert(error);
            }
            // What the trigger has asked for afterwards does not matter any more.
            let is_over = self.over_at(window) == Some((timer.domain, timer.time));
            if is_over {
                let (key, watermark, clock, output) = context.parts();
                if let Err(error) = self.function.clear(WindowOf { key, window, watermark, clock }, output) {
                    failure.get_or_insert(error);
                }
            }
            !is_over
        });
        self.put_back(all, context);
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
