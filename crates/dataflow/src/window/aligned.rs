//! `AlignedWindows`: tumbling and sliding windows, of event time or processing time.
//!
//! - **Records** are added to the pane that their time belongs to. A late one goes to the side output and is
//!   counted; one within the allowed lateness makes the windows that have fired fire again, for its key.
//! - **Watermarks** fire the windows that end at or before them, the earliest first, then pass. Windows of
//!   processing time fire by the clock instead.
//! - **Barriers** pass. **The end** fires the windows of processing time that are still open.
//! - **State**: keyed, `panes`: of each pane and key the accumulator; union, `watermark`: the time that windows
//!   have fired up to, so that what was late stays late.
//!
//! For examples see [`TumblingEventTimeWindows`](super::TumblingEventTimeWindows) and
//! [`SlidingEventTimeWindows`](super::SlidingEventTimeWindows).

use std::marker::PhantomData;

use super::aggregate::AggregateFunction;
use super::panes::Panes;
use super::time::WindowTime;
use super::{Aligned, Lateness, TimeDomain, TimeWindow};
use crate::error::BoxError;
use crate::hash::key_hash;
use crate::operator::{Operator, OperatorContext};
use crate::operators::Collect;
use crate::output::Output;
use crate::record::{Batch, Keyed, Record};
use crate::state::{Key, KeyedTable, States};
use crate::time::{MAX_WATERMARK, Timestamp};

/// The operator. See the [module](super).
#[derive(Clone, Debug)]
pub struct AlignedWindows<K, A: AggregateFunction, F, Out> {
    windows: Aligned,
    lateness: Lateness<A::In>,
    aggregate: A,
    function: F,
    panes: Panes<K, A::Accumulator>,
    time: WindowTime,
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
    F: FnMut(&K, TimeWindow, A::Out, &mut Collect<'_, Out>) -> Result<(), BoxError>,
    Out: Send + 'static,
{
    /// Aggregates by `aggregate`, and hands each key, window and result to `function` when a window fires.
    pub fn new(windows: Aligned, lateness: Lateness<A::In>, aggregate: A, function: F) -> Self {
        Self {
            windows,
            lateness,
            aggregate,
            function,
            panes: Panes::default(),
            time: WindowTime::new(windows.domain),
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
            PlaceKind::Open | PlaceKind::Fired => self.panes.find(start),
            PlaceKind::Late | PlaceKind::Gap => 0,
        };
        Place { start, end: start.saturating_add(self.windows.pane), index, kind }
    }

    fn is_over(&self, window: TimeWindow) -> bool {
        window.max_timestamp().saturating_add(self.lateness.allowed) <= self.time.fired()
    }

    /// Fires the windows of a pane again that have fired and are not over, for one key.
    fn fire_again(
        &mut self,
        pane: Timestamp,
        (hash, key): (u64, &K),
        output: &mut Output<Out>,
    ) -> Result<(), BoxError> {
        for window in self.windows.windows_of(pane) {
            if window.max_timestamp() > self.time.fired() || self.is_over(window) {
                continue;
            }
            let Self { aggregate, panes, .. } = &mut *self;
            let parts = panes.within(window.start, window.end).iter();
            let merged = parts
                .filter_map(|pane| pane.table.get(hash, key).cloned())
                .reduce(|a, b| aggregate.merge(a, b));
            if let Some(merged) = merged {
                let result = aggregate.get_result(&merged);
                (self.function)(key, window, result, &mut Collect::new(output, window.max_timestamp()))?;
            }
        }
        Ok(())
    }

    fn fire(&mut self, window: TimeWindow, output: &mut Output<Out>) -> Result<(), BoxError> {
        let Self { panes, aggregate, function, merged, .. } = self;
        let mut out = Collect::new(output, window.max_timestamp());
        match panes.within(window.start, window.end) {
            [pane] => {
                for (key, accumulator) in pane.table.iter() {
                    function(key, window, aggregate.get_result(accumulator), &mut out)?;
                }
            }
            panes => {
                for (key, accumulator) in panes.iter().flat_map(|pane| pane.table.iter()) {
                    let entry = merged.entry(key_hash(key), key.clone());
                    entry.merge(accumulator.clone(), |a, b| aggregate.merge(a, b));
                }
                for (key, accumulator) in merged.drain() {
                    function(&key, window, aggregate.get_result(&accumulator), &mut out)?;
                }
            }
        }
        Ok(())
    }

    /// The earliest window with records that has not fired.
    fn next_window(&self) -> Option<TimeWindow> {
        // Windows begin and end in the same order. So the first pane with one that has not fired has the earliest.
        self.panes.starts().find_map(|pane| {
            self.windows.windows_of(pane).find(|window| window.max_timestamp() > self.time.fired())
        })
    }

    fn fire_until(&mut self, time: Timestamp, output: &mut Output<Out>) -> Result<(), BoxError> {
        while let Some(window) = self.next_window().filter(|window| window.max_timestamp() <= time) {
            self.fire(window, output)?;
            self.time.advance(window.max_timestamp());
        }
        self.time.advance(time);
        let (fired, allowed, windows) = (self.time.fired(), self.lateness.allowed, self.windows);
        self.panes.remove_while(|pane| {
            let last = windows.windows_of(pane).next_back();
            last.is_none_or(|last| last.max_timestamp().saturating_add(allowed) <= fired)
        });
        Ok(())
    }
}

impl<K, A, F, Out> Operator for AlignedWindows<K, A, F, Out>
where
    K: Key,
    A: AggregateFunction,
    F: FnMut(&K, TimeWindow, A::Out, &mut Collect<'_, Out>) -> Result<(), BoxError> + Send + 'static,
    Out: Send + 'static,
{
    type In = Keyed<K, A::In>;
    type Out = Out;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.merged = KeyedTable::new(&context.key_groups);
        self.time.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("panes", &mut self.panes);
        self.time.states(states);
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
                PlaceKind::Open => {
                    let entry = self.panes.table(place.index).entry(hash, key);
                    let accumulator = entry.or_insert_with(|| self.aggregate.create_accumulator());
                    self.aggregate.add(accumulator, value);
                }
                PlaceKind::Fired => {
                    let entry = self.panes.table(place.index).entry(hash, key.clone());
                    let accumulator = entry.or_insert_with(|| self.aggregate.create_accumulator());
                    self.aggregate.add(accumulator, value);
                    self.fire_again(place.start, (hash, &key), output)?;
                }
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
        if self.time.domain == TimeDomain::Event {
            self.fire_until(watermark, output)?;
        }
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        match self.time.domain {
            TimeDomain::Event => None,
            TimeDomain::Processing => self.next_window().map(|window| window.end),
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
