//! Joins of two streams by key: within windows ([`DataStream::join`], [`DataStream::co_group`]), or of records whose times are close to
//! each other ([`KeyedStream::interval_join`]).
//!
//! ```
//! use std::time::Duration;
//! use thalweg_datastream::{StreamExecutionEnvironment, TumblingEventTimeWindows};
//!
//! let env = StreamExecutionEnvironment::new();
//! let grades = env.from_timed_collection(vec![(('a', 1), 100), (('b', 3), 200), (('a', 2), 1_200)]);
//! let salaries = env.from_timed_collection(vec![(('a', 5_000), 300), (('b', 4_000), 1_400)]);
//! let joined = grades
//!     .join(&salaries)
//!     .where_(|(name, _)| *name)
//!     .equal_to(|(name, _)| *name)
//!     .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
//!     .apply(|(name, grade), (_, salary)| (*name, *grade, *salary));
//! assert_eq!(joined.execute_and_collect("join")?, [('a', 1, 5_000)]);
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use thalweg_dataflow::OutputTag;
use thalweg_dataflow::graph::{Either, Stream};
use thalweg_dataflow::operators::{IntervalJoin, IntervalJoinContext};
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::time::at_least_millis;
use thalweg_dataflow::window::aggregate::AggregateFunction;
use thalweg_dataflow::window::{Lateness, TimeWindow, WindowAssigner};

use crate::{Collector, DataStream, KeyedStream, StreamExecutionEnvironment};

/// Two streams that are to meet in windows (Flink's `JoinedStreams` and `CoGroupedStreams`): say what their keys are.
#[derive(Clone)]
pub struct JoinedStreams<A, B> {
    left: DataStream<A>,
    right: DataStream<B>,
}

/// The key of the first stream is known.
#[derive(Clone)]
pub struct JoinedWhere<K, A, B> {
    env: StreamExecutionEnvironment,
    left: Stream<Keyed<K, Either<A, B>>>,
    right: DataStream<B>,
}

/// Both keys are known: say what windows they meet in.
#[derive(Clone)]
pub struct JoinedByKey<K, A, B> {
    env: StreamExecutionEnvironment,
    both: Stream<Keyed<K, Either<A, B>>>,
}

/// Two keyed streams in the same windows: what is computed over each is said by one of its methods.
#[derive(Clone)]
pub struct WindowedJoin<K, A, B, W> {
    joined: JoinedByKey<K, A, B>,
    assigner: W,
    lateness: Lateness<Either<A, B>>,
}

impl<A: Data, B: Data> JoinedStreams<A, B> {
    pub(crate) fn new(left: DataStream<A>, right: DataStream<B>) -> Self {
        Self { left, right }
    }

    /// The key of the first stream (Flink's `where`).
    pub fn where_<K: Key>(
        self,
        mut key: impl FnMut(&A) -> K + Clone + Send + 'static,
    ) -> JoinedWhere<K, A, B> {
        let Self { left, right } = self;
        let keyed = left.stream.map("key-by", move |value| Keyed::new(key(&value), Either::Left(value)));
        JoinedWhere { env: left.env, left: keyed, right }
    }
}

impl<K: Key, A: Data, B: Data> JoinedWhere<K, A, B> {
    /// The key of the second stream.
    pub fn equal_to(self, mut key: impl FnMut(&B) -> K + Clone + Send + 'static) -> JoinedByKey<K, A, B> {
        let Self { env, left, right } = self;
        let right = right.stream.map("key-by", move |value| Keyed::new(key(&value), Either::Right(value)));
        JoinedByKey { env, both: left.union(&right).exchange() }
    }
}

impl<K: Key, A: StateData, B: StateData> JoinedByKey<K, A, B> {
    /// Lets barriers overtake the records of both on their way to the join, if the job has
    /// [unaligned checkpoints](StreamExecutionEnvironment::enable_unaligned_checkpoints).
    #[must_use]
    pub fn unaligned(self) -> Self
    where
        Either<A, B>: StateData,
    {
        Self { both: self.both.unaligned(), ..self }
    }

    /// The windows that records have to share.
    pub fn window<W: WindowAssigner<Either<A, B>>>(self, assigner: W) -> WindowedJoin<K, A, B, W> {
        WindowedJoin { joined: self, assigner, lateness: Lateness::default() }
    }
}

impl<K: Key, A: StateData, B: StateData, W: WindowAssigner<Either<A, B>>> WindowedJoin<K, A, B, W> {
    /// Keeps windows of event time for so long after their end. A record that comes within it makes its windows fire again, with all
    /// of their pairs.
    #[must_use]
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness: Lateness { allowed: at_least_millis(lateness), ..self.lateness }, ..self }
    }

    /// Sends records that come even later, of either stream, to a side output.
    #[must_use]
    pub fn side_output_late_data(self, tag: &OutputTag<Either<A, B>>) -> Self {
        Self { lateness: Lateness { tag: Some(tag.clone()), ..self.lateness }, ..self }
    }

    /// Hands each pair of records of one key and window to `function`: an inner join. What it returns has the window's last
    /// millisecond as its event time.
    pub fn apply<Out: Data>(
        self,
        mut function: impl FnMut(&A, &B) -> Out + Clone + Send + 'static,
    ) -> DataStream<Out> {
        self.windowed("window-join", move |_, _, (left, right), out| {
            for a in &left {
                right.iter().for_each(|b| out.collect(function(a, b)));
            }
        })
    }

    /// As [`apply`](Self::apply), for functions that emit none, one or many records for a pair.
    pub fn apply_each<Out: Data>(
        self,
        mut function: impl FnMut(&A, &B, &mut Collector<'_, Out>) + Clone + Send + 'static,
    ) -> DataStream<Out> {
        self.windowed("window-join", move |_, _, (left, right), out| {
            for a in &left {
                right.iter().for_each(|b| function(a, b, out));
            }
        })
    }

    /// Hands key, window and all records of both streams to `function`, each stream's in the order in which they came; one of the two
    /// may have none (Flink's `coGroup`). So it can do outer joins.
    pub fn co_group<Out: Data>(
        self,
        mut function: impl FnMut(&K, TimeWindow, Vec<A>, Vec<B>, &mut Collector<'_, Out>) + Clone + Send + 'static,
    ) -> DataStream<Out> {
        self.windowed("co-group", move |key, window, (left, right), out| {
            function(key, window, left, right, out)
        })
    }

    fn windowed<Out: Data>(
        self,
        name: &str,
        mut function: impl FnMut(&K, TimeWindow, (Vec<A>, Vec<B>), &mut Collector<'_, Out>)
        + Clone
        + Send
        + 'static,
    ) -> DataStream<Out> {
        let Self { joined: JoinedByKey { env, both }, assigner, lateness } = self;
        let infallible = move |key: &K, window, sides, out: &mut Collector<'_, Out>| {
            function(key, window, sides, out);
            Ok(())
        };
        DataStream::over(env, assigner.apply(&both, name, lateness, BothSides(PhantomData), infallible))
    }
}

/// All records of both sides, each side's in the order in which they came.
struct BothSides<A, B>(PhantomData<fn(A, B)>);

impl<A, B> Clone for BothSides<A, B> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<A: StateData, B: StateData> AggregateFunction for BothSides<A, B> {
    type In = Either<A, B>;
    type Accumulator = (Vec<A>, Vec<B>);
    type Out = (Vec<A>, Vec<B>);

    fn create_accumulator(&mut self) -> Self::Accumulator {
        (Vec::new(), Vec::new())
    }

    fn add(&mut self, (left, right): &mut Self::Accumulator, value: Either<A, B>) {
        match value {
            Either::Left(value) => left.push(value),
            Either::Right(value) => right.push(value),
        }
    }

    fn merge(&mut self, mut a: Self::Accumulator, mut b: Self::Accumulator) -> Self::Accumulator {
        a.0.append(&mut b.0);
        a.1.append(&mut b.1);
        a
    }

    fn get_result(&mut self, sides: &Self::Accumulator) -> Self::Out {
        sides.clone()
    }
}

/// Two keyed streams whose records meet if their times are close: say how close.
#[derive(Clone)]
pub struct IntervalJoined<K, A, B> {
    env: StreamExecutionEnvironment,
    stream: Stream<Either<Keyed<K, A>, Keyed<K, B>>>,
}

/// An interval join with its bounds.
#[derive(Clone)]
pub struct BoundedIntervalJoin<K, A, B> {
    joined: IntervalJoined<K, A, B>,
    /// Both included, in milliseconds.
    lower: i64,
    upper: i64,
    late: (Option<OutputTag<A>>, Option<OutputTag<B>>),
}

impl<K: Key, A: Data, B: Data> IntervalJoined<K, A, B> {
    pub(crate) fn new(left: &KeyedStream<K, A>, right: &KeyedStream<K, B>) -> Self {
        Self { env: left.env.clone(), stream: left.stream.either(&right.stream).exchange() }
    }

    /// Lets barriers overtake the records of both on their way to the join, if the job has
    /// [unaligned checkpoints](StreamExecutionEnvironment::enable_unaligned_checkpoints).
    #[must_use]
    pub fn unaligned(self) -> Self
    where
        A: StateData,
        B: StateData,
    {
        Self { stream: self.stream.unaligned(), ..self }
    }

    /// A record of the first stream at time t meets those of the second from `t + range.start` to `t + range.end`, in milliseconds, each bound
    /// included or not as the range has it: `-5_000..=0` are those of the five seconds before.
    pub fn between(self, range: impl RangeBounds<i64>) -> BoundedIntervalJoin<K, A, B> {
        let lower = match range.start_bound() {
            Bound::Included(lower) => *lower,
            Bound::Excluded(lower) => lower.saturating_add(1),
            Bound::Unbounded => i64::MIN,
        };
        let upper = match range.end_bound() {
            Bound::Included(upper) => *upper,
            Bound::Excluded(upper) => upper.saturating_sub(1),
            Bound::Unbounded => i64::MAX,
        };
        if lower > upper || lower == i64::MIN || upper == i64::MAX {
            let reason = "an interval join needs two bounds, the lower of which is not above the upper: records would meet nobody, or be \
                          kept for ever";
            self.stream.graph().refuse(reason.to_owned());
        }
        BoundedIntervalJoin { joined: self, lower, upper, late: (None, None) }
    }
}

impl<K: Key, A: StateData, B: StateData> BoundedIntervalJoin<K, A, B> {
    /// Leaves the lower bound out.
    #[must_use]
    pub fn lower_bound_exclusive(self) -> Self {
        Self { lower: self.lower.saturating_add(1), ..self }
    }

    /// Leaves the upper bound out.
    #[must_use]
    pub fn upper_bound_exclusive(self) -> Self {
        Self { upper: self.upper.saturating_sub(1), ..self }
    }

    /// Sends records of the first stream that the watermark has passed to a side output of the result.
    #[must_use]
    pub fn side_output_left_late_data(self, tag: &OutputTag<A>) -> Self {
        Self { late: (Some(tag.clone()), self.late.1), ..self }
    }

    /// Sends records of the second stream that the watermark has passed to a side output of the result.
    #[must_use]
    pub fn side_output_right_late_data(self, tag: &OutputTag<B>) -> Self {
        Self { late: (self.late.0, Some(tag.clone())), ..self }
    }

    /// Calls `function` for each pair (Flink's `ProcessJoinFunction`).
    pub fn process<Out: Data>(
        self,
        mut function: impl FnMut(&A, &B, &mut IntervalJoinContext<'_, Out>) + Clone + Send + 'static,
    ) -> DataStream<Out> {
        let Self { joined: IntervalJoined { env, stream }, lower, upper, late } = self;
        if !stream.has_event_time() {
            stream.graph().refuse(
                "an interval join needs event times: give the sources a WatermarkStrategy with a timestamp assigner".to_owned(),
            );
        }
        let join = IntervalJoin::new(
            lower,
            upper,
            move |a: &A, b: &B, context: &mut IntervalJoinContext<'_, Out>| {
                function(a, b, context);
                Ok(())
            },
        );
        let join = join.side_output_left_late_data(late.0).side_output_right_late_data(late.1);
        DataStream::over(env, stream.apply("interval-join", join))
    }
}
