//! `KeyedStream`: a stream partitioned by key.

use std::ops::Add;

use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operators::{
    Aggregate, Emit, FlatMapWithState, KeyedProcess, KeyedProcessFunction, Reduce,
};
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::window::WindowAssigner;
use thalweg_dataflow::window::aggregate::AggregateFunction;
use thalweg_dataflow::window::aggregate::extremum::{greatest, least};

use crate::{
    Collector, ConnectedStreams, DataStream, IntervalJoined, StreamExecutionEnvironment, WindowedStream,
};

/// Of two records the one for which `field` is greater, of equal ones the first.
pub(crate) fn greater_by<T, N: PartialOrd>(
    mut field: impl FnMut(&T) -> N + Clone + Send + 'static,
) -> impl FnMut(T, T) -> T + Clone + Send + 'static {
    move |a, b| if field(&b) > field(&a) { b } else { a }
}

/// Of two records the one for which `field` is less, of equal ones the first.
pub(crate) fn lesser_by<T, N: PartialOrd>(
    mut field: impl FnMut(&T) -> N + Clone + Send + 'static,
) -> impl FnMut(T, T) -> T + Clone + Send + 'static {
    move |a, b| if field(&b) < field(&a) { b } else { a }
}

/// A stream of `T`, partitioned by keys of type `K`.
#[derive(Clone)]
pub struct KeyedStream<K, T> {
    pub(crate) env: StreamExecutionEnvironment,
    pub(crate) stream: Stream<Keyed<K, T>>,
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    /// The stream of the engine underneath.
    pub fn stream(&self) -> &Stream<Keyed<K, T>> {
        &self.stream
    }

    /// The environment.
    pub fn environment(&self) -> &StreamExecutionEnvironment {
        &self.env
    }

    /// Lets barriers overtake the records of this stream on their way to what follows, if the job has
    /// [unaligned checkpoints](StreamExecutionEnvironment::enable_unaligned_checkpoints).
    #[must_use]
    pub fn unaligned(&self) -> Self
    where
        T: StateData,
    {
        Self { env: self.env.clone(), stream: self.stream.unaligned() }
    }

    pub(crate) fn then<U>(&self, stream: Stream<U>) -> DataStream<U> {
        DataStream { env: self.env.clone(), stream }
    }

    /// Combines, for each key, all records so far; emits the new value with each record.
    pub fn reduce(&self, function: impl FnMut(T, T) -> T + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateData,
    {
        let reduce = Reduce::new(function, |_: &K, value: &T| value.clone(), self.emit());
        self.then(self.stream.apply("reduce", reduce))
    }

    /// The running sum, for each key, of what `field` takes out of a record.
    pub fn sum<N>(&self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<(K, N)>
    where
        N: StateData + Add<Output = N>,
    {
        self.fold("sum", field, |a, b| a + b)
    }

    /// The running minimum, for each key, of what `field` takes out of a record. What is not a number is greater than any number.
    pub fn min<N>(&self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<(K, N)>
    where
        N: StateData + PartialOrd,
    {
        self.fold("min", field, least)
    }

    /// The running maximum, for each key, of what `field` takes out of a record. What is not a number is greater than any number.
    pub fn max<N>(&self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<(K, N)>
    where
        N: StateData + PartialOrd,
    {
        self.fold("max", field, greatest)
    }

    /// The record of each key so far for which `field` is greatest, the first of several (Flink's `maxBy`); it is emitted with each record.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let cars = env.from_collection(vec![('a', 50, 1), ('a', 70, 2), ('a', 60, 3)]).key_by(|car| car.0);
    /// let fastest = cars.max_by(|car| car.1).execute_and_collect("fastest")?;
    /// assert_eq!(fastest, [('a', 50, 1), ('a', 70, 2), ('a', 70, 2)]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn max_by<N: PartialOrd>(&self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateData,
    {
        self.reduce(greater_by(field))
    }

    /// The record of each key so far for which `field` is least, the first of several (Flink's `minBy`).
    pub fn min_by<N: PartialOrd>(&self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateData,
    {
        self.reduce(lesser_by(field))
    }

    /// The first record of each key, in which the field is the sum of all so far (Flink's `sum`, which keeps the record).
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let letters = env.from_collection(vec![('a', 1), ('a', 1)]).key_by(|letter| letter.0);
    /// assert_eq!(letters.sum_field(|letter| &mut letter.1).execute_and_collect("counts")?, [('a', 1), ('a', 2)]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn sum_field<N>(&self, field: fn(&mut T) -> &mut N) -> DataStream<T>
    where
        T: StateData,
        N: Add<Output = N> + Clone + 'static,
    {
        self.reduce(move |mut a, mut b| {
            let sum = field(&mut a).clone() + field(&mut b).clone();
            *field(&mut a) = sum;
            a
        })
    }

    /// The first record of each key, in which the field is the greatest so far (Flink's `max`, which keeps the other fields of the first record).
    pub fn max_field<N: PartialOrd + Clone + 'static>(&self, field: fn(&mut T) -> &mut N) -> DataStream<T>
    where
        T: StateData,
    {
        self.reduce(move |mut a, mut b| {
            let greatest = greatest(field(&mut a).clone(), field(&mut b).clone());
            *field(&mut a) = greatest;
            a
        })
    }

    /// The first record of each key, in which the field is the least so far (Flink's `min`).
    pub fn min_field<N: PartialOrd + Clone + 'static>(&self, field: fn(&mut T) -> &mut N) -> DataStream<T>
    where
        T: StateData,
    {
        self.reduce(move |mut a, mut b| {
            let least = least(field(&mut a).clone(), field(&mut b).clone());
            *field(&mut a) = least;
            a
        })
    }

    /// The running aggregate of each key's records: the key and its result, with every record.
    pub fn aggregate<A>(&self, aggregate: A) -> DataStream<(K, A::Out)>
    where
        A: AggregateFunction<In = T>,
        A::Out: Data,
    {
        let aggregate = Aggregate::new(aggregate, |key: &K, result: A::Out| (key.clone(), result));
        let aggregate = aggregate.emitting_at_end(self.env.is_batch());
        self.then(self.stream.apply("aggregate", aggregate))
    }

    /// None, one or many records for each, made with the state of its key: the function may set, change and take it away.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let readings = env.from_collection(vec![("a", 1), ("a", 1), ("a", 2)]).key_by(|reading| reading.0.to_owned());
    /// let changes = readings.flat_map_with_state(|(_, n), last: &mut Option<i32>, out| {
    ///     if last.replace(n) != Some(n) {
    ///         out.collect(n);
    ///     }
    /// });
    /// assert_eq!(changes.execute_and_collect("changes")?, [1, 2]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn flat_map_with_state<S: StateData, U: Data>(
        &self,
        mut function: impl FnMut(T, &mut Option<S>, &mut Collector<'_, U>) + Clone + Send + 'static,
    ) -> DataStream<U> {
        let operator =
            FlatMapWithState::new(move |value, state: &mut Option<S>, out: &mut Collector<'_, U>| {
                function(value, state, out);
                Ok(())
            });
        self.then(self.stream.apply("flat-map-with-state", operator))
    }

    /// One record for each, made with the state of its key.
    pub fn map_with_state<S: StateData, U: Data>(
        &self,
        mut function: impl FnMut(T, &mut Option<S>) -> U + Clone + Send + 'static,
    ) -> DataStream<U> {
        self.flat_map_with_state(move |value, state, out| out.collect(function(value, state)))
            .name("map-with-state")
    }

    /// The records for which `predicate` holds, which sees the state of the key.
    pub fn filter_with_state<S: StateData>(
        &self,
        mut predicate: impl FnMut(&T, &mut Option<S>) -> bool + Clone + Send + 'static,
    ) -> DataStream<T> {
        let filter = move |value, state: &mut Option<S>, out: &mut Collector<'_, T>| {
            if predicate(&value, state) {
                out.collect(value);
            }
        };
        self.flat_map_with_state(filter).name("filter-with-state")
    }

    /// Calls a function with state and timers on every record.
    ///
    /// ```
    /// use thalweg_dataflow::state::{States, ValueState};
    /// use thalweg_datastream::{BoxError, ContextOf, KeyedProcessFunction, OnTimer, StreamExecutionEnvironment};
    ///
    /// /// Counts the clicks of each user, and says how many there were when none has come for a second.
    /// #[derive(Clone, Default)]
    /// struct Visits {
    ///     clicks: ValueState<String, (u32, i64)>,
    /// }
    ///
    /// impl KeyedProcessFunction for Visits {
    ///     type Key = String;
    ///     type In = &'static str;
    ///     type Out = (String, u32);
    ///
    ///     fn states(&mut self, states: &mut States<'_>) {
    ///         states.keyed("clicks", &mut self.clicks);
    ///     }
    ///
    ///     fn process_element(&mut self, _: &'static str, context: &mut ContextOf<'_, Self>) -> Result<(), BoxError> {
    ///         let (clicks, last) = self.clicks.value(context).copied().unwrap_or_default();
    ///         context.delete_event_time_timer(last + 1_000);
    ///         self.clicks.update(context, (clicks + 1, context.timestamp()));
    ///         context.register_event_time_timer(context.timestamp() + 1_000);
    ///         Ok(())
    ///     }
    ///
    ///     fn on_timer(&mut self, _: OnTimer, context: &mut ContextOf<'_, Self>) -> Result<(), BoxError> {
    ///         if let Some((clicks, _)) = self.clicks.clear(context) {
    ///             context.collect((context.key().clone(), clicks));
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let clicks = env.from_timed_collection(vec![("ada", 0), ("ada", 600), ("bob", 5_000)]);
    /// let visits = clicks.key_by(|user| user.to_string()).process(Visits::default());
    /// assert_eq!(visits.execute_and_collect("visits")?, [("ada".to_owned(), 2), ("bob".to_owned(), 1)]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn process<F>(&self, function: F) -> DataStream<F::Out>
    where
        F: KeyedProcessFunction<Key = K, In = T>,
        F::Out: Data,
    {
        self.then(self.stream.apply("process", KeyedProcess::new(function)))
    }

    /// Cuts the stream into windows.
    pub fn window<W: WindowAssigner<T>>(&self, assigner: W) -> WindowedStream<K, T, W> {
        WindowedStream::new(self.env.clone(), self.stream.clone(), assigner)
    }

    /// This stream and another that is keyed by the same type, as the two inputs of one function.
    pub fn connect<U: Data>(&self, other: &KeyedStream<K, U>) -> ConnectedStreams<Keyed<K, T>, Keyed<K, U>> {
        ConnectedStreams { env: self.env.clone(), stream: self.stream.either(&other.stream) }
    }

    /// This stream and another that is keyed by the same type: pairs of records whose event times are close to each other.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let orders = env.from_timed_collection(vec![((1, 20), 1_000), ((2, 5), 2_000)]).key_by(|order| order.0);
    /// let payments = env.from_timed_collection(vec![(1, 1_400), (2, 9_000)]).key_by(|order| *order);
    /// let paid = orders.interval_join(&payments).between(0..=5_000).process(|order, _, out| out.collect(order.0));
    /// assert_eq!(paid.execute_and_collect("paid")?, [1]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn interval_join<U: Data>(&self, other: &KeyedStream<K, U>) -> IntervalJoined<K, T, U> {
        IntervalJoined::new(self, other)
    }

    /// The running count of records of each key.
    pub fn count(&self) -> DataStream<(K, u64)> {
        self.fold("count", |_| 1, |a, b| a + b)
    }

    /// When running results are emitted.
    fn emit(&self) -> Emit {
        if self.env.is_batch() { Emit::AtEnd } else { Emit::Each }
    }

    fn fold<N: StateData>(
        &self,
        name: &str,
        mut field: impl FnMut(&T) -> N + Clone + Send + 'static,
        function: impl FnMut(N, N) -> N + Clone + Send + 'static,
    ) -> DataStream<(K, N)> {
        // The field is taken out before the exchange, so that only it travels.
        let fields = self.stream.map_keyed("field", move |value| field(&value)).exchange();
        let emit = self.emit();
        let reduce = Reduce::new(function, |key: &K, value: &N| (key.clone(), value.clone()), emit);
        self.then(fields.apply(name, reduce))
    }
}
