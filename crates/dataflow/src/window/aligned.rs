//! `AlignedWindows`: tumbling and sliding windows, of event time or processing time.
//!
//! - **Records** are added to the pane that their time belongs to; if the result depends on their order (the aggregate is not
//!   [commutative](AggregateFunction::COMMUTATIVE)), to every window that spans their time, in the order of arrival. A late one
//!   goes to the side output and is counted; one within the allowed lateness makes the windows that have fired fire again, for
//!   its key.
//! - **Watermarks** fire the windows that end at or before them, the earliest first, then pass. One that jumps over n windows
//!   takes in the order of n log n. Windows of processing time fire by the clock instead.
//! - **Barriers** pass. **The end** fires the windows of processing time that are still open.
//! - **State**: keyed, `panes`: of each pane and key the accumulator; or, for windows that overlap and do not share panes,
//!   `windows`: of each window and key the accumulator. Union, `watermark`: the time that windows have fired up to, so that
//!   what was late stays late.
//!
//! For examples see [`TumblingEventTimeWindows`](super::TumblingEventTimeWindows) and
//! [`SlidingEventTimeWindows`](super::SlidingEventTimeWindows).

use std::marker::PhantomData;

use super::aggregate::AggregateFunction;
use super::function::WindowFunction;
use super::panes::Panes;
use super::time::WindowTime;
use super::{Aligned, Lateness, TimeDomain, TimeWindow};
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, Keyed, Record};
use crate::state::{Key, KeyedTable, States};
use crate::time::{MAX_WATERMARK, MIN_WATERMARK, Timestamp};

/// The operator. See the [module](super).
#[derive(Clone, Debug)]
pub struct AlignedWindows<K, A: AggregateFunction, F, Out> {
    windows: Aligned,
    lateness: Lateness<A::In>,
    aggregate: A,
    function: F,
    /// Whether windows that overlap share panes. Otherwise each has a pane of its own, which begins with it.
    shares: bool,
    panes: Panes<K, A::Accumulator>,
    /// Where the windows of the last record are, if they have panes of their own.
    places: Vec<(TimeWindow, usize)>,
    time: WindowTime,
    /// The function has been told that windows that end at or before this are over. It follows from what has fired, and is no state.
    cleared: Timestamp,
    /// For windows of more than one pane, while one fires.
    merged: KeyedTable<K, A::Accumulator>,
    out: PhantomData<fn() -> Out>,
}

/// Where the last record went: most often the next one goes there, too.
#[derive(Clone, Copy)]
struct Place {
    start: Timestamp,
    end: Timestamp,
    /// The index of the pane.
    index: usize,
    kind: PlaceKind,
}

#[derive(Clone, Copy)]
enum PlaceKind {
    /// None of its windows has fired.
    Open,
    /// Some have, and may fire again.
    Fired,
    /// All are over.
    Late,
    /// It is part of no window.
    Gap,
}

impl<K, A, F, Out> AlignedWindows<K, A, F, Out>
where
    K: Key,
    A: AggregateFunction,
    F: WindowFunction<K, A::Out, Out>,
    Out: Send + 'static,
{
    /// Aggregates by `aggregate`, and hands each key, window and result to `function` when a window fires.
    pub fn new(windows: Aligned, lateness: Lateness<A::In>, aggregate: A, function: F) -> Self {
        Self {
            windows,
            lateness,
            aggregate,
            function,
            shares: A::COMMUTATIVE || windows.size == windows.pane,
            panes: Panes::default(),
            places: Vec::new(),
            time: WindowTime::new(windows.domain),
            cleared: MIN_WATERMARK,
            merged: KeyedTable::default(),
            out: PhantomData,
        }
    }

    #[cold]
    fn turn_to(&mut self, time: Timestamp) -> Place {
        let (start, fired) = (self.windows.pane_of(time), self.time.fired());
        let mut windows = self.windows.windows_of(start);
        let (earliest, latest) = (windows.next(), windows.next_back());
        let kind = match (earliest, latest.or(earliest)) {
            (Some(earliest), _) if earliest.max_timestamp() > fired => PlaceKind::Open,
            (_, Some(latest)) if !self.is_over(latest) => PlaceKind::Fired,
            (Some(_), _) => PlaceKind::Late,
            (None, _) => PlaceKind::Gap,
        };
        let index = match kind {
            PlaceKind::Open | PlaceKind::Fired if self.shares => self.panes.find(start),
            PlaceKind::Open | PlaceKind::Fired => {
                self.places.clear();
                for window in self.windows.windows_of(start) {
                    // Of those that are cut off where time begins, the last stands for all.
                    if self.places.last().is_some_and(|(last, _)| last.start == window.start) {
                        self.places.pop();
                    }
                    if !self.is_over(window) {
                        let place = self.panes.find(window.start);
                        self.places.push((window, place));
                    }
                }
                0
            }
            PlaceKind::Late | PlaceKind::Gap => 0,
        };
        Place { start, end: start.saturating_add(self.windows.pane), index, kind }
    }

    fn is_over(&self, window: TimeWindow) -> bool {
        window.max_timestamp().saturating_add(self.lateness.allowed) <= self.time.fired()
    }

    /// Adds a record of which some windows have fired, and fires those again, for its key.
    fn add_again(
        &mut self,
        place: Place,
        Keyed { hash, key, value }: Keyed<K, A::In>,
        output: &mut Output<Out>,
    ) -> Result<(), BoxError> {
        let fired = self.time.fired();
        let Self { panes, aggregate, places, function, shares, time, .. } = &mut *self;
        if *shares {
            let accumulator =
                panes.accumulator(place.index, hash, key.clone(), || aggregate.create_accumulator());
            aggregate.add(accumulator, value);
            return self.fire_again(place.start, (hash, &key), output);
        }
        for (window, place) in places {
            let accumulator = panes.accumulator(*place, hash, key.clone(), || aggregate.create_accumulator());
            aggregate.add(accumulator, value.clone());
            if window.max_timestamp() <= fired {
                let result = aggregate.get_result(accumulator);
                function.fire(time.window_of(&key, *window), result, output)?;
            }
        }
        Ok(())
    }

    /// Fires the windows of a pane again that have fired and are not over, for one key.
    fn fire_again(
        &mut self,
        pane: Timestamp,
        (hash, key): (u64, &K),
        output: &mut Output<Out>,
    ) -> Result<(), BoxError> {
        let fired = self.time.fired();
        for window in self.windows.windows_of(pane).take_while(|window| window.max_timestamp() <= fired) {
            if self.is_over(window) {
                continue;
            }
            let Self { aggregate, panes, time, function, .. } = &mut *self;
            let parts = panes.within(window.start, window.end);
            let merged =
                parts.filter_map(|pane| pane.get(hash, key).cloned()).reduce(|a, b| aggregate.merge(a, b));
            if let Some(merged) = merged {
                let result = aggregate.get_result(&merged);
                function.fire(time.window_of(key, window), result, output)?;
            }
        }
        Ok(())
    }

    fn fire(&mut self, window: TimeWindow, output: &mut Output<Out>) -> Result<(), BoxError> {
        let Self { panes, aggregate, function, merged, time, .. } = self;
        let last = if self.shares { window.end } else { window.start.saturating_add(1) };
        let mut parts = panes.within(window.start, last);
        let (Some(first), second) = (parts.next(), parts.next()) else { return Ok(()) };
        let Some(second) = second else {
            return first.try_for_each(|key, accumulator| {
                function.fire(time.window_of(key, window), aggregate.get_result(accumulator), output)
            });
        };
        for part in [first, second].into_iter().chain(parts) {
            part.try_for_each(|key, accumulator| {
                let entry = merged.entry(key_hash(key), key.clone());
                entry.merge(accumulator.clone(), |a, b| aggregate.merge(a, b));
                Ok::<_, BoxError>(())
            })?;
        }
        for (key, accumulator) in merged.drain() {
            function.fire(time.window_of(&key, window), aggregate.get_result(&accumulator), output)?;
        }
        Ok(())
    }

    /// The earliest window with records that has not fired when those that end at or before `fired` have.
    fn next_window(&self, fired: Timestamp) -> Option<TimeWindow> {
        if self.shares {
            // Windows begin and end in the same order. So the first pane with one that has not fired has the earliest.
            let pane = self.panes.first_from(self.windows.first_unfired_pane(fired)?)?;
            self.windows.first_unfired(pane, fired)
        } else {
            let start = self.panes.first_from(self.windows.first_unfired_start(fired)?)?;
            Some(self.windows.beginning_at(start))
        }
    }

    fn fire_until(&mut self, time: Timestamp, output: &mut Output<Out>) -> Result<(), BoxError> {
        let ends_by = |window: &TimeWindow| window.max_timestamp() <= time;
        while let Some(window) = self.next_window(self.time.fired()).filter(ends_by) {
            self.time.check_cancelled()?;
            if F::CLEARS {
                // What is over before this window ends is so before it fires.
                self.time.advance(window.max_timestamp() - 1);
                self.clear_windows(output)?;
            }
            self.fire(window, output)?;
            self.time.advance(window.max_timestamp());
            self.forget(output)?;
        }
        self.time.advance(time);
        self.forget(output)
    }

    /// Tells the function of windows that are over, the earliest first, and of each key in them. Their panes must still be there.
    fn clear_windows(&mut self, output: &mut Output<Out>) -> Result<(), BoxError> {
        let allowed = self.lateness.allowed;
        while let Some(window) = self.next_window(self.cleared).filter(|window| self.is_over(*window)) {
            self.time.check_cancelled()?;
            self.cleared = window.max_timestamp();
            let Self { panes, function, merged, time, shares, .. } = &mut *self;
            let last = if *shares { window.end } else { window.start.saturating_add(1) };
            let mut parts = panes.within(window.start, last);
            let (Some(first), second) = (parts.next(), parts.next()) else { continue };
            let Some(second) = second else {
                first.try_for_each(|key, _| function.clear(time.window_of(key, window), output))?;
                continue;
            };
            for part in [first, second].into_iter().chain(parts) {
                part.try_for_each(|key, accumulator| {
                    merged.entry(key_hash(key), key.clone()).or_insert_with(|| accumulator.clone());
                    Ok::<_, BoxError>(())
                })?;
            }
            for (key, _) in merged.drain() {
                function.clear(time.window_of(&key, window), output)?;
            }
        }
        self.cleared = self.cleared.max(self.time.fired().saturating_sub(allowed));
        Ok(())
    }

    /// Removes what no window needs any more.
    fn forget(&mut self, output: &mut Output<Out>) -> Result<(), BoxError> {
        if F::CLEARS {
            self.clear_windows(output)?;
        }
        let (fired, allowed) = (self.time.fired(), self.lateness.allowed);
        let (windows, shares) = (self.windows, self.shares);
        self.panes.remove_while(|pane| {
            let last =
                if shares { windows.windows_of(pane).next_back() } else { Some(windows.beginning_at(pane)) };
            last.is_none_or(|last| last.max_timestamp().saturating_add(allowed) <= fired)
        });
        Ok(())
    }

    /// Names the state of windows with panes of their own. A checkpoint may have been written when all shared theirs.
    fn states_of_windows(&mut self, states: &mut States<'_>) {
        states.keyed("windows", &mut self.panes);
        let mut shared: Panes<K, A::Accumulator> = Panes::default();
        if states.epoch().is_none() {
            states.keyed("panes", &mut shared);
        }
        self.time.states(states);
        for (pane, table) in shared.iter() {
            for window in self.windows.windows_of(pane).collect::<Vec<_>>() {
                if self.is_over(window) {
                    continue;
                }
                let Self { panes, aggregate, .. } = &mut *self;
                let place = panes.find(window.start);
                let added: Result<(), std::convert::Infallible> =
                    table.try_for_each(|key: &K, accumulator: &A::Accumulator| {
                        let hash = key_hash(key);
                        let mut is_new = false;
                        let before = panes.accumulator(place, hash, key.clone(), || {
                            is_new = true;
                            accumulator.clone()
                        });
                        if !is_new {
                            *before = aggregate.merge(before.clone(), accumulator.clone());
                        }
                        Ok(())
                    });
                let Ok(()) = added;
            }
        }
    }
}

impl<K, A, F, Out> Operator for AlignedWindows<K, A, F, Out>
where
    K: Key,
    A: AggregateFunction,
    F: WindowFunction<K, A::Out, Out>,
    Out: Send + 'static,
{
    type In = Keyed<K, A::In>;
    type Out = Out;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.merged = KeyedTable::new(&context.key_groups);
        self.time.open(context);
        self.function.open(context)
    }

    fn states(&mut self, states: &mut States<'_>) {
        if self.shares {
            states.keyed("panes", &mut self.panes);
            self.time.states(states);
        } else {
            self.states_of_windows(states);
        }
        self.function.states(states);
        if states.is_opening() {
            self.cleared = self.time.fired().saturating_sub(self.lateness.allowed);
        }
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<Out>) -> Result<(), BoxError> {
        let times = self.time.of_batch();
        let mut place: Option<Place> = None;
        for Record { value: Keyed { hash, key, value }, timestamp } in batch.records.drain(..) {
            let time = times.of(timestamp)?;
            let place = match place {
                Some(place) if place.start <= time && time < place.end => place,
                _ => *place.insert(self.turn_to(time)),
            };
            match place.kind {
                PlaceKind::Open if self.shares => {
                    let Self { panes, aggregate, .. } = &mut *self;
                    let accumulator =
                        panes.accumulator(place.index, hash, key, || aggregate.create_accumulator());
                    aggregate.add(accumulator, value);
                }
                PlaceKind::Open => {
                    let Self { panes, aggregate, places, .. } = &mut *self;
                    for (_, place) in places {
                        let accumulator =
                            panes.accumulator(*place, hash, key.clone(), || aggregate.create_accumulator());
                        aggregate.add(accumulator, value.clone());
                    }
                }
                PlaceKind::Fired => self.add_again(place, Keyed { hash, key, value }, output)?,
                PlaceKind::Late => self.time.late(&self.lateness, value, time, output),
                PlaceKind::Gap => {}
            }
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.time.reach(watermark);
        if self.time.domain == TimeDomain::Event {
            self.fire_until(watermark, output)?;
        }
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        match self.time.domain {
            TimeDomain::Event => None,
            TimeDomain::Processing => self.next_window(self.time.fired()).map(|window| window.end),
        }
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<Out>) -> Result<(), BoxError> {
        self.fire_until(now - 1, output)
    }

    fn end(&mut self, output: &mut Output<Out>) -> Result<(), BoxError> {
        match self.time.domain {
            TimeDomain::Event => Ok(()),
            TimeDomain::Processing => self.fire_until(MAX_WATERMARK, output),
        }
    }
}

#[cfg(test)]
mod tests;
