//! Event times and watermarks in the middle of a stream (Flink's `assignTimestampsAndWatermarks`).
//!
//! - **Records** get their event time.
//! - **Watermarks** and idleness from upstream are dropped, except the last watermark: this operator makes its own, one after each
//!   batch. As it cannot tell partitions apart, prefer to give the strategy to the source.
//! - **Idleness**: when a generator says so, behind the batch in which it does; and when the sources had nothing for this stream for the strategy's timeout, it counts as idle. Records that wait on
//!   the way, in front of a slow operator, a full edge or a rate limit, do not let it; a stream that has ended never does.
//! - **State**: union, `newest`: the newest event time, so that a record that was late stays late after a restore.
//!
//! ```
//! use thalweg_dataflow::harness::{Event, Harness};
//! use thalweg_dataflow::watermark::{AssignTimestamps, WatermarkStrategy};
//!
//! let strategy = WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|at: &i64, _| *at);
//! let mut harness = Harness::new(AssignTimestamps::new(strategy));
//! harness.push(40, 0);
//! assert_eq!(harness.events(), [Event::Record(40, 40), Event::Watermark(39)]);
//! ```

use crate::error::BoxError;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::{Batch, Data};
use crate::state::States;
use crate::time::{MAX_WATERMARK, NO_TIMESTAMP, Timestamp};
use crate::watermark::{Generate, Said, WatermarkStrategy};

/// The operator. See the [module](self).
pub struct AssignTimestamps<T> {
    strategy: WatermarkStrategy<T>,
    generator: Option<Box<dyn Generate<T>>>,
    newest: Timestamp,
    /// Since when the outside has had no record for us, and how often that has been said since: that a clock jumps, or the process was
    /// stopped for a while, is told apart from idleness by it.
    quiet: Option<(Timestamp, u32)>,
    is_idle: bool,
}

/// So often it is said, within the timeout, that no record has come.
const REPORTS: u32 = 2;

impl<T: Data> AssignTimestamps<T> {
    /// Assigns by `strategy`.
    pub fn new(strategy: WatermarkStrategy<T>) -> Self {
        let generator = strategy.generator();
        Self { strategy, generator, newest: NO_TIMESTAMP, quiet: None, is_idle: false }
    }
}

impl<T: Data> Clone for AssignTimestamps<T> {
    fn clone(&self) -> Self {
        let Self { strategy, newest, quiet, is_idle, .. } = self;
        let generator = strategy.generator();
        Self { strategy: strategy.clone(), generator, newest: *newest, quiet: *quiet, is_idle: *is_idle }
    }
}

impl<T: Data> Operator for AssignTimestamps<T> {
    type In = T;
    type Out = T;

    fn begins_event_time(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        let mut newest = vec![self.newest];
        states.union("newest", &mut newest);
        // The slowest of the subtasks there were: nothing that was on time becomes late.
        self.newest = newest.into_iter().min().unwrap_or(NO_TIMESTAMP);
    }

    fn process(&mut self, batch: &mut Batch<T>, output: &mut Output<T>) -> Result<(), BoxError> {
        let newest = self.strategy.assign(&mut batch.records);
        let mut was_idle = std::mem::replace(&mut self.is_idle, false);
        self.quiet = None;
        let Some(generator) = &mut self.generator else {
            self.newest = self.newest.max(newest);
            output.push_batch(&mut batch.records);
            output.push_watermark(self.strategy.watermark(self.newest));
            return Ok(());
        };
        let mut sent = 0;
        while let Some(Said { until, watermark, .. }) = generator.next(&batch.records, sent) {
            for record in &batch.records[sent..until] {
                output.push(record.value.clone(), record.timestamp);
            }
            // After a restore it may be behind what it was.
            if watermark > self.newest {
                self.newest = watermark;
                output.pass_watermark(watermark);
                was_idle = false;
            }
            sent = until;
        }
        batch.records.drain(..sent);
        output.push_batch(&mut batch.records);
        self.is_idle = generator.is_idle();
        if !self.is_idle {
            // So that a stream that was idle says that it is not, whatever its time.
            output.push_watermark(self.newest);
        } else if !was_idle {
            output.push_idle();
        }
        Ok(())
    }

    fn watermark(&mut self, watermark: Timestamp, _: &mut Output<T>) -> Result<Option<Timestamp>, BoxError> {
        Ok((watermark == MAX_WATERMARK).then_some(MAX_WATERMARK))
    }

    fn idle_timeout(&self) -> Option<i64> {
        self.strategy.idleness()
    }

    fn caught_up(&mut self, at: Timestamp, output: &mut Output<T>) -> Result<(), BoxError> {
        let Some(timeout) = self.strategy.idleness() else { return Ok(()) };
        match &mut self.quiet {
            None => self.quiet = Some((at, 0)),
            Some((since, reports)) => {
                *reports += 1;
                if !self.is_idle && *reports >= REPORTS && at.saturating_sub(*since) >= timeout {
                    self.is_idle = true;
                    output.push_idle();
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::harness::{Event, Harness, Then};
    use crate::watermark::{WatermarkGenerator, WatermarkOutput};

    #[test]
    fn watermarks_follow_the_newest_record_through_a_restore_and_idleness_is_said() {
        let strategy = WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_millis(10))
            .with_timestamp_assigner(|time: &i64, _| *time)
            .with_idleness(Duration::from_millis(100));
        let mut harness = Harness::new(AssignTimestamps::new(strategy));
        harness.push(50, NO_TIMESTAMP);
        harness.push(45, NO_TIMESTAMP);
        // What comes from upstream is replaced, but for the end.
        harness.watermark(7);
        let watermark = Event::Watermark(39);
        assert_eq!(harness.events(), [Event::Record(50, 50), watermark.clone(), Event::Record(45, 45)]);
        harness.checkpoint(1000);
        harness.push(20, NO_TIMESTAMP);
        harness.barrier(2000, Then::Continue);
        let events = harness.events();
        assert!(!events.contains(&Event::Watermark(9)), "the newest record was forgotten: {events:?}");
        harness.advance(Duration::from_millis(100));
        assert_eq!(harness.events(), [Event::Idle]);
        // That its input idles is no news: event time begins here.
        harness.idle();
        harness.end();
        // Nor does anything that is over.
        harness.advance(Duration::from_millis(1000));
        harness.idle();
        assert_eq!(harness.events(), [Event::Watermark(MAX_WATERMARK), Event::End]);
    }

    /// Says of each even number that nothing below it is to come.
    #[derive(Clone)]
    struct Even;

    impl WatermarkGenerator<i64> for Even {
        fn on_event(&mut self, event: &i64, _: Timestamp, output: &mut WatermarkOutput) {
            if event % 2 == 0 {
                output.emit_watermark(event - 1);
            }
        }
    }

    #[test]
    fn a_generator_s_watermark_comes_right_behind_its_record_and_does_not_fall_in_a_restore() {
        let strategy =
            || WatermarkStrategy::for_generator(Even).with_timestamp_assigner(|time: &i64, _| *time);
        let mut harness = Harness::new(AssignTimestamps::new(strategy()));
        [3, 6, 5, 8].into_iter().for_each(|n| harness.push(n, NO_TIMESTAMP));
        let record = |n| Event::Record(n, n);
        let expected = [record(3), record(6), Event::Watermark(5), record(5), record(8), Event::Watermark(7)];
        assert_eq!(harness.events(), expected);
        harness.checkpoint(1000);
        harness.push(4, NO_TIMESTAMP);
        harness.push(10, NO_TIMESTAMP);
        let events: Vec<_> =
            harness.events().into_iter().filter(|event| !matches!(event, Event::Barrier(..))).collect();
        assert_eq!(events, [record(4), record(10), Event::Watermark(9)]);
    }

    /// Goes to sleep with 0, and wakes up with the next that is positive.
    #[derive(Clone)]
    struct Sleeps;

    impl WatermarkGenerator<i64> for Sleeps {
        fn on_event(&mut self, event: &i64, _: Timestamp, output: &mut WatermarkOutput) {
            match event {
                0 => output.mark_idle(),
                1.. => output.emit_watermark(*event),
                _ => {}
            }
        }
    }

    #[test]
    fn a_generator_may_say_that_it_idles() {
        let strategy =
            WatermarkStrategy::for_generator(Sleeps).with_timestamp_assigner(|time: &i64, _| *time);
        let mut harness = Harness::new(AssignTimestamps::new(strategy));
        [5, 0, 0, -7, 4, 9].into_iter().for_each(|n| harness.push(n, NO_TIMESTAMP));
        let record = |n| Event::Record(n, n);
        assert_eq!(
            harness.events(),
            [
                record(5),
                Event::Watermark(5),
                record(0),
                Event::Idle,
                record(0),
                record(-7),
                record(4),
                Event::Watermark(5),
                record(9),
                Event::Watermark(9)
            ]
        );
    }

    #[test]
    fn a_stream_that_wakes_up_says_so_even_if_event_time_has_not_moved() {
        let strategy =
            WatermarkStrategy::for_monotonous_timestamps().with_idleness(Duration::from_millis(50));
        let mut harness = Harness::new(AssignTimestamps::new(strategy));
        harness.push("first", 40);
        harness.set_processing_time(50);
        assert_eq!(harness.events(), [Event::Record("first", 40), Event::Watermark(39), Event::Idle]);
        harness.push("not newer", 30);
        assert_eq!(harness.events(), [Event::Record("not newer", 30), Event::Watermark(39)]);
        harness.push("nor this one", 31);
        assert_eq!(harness.events(), [Event::Record("nor this one", 31)]);
    }
}
