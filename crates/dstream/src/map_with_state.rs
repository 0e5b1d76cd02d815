//! `map_with_state`: state of each key, worked on record by record (Spark's `mapWithState`).

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_dataflow::OutputTag;
use thalweg_dataflow::operators::{MapWithState, State, StateSpec};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::{Key, StateData};

use crate::DStream;

/// What the function of a `map_with_state` returns, as a stream (Spark's `MapWithStateDStream`).
#[derive(Clone)]
pub struct MapWithStateDStream<K, S, M> {
    mapped: DStream<M>,
    snapshots: OutputTag<(K, S)>,
    wanted: Arc<AtomicBool>,
}

impl<K, S, M> Deref for MapWithStateDStream<K, S, M> {
    type Target = DStream<M>;

    fn deref(&self) -> &DStream<M> {
        &self.mapped
    }
}

impl<K: Key, S: StateData, M: Data> MapWithStateDStream<K, S, M> {
    /// What the function returns.
    pub fn mapped(&self) -> DStream<M> {
        self.mapped.clone()
    }

    /// The state of all keys at the end of each batch.
    pub fn state_snapshots(&self) -> DStream<(K, S)> {
        self.wanted.store(true, Ordering::Relaxed);
        self.mapped.then(self.mapped.stream.side_output(&self.snapshots))
    }

    /// Sets the stable id of the operation: under it its state is found again.
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        Self { mapped: self.mapped.uid(uid), ..self }
    }
}

impl<K: Key, V: Data> DStream<(K, V)> {
    /// Calls a function for each pair with the state of its key. Other than with `update_state_by_key`, a batch costs as much as there is in
    /// it, however many keys have state; and the state of keys that have no more records may time out.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dataflow::operators::{State, StateSpec};
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("running-counts", Duration::from_millis(10));
    /// let words = ssc.queue_stream(vec![vec!["deep", "wide"], vec!["deep"]]);
    /// let count = StateSpec::function(|word: &String, one: Option<u64>, state: &mut State<'_, u64>| {
    ///     let sum = one.unwrap_or(0) + state.get_option().unwrap_or(0);
    ///     state.update(sum);
    ///     Some((word.clone(), sum))
    /// });
    /// let counts = words.map(|word| (word.to_owned(), 1)).map_with_state(count);
    /// let (sender, results) = std::sync::mpsc::channel();
    /// counts.foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|count| sender.send(count)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// assert_eq!(results.try_iter().last(), Some(("deep".to_owned(), 2)));
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn map_with_state<S, M, F>(&self, spec: StateSpec<K, V, S, M, F>) -> MapWithStateDStream<K, S, M>
    where
        S: StateData,
        M: Data,
        F: FnMut(&K, Option<V>, &mut State<'_, S>) -> Option<M> + Clone + Send + 'static,
    {
        let (snapshots, wanted) = (OutputTag::new("state-snapshots"), Arc::<AtomicBool>::default());
        let partitions = spec.partitions();
        let map = MapWithState::new(spec, self.interval).state_snapshots(snapshots.clone(), wanted.clone());
        let mapped = self.keyed().exchange().apply("map-with-state", map);
        let mapped = match partitions {
            Some(partitions) => mapped.parallelism(partitions),
            None => mapped,
        };
        MapWithStateDStream { mapped: self.then(mapped), snapshots, wanted }
    }
}
