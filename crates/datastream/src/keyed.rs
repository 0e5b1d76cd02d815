//! `KeyedStream`: a stream partitioned by key.

use std::ops::Add;

use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operators::{Aggregate, Emit, KeyedProcess, KeyedProcessFunction, Reduce};
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::window::WindowAssigner;
use thalweg_dataflow::window::aggregate::AggregateFunction;
use thalweg_dataflow::window::aggregate::extremum::{greatest, least};

use crate::{ConnectedStreams, DataStream, StreamExecutionEnvironment, WindowedStream};

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

    pub(crate) fn then<U>(&self, stream: Stream<U>) -> DataStream<U> {
        DataStream { env: self.env.clone(), stream }
    }

    /// Combines, for each key, all records so far; emits the new value with each record.
    pub fn reduce(&self, function: impl FnMut(T, T) -> T + Clone + Send + 'static) -> DataStream<T>
    where
        T: StateData,
    {
        let reduce = Reduce::new(function, |_: &K, value: &T| value.clone(), Emit::Each);
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

    /// The running aggregate of each key's records: the key and its result, with every record.
    pub fn aggregate<A>(&self, aggregate: A) -> DataStream<(K, A::Out)>
    where
        A: AggregateFunction<In = T>,
        A::Out: Data,
    {
        let aggregate = Aggregate::new(aggregate, |key: &K, result: A::Out| (key.clone(), result));
        self.then(self.stream.apply("aggregate", aggregate))
    }

    /// Calls a function with state and timers on every record.
    pub fn process<F>(&self, function: F) -> DataStream<F::Out>
    where
        F: KeyedProcessFunction<Key = K, In = T>,
        F::Out: Data,
    {
        self.then(self.stream.apply("process", KeyedProcess::new(function)))
    }

    /// Cuts the stream into windows.
    pub fn window<W: WindowAssigner>(&self, assigner: W) -> WindowedStream<K, T, W> {
        WindowedStream::new(self.env.clone(), self.stream.clone(), assigner)
    }

    /// This stream and another that is keyed by the same type, as the two inputs of one function.
    pub fn connect<U: Data>(&self, other: &KeyedStream<K, U>) -> ConnectedStreams<Keyed<K, T>, Keyed<K, U>> {
        ConnectedStreams { env: self.env.clone(), stream: self.stream.either(&other.stream) }
    }

    /// The running count of records of each key.
    pub fn count(&self) -> DataStream<(K, u64)> {
        self.fold("count", |_| 1, |a, b| a + b)
    }

    fn fold<N: StateData>(
        &self,
        name: &str,
        mut field: impl FnMut(&T) -> N + Clone + Send + 'static,
        function: impl FnMut(N, N) -> N + Clone + Send + 'static,
    ) -> DataStream<(K, N)> {
        // The field is taken out before the exchange, so that only it travels.
        let fields = self.stream.map_keyed("field", move |value| field(&value)).exchange();
        let reduce = Reduce::new(function, |key: &K, value: &N| (key.clone(), value.clone()), Emit::Each);
        self.then(fields.apply(name, reduce))
    }
}
