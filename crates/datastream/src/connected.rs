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
use thalweg_dataflow::operators::{KeyedCoProcess, KeyedCoProcessFunction};
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::Key;

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
}

impl<K: Key, A: Data, B: Data> ConnectedStreams<Keyed<K, A>, Keyed<K, B>> {
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
