//! Triggers: when a window fires, and whether it then lets its records go (Flink's `Trigger`). Used by
//! [`TriggeredWindows`](super::TriggeredWindows).
//!
//! ```
//! use std::time::Duration;
//! use thalweg_dataflow::window::trigger::{ContinuousEventTimeTrigger, CountTrigger, PurgingTrigger};
//!
//! let every_third = PurgingTrigger::of(CountTrigger::of(3));
//! let each_minute = ContinuousEventTimeTrigger::of(Duration::from_secs(60));
//! # let _ = (every_third, each_minute);
//! ```

use std::marker::PhantomData;
use std::time::Duration;

use super::{TimeDomain, TimeWindow};
use crate::state::StateData;
use crate::time::{Timestamp, at_least_millis};

/// What is to be done with a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerResult {
    /// Nothing.
    Continue,
    /// Its function is called, and its records stay.
    Fire,
    /// Its records go; the function is not called.
    Purge,
    /// Its function is called, then its records go.
    FireAndPurge,
}

impl TriggerResult {
    /// Whether the function is called.
    pub fn is_fire(self) -> bool {
        matches!(self, Self::Fire | Self::FireAndPurge)
    }

    /// Whether the records go.
    pub fn is_purge(self) -> bool {
        matches!(self, Self::Purge | Self::FireAndPurge)
    }

    fn then_purge(self) -> Self {
        if self == Self::Fire { Self::FireAndPurge } else { self }
    }
}

/// What a trigger sees of one window of one key.
pub struct TriggerContext<'a, S> {
    /// What the trigger keeps for this window and key. It is part of the checkpoint.
    pub state: &'a mut S,
    pub(super) watermark: Timestamp,
    pub(super) now: Timestamp,
    pub(super) timers: &'a mut WindowTimers,
}

/// The timers of one window and key that are set, and those that have been set by the call under way.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct WindowTimers {
    pub(super) event: Vec<Timestamp>,
    pub(super) processing: Vec<Timestamp>,
    #[serde(skip)]
    pub(super) new: Vec<(TimeDomain, Timestamp)>,
}

impl WindowTimers {
    pub(super) fn of(&mut self, domain: TimeDomain) -> &mut Vec<Timestamp> {
        match domain {
            TimeDomain::Event => &mut self.event,
            TimeDomain::Processing => &mut self.processing,
        }
    }

    pub(super) fn register(&mut self, domain: TimeDomain, time: Timestamp) {
        let set = self.of(domain);
        if !set.contains(&time) {
            set.push(time);
            self.new.push((domain, time));
        }
    }
}

impl<S> TriggerContext<'_, S> {
    /// The watermark that the operator has reached (milliseconds).
    pub fn current_watermark(&self) -> Timestamp {
        self.watermark
    }

    /// The processing time (milliseconds), as of the current batch.
    pub fn current_processing_time(&self) -> Timestamp {
        self.now
    }

    /// Has `on_event_time` called for this window when the watermark reaches `time`.
    pub fn register_event_time_timer(&mut self, time: Timestamp) {
        self.timers.register(TimeDomain::Event, time);
    }

    /// Has `on_processing_time` called for this window at `time`.
    pub fn register_processing_time_timer(&mut self, time: Timestamp) {
        self.timers.register(TimeDomain::Processing, time);
    }

    /// Takes back a timer of event time.
    pub fn delete_event_time_timer(&mut self, time: Timestamp) {
        self.timers.event.retain(|set| *set != time);
    }

    /// Takes back a timer of processing time.
    pub fn delete_processing_time_timer(&mut self, time: Timestamp) {
        self.timers.processing.retain(|set| *set != time);
    }
}

/// Says when windows of records of type `T` fire.
pub trait Trigger<T>: Clone + Send + 'static {
    /// What it keeps for each window and key.
    type State: StateData + Default;

    /// What it is, in a few words, so that windows with different triggers are told apart when a job is restored.
    fn describe(&self) -> String {
        String::new()
    }

    /// A record has been added to the window.
    fn on_element(
        &mut self,
        value: &T,
        timestamp: Timestamp,
        window: TimeWindow,
        context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult;

    /// A timer of event time is due that was set for this window.
    fn on_event_time(
        &mut self,
        _time: Timestamp,
        _window: TimeWindow,
        _context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        TriggerResult::Continue
    }

    /// A timer of processing time is due that was set for this window.
    fn on_processing_time(
        &mut self,
        _time: Timestamp,
        _window: TimeWindow,
        _context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        TriggerResult::Continue
    }
}

/// Fires when a window ends: what windows do that are given no trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeTrigger {
    /// When the watermark reaches its end; again with each record that comes late, but not too late.
    Event,
    /// When the clock does.
    Processing,
    /// Never: windows without an end.
    Never,
}

/// Fires when the watermark reaches the end of a window.
#[derive(Clone, Copy, Debug)]
pub struct EventTimeTrigger;

impl EventTimeTrigger {
    /// The trigger.
    pub fn create() -> TimeTrigger {
        TimeTrigger::Event
    }
}

/// Fires when the clock reaches the end of a window.
#[derive(Clone, Copy, Debug)]
pub struct ProcessingTimeTrigger;

impl ProcessingTimeTrigger {
    /// The trigger.
    pub fn create() -> TimeTrigger {
        TimeTrigger::Processing
    }
}

impl<T> Trigger<T> for TimeTrigger {
    type State = ();

    fn on_element(
        &mut self,
        _: &T,
        _: Timestamp,
        window: TimeWindow,
        context: &mut TriggerContext<'_, ()>,
    ) -> TriggerResult {
        let end = window.max_timestamp();
        match self {
            Self::Event if end <= context.watermark => return TriggerResult::Fire,
            Self::Event => context.register_event_time_timer(end),
            Self::Processing => context.register_processing_time_timer(end),
            Self::Never => {}
        }
        TriggerResult::Continue
    }

    fn on_event_time(
        &mut self,
        time: Timestamp,
        window: TimeWindow,
        _: &mut TriggerContext<'_, ()>,
    ) -> TriggerResult {
        if time == window.max_timestamp() { TriggerResult::Fire } else { TriggerResult::Continue }
    }

    fn on_processing_time(
        &mut self,
        _: Timestamp,
        _: TimeWindow,
        _: &mut TriggerContext<'_, ()>,
    ) -> TriggerResult {
        TriggerResult::Fire
    }
}

/// Fires with every so-manyth record of a window.
#[derive(Clone, Copy, Debug)]
pub struct CountTrigger {
    count: u64,
}

impl CountTrigger {
    /// With every `count`th record.
    pub fn of(count: u64) -> Self {
        Self { count: count.max(1) }
    }
}

impl<T> Trigger<T> for CountTrigger {
    type State = u64;

    fn describe(&self) -> String {
        format!("each {} records", self.count)
    }

    fn on_element(
        &mut self,
        _: &T,
        _: Timestamp,
        _: TimeWindow,
        context: &mut TriggerContext<'_, u64>,
    ) -> TriggerResult {
        *context.state += 1;
        if *context.state < self.count {
            return TriggerResult::Continue;
        }
        *context.state = 0;
        TriggerResult::Fire
    }
}

/// Fires again and again while a window lasts, at multiples of an interval of event time, and when it ends.
#[derive(Clone, Copy, Debug)]
pub struct ContinuousEventTimeTrigger {
    interval: i64,
}

impl ContinuousEventTimeTrigger {
    /// At each multiple of `interval`, rounded up to whole milliseconds.
    pub fn of(interval: Duration) -> Self {
        Self { interval: at_least_millis(interval).max(1) }
    }
}

/// The next multiple of an interval behind a time.
fn next_multiple(time: Timestamp, interval: i64) -> Timestamp {
    time.div_euclid(interval).saturating_add(1).saturating_mul(interval)
}

impl<T> Trigger<T> for ContinuousEventTimeTrigger {
    /// The next time at which it fires, once there is a record.
    type State = Option<Timestamp>;

    fn describe(&self) -> String {
        format!("each {} ms of event time", self.interval)
    }

    fn on_element(
        &mut self,
        _: &T,
        timestamp: Timestamp,
        window: TimeWindow,
        context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        if window.max_timestamp() <= context.watermark {
            return TriggerResult::Fire;
        }
        context.register_event_time_timer(window.max_timestamp());
        if context.state.is_none() {
            let next = next_multiple(timestamp, self.interval);
            *context.state = Some(next);
            context.register_event_time_timer(next);
        }
        TriggerResult::Continue
    }

    fn on_event_time(
        &mut self,
        time: Timestamp,
        window: TimeWindow,
        context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        if time == window.max_timestamp() {
            return TriggerResult::Fire;
        }
        if *context.state != Some(time) {
            return TriggerResult::Continue;
        }
        let next = time.saturating_add(self.interval);
        *context.state = Some(next);
        if next < window.max_timestamp() {
            context.register_event_time_timer(next);
        }
        TriggerResult::Fire
    }
}

/// Fires again and again by the clock, at multiples of an interval, as long as there are records.
#[derive(Clone, Copy, Debug)]
pub struct ContinuousProcessingTimeTrigger {
    interval: i64,
}

impl ContinuousProcessingTimeTrigger {
    /// At each multiple of `interval`, rounded up to whole milliseconds.
    pub fn of(interval: Duration) -> Self {
        Self { interval: at_least_millis(interval).max(1) }
    }
}

impl<T> Trigger<T> for ContinuousProcessingTimeTrigger {
    type State = Option<Timestamp>;

    fn describe(&self) -> String {
        format!("each {} ms of processing time", self.interval)
    }

    fn on_element(
        &mut self,
        _: &T,
        _: Timestamp,
        _: TimeWindow,
        context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        if context.state.is_none() {
            let next = next_multiple(context.now, self.interval);
            *context.state = Some(next);
            context.register_processing_time_timer(next);
        }
        TriggerResult::Continue
    }

    fn on_processing_time(
        &mut self,
        time: Timestamp,
        _: TimeWindow,
        context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        let next = next_multiple(time.max(context.now), self.interval);
        *context.state = Some(next);
        context.register_processing_time_timer(next);
        TriggerResult::Fire
    }
}

/// Fires when a record differs from the last one that it fired at by more than a threshold.
#[derive(Clone, Debug)]
pub struct DeltaTrigger<T, D> {
    threshold: f64,
    delta: D,
    records: PhantomData<fn(T)>,
}

impl<T, D: FnMut(&T, &T) -> f64> DeltaTrigger<T, D> {
    /// `delta` says how far the second record is from the first.
    pub fn of(threshold: f64, delta: D) -> Self {
        Self { threshold, delta, records: PhantomData }
    }
}

impl<T, D> Trigger<T> for DeltaTrigger<T, D>
where
    T: StateData,
    D: FnMut(&T, &T) -> f64 + Clone + Send + 'static,
{
    /// The last record that it fired at; before that the first.
    type State = Option<T>;

    fn on_element(
        &mut self,
        value: &T,
        _: Timestamp,
        _: TimeWindow,
        context: &mut TriggerContext<'_, Option<T>>,
    ) -> TriggerResult {
        match &mut *context.state {
            Some(last) if (self.delta)(last, value) > self.threshold => {
                *context.state = Some(value.clone());
                TriggerResult::Fire
            }
            Some(_) => TriggerResult::Continue,
            none => {
                *none = Some(value.clone());
                TriggerResult::Continue
            }
        }
    }
}

/// Lets the records go whenever another trigger fires.
#[derive(Clone, Copy, Debug)]
pub struct PurgingTrigger<R>(R);

impl<R> PurgingTrigger<R> {
    /// Fires when `trigger` does.
    pub fn of(trigger: R) -> Self {
        Self(trigger)
    }
}

impl<T, R: Trigger<T>> Trigger<T> for PurgingTrigger<R> {
    type State = R::State;

    fn describe(&self) -> String {
        format!("{}, purging", self.0.describe())
    }

    fn on_element(
        &mut self,
        value: &T,
        timestamp: Timestamp,
        window: TimeWindow,
        context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        self.0.on_element(value, timestamp, window, context).then_purge()
    }

    fn on_event_time(
        &mut self,
        time: Timestamp,
        window: TimeWindow,
        context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        self.0.on_event_time(time, window, context).then_purge()
    }

    fn on_processing_time(
        &mut self,
        time: Timestamp,
        window: TimeWindow,
        context: &mut TriggerContext<'_, Self::State>,
    ) -> TriggerResult {
        self.0.on_processing_time(time, window, context).then_purge()
    }
}
