//! `DataStream`: records as they come.

use std::fmt::Debug;
use std::sync::mpsc::channel;
use std::time::Duration;

use thalweg_dataflow::OutputTag;
use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operators::{
    Collect, Process, ProcessContext, ProcessFunction, ProcessWith, SortInput,
};
use thalweg_dataflow::printed::printed;
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::sink::Sink;
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::time::Timestamp;
use thalweg_dataflow::watermark::{AssignTimestamps, WatermarkStrategy};
use thalweg_dataflow::window::WindowAssigner;

use crate::{
    CollectedAsync, ConnectedStreams, JoinedStreams, KeyedStream, StreamExecutionEnvironment, WindowedStream,
};

/// What a function emits to (Flink's `Collector`).
pub type Collector<'a, T> = Collect<'a, T>;

/// A continuous stream of `T`. Cloning it reads it twice; nothing is computed twice.
#[derive(Clone)]
pub struct DataStream<T> {
    pub(crate) env: StreamExecutionEnvironment,
    pub(crate) stream: Stream<T>,
}

impl<T: Data> DataStream<T> {
    /// A stream of the engine, as part of an environment over the same graph.
    pub fn over(env: StreamExecutionEnvironment, stream: Stream<T>) -> Self {
        Self { env, stream }
    }

    /// The stream of the engine underneath.
    pub fn stream(&self) -> &Stream<T> {
        &self.stream
    }

    /// The environment.
    pub fn environment(&self) -> &StreamExecutionEnvironment {
        &self.env
    }

    pub(crate) fn then<U>(&self, stream: Stream<U>) -> DataStream<U> {
        DataStream { env: self.env.clone(), stream }
    }

    /// One record for each.
    pub fn map<U: Data>(&self, function: impl FnMut(T) -> U + Clone + Send + 'static) -> DataStream<U> {
        self.then(self.stream.map("map", function))
    }

    /// One record for each; an error fails the job, with the name of the operator and the origin of the record.
    pub fn try_map<U: Data, E: Into<BoxError>>(
        &self,
        mut function: impl FnMut(T) -> Result<U, E> + Clone + Send + 'static,
    ) -> DataStream<U> {
        self.then(self.stream.flat_map("map", move |value, out| {
            out.collect(function(value).map_err(Into::into)?);
            Ok(())
        }))
    }

    /// None, one or many records for each: whatever `function` collects.
    pub fn flat_map<U: Data>(
        &self,
        mut function: impl FnMut(T, &mut Collector<'_, U>) + Clone + Send + 'static,
    ) -> DataStream<U> {
        self.then(self.stream.flat_map("flat-map", move |value, out| {
            function(value, out);
            Ok(())
        }))
    }

    /// None, one or many records for each; an error fails the job.
    pub fn try_flat_map<U: Data, E: Into<BoxError>>(
        &self,
        mut function: impl FnMut(T, &mut Collector<'_, U>) -> Result<(), E> + Clone + Send + 'static,
    ) -> DataStream<U> {
        self.then(
            self.stream.flat_map("flat-map", move |value, out| function(value, out).map_err(Into::into)),
        )
    }

    /// The records for which `predicate` holds.
    #[must_use]
    pub fn filter(&self, mut predicate: impl FnMut(&T) -> bool + Clone + Send + 'static) -> Self {
        self.then(self.stream.flat_map("filter", move |value, out| {
            if predicate(&value) {
                out.collect(value);
            }
            Ok(())
        }))
    }

    /// Partitions the stream by a key: what follows sees all records of a key in one place, with state of its own.
    pub fn key_by<K: Key>(&self, mut key: impl FnMut(&T) -> K + Clone + Send + 'static) -> KeyedStream<K, T> {
        let keyed = self.stream.map("key-by", move |value| Keyed::new(key(&value), value));
        let mut keyed = keyed.exchange();
        if self.env.is_batch() {
            // Each key's records come from one subtask, so that they are still in order behind the second exchange.
            keyed = keyed.apply("sort-input", SortInput::new()).exchange();
        }
        KeyedStream { env: self.env.clone(), stream: keyed }
    }

    /// Calls `function` on every record; it sees the record's time, and may emit to side outputs.
    pub fn process<U: Data>(
        &self,
        mut function: impl FnMut(T, &mut ProcessContext<'_, U>) + Clone + Send + 'static,
    ) -> DataStream<U> {
        let process = Process::new(move |value, context: &mut ProcessContext<'_, U>| {
            function(value, context);
            Ok(())
        });
        self.then(self.stream.apply("process", process))
    }

    /// Calls a function on every record that has a life (`open`, `close`), counters, and state of its subtask: see [`ProcessFunction`].
    pub fn process_function<F>(&self, function: F) -> DataStream<F::Out>
    where
        F: ProcessFunction<In = T>,
        F::Out: Data,
    {
        self.then(self.stream.apply("process", ProcessWith::new(function)))
    }

    /// This stream and another, of any type, as the two inputs of one function.
    pub fn connect<U: Data>(&self, other: &DataStream<U>) -> ConnectedStreams<T, U> {
        ConnectedStreams { env: self.env.clone(), stream: self.stream.either(&other.stream) }
    }

    /// This stream and another, to be joined by key within windows: pairs with
    /// [`apply`](crate::WindowedJoin::apply), or all of both sides with [`co_group`](crate::WindowedJoin::co_group).
    pub fn join<U: Data>(&self, other: &DataStream<U>) -> JoinedStreams<T, U> {
        JoinedStreams::new(self.clone(), other.clone())
    }

    /// The same as [`join`](Self::join), for programs that say `co_group` first, as Flink's do.
    pub fn co_group<U: Data>(&self, other: &DataStream<U>) -> JoinedStreams<T, U> {
        self.join(other)
    }

    /// Windows of the whole stream, in one place: every record goes through one subtask.
    pub fn window_all<W: WindowAssigner<T>>(&self, assigner: W) -> WindowedStream<(), T, W> {
        let keyed = self.stream.map("window-all", |value| Keyed::new((), value)).exchange();
        WindowedStream::new(self.env.clone(), keyed, assigner).with_parallelism(1)
    }

    /// The records of both streams. The watermark is the lower of the two.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.then(self.stream.union(&other.stream))
    }

    /// Gives records event times, and makes watermarks. Prefer to give the strategy to the source, which can
    /// tell its partitions apart.
    #[must_use]
    pub fn assign_timestamps_and_watermarks(&self, strategy: WatermarkStrategy<T>) -> Self {
        let operator = AssignTimestamps::new(self.env.in_mode(strategy));
        self.then(self.stream.apply("timestamps", operator))
    }

    /// Gives records event times that never fall, which `time` takes out of them (milliseconds): the same as
    /// [`assign_timestamps_and_watermarks`](Self::assign_timestamps_and_watermarks) with monotonous timestamps, but the closure knows what a record is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_datastream::{StreamExecutionEnvironment, TumblingEventTimeWindows};
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let clicks = env.from_collection(vec![("ada", 100), ("ada", 900), ("ada", 1_100)]).assign_ascending_timestamps(|click| click.1);
    /// let counts = clicks.key_by(|click| click.0.to_owned()).window(TumblingEventTimeWindows::of(Duration::from_secs(1))).count();
    /// assert_eq!(counts.execute_and_collect("clicks")?, [("ada".to_owned(), 2), ("ada".to_owned(), 1)]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    #[must_use]
    pub fn assign_ascending_timestamps(
        &self,
        time: impl Fn(&T) -> Timestamp + Clone + Send + 'static,
    ) -> Self {
        self.assign_timestamps(Duration::ZERO, time)
    }

    /// The same for records that come at most `out_of_orderness` after one with a later time.
    #[must_use]
    pub fn assign_timestamps(
        &self,
        out_of_orderness: Duration,
        time: impl Fn(&T) -> Timestamp + Clone + Send + 'static,
    ) -> Self {
        let strategy = WatermarkStrategy::for_bounded_out_of_orderness(out_of_orderness);
        self.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(move |value, _| time(value)))
    }

    /// Lets barriers overtake the records of this stream on their way to what follows, if the job has
    /// [unaligned checkpoints](StreamExecutionEnvironment::enable_unaligned_checkpoints). For a stream that is spread: by
    /// [`rebalance`](Self::rebalance), [`partition_custom`](Self::partition_custom), [`global`](Self::global). What is forwarded or broadcast is refused.
    #[must_use]
    pub fn unaligned(&self) -> Self
    where
        T: StateData,
    {
        self.then(self.stream.unaligned())
    }

    /// Spreads records evenly over the subtasks of the next operator.
    #[must_use]
    pub fn rebalance(&self) -> Self {
        self.then(self.stream.rebalance())
    }

    /// The same as [`rebalance`](Self::rebalance), which spreads records evenly without drawing lots.
    #[must_use]
    pub fn shuffle(&self) -> Self {
        self.rebalance()
    }

    /// The same as [`rebalance`](Self::rebalance): all subtasks are in one process, so there is no network to be spared by dealing records out to a
    /// few of them only. For the same reason there is no slot sharing; and no `iterate`, as a loop in a graph can neither end nor
    /// be cut consistently (Flink has given it up, too): keep state and timers, or write to a topic that is read again.
    #[must_use]
    pub fn rescale(&self) -> Self {
        self.rebalance()
    }

    /// Sends every record to the first subtask of the next operator.
    #[must_use]
    pub fn global(&self) -> Self {
        self.then(self.stream.global())
    }

    /// Hands every record to the subtask of the next operator that has the same number; if that has another number of subtasks, in turn. It is
    /// how streams go on by themselves.
    #[must_use]
    pub fn forward(&self) -> Self {
        self.then(self.stream.forward())
    }

    /// Sends every record to the subtask of the next operator that `partitioner` names for its key, given how many there are. What is too large a number
    /// counts by its remainder.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let numbers = env.from_collection((0..100).collect::<Vec<usize>>());
    /// let by_ten = numbers.partition_custom(|tens: &usize, subtasks| tens % subtasks, |n| n / 10);
    /// let seen = by_ten.map(|n| (n / 10, format!("{:?}", std::thread::current().id()))).set_parallelism(3);
    /// let mut seen = seen.execute_and_collect("tens")?;
    /// seen.sort();
    /// seen.dedup();
    /// assert_eq!(seen.len(), 10);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    #[must_use]
    pub fn partition_custom<K>(
        &self,
        mut partitioner: impl FnMut(&K, usize) -> usize + Clone + Send + Sync + 'static,
        mut key: impl FnMut(&T) -> K + Clone + Send + Sync + 'static,
    ) -> Self {
        let target = move |value: &T, subtasks| partitioner(&key(value), subtasks);
        self.then(self.stream.partition_custom(target))
    }

    /// Sends every record to every subtask of the next operator.
    #[must_use]
    pub fn broadcast(&self) -> Self {
        self.then(self.stream.broadcast())
    }

    /// A side output of the operator that this stream comes out of.
    pub fn get_side_output<S: Data>(&self, tag: &OutputTag<S>) -> DataStream<S> {
        self.then(self.stream.side_output(tag))
    }

    /// Writes the stream to a sink. The stream returned is empty; it is there to name the sink, and to set its uid.
    pub fn sink_to(&self, sink: impl Sink<T>) -> DataStream<()> {
        self.then(self.stream.graph().output(|| sink.add_to(&self.stream)))
    }

    /// Calls `function` on every record: for side effects, which happen again for records that are read again
    /// after a failure.
    pub fn for_each(&self, mut function: impl FnMut(T) + Clone + Send + 'static) -> DataStream<()> {
        self.then(self.stream.flat_map("for-each", move |value, _: &mut Collect<'_, ()>| {
            function(value);
            Ok(())
        }))
    }

    /// Prints every record on stdout, on a line of its own, as `Debug` writes it, but text without quotes:
    /// see [`printed`].
    pub fn print(&self) -> DataStream<()>
    where
        T: Debug,
    {
        self.for_each(|value| println!("{}", printed(&value))).name("print")
    }

    /// Prints every record on stdout, on a line of its own, after `prefix> `.
    pub fn print_with_prefix(&self, prefix: &str) -> DataStream<()>
    where
        T: Debug,
    {
        let prefix = prefix.to_owned();
        self.for_each(move |value| println!("{prefix}> {}", printed(&value))).name("print")
    }

    /// The records of this stream, to be looked at while the job runs: see [`CollectedAsync`].
    pub fn collect_async(&self) -> CollectedAsync<T> {
        let (collect, collected) = CollectedAsync::new();
        self.process_function(collect).name("collect");
        collected
    }

    /// Sets the stable id of the operator that this stream comes out of: under it its state is found again.
    pub fn uid(self, uid: &str) -> Self {
        Self { stream: self.stream.uid(uid), ..self }
    }

    /// Sets the name of the operator that this stream comes out of, as it appears in errors and metrics.
    pub fn name(self, name: &str) -> Self {
        Self { stream: self.stream.name(name), ..self }
    }

    /// Sets the number of subtasks of the operator that this stream comes out of.
    pub fn set_parallelism(self, parallelism: usize) -> Self {
        Self { stream: self.stream.parallelism(parallelism), ..self }
    }

    /// Runs the job to its end, and returns the records of this stream: for examples and tests of bounded jobs.
    ///
    /// # Errors
    /// What ended the job, if that was not the end of its input.
    pub fn execute_and_collect(&self, name: &str) -> Result<Vec<T>, JobError> {
        let (sender, receiver) = channel();
        self.for_each(move |value| {
            // The receiver outlives the job.
            let _ = sender.send(value);
        })
        .name("collect");
        self.env.execute(name)?;
        Ok(receiver.try_iter().collect())
    }
}
