//! Patterns of events that follow each other (Flink's CEP): what a pattern says, and what becomes of records and watermarks, is told in
//! [`thalweg_dataflow::cep`].
//!
//! ```
//! use std::time::Duration;
//!
//! use thalweg_datastream::cep::{Cep, Pattern};
//! use thalweg_datastream::{OutputTag, StreamExecutionEnvironment};
//!
//! let env = StreamExecutionEnvironment::new();
//! // Rooms, their temperatures, and when they were measured.
//! let readings = vec![(('a', 99), 0), (('b', 10), 500), (('a', 101), 1_000), (('a', 105), 2_000), (('a', 20), 40_000)];
//! let readings = env.from_timed_collection(readings).key_by(|reading| reading.0);
//!
//! let warning = Pattern::begin("first").where_(|reading: &(char, i32)| reading.1 >= 100).next("second").where_(|reading| reading.1 >= 100);
//! let warnings = Cep::pattern(&readings, &warning.within(Duration::from_secs(10))).select(|warning| {
//!     warning.events().iter().map(|(_, reading)| reading.1).sum::<i32>() / 2
//! });
//! assert_eq!(warnings.execute_and_collect("warnings")?, [103]);
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

use std::marker::PhantomData;

use thalweg_dataflow::OutputTag;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operators::ProcessContext;
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};

pub use thalweg_dataflow::cep::{AfterMatchSkipStrategy, Pattern, PatternMatch, PatternProcessFunction};

use crate::{DataStream, KeyedStream, StreamExecutionEnvironment};

/// Looks for patterns (Flink's `CEP`).
pub struct Cep;

impl Cep {
    /// Looks for a pattern among the records of each key.
    pub fn pattern<K: Key, T: Data + StateData>(
        stream: &KeyedStream<K, T>,
        pattern: &Pattern<T>,
    ) -> PatternStream<K, T> {
        if let Some(error) = pattern.error() {
            stream.stream.graph().refuse(error);
        }
        let (env, stream, pattern) = (stream.env.clone(), stream.stream.clone(), pattern.clone());
        PatternStream { env, stream, pattern, in_processing_time: false, late: None, parallelism: None }
    }

    /// Looks for a pattern among all records of a stream, in one place: every record goes through one subtask.
    pub fn pattern_all<T: Data + StateData>(
        stream: &DataStream<T>,
        pattern: &Pattern<T>,
    ) -> PatternStream<(), T> {
        Self::pattern(&stream.key_by(|_| ()), pattern).with_parallelism(1)
    }
}

/// A stream in which a pattern is looked for: say what is made of its matches.
#[derive(Clone)]
pub struct PatternStream<K, T> {
    env: StreamExecutionEnvironment,
    stream: Stream<Keyed<K, T>>,
    pattern: Pattern<T>,
    in_processing_time: bool,
    late: Option<OutputTag<T>>,
    parallelism: Option<usize>,
}

impl<K: Key, T: Data + StateData> PatternStream<K, T> {
    fn with_parallelism(self, parallelism: usize) -> Self {
        Self { parallelism: Some(parallelism), ..self }
    }

    /// Looks at records as they come, by the clock. In event time, unless it is said, they are looked at in the order of their own times.
    #[must_use]
    pub fn in_processing_time(self) -> Self {
        Self { in_processing_time: true, ..self }
    }

    /// Sends records that come after the watermark has passed them to a side output of what is made of the matches. They are
    /// counted in any case.
    #[must_use]
    pub fn side_output_late_data(self, tag: &OutputTag<T>) -> Self {
        Self { late: Some(tag.clone()), ..self }
    }

    /// One record for each match.
    pub fn select<U: Data>(
        self,
        mut select: impl FnMut(&PatternMatch<'_, T>) -> U + Clone + Send + 'static,
    ) -> DataStream<U> {
        self.flat_select(move |found, context| context.collect(select(found)))
    }

    /// None, one or many records for each match; the context has its time, and side outputs.
    pub fn flat_select<U: Data>(
        self,
        select: impl FnMut(&PatternMatch<'_, T>, &mut ProcessContext<'_, U>) + Clone + Send + 'static,
    ) -> DataStream<U> {
        let none = |_: &PatternMatch<'_, T>, _: &mut ProcessContext<'_, U>| {};
        self.process(Closures { select, timed_out: none, types: PhantomData })
    }

    /// One record for each match; and in a side output one for each that has begun, and is not through in time.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use thalweg_datastream::cep::{Cep, Pattern};
    /// use thalweg_datastream::{OutputTag, StreamExecutionEnvironment};
    ///
    /// const UNPAID: OutputTag<u32> = OutputTag::new("unpaid");
    /// let env = StreamExecutionEnvironment::new();
    /// let events = vec![((1, 'o'), 0), ((2, 'o'), 100), ((1, 'p'), 900)];
    /// let events = env.from_timed_collection(events);
    /// let paid = Pattern::begin("order").where_(|event: &(u32, char)| event.1 == 'o');
    /// let paid = paid.followed_by("payment").where_(|event| event.1 == 'p').within(Duration::from_secs(5));
    /// let orders = Cep::pattern(&events.key_by(|event| event.0), &paid);
    /// let orders = orders.select_with_timeout(
    ///     &UNPAID,
    ///     |begun| begun.first("order").map_or(0, |order| order.0),
    ///     |found| found.first("order").map_or(0, |order| order.0),
    /// );
    /// let unpaid = orders.get_side_output(&UNPAID).map(|id| format!("{id} is not paid"));
    /// let all = orders.map(|id| format!("{id} is paid")).union(&unpaid);
    /// let mut all = all.execute_and_collect("orders")?;
    /// all.sort();
    /// assert_eq!(all, ["1 is paid", "2 is not paid"]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn select_with_timeout<S: Data, U: Data>(
        self,
        tag: &OutputTag<S>,
        mut timed_out: impl FnMut(&PatternMatch<'_, T>) -> S + Clone + Send + 'static,
        mut select: impl FnMut(&PatternMatch<'_, T>) -> U + Clone + Send + 'static,
    ) -> DataStream<U> {
        let tag = tag.clone();
        self.process(Closures {
            select: move |found: &PatternMatch<'_, T>, context: &mut ProcessContext<'_, U>| {
                context.collect(select(found));
            },
            timed_out: move |begun: &PatternMatch<'_, T>, context: &mut ProcessContext<'_, U>| {
                context.output(&tag, timed_out(begun));
            },
            types: PhantomData,
        })
    }

    /// Hands matches, and what is timed out, to a function.
    pub fn process<F>(self, function: F) -> DataStream<F::Out>
    where
        F: PatternProcessFunction<In = T>,
        F::Out: Data,
    {
        let Self { env, stream, pattern, in_processing_time, late, parallelism } = self;
        let mut operator = thalweg_dataflow::cep::Cep::with_function(&pattern, function);
        if in_processing_time {
            operator = operator.in_processing_time();
        }
        if let Some(tag) = late {
            operator = operator.side_output_late_data(tag);
        }
        let found = stream.apply("pattern", operator);
        DataStream::over(
            env,
            match parallelism {
                Some(parallelism) => found.parallelism(parallelism),
                None => found,
            },
        )
    }
}

/// Two closures as a function.
struct Closures<T, U, F, G> {
    select: F,
    timed_out: G,
    types: PhantomData<fn(T) -> U>,
}

impl<T, U, F: Clone, G: Clone> Clone for Closures<T, U, F, G> {
    fn clone(&self) -> Self {
        Self { select: self.select.clone(), timed_out: self.timed_out.clone(), types: PhantomData }
    }
}

impl<T, U, F, G> PatternProcessFunction for Closures<T, U, F, G>
where
    T: StateData,
    U: Data,
    F: FnMut(&PatternMatch<'_, T>, &mut ProcessContext<'_, U>) + Clone + Send + 'static,
    G: FnMut(&PatternMatch<'_, T>, &mut ProcessContext<'_, U>) + Clone + Send + 'static,
{
    type In = T;
    type Out = U;

    fn process_match(
        &mut self,
        found: &PatternMatch<'_, T>,
        context: &mut ProcessContext<'_, U>,
    ) -> Result<(), BoxError> {
        (self.select)(found, context);
        Ok(())
    }

    fn process_timed_out_match(
        &mut self,
        begun: &PatternMatch<'_, T>,
        context: &mut ProcessContext<'_, U>,
    ) -> Result<(), BoxError> {
        (self.timed_out)(begun, context);
        Ok(())
    }
}
