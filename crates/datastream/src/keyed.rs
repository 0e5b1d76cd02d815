//! `KeyedStream`: a stream partitioned by key.

use std::ops::Add;

use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};

use crate::{DataStream, StreamExecutionEnvironment};

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

    /// The running minimum, for each key, of what `field` takes out of a record.
    pub fn min<N>(&self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<(K, N)>
    where
        N: StateData + PartialOrd,
    {
        self.fold("min", field, |a, b| if b < a { b } else { a })
    }

    /// The running maximum, for each key, of what `field` takes out of a record.
    pub fn max<N>(&self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<(K, N)>
    where
        N: StateData + PartialOrd,
    {
        self.fold("max", field, |a, b| if b > a { b } else { a })
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
