//! Two streams of different types as the inputs of one function (Flink's `ConnectedStreams`).
//!
//! ```
//! use thalweg_datastream::StreamExecutionEnvironment;
//!
//! let env = StreamExecutionEnvironment::new();
//! let (words, numbers) = (env.from_collection(vec!["deep"]), env.from_collection(vec![7]));
//! let texts = words.connect(&numbers).map(|word| word.to_owned(), |n| n.to_string());
//! let mut texts = texts.execute_and_collect("texts")?;
//! texts.sort();
//! assert_eq!(texts, ["7", "deep"]);
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

use thalweg_dataflow::graph::{Either, Stream};
use thalweg_dataflow::operators::{CoProcessFunction, KeyedCoProcess, KeyedCoProcessFunction, ProcessWith};
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};

use crate::{Collector, DataStream, StreamExecutionEnvironment};

/// Two connected streams. The watermark is the lower of the two.
#[derive(Clone)]
pub struct ConnectedStreams<A, B> {
    pub(crate) env: StreamExecutionEnvironment,
    pub(crate) stream: Stream<Either<A, B>>,
}

impl<A: Data, B: Data> ConnectedStreams<A, B> {
    /// One record for each, of either side.
    pub fn map<U: Data>(
        &self,
        mut first: impl FnMut(A) -> U + Clone + Send + 'static,
        mut second: impl FnMut(B) -> U + Clone + Send + 'static,
    ) -> DataStream<U> {
        let both = self.stream.map("co-map", move |value| match value {
            Either::Left(left) => first(left),
            Either::Right(right) => second(right),
        });
        DataStream::over(self.env.clone(), both)
    }

    /// None, one or many records for each, of either side.
    pub fn flat_map<U: Data>(
        &self,
        mut first: impl FnMut(A, &mut Collector<'_, U>) + Clone + Send + 'static,
        mut second: impl FnMut(B, &mut Collector<'_, U>) + Clone + Send + 'static,
    ) -> DataStream<U> {
        let both = self.stream.flat_map("co-flat-map", move |value, out| {
            match value {
                Either::Left(left) => first(left, out),
                Either::Right(right) => second(right, out),
            }
            Ok(())
        });
        DataStream::over(self.env.clone(), both)
    }

    /// Calls a function with a life, counters and state of its subtask on the records of both sides; with state of keys, after [`key_by`](Self::key_by).
    pub fn process_function<F>(&self, function: F) -> DataStream<F::Out>
    where
        F: CoProcessFunction<In1 = A, In2 = B>,
        F::Out: Data,
    {
        DataStream::over(self.env.clone(), self.stream.apply("co-process", ProcessWith::of_both(function)))
    }

    /// Partitions both streams, each by a key of its own, of the same type: records of one key meet in one place.
    ///
    /// ```
    /// use thalweg_dataflow::state::{States, ValueState};
    /// use thalweg_datastream::{BoxError, KeyedCoProcessFunction, KeyedProcessContext, StreamExecutionEnvironment};
    ///
    /// /// The sum of both sides.
    /// #[derive(Clone, Default)]
    /// struct Total(ValueState<char, u32>);
    ///
    /// impl KeyedCoProcessFunction for Total {
    ///     type Key = char;
    ///     type In1 = (char, u32);
    ///     type In2 = char;
    ///     type Out = u32;
    ///
    ///     fn states(&mut self, states: &mut States<'_>) {
    ///         states.keyed("total", &mut self.0);
    ///     }
    ///
    ///     fn process_element1(&mut self, (_, n): (char, u32), context: &mut KeyedProcessContext<'_, char, u32>) -> Result<(), BoxError> {
    ///         let total = n + self.0.value(context).copied().unwrap_or(0);
    ///         self.0.update(context, total);
    ///         context.collect(total);
    ///         Ok(())
    ///     }
    ///
    ///     fn process_element2(&mut self, letter: char, context: &mut KeyedProcessContext<'_, char, u32>) -> Result<(), BoxError> {
    ///         self.process_element1((letter, 1), context)
    ///     }
    /// }
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let (pairs, letters) = (env.from_collection(vec![('a', 5), ('b', 7)]), env.from_collection(vec!['a', 'a']));
    /// let totals = pairs.connect(&letters).key_by(|pair| pair.0, |letter| *letter).process(Total::default());
    /// assert_eq!(totals.execute_and_collect("totals")?.into_iter().max(), Some(7));
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn key_by<K: Key>(
        &self,
        mut first: impl FnMut(&A) -> K + Clone + Send + 'static,
        mut second: impl FnMut(&B) -> K + Clone + Send + 'static,
    ) -> ConnectedStreams<Keyed<K, A>, Keyed<K, B>> {
        let stream = self.stream.map("key-by", move |value| match value {
            Either::Left(value) => Either::Left(Keyed::new(first(&value), value)),
            Either::Right(value) => Either::Right(Keyed::new(second(&value), value)),
        });
        ConnectedStreams { env: self.env.clone(), stream }
    }
}

impl<K: Key, A: Data, B: Data> ConnectedStreams<Keyed<K, A>, Keyed<K, B>> {
    /// Lets barriers overtake the records of both on their way to what follows, if the job has
    /// [unaligned checkpoints](StreamExecutionEnvironment::enable_unaligned_checkpoints).
    #[must_use]
    pub fn unaligned(&self) -> Self
    where
        A: StateData,
        B: StateData,
    {
        Self { env: self.env.clone(), stream: self.stream.unaligned() }
    }

    /// Calls a function with state and timers on the records of both sides. Records of one key meet in one place.
    pub fn process<F>(&self, function: F) -> DataStream<F::Out>
    where
        F: KeyedCoProcessFunction<Key = K, In1 = A, In2 = B>,
        F::Out: Data,
    {
        let process = self.stream.exchange().apply("co-process", KeyedCoProcess::new(function));
        DataStream::over(self.env.clone(), process)
    }
}
