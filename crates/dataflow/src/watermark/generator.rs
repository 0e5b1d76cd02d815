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

/// What a generator emits to.
#[derive(Debug)]
pub struct WatermarkOutput {
    reached: Timestamp,
}

impl WatermarkOutput {
    /// No event with this time or an earlier one is expected any more (milliseconds). Watermarks do not fall: a lower one is left out.
    pub fn emit_watermark(&mut self, watermark: Timestamp) {
        // The last watermark is the end of the input, which the source says.
        self.reached = self.reached.max(watermark.min(MAX_WATERMARK - 1));
    }
}

/// The generator of one partition: one virtual call a run of records.
pub(crate) trait Generate<T>: Send {
    /// Shows it the records from number `from` on, until it emits a watermark: the number of those before that, and the watermark. `None`: it has seen
    /// all.
    fn next(&mut self, records: &[Record<T>], from: usize) -> Option<(usize, Timestamp)>;
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
        let (generator, output) = (fresh.clone(), WatermarkOutput { reached: MIN_WATERMARK });
        Self { fresh, generator, output, through: false }
    }
}

impl<T: Data, G: WatermarkGenerator<T>> Generate<T> for Generator<G> {
    fn next(&mut self, records: &[Record<T>], from: usize) -> Option<(usize, Timestamp)> {
        let before = self.output.reached;
        for (index, Record { value, timestamp }) in records.iter().enumerate().skip(from) {
            self.generator.on_event(value, *timestamp, &mut self.output);
            if self.output.reached > before {
                return Some((index + 1, self.output.reached));
            }
        }
        if std::mem::replace(&mut self.through, true) {
            self.through = false;
            return None;
        }
        self.generator.on_periodic_emit(&mut self.output);
        if self.output.reached > before {
            return Some((records.len(), self.output.reached));
        }
        self.through = false;
        None
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
            while let Some((until, watermark)) = generator.next(&records, from) {
                seen.push((until, watermark));
                from = until;
            }
            let expected = if round == 0 { vec![(2, 4), (5, 8), (6, 11)] } else { vec![] };
            assert_eq!(seen, expected);
        }
        assert_eq!(generator.boxed().next(&records, 0), Some((2, 4)), "another partition begins anew");
    }
}
