//! `interval_join`: pairs of records of two keyed streams whose event times are close to each other (Flink's `intervalJoin`).
//!
//! A record of the first stream at time t meets those of the second, of the same key, whose times are within t + lower … t + upper.
//!
//! - **Records** are kept until no record of the other side can meet them any more. A pair is emitted when the second of the two comes,
//!   with the later of their event times, once, in whatever order they come.
//! - **Late records**, which the watermark has passed, meet nobody: they go to a side output if there is one, and are counted.
//! - **Watermarks** are the lower of the two inputs'; they let records go that are no longer needed, then pass.
//! - **Barriers, the end**: pass.
//! - **State**: keyed, `records` (both sides); union, `watermark`. Checkpoints of versions that had timers for it have `timers-event`, too.
//!
//! ```
//! use thalweg_dataflow::graph::Either;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{IntervalJoin, IntervalJoinContext};
//! use thalweg_dataflow::record::Keyed;
//!
//! // Payments up to 10 ms after their order.
//! let join = IntervalJoin::new(0, 10, |order: &char, paid: &u32, context: &mut IntervalJoinContext<'_, (char, u32)>| {
//!     context.collect((*order, *paid));
//!     Ok(())
//! });
//! let mut harness = Harness::new(join);
//! harness.push(Either::Left(Keyed::new(1, 'b')), 100);
//! harness.push(Either::Right(Keyed::new(1, 12)), 110);
//! harness.push(Either::Right(Keyed::new(1, 13)), 111);
//! assert_eq!(harness.values(), [('b', 12)]);
//! ```

use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ProcessContext;
use crate::error::BoxError;
use crate::graph::Either;
use crate::hash::key_hash;
use crate::metrics::OperatorMetrics;
use crate::operator::{Cancelled, Operator, OperatorContext};
use crate::output::{Output, OutputTag};
use crate::record::{Batch, Keyed, Record};
use crate::state::{Deadlines, Key, KeyedTable, StateData, States, TimerQueue};
use crate::time::{MIN_WATERMARK, NO_TIMESTAMP, TaskClock, Timestamp};
use crate::watermark::CurrentWatermark;

/// A key's records are looked through for those that are not needed any more so many times while one is kept.
const SWEEPS: i64 = 8;

/// What the function of a join sees and emits to, beside the two records.
pub struct IntervalJoinContext<'a, Out> {
    base: ProcessContext<'a, Out>,
    left: Timestamp,
    right: Timestamp,
}

impl<Out: Send + 'static> IntervalJoinContext<'_, Out> {
    /// Hands on `value`, with the later of the two event times.
    #[inline]
    pub fn collect(&mut self, value: Out) {
        self.base.collect(value);
    }

    /// Hands `value` to a side output, with the later of the two event times.
    pub fn output<S: Send + 'static>(&mut self, tag: &OutputTag<S>, value: S) {
        self.base.output(tag, value);
    }

    /// The event time of the record of the first stream (milliseconds).
    pub fn left_timestamp(&self) -> Timestamp {
        self.left
    }

    /// The event time of the record of the second stream (milliseconds).
    pub fn right_timestamp(&self) -> Timestamp {
        self.right
    }

    /// The later of the two (milliseconds).
    pub fn timestamp(&self) -> Timestamp {
        self.base.timestamp()
    }

    /// The watermark that the operator has reached (milliseconds).
    pub fn current_watermark(&self) -> Timestamp {
        self.base.current_watermark()
    }
}

/// The records of one key that may still meet others, each side in the order of time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sides<A, B> {
    left: Vec<(Timestamp, A)>,
    right: Vec<(Timestamp, B)>,
    /// When they are looked through next, at the latest.
    sweep: Timestamp,
}

impl<A, B> Default for Sides<A, B> {
    fn default() -> Self {
        Self { left: Vec::new(), right: Vec::new(), sweep: MIN_WATERMARK }
    }
}

/// Where late records go.
#[derive(Clone, Debug)]
struct Late<A, B> {
    left: Option<OutputTag<A>>,
    right: Option<OutputTag<B>>,
    metrics: Arc<OperatorMetrics>,
}

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct IntervalJoin<K, A, B, Out, F> {
    lower: i64,
    upper: i64,
    function: F,
    types: PhantomData<fn() -> Out>,
    records: KeyedTable<K, Sides<A, B>>,
    sweeps: Deadlines,
    /// Whether the records are those of a checkpoint, and `sweeps` does not know of them yet.
    restored: bool,
    watermark: CurrentWatermark,
    clock: TaskClock,
    cancelled: Cancelled,
    late: Late<A, B>,
}

impl<K, A, B, Out, F> IntervalJoin<K, A, B, Out, F>
where
    K: Key,
    A: StateData,
    B: StateData,
    Out: Send + 'static,
    F: FnMut(&A, &B, &mut IntervalJoinContext<'_, Out>) -> Result<(), BoxError>,
{
    /// Joins a record at time t with those of the other side at `t + lower` to `t + upper`, both included, in milliseconds. `function`
    /// is called for each pair.
    pub fn new(lower: i64, upper: i64, function: F) -> Self {
        Self {
            lower,
            upper,
            function,
            types: PhantomData,
            records: KeyedTable::default(),
            sweeps: Deadlines::default(),
            restored: false,
            watermark: CurrentWatermark::default(),
            clock: TaskClock::default(),
            cancelled: Cancelled::default(),
            late: Late { left: None, right: None, metrics: Arc::default() },
        }
    }

    /// Sends late records of the first stream to a side output.
    #[must_use]
    pub fn side_output_left_late_data(mut self, tag: Option<OutputTag<A>>) -> Self {
        self.late.left = tag;
        self
    }

    /// Sends late records of the second stream to a side output.
    #[must_use]
    pub fn side_output_right_late_data(mut self, tag: Option<OutputTag<B>>) -> Self {
        self.late.right = tag;
        self
    }

    /// So long after its own time a record of the first stream may meet others, and one of the second.
    fn kept(&self) -> (i64, i64) {
        (self.upper.max(0), self.lower.saturating_neg().max(0))
    }
}

/// A time at which what is kept until `time` can go: few different ones, so that there are few timers.
fn sweep_after(time: Timestamp, kept: i64) -> Timestamp {
    let grain = (kept / SWEEPS).max(1);
    time.saturating_add(kept).div_euclid(grain).saturating_add(1).saturating_mul(grain)
}

/// Adds a record in the order of time: behind those of the same time.
fn add<T>(records: &mut Vec<(Timestamp, T)>, time: Timestamp, value: T) {
    let place = match records.last() {
        Some((last, _)) if *last > time => records.partition_point(|(other, _)| *other <= time),
        _ => records.len(),
    };
    records.insert(place, (time, value));
}

/// Those within a span, both ends included.
fn within<T>(records: &[(Timestamp, T)], from: Timestamp, to: Timestamp) -> &[(Timestamp, T)] {
    let begin = records.partition_point(|(time, _)| *time < from);
    let length = records[begin..].partition_point(|(time, _)| *time <= to);
    &records[begin..begin + length]
}

/// Lets those go that are before `time`.
fn forget_before<T>(records: &mut Vec<(Timestamp, T)>, time: Timestamp) {
    let old = records.partition_point(|(other, _)| *other < time);
    records.drain(..old);
}

impl<K, A, B, Out, F> IntervalJoin<K, A, B, Out, F>
where
    K: Key,
    A: StateData,
    B: StateData,
    Out: Send + 'static,
    F: FnMut(&A, &B, &mut IntervalJoinContext<'_, Out>) -> Result<(), BoxError>,
{
    /// Makes the index of what has been restored.
    fn take_up(&mut self) {
        if !std::mem::take(&mut self.restored) {
            return;
        }
        self.sweeps = Deadlines::default();
        for (key, sides) in self.records.iter() {
            self.sweeps.register(sides.sweep, key_hash(key));
        }
    }

    fn join(
        &mut self,
        record: Record<Either<Keyed<K, A>, Keyed<K, B>>>,
        output: &mut Output<Out>,
    ) -> Result<(), BoxError> {
        let Record { value, timestamp } = record;
        if timestamp == NO_TIMESTAMP {
            return Err("an interval join needs event times: give the sources a WatermarkStrategy with a timestamp assigner".into());
        }
        let watermark = self.watermark.get();
        if timestamp < watermark {
            let Late { left, right, metrics } = &self.late;
            match value {
                Either::Left(Keyed { value, .. }) => {
                    output.push_late(metrics, left.as_ref(), value, timestamp)
                }
                Either::Right(Keyed { value, .. }) => {
                    output.push_late(metrics, right.as_ref(), value, timestamp)
                }
            }
            return Ok(());
        }
        let (lower, upper, (kept_left, kept_right)) = (self.lower, self.upper, self.kept());
        let Self { records, function, sweeps, clock, .. } = self;
        let (hash, key) = match &value {
            Either::Left(keyed) => (keyed.hash, &keyed.key),
            Either::Right(keyed) => (keyed.hash, &keyed.key),
        };
        let sides = match records.get_mut(hash, key) {
            Some(sides) => sides,
            None => {
                records.insert(hash, key, Sides::default());
                let Some(sides) = records.get_mut(hash, key) else { return Ok(()) };
                sides
            }
        };
        let kept = if matches!(value, Either::Left(_)) { kept_left } else { kept_right };
        let sweep = sweep_after(timestamp, kept);
        if sweep > sides.sweep {
            sides.sweep = sweep;
            sweeps.register(sweep, hash);
        }
        match value {
            Either::Left(Keyed { value, .. }) => {
                let (from, to) = (timestamp.saturating_add(lower), timestamp.saturating_add(upper));
                for (right, other) in within(&sides.right, from, to) {
                    let base = ProcessContext { output, timestamp: timestamp.max(*right), watermark, clock };
                    function(
                        &value,
                        other,
                        &mut IntervalJoinContext { base, left: timestamp, right: *right },
                    )?;
                }
                add(&mut sides.left, timestamp, value);
            }
            Either::Right(Keyed { value, .. }) => {
                let (from, to) = (timestamp.saturating_sub(upper), timestamp.saturating_sub(lower));
                for (left, other) in within(&sides.left, from, to) {
                    let base = ProcessContext { output, timestamp: timestamp.max(*left), watermark, clock };
                    function(
                        other,
                        &value,
                        &mut IntervalJoinContext { base, left: *left, right: timestamp },
                    )?;
                }
                add(&mut sides.right, timestamp, value);
            }
        }
        Ok(())
    }
}

impl<K, A, B, Out, F> Operator for IntervalJoin<K, A, B, Out, F>
where
    K: Key,
    A: StateData,
    B: StateData,
    Out: Send + 'static,
    F: FnMut(&A, &B, &mut IntervalJoinContext<'_, Out>) -> Result<(), BoxError> + Send + 'static,
{
    type In = Either<Keyed<K, A>, Keyed<K, B>>;
    type Out = Out;

    fn identity(&self) -> String {
        format!("{} ms to {} ms", self.lower, self.upper)
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        (self.clock, self.cancelled) = (context.clock.clone(), context.cancelled.clone());
        self.late.metrics = context.metrics.clone();
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("records", &mut self.records);
        if states.epoch().is_none() {
            // What earlier versions wrote.
            states.keyed("timers-event", &mut TimerQueue::<K>::default());
        }
        self.watermark.states(states);
        self.restored |= states.is_opening();
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<Out>) -> Result<(), BoxError> {
        self.take_up();
        batch.records.drain(..).try_for_each(|record| self.join(record, output))
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        _: &mut Output<Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.watermark.advance(watermark);
        self.take_up();
        let (left, right) = self.kept();
        while let Some((_, hash)) = self.sweeps.due(watermark) {
            self.cancelled.check()?;
            self.records.look_at(hash, |_, sides| {
                forget_before(&mut sides.left, watermark.saturating_sub(left));
                forget_before(&mut sides.right, watermark.saturating_sub(right));
                Ok::<_, BoxError>(!sides.left.is_empty() || !sides.right.is_empty())
            })?;
        }
        Ok(Some(watermark))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::harness::Harness;

    type Pair = (u8, (i64, u32), (i64, u32));

    type One = (u8, i64, u32);
    type Act = fn(&One, &One, &mut IntervalJoinContext<'_, Pair>) -> Result<(), BoxError>;

    fn both(a: &One, b: &One, context: &mut IntervalJoinContext<'_, Pair>) -> Result<(), BoxError> {
        assert_eq!(
            (context.left_timestamp(), context.right_timestamp(), context.timestamp()),
            (a.1, b.1, a.1.max(b.1))
        );
        context.collect((a.0, (a.1, a.2), (b.1, b.2)));
        Ok(())
    }

    fn join(lower: i64, upper: i64) -> IntervalJoin<u8, One, One, Pair, Act> {
        IntervalJoin::new(lower, upper, both as Act)
    }

    proptest! {
        /// Every pair that is close enough and not late comes once, through disorder, lateness and a restore.
        #[test]
        fn pairs_are_those_of_a_nested_loop(
            records in prop::collection::vec((any::<bool>(), 0_u8..3, -6_i64..10), 1..80),
            (lower, length) in (-8_i64..8, 0_i64..9),
            cut in 0_usize..80,
            parallelism in 1_usize..4,
        ) {
            let upper = lower + length;
            let mut harness = Harness::new(join(lower, upper));
            let mut seen: Vec<(bool, u8, i64, u32)> = Vec::new();
            let mut expected: Vec<Pair> = Vec::new();
            let mut watermark = i64::MIN;
            for (index, (left, key, shift)) in records.into_iter().enumerate() {
                if index == cut {
                    harness = harness.restore(join(lower, upper), parallelism);
                }
                let (time, number) = (index as i64 * 2 + shift, index as u32);
                let value = Keyed::new(key, (key, time, number));
                harness.push(if left { Either::Left(value) } else { Either::Right(value) }, time);
                if time >= watermark {
                    let partners = seen.iter().filter(|(other, of, at, _)| {
                        let distance = if left { at - time } else { time - at };
                        *other != left && *of == key && (lower..=upper).contains(&distance)
                    });
                    expected.extend(partners.map(|(_, _, at, other)| {
                        if left { (key, (time, number), (*at, *other)) } else { (key, (*at, *other), (time, number)) }
                    }));
                    seen.push((left, key, time, number));
                }
                if index % 3 == 0 {
                    watermark = watermark.max(index as i64 * 2 - 3);
                    harness.watermark(watermark);
                }
                let mut found = harness.values();
                found.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(found, std::mem::take(&mut expected));
            }
        }
    }

    #[test]
    fn late_records_go_aside_and_nothing_is_kept_for_ever() {
        const LATE: OutputTag<(u8, i64, u32)> = OutputTag::new("late");
        let late = join(-5, 5).side_output_left_late_data(Some(LATE));
        let (mut harness, aside) = Harness::with_side(late, &LATE);
        harness.push(Either::Left(Keyed::new(1, (1, 10, 0))), 10);
        harness.watermark(16);
        // The record at 10 cannot be met any more by what is not late.
        harness.push(Either::Left(Keyed::new(1, (1, 15, 1))), 15);
        harness.push(Either::Right(Keyed::new(1, (1, 15, 2))), 15);
        harness.end();
        assert_eq!((harness.values(), aside.values()), (vec![], vec![(1, 15, 1)]));
        assert_eq!((harness.metrics().late_records.get(), harness.metrics().late_dropped.get()), (2, 1));
    }
}
