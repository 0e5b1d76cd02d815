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
use crate::time::{Timestamp, millis};

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

/// Says what is dropped, before the function is called unless it is to be after it.
trait Evict<T> {
    fn evict(&mut self, elements: &mut Vec<(Timestamp, T)>);
    fn is_after(&self) -> bool;
}

macro_rules! evictor {
    ($evictor:ty, $($generics:tt)*) => {
        impl<$($generics)*> Evictor<T> for $evictor {
            fn evict_before(&mut self, elements: &mut Vec<(Timestamp, T)>, _: TimeWindow) {
                if !Evict::<T>::is_after(self) {
                    self.evict(elements);
                }
            }

            fn evict_after(&mut self, elements: &mut Vec<(Timestamp, T)>, _: TimeWindow) {
                if Evict::<T>::is_after(self) {
                    self.evict(elements);
                }
            }
        }
    };
}

/// Keeps the last so many records.
#[derive(Clone, Copy, Debug)]
pub struct CountEvictor {
    count: usize,
    after: bool,
}

impl CountEvictor {
    /// Keeps the last `count` records.
    pub fn of(count: usize) -> Self {
        Self { count, after: false }
    }

    /// Drops the others after the window's function has been called, not before.
    #[must_use]
    pub fn do_evict_after(self) -> Self {
        Self { after: true, ..self }
    }
}

impl<T> Evict<T> for CountEvictor {
    fn evict(&mut self, elements: &mut Vec<(Timestamp, T)>) {
        let old = elements.len().saturating_sub(self.count);
        elements.drain(..old);
    }

    fn is_after(&self) -> bool {
        self.after
    }
}

evictor!(CountEvictor, T);

/// Keeps the records that are no older than so long before the newest.
#[derive(Clone, Copy, Debug)]
pub struct TimeEvictor {
    length: i64,
    after: bool,
}

impl TimeEvictor {
    /// Keeps what is less than `length` (whole milliseconds) older than the newest.
    pub fn of(length: Duration) -> Self {
        Self { length: millis(length), after: false }
    }

    /// Drops the others after the window's function has been called, not before.
    #[must_use]
    pub fn do_evict_after(self) -> Self {
        Self { after: true, ..self }
    }
}

impl<T> Evict<T> for TimeEvictor {
    fn evict(&mut self, elements: &mut Vec<(Timestamp, T)>) {
        if let Some(newest) = elements.iter().map(|(time, _)| *time).max() {
            elements.retain(|(time, _)| *time > newest.saturating_sub(self.length));
        }
    }

    fn is_after(&self) -> bool {
        self.after
    }
}

evictor!(TimeEvictor, T);

/// Keeps the records that differ from the last one by less than a threshold.
#[derive(Debug)]
pub struct DeltaEvictor<T, D> {
    threshold: f64,
    delta: D,
    after: bool,
    records: PhantomData<fn(T)>,
}

impl<T, D: Clone> Clone for DeltaEvictor<T, D> {
    fn clone(&self) -> Self {
        Self { threshold: self.threshold, delta: self.delta.clone(), after: self.after, records: PhantomData }
    }
}

impl<T, D: FnMut(&T, &T) -> f64> DeltaEvictor<T, D> {
    /// `delta` says how far the second record, the last one, is from the first.
    pub fn of(threshold: f64, delta: D) -> Self {
        Self { threshold, delta, after: false, records: PhantomData }
    }

    /// Drops the others after the window's function has been called, not before.
    #[must_use]
    pub fn do_evict_after(self) -> Self {
        Self { after: true, ..self }
    }
}

impl<T, D: FnMut(&T, &T) -> f64> Evict<T> for DeltaEvictor<T, D> {
    fn evict(&mut self, elements: &mut Vec<(Timestamp, T)>) {
        if let Some((time, last)) = elements.pop() {
            elements.retain(|(_, value)| (self.delta)(value, &last) < self.threshold);
            elements.push((time, last));
        }
    }

    fn is_after(&self) -> bool {
        self.after
    }
}

evictor!(DeltaEvictor<T, D>, T: 'static, D: FnMut(&T, &T) -> f64 + Clone + Send + 'static);
