//! Windows of a keyed stream, or of a whole stream.
//!
//! ```
//! use std::time::Duration;
//! use thalweg_datastream::{StreamExecutionEnvironment, TumblingEventTimeWindows, aggregate::Count};
//!
//! let env = StreamExecutionEnvironment::new();
//! let clicks = env.from_timed_collection(vec![("ada", 100), ("bob", 700), ("ada", 900), ("ada", 1500)]);
//! let per_second = clicks.key_by(|user| user.to_string()).window(TumblingEventTimeWindows::of(Duration::from_secs(1)));
//! let counts = per_second.aggregate_with(Count::new(), |user, window, n, out| out.collect((user.clone(), window.start, n)));
//! let mut counts = counts.execute_and_collect("clicks")?;
//! counts.sort();
//! assert_eq!(counts, [("ada".to_owned(), 0, 2), ("ada".to_owned(), 1000, 1), ("bob".to_owned(), 0, 1)]);
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

use std::ops::Add;
use std::time::Duration;

use thalweg_dataflow::OutputTag;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::time::at_least_millis;
use thalweg_dataflow::window::aggregate::{
    AggregateFunction, Count, Elements, Max, Min, ReduceAggregate, Sum,
};
use thalweg_dataflow::window::{
    Lateness, ProcessWindow, ProcessWindowFunction, TimeWindow, WindowAssigner, WindowFunction,
};

use crate::keyed::{greater_by, lesser_by};
use crate::{Collector, DataStream, StreamExecutionEnvironment};

/// A keyed stream, cut into windows: what is computed over each is said by one of its methods.
#[derive(Clone)]
pub struct WindowedStream<K, T, W> {
    pub(crate) env: StreamExecutionEnvironment,
    pub(crate) stream: Stream<Keyed<K, T>>,
    pub(crate) assigner: W,
    pub(crate) lateness: Lateness<T>,
    /// For the windows of a whole stream.
    pub(crate) parallelism: Option<usize>,
}

impl<K: Key, T: Data, W: WindowAssigner<T>> WindowedStream<K, T, W> {
    pub(crate) fn new(env: StreamExecutionEnvironment, stream: Stream<Keyed<K, T>>, assigner: W) -> Self {
        Self { env, stream, assigner, lateness: Lateness::default(), parallelism: None }
    }

    pub(crate) fn with_parallelism(self, parallelism: usize) -> Self {
        Self { parallelism: Some(parallelism), ..self }
    }

    /// Keeps windows of event time for so long after their end. A record that comes within it makes its windows
    /// fire again, for its key.
    #[must_use]
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness: Lateness { allowed: at_least_millis(lateness), ..self.lateness }, ..self }
    }

    /// Sends records that come even later to a side output of the windows' operator:
    /// [`DataStream::get_side_output`] of the result reads it. They are counted in any case.
    #[must_use]
    pub fn side_output_late_data(self, tag: &OutputTag<T>) -> Self {
        Self { lateness: Lateness { tag: Some(tag.clone()), ..self.lateness }, ..self }
    }

    /// Aggregates each window, and hands key, window and result to `function` when it fires: what Flink does by
    /// `aggregate` with a `ProcessWindowFunction`.
    pub fn aggregate_with<A, Out: Data>(
        self,
        aggregate: A,
        function: impl FnMut(&K, TimeWindow, A::Out, &mut Collector<'_, Out>) + Clone + Send + 'static,
    ) -> DataStream<Out>
    where
        A: AggregateFunction<In = T>,
    {
        self.apply("window", aggregate, function)
    }

    fn apply<A, Out: Data>(
        self,
        name: &str,
        aggregate: A,
        mut function: impl FnMut(&K, TimeWindow, A::Out, &mut Collector<'_, Out>) + Clone + Send + 'static,
    ) -> DataStream<Out>
    where
        A: AggregateFunction<In = T>,
    {
        self.call(
            name,
            aggregate,
            move |key: &K, window: TimeWindow, result: A::Out, out: &mut Collector<'_, Out>| {
                function(key, window, result, out);
                Ok(())
            },
        )
    }

    fn call<A, Out: Data>(
        self,
        name: &str,
        aggregate: A,
        function: impl WindowFunction<K, A::Out, Out>,
    ) -> DataStream<Out>
    where
        A: AggregateFunction<In = T>,
    {
        let Self { env, stream, assigner, lateness, parallelism } = self;
        let stream = assigner.call(&stream, name, lateness, aggregate, function);
        DataStream::over(
            env,
            match parallelism {
                Some(parallelism) => stream.parallelism(parallelism),
                None => stream,
            },
        )
    }

    /// Aggregates each window; emits each key with its result.
    pub fn aggregate<A>(self, aggregate: A) -> DataStream<(K, A::Out)>
    where
        A: AggregateFunction<In = T>,
        A::Out: Data,
    {
        self.apply("window", aggregate, |key, _, result, out| out.collect((key.clone(), result)))
    }

    /// Combines the records of each window and key into one.
    pub fn reduce(self, function: impl FnMut(T, T) -> T + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateData,
    {
        self.apply("window-reduce", ReduceAggregate::new(function), |_, _, reduced, out| {
            if let Some(reduced) = reduced {
                out.collect(reduced);
            }
        })
    }

    /// Hands all records of each window and key to `function`, in the order in which they came: Flink's
    /// `ProcessWindowFunction`. The state grows with every record; an aggregate keeps less.
    pub fn process<Out: Data>(
        self,
        function: impl FnMut(&K, TimeWindow, Vec<T>, &mut Collector<'_, Out>) + Clone + Send + 'static,
    ) -> DataStream<Out>
    where
        T: StateData,
    {
        self.apply("window-process", Elements::new(), function)
    }

    /// Hands all records of each window and key to a function that sees the watermark and the clock, emits to side outputs, keeps state for the key
    /// and for the window, and is told when the window is over: see [`ProcessWindowFunction`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_datastream::{
    ///     BoxError, OutputTag, ProcessWindowFunction, StreamExecutionEnvironment, TumblingEventTimeWindows, WindowContextOf,
    /// };
    /// use thalweg_dataflow::state::{States, ValueState};
    ///
    /// const BUSY: OutputTag<String> = OutputTag::new("busy");
    ///
    /// /// The clicks of each second, and how much more they are than in the second before with any.
    /// #[derive(Clone, Default)]
    /// struct Change {
    ///     before: ValueState<String, usize>,
    /// }
    ///
    /// impl ProcessWindowFunction for Change {
    ///     type Key = String;
    ///     type In = Vec<String>;
    ///     type Out = (String, i64, usize, isize);
    ///     type WindowState = ();
    ///
    ///     fn states(&mut self, states: &mut States<'_>) {
    ///         states.keyed("before", &mut self.before);
    ///     }
    ///
    ///     fn process(&mut self, clicks: Self::In, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
    ///         let (user, n) = (context.key().clone(), clicks.len());
    ///         let before = self.before.update(context, n).unwrap_or(0);
    ///         if n > 2 {
    ///             context.output(&BUSY, user.clone());
    ///         }
    ///         context.collect((user, context.window().start, n, n as isize - before as isize));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let clicks = env.from_timed_collection([100, 700, 1500, 3100, 3200, 3300].map(|time| ("ada".to_owned(), time)).to_vec());
    /// let windows = clicks.key_by(|user| user.clone()).window(TumblingEventTimeWindows::of(Duration::from_secs(1)));
    /// let changes = windows.process_function(Change::default()).execute_and_collect("clicks")?;
    /// let ada = || "ada".to_owned();
    /// assert_eq!(changes, [(ada(), 0, 2, 2), (ada(), 1000, 1, -1), (ada(), 3000, 3, 2)]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn process_function<F>(self, function: F) -> DataStream<F::Out>
    where
        T: StateData,
        F: ProcessWindowFunction<Key = K, In = Vec<T>>,
        F::Out: Data,
    {
        self.call("window-process", Elements::new(), ProcessWindow::new(function))
    }

    /// Aggregates each window, and hands the result to a function such as [`process_function`](Self::process_function) takes. A `reduce` goes by
    /// [`ReduceAggregate`](crate::aggregate::ReduceAggregate).
    pub fn aggregate_with_function<A, F>(self, aggregate: A, function: F) -> DataStream<F::Out>
    where
        A: AggregateFunction<In = T>,
        F: ProcessWindowFunction<Key = K, In = A::Out>,
        F::Out: Data,
    {
        self.call("window", aggregate, ProcessWindow::new(function))
    }

    /// The number of records of each window and key.
    pub fn count(self) -> DataStream<(K, u64)> {
        self.apply("window-count", Count::new(), |key, _, count, out| out.collect((key.clone(), count)))
    }

    /// For each window and key, the sum of what `field` takes out of a record.
    pub fn sum<N>(self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<(K, N)>
    where
        N: StateData + Add<Output = N>,
    {
        self.field("window-sum", Sum::new(field))
    }

    /// For each window and key, the least of what `field` takes out of a record. What is not a number is greater than any number.
    pub fn min<N>(self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<(K, N)>
    where
        N: StateData + PartialOrd,
    {
        self.field("window-min", Min::new(field))
    }

    /// For each window and key, the greatest of what `field` takes out of a record. What is not a number is greater than any number.
    pub fn max<N>(self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<(K, N)>
    where
        N: StateData + PartialOrd,
    {
        self.field("window-max", Max::new(field))
    }

    /// The record of each window and key for which `field` is greatest, the first of several.
    pub fn max_by<N: PartialOrd>(self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateData,
    {
        self.reduce(greater_by(field))
    }

    /// The record of each window and key for which `field` is least, the first of several.
    pub fn min_by<N: PartialOrd>(self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateData,
    {
        self.reduce(lesser_by(field))
    }

    /// An aggregate that has a result if there is any record, as in every window.
    fn field<N: StateData, A>(self, name: &str, aggregate: A) -> DataStream<(K, N)>
    where
        A: AggregateFunction<In = T, Out = Option<N>>,
    {
        self.apply(name, aggregate, |key, _, result, out| {
            if let Some(result) = result {
                out.collect((key.clone(), result));
            }
        })
    }
}
