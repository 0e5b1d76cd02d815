//! Watermarks of one's own making: from events that say so themselves, or by another rule than a bound (Flink's `WatermarkGenerator`).
//!
//! ```
//! use thalweg_dataflow::time::Timestamp;
//! use thalweg_dataflow::watermark::{WatermarkGenerator, WatermarkOutput, WatermarkStrategy};
//!
//! /// Sensors that send, now and then, that all until a time has been sent.
//! #[derive(Clone)]
//! enum Message {
//!     Reading(f64),
//!     SentUntil(Timestamp),
//! }
//!
//! #[derive(Clone)]
//! struct Punctuated;
//!
//! impl WatermarkGenerator<Message> for Punctuated {
//!     fn on_event(&mut self, message: &Message, _: Timestamp, output: &mut WatermarkOutput) {
//!         if let Message::SentUntil(time) = message {
//!             output.emit_watermark(*time);
//!         }
//!     }
//! }
//!
//! let strategy = WatermarkStrategy::for_generator(Punctuated);
//! # let _ = (strategy, Message::Reading(1.0));
//! ```
//!
//! A partition that says itself that it pauses need not hold the others back until a timeout:
//!
//! ```
//! use thalweg_dataflow::time::Timestamp;
//! use thalweg_dataflow::watermark::{WatermarkGenerator, WatermarkOutput};
//!
//! #[derive(Clone)]
//! enum Message {
//!     Reading(f64),
//!     GoesToSleep,
//! }
//!
//! #[derive(Clone)]
//! struct UntilItSleeps;
//!
//! impl WatermarkGenerator<Message> for UntilItSleeps {
//!     fn on_event(&mut self, message: &Message, time: Timestamp, output: &mut WatermarkOutput) {
//!         match message {
//!             Message::Reading(_) => output.emit_watermark(time - 1),
//!             Message::GoesToSleep => output.mark_idle(),
//!         }
//!     }
//! }
//! # let _ = (UntilItSleeps, Message::Reading(1.0), Message::GoesToSleep);
//! ```

use crate::record::{Data, Record};
use crate::time::{MAX_WATERMARK, MIN_WATERMARK, Timestamp};

/// Makes watermarks. Each partition of a source has a clone of its own.
///
/// It is no part of checkpoints; how far its watermark has come is, so that after a restore it does not fall.
pub trait WatermarkGenerator<T>: Clone + Send + 'static {
    /// Called for each event, with its time. A watermark that is emitted here comes right behind the event: what follows may be late by it. (It costs
    /// a batch of records each, so a generator that emits one for each event is for tests and for few events.)
    fn on_event(&mut self, event: &T, timestamp: Timestamp, output: &mut WatermarkOutput);

    /// Called when records that came together have been seen, about a thousand or fewer: the place to emit what `on_event` has found. Other than
    /// Flink's it is not called while nothing comes, as no clock makes event time go on.
    fn on_periodic_emit(&mut self, _output: &mut WatermarkOutput) {}
}

/// What a generator emits to (Flink's `WatermarkOutput`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatermarkOutput {
    reached: Timestamp,
    idle: bool,
}

impl WatermarkOutput {
    /// No event with this time or an earlier one is expected any more (milliseconds). Watermarks do not fall: a lower one is left out. The
    /// partition is not idle any more.
    pub fn emit_watermark(&mut self, watermark: Timestamp) {
        // The last watermark is the end of the input, which the source says.
        self.reached = self.reached.max(watermark.min(MAX_WATERMARK - 1));
        self.idle = false;
    }

    /// The partition is not to be waited for: event time goes on with the others, until a watermark is emitted here or
    /// [`mark_active`](Self::mark_active) is called. Events alone do not end that; they are handed on, and may be late by what the others say. It is
    /// passed on behind the event, as a watermark is, and holds whether or not the strategy has a timeout
    /// ([`with_idleness`](super::WatermarkStrategy::with_idleness)). After a restore every partition begins as one that is not idle.
    pub fn mark_idle(&mut self) {
        self.idle = true;
    }

    /// The partition is to be waited for again, from the watermark on that it had.
    pub fn mark_active(&mut self) {
        self.idle = false;
    }
}

/// What a generator has said behind an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// So many of the records come before it.
    pub(crate) until: usize,
    /// How far it has come.
    pub(crate) watermark: Timestamp,
    /// Whether it is not to be waited for from here on.
    pub(crate) idle: bool,
}

/// The generator of one partition: one virtual call a run of records.
pub(crate) trait Generate<T>: Send {
    /// Shows it the records from number `from` on, until it says something new. `None`: it has seen all.
    fn next(&mut self, records: &[Record<T>], from: usize) -> Option<Said>;
    /// Whether it has said last that it is not to be waited for.
    fn is_idle(&self) -> bool;
    /// One that has seen nothing.
    fn boxed(&self) -> Box<dyn Generate<T>>;
}

pub(super) struct Generator<G> {
    fresh: G,
    generator: G,
    output: WatermarkOutput,
    /// Whether all records have been shown, and only `on_periodic_emit` is left.
    through: bool,
}

impl<G: Clone> Generator<G> {
    pub(super) fn new(fresh: G) -> Self {
        let (generator, output) = (fresh.clone(), WatermarkOutput { reached: MIN_WATERMARK, idle: false });
        Self { fresh, generator, output, through: false }
    }

    fn said(&self, until: usize) -> Said {
        let WatermarkOutput { reached: watermark, idle } = self.output;
        Said { until, watermark, idle }
    }
}

impl<T: Data, G: WatermarkGenerator<T>> Generate<T> for Generator<G> {
    fn next(&mut self, records: &[Record<T>], from: usize) -> Option<Said> {
        let before = self.output;
        for (index, Record { value, timestamp }) in records.iter().enumerate().skip(from) {
            self.generator.on_event(value, *timestamp, &mut self.output);
            if self.output != before {
                return Some(self.said(index + 1));
            }
        }
        if std::mem::replace(&mut self.through, true) {
            self.through = false;
            return None;
        }
        self.generator.on_periodic_emit(&mut self.output);
        if self.output != before {
            return Some(self.said(records.len()));
        }
        self.through = false;
        None
    }

    fn is_idle(&self) -> bool {
        self.output.idle
    }

    fn boxed(&self) -> Box<dyn Generate<T>> {
        Box::new(Self::new(self.fresh.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Emits what an even event says at once, and the highest of the odd ones when it is asked.
    #[derive(Clone, Default)]
    struct Mixed(i64);

    impl WatermarkGenerator<i64> for Mixed {
        fn on_event(&mut self, event: &i64, _: Timestamp, output: &mut WatermarkOutput) {
            if event % 2 == 0 { output.emit_watermark(*event) } else { self.0 = self.0.max(*event) }
        }

        fn on_periodic_emit(&mut self, output: &mut WatermarkOutput) {
            output.emit_watermark(self.0);
        }
    }

    #[test]
    fn a_watermark_comes_behind_the_event_that_made_it_and_none_falls() {
        let records: Vec<Record<i64>> =
            [1, 4, 2, 7, 8, 11].map(|value| Record { value, timestamp: value }).into();
        let mut generator: Box<dyn Generate<i64>> = Box::new(Generator::new(Mixed::default()));
        for round in 0..2 {
            let (mut seen, mut from) = (Vec::new(), 0);
            while let Some(Said { until, watermark, idle }) = generator.next(&records, from) {
                assert!(!idle && !generator.is_idle());
                seen.push((until, watermark));
                from = until;
            }
            let expected = if round == 0 { vec![(2, 4), (5, 8), (6, 11)] } else { vec![] };
            assert_eq!(seen, expected);
        }
        let first = Said { until: 2, watermark: 4, idle: false };
        assert_eq!(generator.boxed().next(&records, 0), Some(first), "another partition begins anew");
    }

    /// Positive events are watermarks, 0 marks it idle, -1 active, and others mean nothing.
    #[derive(Clone)]
    struct Sleeps;

    impl WatermarkGenerator<i64> for Sleeps {
        fn on_event(&mut self, event: &i64, _: Timestamp, output: &mut WatermarkOutput) {
            match event {
                1.. => output.emit_watermark(*event),
                0 => output.mark_idle(),
                -1 => output.mark_active(),
                _ => {}
            }
        }
    }

    #[test]
    fn idle_until_it_is_active_or_has_a_watermark_even_an_old_one() {
        let records: Vec<Record<i64>> =
            [5, 0, 0, -2, -1, 0, 3, -2].map(|value| Record { value, timestamp: value }).into();
        let mut generator: Box<dyn Generate<i64>> = Box::new(Generator::new(Sleeps));
        let (mut seen, mut from) = (Vec::new(), 0);
        while let Some(said) = generator.next(&records, from) {
            seen.push((said.until, said.watermark, said.idle));
            from = said.until;
        }
        assert_eq!(seen, [(1, 5, false), (2, 5, true), (5, 5, false), (6, 5, true), (7, 5, false)]);
    }
}
