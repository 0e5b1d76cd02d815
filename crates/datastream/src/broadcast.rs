//! Broadcast state: a stream that every subtask of another one's function sees all of (Flink's broadcast state pattern).

use thalweg_dataflow::operators::{
    BroadcastProcess, BroadcastProcessFunction, KeyedBroadcastProcess, KeyedBroadcastProcessFunction,
};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::Key;

use crate::{DataStream, KeyedStream};

/// A stream that is to be broadcast to the function of another one.
#[derive(Clone)]
pub struct BroadcastStream<B> {
    stream: DataStream<B>,
}

/// A stream, and one that is broadcast beside it (Flink's `BroadcastConnectedStream`): say what function they meet in.
#[derive(Clone)]
pub struct BroadcastConnectedStream<S, B> {
    stream: S,
    beside: BroadcastStream<B>,
}

impl<T: Data> DataStream<T> {
    /// This stream, to be seen by every subtask of a function of another one (Flink's `broadcast(descriptor)`).
    pub fn broadcast_state(&self) -> BroadcastStream<T> {
        BroadcastStream { stream: self.clone() }
    }

    /// This stream, with another one broadcast beside it.
    pub fn connect_broadcast<B: Data>(
        &self,
        beside: &BroadcastStream<B>,
    ) -> BroadcastConnectedStream<Self, B> {
        BroadcastConnectedStream { stream: self.clone(), beside: beside.clone() }
    }
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    /// This stream, with another one broadcast beside it.
    ///
    /// ```
    /// use thalweg_dataflow::state::States;
    /// use thalweg_datastream::{
    ///     BoxError, BroadcastContextOf, BroadcastState, KeyedBroadcastProcessFunction, ProcessContext, StreamExecutionEnvironment,
    /// };
    ///
    /// /// Lets those through whose colour a rule names.
    /// #[derive(Clone)]
    /// struct Rules;
    ///
    /// impl KeyedBroadcastProcessFunction for Rules {
    ///     type Key = String;
    ///     type In = (&'static str, u32);
    ///     type Broadcast = String;
    ///     type StateKey = String;
    ///     type StateValue = ();
    ///     type Out = (String, u32);
    ///
    ///     fn states(&mut self, _: &mut States<'_>) {}
    ///
    ///     fn process_element(
    ///         &mut self,
    ///         (_, value): (&'static str, u32),
    ///         rules: &BroadcastState<String, ()>,
    ///         context: &mut BroadcastContextOf<'_, Self>,
    ///     ) -> Result<(), BoxError> {
    ///         if rules.contains(context.key()) {
    ///             context.collect((context.key().clone(), value));
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn process_broadcast_element(
    ///         &mut self,
    ///         color: String,
    ///         rules: &mut BroadcastState<String, ()>,
    ///         _: &mut ProcessContext<'_, (String, u32)>,
    ///     ) -> Result<(), BoxError> {
    ///         rules.put(color, ());
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let rules = env.from_collection(vec!["red".to_owned()]).broadcast_state();
    /// let shapes = env.from_collection(vec![("blue", 1), ("green", 2)]).key_by(|shape| shape.0.to_owned());
    /// let matching = shapes.connect_broadcast(&rules).process(Rules);
    /// assert!(matching.execute_and_collect("rules")?.is_empty());
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn connect_broadcast<B: Data>(
        &self,
        beside: &BroadcastStream<B>,
    ) -> BroadcastConnectedStream<Self, B> {
        BroadcastConnectedStream { stream: self.clone(), beside: beside.clone() }
    }
}

impl<T: Data, B: Data> BroadcastConnectedStream<DataStream<T>, B> {
    /// Calls a function on the records of both.
    pub fn process<F>(&self, function: F) -> DataStream<F::Out>
    where
        F: BroadcastProcessFunction<In = T, Broadcast = B>,
        F::Out: Data,
    {
        let both = self.stream.stream().with_broadcast(self.beside.stream.stream());
        self.stream.then(both.apply("broadcast-process", BroadcastProcess::new(function)))
    }
}

impl<K: Key, T: Data, B: Data> BroadcastConnectedStream<KeyedStream<K, T>, B> {
    /// Calls a function with keyed state and timers on the records of both. Records of one key meet in one place.
    pub fn process<F>(&self, function: F) -> DataStream<F::Out>
    where
        F: KeyedBroadcastProcessFunction<Key = K, In = T, Broadcast = B>,
        F::Out: Data,
    {
        let both = self.stream.stream().with_broadcast(self.beside.stream.stream());
        self.stream.then(both.apply("broadcast-process", KeyedBroadcastProcess::new(function)))
    }
}
