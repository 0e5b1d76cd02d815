//! Evictors: which records of a window are dropped before or after its function is called (Flink's `Evictor`).
//!
//! ```
//! use thalweg_dataflow::window::evictor::CountEvictor;
//!
//! let the_last_ten = CountEvictor::of(10);
//! # let _ = the_last_ten;
//! ```

use std::marker::PhantomData;
use std::time::Duration;

use super::TimeWindow;
use crate::time::{Timestamp, at_least_millis};

/// Drops records of a window that fires. They are in the order in which they came, each with its time.
pub trait Evictor<T>: Clone + Send + 'static {
    /// Called before the window's function.
    fn evict_before(&mut self, _elements: &mut Vec<(Timestamp, T)>, _window: TimeWindow) {}

    /// Called after the window's function.
    fn evict_after(&mut self, _elements: &mut Vec<(Timestamp, T)>, _window: TimeWindow) {}
}

/// Drops nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoEvictor;

impl<T> Evictor<T> for NoEvictor {}

/// Drops after the window's function has been called what another evictor drops before.
#[derive(Clone, Copy, Debug)]
pub struct EvictAfter<E>(E);

impl<T, E: Evictor<T>> Evictor<T> for EvictAfter<E> {
    fn evict_after(&mut self, elements: &mut Vec<(Timestamp, T)>, window: TimeWindow) {
        self.0.evict_before(elements, window);
    }
}

/// Keeps the last so many records.
#[derive(Clone, Copy, Debug)]
pub struct CountEvictor {
    count: usize,
}

impl CountEvictor {
    /// Keeps the last `count` records.
    pub fn of(count: usize) -> Self {
        Self { count }
    }

    /// Drops the others after the window's function has been called, not before.
    #[must_use]
    pub fn do_evict_after(self) -> EvictAfter<Self> {
        EvictAfter(self)
    }
}

impl<T> Evictor<T> for CountEvictor {
    fn evict_before(&mut self, elements: &mut Vec<(Timestamp, T)>, _: TimeWindow) {
        let old = elements.len().saturating_sub(self.count);
        elements.drain(..old);
    }
}

/// Keeps the records that are no older than so long before the newest.
#[derive(Clone, Copy, Debug)]
pub struct TimeEvictor {
    length: i64,
}

impl TimeEvictor {
    /// Keeps what is less than `length`, rounded up to whole milliseconds, older than the newest.
    pub fn of(length: Duration) -> Self {
        Self { length: at_least_millis(length) }
    }

    /// Drops the others after the window's function has been called, not before.
    #[must_use]
    pub fn do_evict_after(self) -> EvictAfter<Self> {
        EvictAfter(self)
    }
}

impl<T> Evictor<T> for TimeEvictor {
    fn evict_before(&mut self, elements: &mut Vec<(Timestamp, T)>, _: TimeWindow) {
        if let Some(newest) = elements.iter().map(|(time, _)| *time).max() {
            elements.retain(|(time, _)| *time > newest.saturating_sub(self.length));
        }
    }
}

/// Keeps the records that differ from the last one by less than a threshold.
#[derive(Debug)]
pub struct DeltaEvictor<T, D> {
    threshold: f64,
    delta: D,
    records: PhantomData<fn(T)>,
}

impl<T, D: Clone> Clone for DeltaEvictor<T, D> {
    fn clone(&self) -> Self {
        Self { threshold: self.threshold, delta: self.delta.clone(), records: PhantomData }
    }
}

impl<T, D: FnMut(&T, &T) -> f64> DeltaEvictor<T, D> {
    /// `delta` says how far the second record, the last one, is from the first.
    pub fn of(threshold: f64, delta: D) -> Self {
        Self { threshold, delta, records: PhantomData }
    }

    /// Drops the others after the window's function has been called, not before.
    #[must_use]
    pub fn do_evict_after(self) -> EvictAfter<Self> {
        EvictAfter(self)
    }
}

impl<T: 'static, D: FnMut(&T, &T) -> f64 + Clone + Send + 'static> Evictor<T> for DeltaEvictor<T, D> {
    fn evict_before(&mut self, elements: &mut Vec<(Timestamp, T)>, _: TimeWindow) {
        if let Some((time, last)) = elements.pop() {
            elements.retain(|(_, value)| (self.delta)(value, &last) < self.threshold);
            elements.push((time, last));
        }
    }
}
