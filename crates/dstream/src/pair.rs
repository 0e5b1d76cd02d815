//! `DStream<(K, V)>`: what Spark gives to streams of pairs, batch by batch. Joins and windows have their own pages.

use thalweg_dataflow::graph::{Either, Stream};
use thalweg_dataflow::operators::{CoGroup, Combine, Emit, Reduce, UpdateStateByKey};
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};

use crate::DStream;

impl<K: Data, V: Data> DStream<(K, V)> {
    /// Another value for each pair, under the same key.
    pub fn map_values<U: Data>(
        &self,
        mut function: impl FnMut(V) -> U + Clone + Send + 'static,
    ) -> DStream<(K, U)> {
        self.then(self.stream.map("map-values", move |(key, value)| (key, function(value))))
    }

    /// None, one or many values for each pair, under the same key.
    pub fn flat_map_values<U: Data, I: IntoIterator<Item = U>>(
        &self,
        mut function: impl FnMut(V) -> I + Clone + Send + 'static,
    ) -> DStream<(K, U)> {
        self.then(self.stream.flat_map("flat-map-values", move |(key, value): (K, V), out| {
            function(value).into_iter().for_each(|value| out.collect((key.clone(), value)));
            Ok(())
        }))
    }
}

impl<K: Key, V: Data> DStream<(K, V)> {
    /// The stream, keyed for an exchange.
    pub(crate) fn keyed(&self) -> Stream<Keyed<K, V>> {
        self.stream.map("key", |(key, value)| Keyed::new(key, value)).determined()
    }

    /// The stream, its values combined by key in each subtask: what is sent to the owners of the keys is
    /// partial results.
    pub(crate) fn combined(
        &self,
        function: impl FnMut(V, V) -> V + Clone + Send + 'static,
    ) -> Stream<Keyed<K, V>>
    where
        V: Sync,
    {
        self.stream.apply("combine", Combine::new(function)).exchange()
    }

    /// Of each batch, one pair for each key: its values combined by `function`, which must be associative and
    /// commutative.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("counts", Duration::from_millis(10));
    /// let lines = ssc.queue_stream(vec![vec!["deep and fast, deep and wide".to_owned()]]);
    /// let words = lines.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    /// let counts = words.map(|word| (word, 1)).reduce_by_key(|a, b| a + b);
    /// let (sender, results) = std::sync::mpsc::channel();
    /// counts.foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|count| sender.send(count)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let mut counts: Vec<(String, i32)> = results.try_iter().collect();
    /// counts.sort();
    /// assert_eq!(counts[..2], [("and".to_owned(), 2), ("deep".to_owned(), 2)]);
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    #[must_use]
    pub fn reduce_by_key(&self, function: impl FnMut(V, V) -> V + Clone + Send + 'static) -> Self
    where
        V: StateData,
    {
        let emit = Emit::AtBatch { interval: self.interval };
        let reduce = Reduce::new(function.clone(), |key: &K, value: &V| (key.clone(), value.clone()), emit);
        self.then(self.combined(function).apply("reduce-by-key", reduce))
    }

    /// Of each batch, one pair for each key: all its values. To sum or count them,
    /// [`reduce_by_key`](Self::reduce_by_key) moves less.
    pub fn group_by_key(&self) -> DStream<(K, Vec<V>)>
    where
        V: StateData,
    {
        let left = self.keyed().map("group", Either::<_, Keyed<K, ()>>::Left).determined();
        let groups = self.then(left.exchange().apply("group-by-key", CoGroup::new(self.interval)));
        groups.map(|(key, (values, _))| (key, values)).name("groups").with_part("co-group", &groups)
    }

    /// Keeps state of each key over the batches. At the end of each batch `function` is called for every key
    /// that has state or new values, with the key, the batch's values and the state there was; `None` ends
    /// the key's state. The batch emitted is the state of every key.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("totals", Duration::from_millis(10));
    /// let sales = ssc.queue_stream(vec![vec![("apple", 2), ("pear", 1)], vec![("apple", 3)]]);
    /// let totals = sales.map(|(fruit, n)| (fruit.to_owned(), n)).update_state_by_key(|_fruit, new, total| {
    ///     Some(total.unwrap_or(0) + new.iter().sum::<i32>())
    /// });
    /// let (sender, results) = std::sync::mpsc::channel();
    /// totals.foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|total| sender.send(total)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let last: BTreeMap<String, i32> = results.try_iter().collect();
    /// assert_eq!((last["apple"], last["pear"]), (5, 1));
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn update_state_by_key<S: StateData>(
        &self,
        function: impl FnMut(&K, Vec<V>, Option<S>) -> Option<S> + Clone + Send + 'static,
    ) -> DStream<(K, S)>
    where
        V: StateData,
    {
        let update = UpdateStateByKey::new(function, self.interval);
        self.then(self.keyed().exchange().apply("update-state-by-key", update))
    }

    /// [`update_state_by_key`](Self::update_state_by_key) of keys that have a state at the very start of the job (Spark's `initialRDD`); after a
    /// restart from a checkpoint it does not count. Which keys meet in which partition is up to the engine, so that state can be divided
    /// anew: there is no partitioner, but [`set_parallelism`](Self::set_parallelism) says how many partitions there are.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("totals", Duration::from_millis(10));
    /// let words = ssc.queue_stream(vec![vec!["hello", "deep"]]).map(|word| (word.to_owned(), 1));
    /// let initial = vec![("hello".to_owned(), 1), ("world".to_owned(), 1)];
    /// let count = |_: &String, new: Vec<i32>, count: Option<i32>| Some(count.unwrap_or(0) + new.iter().sum::<i32>());
    /// let (sender, results) = std::sync::mpsc::channel();
    /// let counts = words.update_state_by_key_with_initial_state(initial, count);
    /// counts.foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|count| sender.send(count)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let last: BTreeMap<String, i32> = results.try_iter().collect();
    /// assert_eq!((last["hello"], last["world"], last["deep"]), (2, 1, 1));
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn update_state_by_key_with_initial_state<S: StateData>(
        &self,
        initial: Vec<(K, S)>,
        function: impl FnMut(&K, Vec<V>, Option<S>) -> Option<S> + Clone + Send + 'static,
    ) -> DStream<(K, S)>
    where
        V: StateData,
    {
        let update = UpdateStateByKey::new(function, self.interval).initial_state(initial);
        self.then(self.keyed().exchange().apply("update-state-by-key", update))
    }
}
